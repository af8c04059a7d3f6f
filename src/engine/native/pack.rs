//! A directory with a root file system, packed as a tar: by whoever may see its owners as they are.
//!
//! Root sees them. What an ordinary user has was made in a mapping of ids, by `unshare`, Podman or a distribution's tool, and is
//! read in that mapping. What root has made, an ordinary user may read as far as it goes.

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
};

use layer::{
    PathIndex,
    capture::{Beneath, CaptureError, Extent, Scope, Timestamp, capture},
    tar::{LayerWriter, WriteError},
};

use super::{
    Native,
    channel::{DIFFERENCES, Message},
    error::NativeError,
    ids::IdMaps,
    job::Job,
    launch::Helper,
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
        return tree((directory, None), to).map_err(|source| NativeError::Tree {
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
    let helper = Helper::start_as(native, &maps)?;
    let job = Job::Pack {
        directory: directory.as_os_str().to_owned(),
    };
    helper.give(&job, &[to.as_fd()])?;
    // The other end is to see when the helper has none any more.
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
        match helper.hear_unless(&native.interrupt).map_err(inside)? {
            (Message::LeftOut { found }, _) => left_out = found,
            (Message::Ended { .. }, _) => return Ok(left_out),
            _ => {}
        }
    }
}

/// Packs a directory as this process sees it; what belongs to `nobody` is refused.
pub(super) fn tree(
    (directory, nobody): (&Path, Option<u32>),
    to: OwnedFd,
) -> Result<Vec<String>, CaptureError> {
    let write = |source: io::Error| CaptureError::Write(WriteError::Io { source });
    let root = fs_err::File::open(directory).map_err(write)?;
    let to = fs_err::File::from_parts(to.into(), "the packed tree");
    let mut writer = LayerWriter::new(BufWriter::with_capacity(256 << 10, to));
    let scope = Scope {
        index: &PathIndex::default(),
        extent: Extent::Tree { nobody },
        since: Timestamp {
            seconds: i64::MIN,
            nanoseconds: 0,
        },
        skip: BTreeSet::new(),
        beneath: &Beneath::default(),
        latest: None,
    };
    let mut left_out = Vec::new();
    capture(root.file().as_fd(), &scope, &mut writer, &mut |warning| {
        if left_out.len() < DIFFERENCES {
            left_out.push(warning.to_string());
        }
    })?;
    let mut buffer = writer.finish()?;
    buffer.flush().map_err(write)?;
    Ok(left_out)
}
