//! What unpacked layers take, which of them may go, and whether they are as they were.
//!
//! Invariant: what cannot be looked into from here is believed to be what its record says; only [`InMapping`] removes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::{MappingName, PART, ROOTFS, TREE, USE, UnpackedLayer};
use crate::digest::{ChainId, DiffId};
use crate::store::{
    BlobStore, Doing, ExclusiveLock, Problem, SharedLock, StoreError,
    mark::Marked,
    name,
    record::{Look, look_at_record},
    tree::CHAIN,
};

/// What has lost its name.
const GONE: &str = ".part-gone-";

/// What only a process inside an id mapping may do with unpacked layers.
pub trait InMapping: Sync {
    /// Removes a tree: [`crate::unpack::remove_tree`].
    fn remove(&self, mapping: &MappingName, directory: &Path, name: &str) -> io::Result<()>;

    /// Compares an unpacked layer with its path index: [`super::check_unpacked`]; returns the differences in words.
    fn check(
        &self,
        mapping: &MappingName,
        place: (&Path, &str),
        tree: &[u8],
    ) -> io::Result<Vec<String>>;
}

/// Does it as whoever this process is: root, or the owner of the files.
#[derive(Debug, Clone, Copy)]
pub struct Directly;

#[cfg(target_os = "linux")]
impl InMapping for Directly {
    fn remove(&self, _mapping: &MappingName, directory: &Path, name: &str) -> io::Result<()> {
        use std::os::fd::AsFd as _;
        let directory = fs::File::open(directory)?;
        crate::unpack::remove_tree(directory.file().as_fd(), name.as_bytes())
    }

    fn check(
        &self,
        _mapping: &MappingName,
        (directory, name): (&Path, &str),
        tree: &[u8],
    ) -> io::Result<Vec<String>> {
        use std::os::fd::AsFd as _;
        let directory = fs::File::open(directory)?;
        match super::check_unpacked(directory.file().as_fd(), name, tree) {
            Ok(found) => Ok(found.iter().map(ToString::to_string).collect()),
            Err(super::RootfsError::Io { source, .. }) => Err(source),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl InMapping for Directly {
    fn remove(&self, _mapping: &MappingName, directory: &Path, name: &str) -> io::Result<()> {
        fs::remove_dir_all(directory.join(name))
    }

    fn check(
        &self,
        _mapping: &MappingName,
        _place: (&Path, &str),
        _tree: &[u8],
    ) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Something among the unpacked layers.
#[derive(Debug)]
pub(in crate::store) enum Found {
    /// A tree: a layer that nothing needs, or what a killed process left behind.
    Tree,
    /// A small file of ours.
    File,
}

impl BlobStore {
    /// Returns what there is of unpacked layers, by mapping.
    fn mappings(&self) -> Result<BTreeMap<MappingName, PathBuf>, StoreError> {
        let named = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.parse().ok()?;
            Some((name, path))
        };
        Ok(self.list(ROOTFS)?.into_iter().filter_map(named).collect())
    }

    /// Adds up what unpacked layers take: nodes and bytes.
    pub(in crate::store) fn usage_of_unpacked(&self) -> Result<(u64, u64), StoreError> {
        let (mut files, mut bytes) = (0, 0);
        for directory in self.mappings()?.into_values() {
            for path in self.list_at(&directory)? {
                let (more, size) = size_of(&path);
                files += more;
                bytes += size;
            }
        }
        Ok((files, bytes))
    }

    /// Returns what nothing needs, with what it takes and the file whose time is that of its last use.
    pub(in crate::store) fn unneeded_rootfs(
        &self,
        marked: &Marked,
    ) -> Result<Vec<(Found, PathBuf, PathBuf)>, StoreError> {
        let mut found = Vec::new();
        for directory in self.mappings()?.into_values() {
            let paths = self.list_at(&directory)?;
            let used = used(&paths)?;
            for path in paths {
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                    continue;
                };
                if name.starts_with(USE) {
                    if !is_locked(&path)? {
                        found.push((Found::File, path.clone(), path));
                    }
                } else if name
                    .strip_prefix(GONE)
                    .is_some_and(|name| used.contains(name))
                {
                    // It was damaged, and somebody lived in it.
                } else if name.starts_with(PART) {
                    let is_tree = fs::symlink_metadata(&path).is_ok_and(|there| there.is_dir());
                    let kind = if is_tree { Found::Tree } else { Found::File };
                    found.push((kind, path.clone(), path));
                } else if let Some(layer) = name
                    .strip_suffix(".json")
                    .or_else(|| name.strip_suffix(&format!(".{TREE}")))
                {
                    if !directory.join(layer).exists() {
                        found.push((Found::File, path.clone(), path));
                    }
                } else if !is_needed(name, marked) && !used.contains(name) {
                    let record = directory.join(format!("{name}.json"));
                    let aged = if record.exists() {
                        record
                    } else {
                        path.clone()
                    };
                    found.push((Found::Tree, path, aged));
                }
            }
        }
        Ok(found)
    }

    /// Compares every unpacked layer with what it was; those that cannot be looked into from here are left out.
    pub fn verify_rootfs(
        &self,
        lock: &SharedLock,
        inside: &dyn InMapping,
    ) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        for (mapping, directory) in self.mappings()? {
            for path in self.list_at(&directory)? {
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                    continue;
                };
                let is_layer = name::to_digest(name.strip_prefix(CHAIN).unwrap_or(name)).is_some();
                if !is_layer {
                    continue;
                }
                let record = directory.join(format!("{name}.json"));
                let mut broken = |differences| {
                    let path = path.clone();
                    problems.push(Problem::Unpacked { path, differences });
                };
                let Look::Whole(layer) = look_at_record::<UnpackedLayer>(&record)? else {
                    broken(vec!["its record is missing or damaged".to_owned()]);
                    continue;
                };
                // Made anew where it is damaged or gone; without the blob there is nothing to compare with.
                if self.layer_index(lock, &layer.layer).is_err() {
                    continue;
                }
                let tree = self.tree_path(&layer.layer.diff_id);
                let bytes =
                    fs::read(&tree).map_err(|error| StoreError::io(Doing::Read, &tree, error))?;
                match inside.check(&mapping, (&directory, name), &bytes) {
                    Ok(found) if found.is_empty() => {}
                    Ok(found) => broken(found),
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                    Err(error) => broken(vec![error.to_string()]),
                }
            }
        }
        Ok(problems)
    }

