//! `aicage image …`: looks at any image, and manages those that are here.

pub mod diff;
pub mod files;
pub mod inspect;
pub mod list;
pub mod rm;
pub mod why;

use assembler::inspect::{FileKind, FileRow};
use clap::Subcommand;

use super::pull;
use crate::{context::Context, diagnostic::Diagnostic, exit_status::ExitStatus};

/// What `aicage image` can do.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Bring an image into the store.
    Pull(pull::PullArgs),
    /// List the images that are here.
    #[command(visible_alias = "ls")]
    List,
    /// Show where each layer of an image came from.
    Inspect(inspect::InspectArgs),
    /// Say which layers put, change or remove a path.
    Why(why::WhyArgs),
    /// List the files of an image or of one of its layers.
    Files(files::FilesArgs),
    /// List what differs between two images.
    Diff(diff::DiffArgs),
    /// Forget images by name.
    Rm(rm::RmArgs),
}

/// Does what the command says.
pub async fn image(context: &Context, command: ImageCommand) -> Result<ExitStatus, Diagnostic> {
    match command {
        ImageCommand::Pull(args) => pull::pull(context, &args).await,
        ImageCommand::List => list::list(context),
        ImageCommand::Inspect(args) => inspect::inspect(context, &args).await,
        ImageCommand::Why(args) => why::why(context, &args).await,
        ImageCommand::Files(args) => files::files(context, &args).await,
        ImageCommand::Diff(args) => diff::diff(context, &args).await,
        ImageCommand::Rm(args) => rm::rm(context, &args).await,
    }
}

/// Writes kind and permissions as `ls -l` does.
fn mode(row: &FileRow) -> String {
    let kind = match row.kind {
        FileKind::File => '-',
        FileKind::HardLink => 'h',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::CharDevice => 'c',
        FileKind::BlockDevice => 'b',
        FileKind::Fifo => 'p',
        FileKind::Whiteout | FileKind::Opaque => return "removed".to_owned(),
    };
    let bits = u32::from_str_radix(&row.mode, 8).unwrap_or_default();
    let special = [
        (0o4000, 0o100, 's'),
        (0o2000, 0o010, 's'),
        (0o1000, 0o001, 't'),
    ];
    let mut text = String::from(kind);
    for (shift, (flag, execute, letter)) in [6, 3, 0].into_iter().zip(special) {
        let triple = bits >> shift;
        text.push(if triple & 4 == 0 { '-' } else { 'r' });
        text.push(if triple & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & flag != 0, bits & execute != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Writes a path with a leading slash, and what it points to or takes away.
fn place(row: &FileRow) -> String {
    let path = if row.path == "." { "" } else { &row.path };
    match (row.kind, &row.target) {
        (FileKind::Symlink, Some(target)) => format!("/{path} -> {target}"),
        (FileKind::HardLink, Some(target)) => format!("/{path} = /{target}"),
        (FileKind::Opaque, _) => format!("/{path}/*"),
        _ => format!("/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: FileKind, bits: &str, expected: &str) {
        let row = FileRow {
            path: "a".to_owned(),
            kind,
            mode: bits.to_owned(),
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            target: None,
        };
        assert_eq!(mode(&row), expected);
    }

    #[test]
    fn modes_read_as_in_ls() {
        check(FileKind::File, "0644", "-rw-r--r--");
        check(FileKind::Directory, "1777", "drwxrwxrwt");
        check(FileKind::File, "4755", "-rwsr-xr-x");
        check(FileKind::File, "6644", "-rwSr-Sr--");
        check(FileKind::Whiteout, "0000", "removed");
    }
}
