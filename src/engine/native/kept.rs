//! What is in the store besides layers, whoever owns its files: caches of steps, and what killed runs left of cages.
//!
//! Invariant: what somebody holds the lock of stays. A cache loses its name before anything in it goes, so that no step
//! finds half of one.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use assembler::unpack::Room;

use super::{
    Native,
    channel::Message,
    error::NativeError,
    job::Job,
    launch::FirstStage,
    scratch::{CAGES, abandoned, sweep},
    stage::measure as measure_directly,
};
use crate::engine::{Kept, KeptKind, UnusedCaches};

/// Where caches are, in the store.
pub(super) const CACHES: &str = "caches";
/// How something is called that is being removed.
const GONE: &str = ".gone-";

impl Native {
    /// Adds up what caches and cages take: what it is called, how many nodes and bytes.
    pub(crate) fn kept_room(&self) -> Result<[(&'static str, u64, u64); 2], NativeError> {
        let kinds = [CACHES, CAGES];
        let room = self.measure(kinds.iter().map(|kind| self.store.join(kind)))?;
        let mut rooms = room.into_iter();
        Ok(kinds.map(|kind| {
            let room = rooms.next().unwrap_or_default();
            // The directory itself is ours.
            (kind, room.nodes.saturating_sub(1), room.bytes)
        }))
    }

    /// Finds what nobody uses; nothing is removed.
    pub(crate) fn unneeded(&self, caches: UnusedCaches<'_>) -> Result<Vec<Kept>, NativeError> {
        let mut found: Vec<_> = self
            .caches(caches)
            .map_err(NativeError::host("look for caches of steps"))?
            .into_iter()
            .map(|(_lock, path)| (KeptKind::Cache, path))
            .collect();
        let cages = abandoned(self)?.into_iter();
        found.extend(cages.map(|(_lock, path)| (KeptKind::Cage, path)));
        let room = self.measure(found.iter().map(|(_, path)| path.clone()))?;
        let kept = found.into_iter().zip(room);
        Ok(kept
            .map(|((kind, path), room)| Kept {
                kind,
                path,
                bytes: room.bytes,
            })
            .collect())
    }

    /// Removes what was found, as far as still nobody uses it; returns what is gone.
    pub(crate) fn remove_unneeded(
        &self,
        mut found: Vec<Kept>,
        caches: UnusedCaches<'_>,
    ) -> Result<Vec<Kept>, NativeError> {
        let host = || NativeError::host("remove caches of steps");
        let is = |path: &Path| found.iter().any(|kept| kept.path == path);
        let (mut paths, mut gone, mut locks) = (Vec::new(), Vec::new(), Vec::new());
        for (lock, path) in self.caches(caches).map_err(host())? {
            if is(&path) {
                paths.push(set_aside(&path).map_err(host())?.into_os_string());
                gone.push(path);
                locks.extend(lock);
            }
        }
        let removed = if paths.is_empty() {
            Ok(0)
        } else {
            FirstStage::carry_out(self, &Job::Remove { paths }, &[])
        };
        drop(locks);
        // A cache that cannot be removed keeps no cage.
        if found.iter().any(|kept| kept.kind == KeptKind::Cage) {
            sweep(self)?;
        }
        removed?;
        found.retain(|kept| match kept.kind {
            KeptKind::Cache => gone.contains(&kept.path),
            KeptKind::Cage => fs_err::symlink_metadata(&kept.path).is_err(),
        });
        Ok(found)
    }

    /// Returns caches that nobody has used for long, with their locks.
    fn caches(&self, caches: UnusedCaches<'_>) -> io::Result<Vec<(Option<fs_err::File>, PathBuf)>> {
        let mut found = Vec::new();
        for path in list(&self.store.join(CACHES))? {
            let name = path.file_name().unwrap_or_default();
            if name.as_encoded_bytes().starts_with(GONE.as_bytes()) {
                found.push((None, path));
                continue;
            }
            // What no step has used by its lock has none, and begins with one only when nobody removes anything.
            let lock = match fs_err::File::open(caches.locks.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                opened => Some(opened?),
            };
            let used = match &lock {
                Some(lock) => lock.metadata()?,
                None => fs_err::symlink_metadata(&path)?,
            };
            let used = used.modified()?;
            // A time to come is young: clocks are set back sometimes.
            let unused = caches.now.duration_since(used).ok();
            let is_old = unused.is_some_and(|unused| unused >= caches.unused);
            if is_old && lock.as_ref().is_none_or(|lock| lock.try_lock().is_ok()) {
                found.push((lock, path));
            }
        }
        Ok(found)
    }

    /// Adds up what each of these takes; what only its owner sees, by a process of the mapping.
    fn measure(&self, paths: impl Iterator<Item = PathBuf>) -> Result<Vec<Room>, NativeError> {
        let paths: Vec<PathBuf> = paths.collect();
        if !paths.iter().any(|path| path.exists()) {
            return Ok(vec![Room::default(); paths.len()]);
        }
        match self.measure_inside(&paths) {
            Ok(found) => Ok(found),
            Err(NativeError::Interrupted) => Err(NativeError::Interrupted),
            // Without a mapping, what can be seen is better than nothing.
            Err(_) => {
                let rooms = paths.iter().map(|path| measure_directly(path.as_os_str()));
                let rooms = rooms.collect::<io::Result<_>>();
                rooms.map_err(NativeError::host("look into the store"))
            }
        }
    }

    fn measure_inside(&self, paths: &[PathBuf]) -> Result<Vec<Room>, NativeError> {
        let job = Job::Measure {
            paths: paths.iter().map(OsString::from).collect(),
        };
        let stage = FirstStage::start(self)?;
        stage.give(&job, &[])?;
        match stage.hear_unless(&self.interrupt)? {
            (Message::Taken { found }, _) => Ok(found),
            _ => Err(NativeError::Vanished),
        }
    }
}

/// Takes a cache's name away; returns what it is called now.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default();
    if name.as_encoded_bytes().starts_with(GONE.as_bytes()) {
        return Ok(path.to_owned());
    }
    let mut number = 0;
    loop {
        let mut gone = OsString::from(format!("{GONE}{number}-"));
        gone.push(name);
        let gone = path.with_file_name(gone);
        // What a killed removal left there is in the way; nobody else has the store now.
        if fs_err::symlink_metadata(&gone).is_err() {
            fs_err::rename(path, &gone)?;
            return Ok(gone);
        }
        number += 1;
    }
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