    /// Removes unpacked layers that are not what they were, so that they are unpacked again when they are needed. What
    /// somebody lives in loses its name now and goes with a later prune.
    pub fn repair_rootfs(
        &self,
        _lock: &ExclusiveLock,
        problems: &[Problem],
        inside: &dyn InMapping,
    ) -> Result<(), StoreError> {
        for problem in problems {
            let Problem::Unpacked { path, .. } = problem else {
                continue;
            };
            let Some(place) = Place::of(path) else {
                continue;
            };
            let used = used(&self.list_at(place.directory)?)?;
            let gone = place.set_aside(inside)?;
            if !used.contains(place.name) {
                inside
                    .remove(&place.mapping, place.directory, &gone)
                    .map_err(|error| StoreError::io(Doing::Remove, path, error))?;
            }
        }
        Ok(())
    }

    fn list_at(&self, directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
        let below = directory.strip_prefix(self.root()).ok();
        match below.and_then(Path::to_str) {
            Some(below) => self.list(below),
            None => Ok(Vec::new()),
        }
    }
}

/// Removes a tree of unpacked files: out of its name first, so that nobody takes half of it for all.
pub(in crate::store) fn remove_unpacked(
    path: &Path,
    inside: &dyn InMapping,
) -> Result<(), StoreError> {
    let Some(place) = Place::of(path) else {
        return Ok(());
    };
    let gone = place.set_aside(inside)?;
    inside
        .remove(&place.mapping, place.directory, &gone)
        .map_err(|error| StoreError::io(Doing::Remove, path, error))
}

/// Returns what something among the unpacked layers takes.
pub(in crate::store) fn unpacked_bytes(path: &Path) -> u64 {
    size_of(path).1
}

/// What a path among the unpacked layers says.
struct Place<'a> {
    mapping: MappingName,
    directory: &'a Path,
    name: &'a str,
}

impl<'a> Place<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let directory = path.parent()?;
        Some(Self {
            mapping: directory.file_name()?.to_str()?.parse().ok()?,
            directory,
            name: path.file_name()?.to_str()?,
        })
    }

    /// Takes a layer's name away, with its records; returns the name that it has now.
    fn set_aside(&self, inside: &dyn InMapping) -> Result<String, StoreError> {
        if self.name.starts_with(PART) {
            return Ok(self.name.to_owned());
        }
        let path = self.directory.join(self.name);
        let failed = |error| StoreError::io(Doing::Remove, &path, error);
        let gone = format!("{GONE}{}", self.name);
        // What a killed removal left there is in the way.
        inside
            .remove(&self.mapping, self.directory, &gone)
            .map_err(failed)?;
        match fs::rename(&path, self.directory.join(&gone)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        for record in ["json", TREE] {
            let record = self.directory.join(format!("{}.{record}", self.name));
            match fs::remove_file(&record) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(Doing::Remove, &record, error));
                }
                _ => {}
            }
        }
        Ok(gone)
    }
}

fn is_needed(name: &str, marked: &Marked) -> bool {
    match name.strip_prefix(CHAIN) {
        Some(chain) => {
            name::to_digest(chain).is_some_and(|chain| marked.chains.contains(&ChainId::new(chain)))
        }
        None => name::to_digest(name)
            .is_some_and(|diff_id| marked.diff_ids.contains(&DiffId::new(diff_id))),
    }
}

/// Returns the names of the layers that somebody lives in.
fn used(paths: &[PathBuf]) -> Result<BTreeSet<String>, StoreError> {
    let mut names = BTreeSet::new();
    for path in paths {
        if is_use(path) && is_locked(path)? {
            let text = fs::read_to_string(path)
                .map_err(|error| StoreError::io(Doing::Read, path, error))?;
            names.extend(text.lines().map(str::to_owned));
        }
    }
    Ok(names)
}

/// Tells whether a file says in which layers somebody lives.
pub(super) fn is_use(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(USE))
}

pub(super) fn is_locked(path: &Path) -> Result<bool, StoreError> {
    let failed = |error| StoreError::io(Doing::Lock, path, error);
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Returns how many nodes something has and what they take: of a layer what its record says, else what can be seen.
fn size_of(path: &Path) -> (u64, u64) {
    let mut record = path.as_os_str().to_owned();
    record.push(".json");
    if let Ok(Look::Whole(layer)) = look_at_record::<UnpackedLayer>(Path::new(&record)) {
        return (layer.entries, layer.bytes);
    }
    let (mut files, mut bytes) = (0, 0);
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        files += 1;
        bytes += metadata.blocks() * 512;
        if metadata.is_dir()
            && let Ok(entries) = fs::read_dir(&path)
        {
            open.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
        }
    }
    (files, bytes)
}
