//! Who is at which session: engines do not tell whether anybody is attached, so each of us leaves a sign.
//!
//! Format: `state/attached/<container id>.<pid>`, an empty file that is locked as long as its maker lives. One without a
//! lock is of a process that was killed, and is removed by whoever looks.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::settings::Settings;

/// A sign that somebody is at a session; it goes when dropped.
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
    _lock: fs_err::File,
}

/// Leaves a sign; without one `ps` shows a session as detached, which is no reason not to start.
pub fn announce(settings: &Settings, container: &str) -> Option<Presence> {
    let directory = directory(settings);
    fs_err::create_dir_all(&directory).ok()?;
    let path = directory.join(format!("{container}.{}", std::process::id()));
    let file = fs_err::File::create(&path).ok()?;
    file.try_lock().ok()?;
    Some(Presence { path, _lock: file })
}

/// Returns the containers at which somebody is; signs of the dead are removed, whatever became of their sessions.
pub fn attended(settings: &Settings) -> BTreeSet<String> {
    let Ok(signs) = fs_err::read_dir(directory(settings)) else {
        return BTreeSet::new();
    };
    signs
        .filter_map(|sign| Some(sign.ok()?.path()))
        .filter(|path| is_alive(path))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

fn is_alive(path: &Path) -> bool {
    let Ok(file) = fs_err::File::open(path) else {
        return false;
    };
    // Shared, so that two who look at once do not take each other for the maker.
    match file.try_lock_shared() {
        Err(std::fs::TryLockError::WouldBlock) => true,
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => {
            fs_err::remove_file(path).unwrap_or_default();
            false
        }
    }
}

fn directory(settings: &Settings) -> PathBuf {
    settings.state().join("attached")
}

impl Drop for Presence {
    fn drop(&mut self) {
        fs_err::remove_file(&self.path).unwrap_or_default();
    }
}
