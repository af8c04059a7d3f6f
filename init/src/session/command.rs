//! Finds the agent's program, so that what is wrong with it can be said.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::SessionError;

/// What runs if nobody says.
const SHELLS: [&str; 2] = ["bash", "sh"];

/// Finds a command as a shell would; a shell itself if there is none.
pub(super) fn find(
    command: Option<&OsStr>,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<PathBuf, SessionError> {
    let path = environment
        .get(OsStr::new("PATH"))
        .map(OsString::as_os_str)
        .unwrap_or_default();
    match command {
        Some(command) => search(command, path),
        None => search(OsStr::new(SHELLS[0]), path)
            .or_else(|_no_bash| search(OsStr::new(SHELLS[1]), path)),
    }
}

fn search(command: &OsStr, path: &OsStr) -> Result<PathBuf, SessionError> {
    let named = || command.display().to_string();
    let places: Vec<PathBuf> = if Path::new(command).components().count() > 1
        || command.as_encoded_bytes().contains(&b'/')
    {
        vec![PathBuf::from(command)]
    } else {
        std::env::split_paths(path)
            .map(|directory| directory.join(command))
            .collect()
    };
    let mut there = None;
    for place in places {
        match place.metadata() {
            Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 => {
                return Ok(place);
            }
            Ok(_) => there = there.or(Some(place)),
            Err(_) => {}
        }
    }
    match there {
        Some(path) => Err(SessionError::NotExecutable {
            command: named(),
            path,
        }),
        None => Err(SessionError::NotFound { command: named() }),
    }
}
