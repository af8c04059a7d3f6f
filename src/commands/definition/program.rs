//! Whether an agent's program is in its image, where a session looks for it.

use std::collections::BTreeMap;

use assembler::{
    image::Image,
    inspect::{FileKind, FileRow, files},
};

use crate::{context::Context, diagnostic::Diagnostic, exit_status::ExitStatus};

/// What a session takes where the image says nothing.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a session has before that: each home begins as a copy of `/etc/skel`.
const AT_HOME: &str = "/etc/skel/.local/bin";
/// How many symbolic links are followed; Linux follows as many.
const LINKS: usize = 40;

/// Fails if a session would not find the program `name` in `image`.
pub(super) fn look_for(context: &Context, image: &Image, name: &str) -> Result<(), Diagnostic> {
    let (store, lock) = context.store()?;
    let rows = files(store, lock, image)?;
    let tree: BTreeMap<&str, &FileRow> = rows.iter().map(|row| (row.path.as_str(), row)).collect();
    let env = &image.config().value().config.env;
    let path = env
        .iter()
        .find_map(|variable| variable.strip_prefix("PATH="));
    let path = path.unwrap_or(USUAL_PATH);
    let mut directories = std::iter::once(AT_HOME).chain(path.split(':'));
    let is_program = |directory: &str| {
        resolve(&tree, &format!("{directory}/{name}")).is_some_and(|row| {
            let mode = u32::from_str_radix(&row.mode, 8).unwrap_or_default();
            matches!(row.kind, FileKind::File | FileKind::HardLink) && mode & 0o111 != 0
        })
    };
    if directories.any(is_program) {
        return Ok(());
    }
    Err(Diagnostic::new(
        "check-program",
        ExitStatus::Failed,
        format!("`install.sh` ends well, but there is no program `{name}` to start afterwards"),
    )
    .caused_by_words(format!("looked at {path}"))
    .hint("install it for all users, for example into `/usr/local/bin`, and make it executable"))
}

/// Follows links as the kernel does.
fn resolve<'a>(tree: &BTreeMap<&str, &'a FileRow>, path: &str) -> Option<&'a FileRow> {
    let mut todo: Vec<String> = parts(path).rev().collect();
    let mut at: Vec<String> = Vec::new();
    let mut links = 0;
    let mut last = None;
    while let Some(part) = todo.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(part);
        let row = *tree.get(at.join("/").as_str())?;
        last = Some(row);
        if row.kind == FileKind::Symlink {
            links += 1;
            if links > LINKS {
                return None;
            }
            let target = row.target.as_deref()?;
            at.pop();
            if target.starts_with('/') {
                at.clear();
            }
            todo.extend(parts(target).rev());
        }
    }
    last
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> + '_ {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
}
