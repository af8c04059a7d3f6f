//! A definition's files: from the program's own table or from a directory of the user's.
//!
//! Invariant: what is returned is bytes, read once; a directory is bounded in files, bytes and depth, so a link that
//! leads in a circle or a definition of gigabytes is an error, not a hang.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use assembler::recipe::{ScriptFile, ScriptFiles};

use super::DefinitionError;

/// The most bytes that one definition may have.
const BYTES: u64 = 64 << 20;
/// The most files that one definition may have.
const FILES: usize = 10_000;
/// The deepest directory.
const DEPTH: usize = 32;

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
pub fn built_in(folder: &str, name: &str) -> ScriptFiles {
    let prefix = format!("{folder}/{name}/");
    let files = BUILT_IN.iter().filter_map(|(path, executable, content)| {
        let path = path.strip_prefix(&prefix)?;
        let file = ScriptFile {
            executable: *executable,
            content: Arc::from(*content),
        };
        Some((path.to_owned(), file))
    });
    ScriptFiles::new(files.collect())
}

/// Reads the files of a definition in `directory`.
pub fn directory(directory: &Path) -> Result<ScriptFiles, DefinitionError> {
    let mut reading = Reading {
        root: directory.to_owned(),
        files: BTreeMap::new(),
        bytes: 0,
    };
    reading.walk(directory, "", 0)?;
    Ok(ScriptFiles::new(reading.files))
}

struct Reading {
    root: PathBuf,
    files: BTreeMap<String, ScriptFile>,
    bytes: u64,
}

impl Reading {
    fn walk(
        &mut self,
        directory: &Path,
        prefix: &str,
        depth: usize,
    ) -> Result<(), DefinitionError> {
        if depth > DEPTH {
            return Err(self.refuse(format!(
                "directories are nested more than {DEPTH} deep; does a link lead in a circle?"
            )));
        }
        let read_error = |source| DefinitionError::Read {
            path: directory.to_owned(),
            source,
        };
        for entry in fs_err::read_dir(directory).map_err(read_error)? {
            let path = entry.map_err(read_error)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(self.refuse(format!("{} is not a UTF-8 name", path.display())));
            };
            // Version control and editors leave directories behind that are not part of a definition.
            if depth == 0 && name.starts_with('.') {
                continue;
            }
            let name = format!("{prefix}{name}");
            let metadata = fs_err::metadata(&path).map_err(|source| DefinitionError::Read {
                path: path.clone(),
                source,
            })?;
            if metadata.is_dir() {
                self.walk(&path, &format!("{name}/"), depth + 1)?;
            } else {
                self.read(&path, name, &metadata)?;
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        path: &Path,
        name: String,
        metadata: &Metadata,
    ) -> Result<(), DefinitionError> {
        let read_error = |source| DefinitionError::Read {
            path: path.to_owned(),
            source,
        };
        let kind = metadata.file_type();
        if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
            return Err(self.refuse(format!("{} is not a regular file", path.display())));
        }
        let mut content = Vec::new();
        fs_err::File::open(path)
            .map_err(read_error)?
            .take(BYTES - self.bytes + 1)
            .read_to_end(&mut content)
            .map_err(read_error)?;
        self.bytes += content.len() as u64;
        if self.bytes > BYTES || self.files.len() >= FILES {
            return Err(self.refuse(format!(
                "a definition has at most {FILES} files and {} MiB",
                BYTES >> 20
            )));
        }
        let file = ScriptFile {
            executable: metadata.permissions().mode() & 0o100 != 0,
            content: content.into(),
        };
        self.files.insert(name, file);
        Ok(())
    }

    fn refuse(&self, reason: String) -> DefinitionError {
        DefinitionError::Value {
            path: self.root.clone(),
            reason,
        }
    }
}
