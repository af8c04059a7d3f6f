//! `aicage agent|base|extension new`: writes a definition to begin with, commented, that works as it is.
//!
//! Invariant: nothing that is there is overwritten, and a definition is there as a whole or not at all.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::Noun;
use crate::{
    cli::RESERVED, context::Context, definition::identifier, diagnostic::Diagnostic,
    exit_status::ExitStatus,
};

/// What `new` takes.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The name: lower-case letters, digits, `.`, `_` and `-`.
    pub name: String,
}

#[derive(Debug, Serialize)]
struct NewReport {
    schema: String,
    id: String,
    directory: String,
    files: Vec<&'static str>,
    /// Whether it takes the place of a built-in definition.
    replaces_built_in: bool,
}

type Skeleton = &'static [(&'static str, &'static str)];

const AGENT: Skeleton = &[
    ("agent.yml", include_str!("../../skeletons/agent/agent.yml")),
    (
        "install.sh",
        include_str!("../../skeletons/agent/install.sh"),
    ),
    (
        "version.sh",
        include_str!("../../skeletons/agent/version.sh"),
    ),
];
const BASE: Skeleton = &[
    ("base.yml", include_str!("../../skeletons/base/base.yml")),
    (
        "scripts/10-tools.sh",
        include_str!("../../skeletons/base/scripts/10-tools.sh"),
    ),
];
const EXTENSION: Skeleton = &[
    (
        "extension.yml",
        include_str!("../../skeletons/extension/extension.yml"),
    ),
    (
        "scripts/10-install.sh",
        include_str!("../../skeletons/extension/scripts/10-install.sh"),
    ),
];

/// Writes the definition and says where it is.
pub fn new(context: &Context, noun: Noun, args: &NewArgs) -> Result<ExitStatus, Diagnostic> {
    let (id, word) = (&args.name, noun.word());
    let directory = noun.directory(context, id);
    identifier::check(id, &directory)?;
    if noun == Noun::Agent && RESERVED.contains(&id.as_str()) {
        return Err(Diagnostic::new(
            "name-reserved",
            ExitStatus::Usage,
            format!("`{id}` is a command of aicage, so no agent can have this name"),
        )
        .hint(format!("choose another name, such as `my-{id}`").as_str()));
    }
    let catalogue = context.catalogue();
    if let Some(there) = noun.custom(catalogue, id) {
        return Err(exists(word, id, &there));
    }
    let replaces_built_in = match noun {
        Noun::Agent => catalogue.agents.contains_key(id),
        Noun::Base => catalogue.bases.contains_key(id),
        Noun::Extension => false,
    };
    let skeleton = match noun {
        Noun::Agent => AGENT,
        Noun::Base => BASE,
        Noun::Extension => EXTENSION,
    };
    let architecture = context.platform().architecture;
    write(
        &directory,
        skeleton,
        &[("@NAME@", id), ("@ARCHITECTURE@", &architecture)],
    )
    .map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            exists(word, id, &directory)
        }
        _ => Diagnostic::system(
            "definition-write",
            format!("cannot write the {word}'s definition"),
            &error,
        ),
    })?;
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&NewReport {
            schema: format!("aicage.{word}.new/1"),
            id: id.clone(),
            directory: directory.display().to_string(),
            files: skeleton.iter().map(|(name, _)| *name).collect(),
            replaces_built_in,
        })?;
        return Ok(ExitStatus::Done);
    }
    for (name, _) in skeleton {
        printer.line(&directory.join(name).display().to_string());
    }
    if replaces_built_in {
        printer.warn(&format!(
            "from now on it takes the place of the built-in {word} `{id}`"
        ));
    }
    printer.talk(&format!(
        "It works as it is: try `aicage {word} check {id}`, then edit it."
    ));
    Ok(ExitStatus::Done)
}

fn write(directory: &Path, skeleton: Skeleton, words: &[(&str, &str)]) -> io::Result<()> {
    let parent = directory.parent().unwrap_or(directory);
    fs_err::create_dir_all(parent)?;
    // Hidden directories are no definitions, so half of one is never read.
    let work = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)?;
    fs_err::set_permissions(work.path(), Permissions::from_mode(0o755))?;
    for (name, text) in skeleton {
        let path: PathBuf = work.path().join(name);
        if let Some(above) = path.parent() {
            fs_err::create_dir_all(above)?;
        }
        let text = words.iter().fold((*text).to_owned(), |text, (from, to)| {
            text.replace(from, to)
        });
        fs_err::write(&path, text)?;
        let mode = if path.extension().is_some_and(|end| end == "sh") {
            0o755
        } else {
            0o644
        };
        fs_err::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    if directory.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // What appears there meanwhile and is not empty makes this fail.
    fs_err::rename(work.path(), directory)
}

fn exists(word: &str, id: &str, directory: &Path) -> Diagnostic {
    Diagnostic::new(
        "definition-exists",
        ExitStatus::Usage,
        format!(
            "there is something already where the {word} `{id}` would go: {}",
            directory.display()
        ),
    )
    .hint("choose another name, or edit what is there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_put_in_its_place_leaves_nothing_behind() {
        let above = tempfile::tempdir().unwrap();
        let named_too_long = above.path().join("x".repeat(300));
        write(&named_too_long, &[("agent.yml", "name: X\n")], &[]).unwrap_err();
        let left: Vec<_> = fs_err::read_dir(above.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
