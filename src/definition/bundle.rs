//! A definition's files: from the program's own table or from a directory of the user's.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use assembler::{
    definition_files::DefinitionFiles,
    recipe::{ScriptFile, ScriptFiles},
};

use super::on_disk::OnDisk;

/// Every built-in file: path below `definitions/`, whether it is executable, content.
const BUILT_IN: &[(&str, bool, &[u8])] = include!(concat!(env!("OUT_DIR"), "/definitions.rs"));

/// Returns the names of the built-in definitions in `folder` (`agents`, `bases`).
pub fn built_in_names(folder: &str) -> BTreeSet<&'static str> {
    BUILT_IN
        .iter()
        .filter_map(|(path, _, _)| {
            path.strip_prefix(folder)?
                .strip_prefix('/')?
                .split('/')
                .next()
        })
        .collect()
}

/// Returns the files of one built-in definition.
pub fn built_in(folder: &str, name: &str) -> DefinitionFiles {
    let prefix = format!("{folder}/{name}/");
    let files = BUILT_IN.iter().filter_map(|(path, executable, content)| {
        let path = path.strip_prefix(&prefix)?;
        let file = ScriptFile {
            executable: *executable,
            content: Arc::from(*content),
        };
        Some((path.to_owned(), file))
    });
    ScriptFiles::new(files.collect()).into()
}

/// Returns the files of a definition in `directory`, of which nothing is read yet; digests are kept below `state`.
pub fn directory(directory: &Path, state: Option<&Path>) -> DefinitionFiles {
    DefinitionFiles::elsewhere(Arc::new(OnDisk::new(directory, state)))
}
