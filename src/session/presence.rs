//! Who is at which session: engines do not tell whether anybody is attached, so each of us leaves a sign.
//!
//! Format: `state/attached/<container id>.<pid>`, an empty file that is locked as long as its maker lives. One without a
//! lock is of a process that was killed, and is removed by whoever looks.

use std::path::{Path, PathBuf};

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

/// Tells whether somebody is at a session.
pub fn is_attended(settings: &Settings, container: &str) -> bool {
    let Ok(signs) = fs_err::read_dir(directory(settings)) else {
        return false;
    };
    let prefix = format!("{container}.");
    let of_it = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&prefix))
    };
    signs
        .filter_map(|sign| Some(sign.ok()?.path()))
        .filter(|path| of_it(path))
        .any(|path| is_alive(&path))
}

fn is_alive(path: &Path) -> bool {
    let Ok(file) = fs_err::File::open(path) else {
        return false;
    };
    match file.try_lock() {
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
