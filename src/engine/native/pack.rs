//! A directory with a root file system, packed as a tar: by whoever may see its owners as they are.
//!
//! Root sees them. What an ordinary user has was made in a mapping of ids, by `unshare`, Podman or a distribution's tool, and is
//! read in that mapping. What root has made, an ordinary user may read as far as it goes.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, BufWriter, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::Path,
};

use layer::{
    LayerPath, PathIndex,
    capture::{Beneath, CaptureError, Extent, Scope, Timestamp, capture, mountpoints},
    tar::{LayerWriter, WriteError},
};

use super::{
    Native,
    channel::{DIFFERENCES, Message},
    error::NativeError,
    ids::IdMaps,
    job::Job,
    launch::FirstStage,
};

/// What the kernel calls all who have no number in a namespace of users.
pub(super) const NOBODY: u32 = 65_534;

/// Packs a directory; returns what was left out of it, in words.
pub(crate) fn pack(
    native: &Native,
    directory: &Path,
    to: OwnedFd,
) -> Result<Vec<String>, NativeError> {
    let look = || NativeError::host(format!("look at {}", directory.display()));
    let owner = fs_err::metadata(directory).map_err(look())?.uid();
    if native.uid == 0 || owner == 0 {
        // Root of a container may be one of many users only.
        let nobody = is_partial().map_err(look())?.then_some(NOBODY);
        return tree((directory, nobody), to).map_err(|source| NativeError::Tree {
            directory: directory.to_owned(),
            source,
        });
    }
    let Some(maps) = IdMaps::of_tree(&native.name, owner)? else {
        return Err(NativeError::TreeOwner {
            directory: directory.to_owned(),
            owner,
        });
    };
    let stage = FirstStage::start_as(native, &maps)?;
    let job = Job::Pack {
        directory: directory.as_os_str().to_owned(),
    };
    stage.give(&job, &[to.as_fd()])?;
    // The other end is to see when the stage has none any more.
    drop(to);
    let inside = |error: NativeError| {
        let directory = directory.to_owned();
        match error {
            NativeError::Job { what } => NativeError::TreeInside { directory, what },
            NativeError::Cage { what, source } if source.kind() != io::ErrorKind::BrokenPipe => {
                let what = format!("cannot {what}: {source}");
                NativeError::TreeInside { directory, what }
            }
            other => other,
        }
    };
    let mut left_out = Vec::new();
    loop {
        match stage.hear_unless(&native.interrupt).map_err(inside)? {
            (Message::LeftOut { found }, _) => left_out = found,
            (Message::Ended { .. }, _) => return Ok(left_out),
            _ => {}
        }
    }
}

/// Returns the places in a directory where something is mounted.
fn mounted(directory: &Path) -> io::Result<BTreeSet<LayerPath>> {
    let directory = fs_err::canonicalize(directory)?;
    let mountinfo = fs_err::read("/proc/self/mountinfo")?;
    let below = mountpoints(&mountinfo).into_iter().filter_map(|path| {
        let place = Path::new("/").join(OsStr::from_bytes(path.as_bytes()));
        let below = place.strip_prefix(&directory).ok()?.as_os_str().as_bytes();
        LayerPath::new(below).ok().filter(|path| !path.is_root())
    });
    Ok(below.collect())
}

/// Tells whether some owners have no number in this process's namespace of users; see `user_namespaces(7)`.
fn is_partial() -> io::Result<bool> {
    const ALL: &str = "4294967295";
    for map in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        let map = fs_err::read_to_string(map)?;
        if map.split_whitespace().collect::<Vec<_>>() != ["0", "0", ALL] {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Packs a directory as this process sees it; what belongs to `nobody` is refused.
pub(super) fn tree(
    (directory, nobody): (&Path, Option<u32>),
    to: OwnedFd,
) -> Result<Vec<String>, CaptureError> {
    let write = |source: io::Error| CaptureError::Write(WriteError::Io { source });
    let root = fs_err::File::open(directory).map_err(write)?;
    let mounted = mounted(directory).map_err(write)?;
    let (directories, files): (BTreeSet<_>, BTreeSet<_>) = mounted.into_iter().partition(|path| {
        let place = directory.join(OsStr::from_bytes(path.as_bytes()));
        fs_err::symlink_metadata(place).is_ok_and(|found| found.is_dir())
    });
    let to = fs_err::File::from_parts(to.into(), "the packed tree");
    let mut writer = LayerWriter::new(BufWriter::with_capacity(256 << 10, to));
    let scope = Scope {
        index: &PathIndex::default(),
        extent: Extent::Tree {
            mounted: &directories,
            nobody,
        },
        since: Timestamp {
            seconds: i64::MIN,
            nanoseconds: 0,
        },
        skip: files.clone(),
        beneath: &Beneath::default(),
        latest: None,
    };
    let shown = directories.iter().chain(&files).filter(|path| {
        let first = path.as_bytes().split(|byte| *byte == b'/').next();
        !matches!(first, Some(b"proc" | b"sys" | b"dev"))
    });
    let mut left_out: Vec<String> = shown
        .map(|path| format!("what is mounted at {path} is left out"))
        .take(DIFFERENCES)
        .collect();
    capture(root.file().as_fd(), &scope, &mut writer, &mut |warning| {
        if left_out.len() < DIFFERENCES {
            left_out.push(warning.to_string());
        }
    })?;
    let mut buffer = writer.finish()?;
    buffer.flush().map_err(write)?;
    Ok(left_out)
}
