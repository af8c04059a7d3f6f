//! Unpacking a layer's blob among the unpacked layers of one mapping, by whoever is inside it.
//!
//! Invariant: paths play no part: the blob and the directory are open, and all else is a name in that directory. What
//! has the name of a layer is whole: it was unpacked from exactly the tar that its diff id names.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, sync_channel},
    },
};

use fs_err as fs;
use layer::PathIndex;
use rustix::{
    fs::{
        AtFlags, Mode, OFlags, RenameFlags, fchown, fstat, mkdirat, openat, renameat,
        renameat_with, unlinkat,
    },
    io::Errno,
    process::getpid,
};

use super::{PART, RootfsError, TREE, UnpackJob, UnpackedLayer, name_of_chain, name_of_layer};
use crate::{
    store::{
        Doing, StoreError, VerifiedReader,
        record::record_bytes,
        tar::{LayerTar, limit_of},
        tree::{chains, tar_error, tree_bytes, tree_of_bytes},
    },
    unpack::{
        Difference, UnpackError, UnpackLimits, Unpacked, Wanted, check_tree, remove_tree, settle,
        unpack,
    },
};

/// How much the decompressing thread is ahead, in buffers of [`CHUNK`] bytes.
const AHEAD: usize = 8;
const CHUNK: usize = 256 << 10;
/// How many names are remembered of what was left out.
const NAMED: usize = 20;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A layer that is unpacked but has no name yet; dropped without commit leaves nothing.
#[derive(Debug)]
pub struct Part<'a> {
    directory: BorrowedFd<'a>,
    /// None once it is committed.
    name: Option<String>,
    root: OwnedFd,
    job: UnpackJob,
    tar_bytes: u64,
    unpacked: Unpacked,
}

/// Unpacks all of these layers of one image, the lowest first, two at a time; `directory` is [`super::Rootfs::directory`].
///
/// Once `is_over` is set, whoever wanted them is gone: the work ends with an error and leaves nothing.
pub fn unpack_layers(
    directory: BorrowedFd<'_>,
    work: Vec<(UnpackJob, fs::File)>,
    is_over: &AtomicBool,
) -> Result<Vec<UnpackedLayer>, RootfsError> {
    let count = work.len();
    let work: Mutex<Vec<Option<(UnpackJob, fs::File)>>> =
        Mutex::new(work.into_iter().map(Some).collect());
    let next = AtomicUsize::new(0);
    let parts = Mutex::new(BTreeMap::new());
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let taken = locked(&work).get_mut(at).and_then(Option::take);
            let Some((job, blob)) = taken else { return };
            let part = unpack_blob(directory, &job, (blob, is_over));
            if part.is_err() {
                // The others would be thrown away.
                next.store(count, Ordering::Relaxed);
            }
            locked(&parts).insert(at, part);
        }
    };
    std::thread::scope(|scope| {
        if count > 1 {
            scope.spawn(worker);
        }
        worker();
    });
    let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    // An error comes before what was cut short by it, and nothing is named if anything failed.
    let parts: Vec<Part<'_>> = parts.into_values().collect::<Result<_, _>>()?;
    parts.into_iter().map(Part::commit).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unpacks a layer's blob under a name of its own in `directory`, reading the blob to its end and checking all of it; fails
/// once `is_over` is set.
pub fn unpack_blob<'a>(
    directory: BorrowedFd<'a>,
    job: &UnpackJob,
    (blob, is_over): (fs::File, &AtomicBool),
) -> Result<Part<'a>, RootfsError> {
    let digest = job.layer.descriptor.digest;
    let reader = VerifiedReader::of(blob, &job.layer.descriptor)?;
    let tar = LayerTar::new(reader, &job.layer, limit_of(job.layer.descriptor.size))?;
    let name = make_part(directory)?;
    let failed = |error| io_error(Doing::Create, &name, error);
    let root = openat(directory, name.as_str(), DIRECTORY, Mode::empty()).map_err(failed)?;
    let done = AtomicU64::new(0);
    let result = read_ahead(tar, &done, |tar| {
        let mut tar = Wanted::new(tar, is_over);
        unpack(&mut tar, root.as_fd(), &UnpackLimits::default())
    });
    match result {
        Ok(unpacked) => Ok(Part {
            directory,
            name: Some(name),
            root,
            job: job.clone(),
            tar_bytes: done.into_inner(),
            unpacked,
        }),
        Err(error) => {
            drop(remove_tree(directory, name.as_bytes()));
            Err(match error {
                UnpackError::Read(error) => RootfsError::Store(tar_error(digest, error)),
                UnpackError::Content { path, source } => match StoreError::from_io(source) {
                    Ok(error) => RootfsError::Store(error),
                    Err(source) => RootfsError::Unpack {
                        layer: digest,
                        source: UnpackError::Content { path, source },
                    },
                },
                source => RootfsError::Unpack {
                    layer: digest,
                    source,
                },
            })
        }
    }
}

impl Part<'_> {
    /// Returns what was unpacked.
    pub fn unpacked(&self) -> &Unpacked {
        &self.unpacked
    }

    /// Gives it its name. Where the layer leaves directories out, the layers below must be there.
    pub fn commit(mut self) -> Result<UnpackedLayer, RootfsError> {
        let part = self.name.clone().unwrap_or_default();
        let name = if self.unpacked.implied.is_empty() {
            name_of_layer(&self.job.layer.diff_id)
        } else {
            self.settle()?;
            let chain = self
                .job
                .chain()
                .expect("a stack with this layer is not empty");
            name_of_chain(&chain)
        };
        let skipped = &self.unpacked.skipped;
        let layer = UnpackedLayer {
            layer: self.job.layer.clone(),
            name: name.clone(),
            tar_bytes: self.tar_bytes,
            entries: self.unpacked.entries,
            bytes: self.unpacked.bytes,
            has_root: self.unpacked.has_root,
            hides_all: self.unpacked.hides_all,
            skipped: skipped.first.len() as u64 + skipped.more,
            skipped_first: skipped
                .first
                .iter()
                .take(NAMED)
                .map(ToString::to_string)
                .collect(),
        };
        self.write(&format!("{name}.{TREE}"), &tree_bytes(&self.unpacked.index))?;
        self.write(&format!("{name}.json"), &record_bytes(&layer))?;
        let to = name.as_str();
        match renameat_with(
            self.directory,
            part.as_str(),
            self.directory,
            to,
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => self.name = None,
            // Somebody else was faster; ours goes with this value.
            Err(Errno::EXIST | Errno::NOTEMPTY) => {}
            // A filesystem that cannot refuse to replace does so for a directory with something in it.
            Err(Errno::INVAL) => {
                renameat(self.directory, part.as_str(), self.directory, to)
                    .map_err(|error| io_error(Doing::Create, &name, error))?;
                self.name = None;
            }
            Err(error) => return Err(io_error(Doing::Create, &name, error)),
        }
        Ok(layer)
    }

    fn settle(&self) -> Result<(), RootfsError> {
        let mut below = Vec::new();
        let stack = &self.job.below;
        for (diff_id, chain) in stack.iter().zip(chains(stack)).rev() {
            let by_itself = open_layer(self.directory, &name_of_layer(diff_id))?;
            let layer = match by_itself {
                Some(layer) => Some(layer),
                None => open_layer(self.directory, &name_of_chain(&chain))?,
            };
            below.push(layer.ok_or(RootfsError::Below {
                layer: *diff_id,
                above: self.job.layer.descriptor.digest,
            })?);
        }
        let below: Vec<BorrowedFd<'_>> = below.iter().map(|layer| layer.as_fd()).collect();
        settle(self.root.as_fd(), &self.unpacked.implied, &below).map_err(|source| {
            RootfsError::Unpack {
                layer: self.job.layer.descriptor.digest,
                source,
            }
        })
    }

    /// Writes a small file that belongs to whom the directory belongs to.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RootfsError> {
        let part = format!("{}.{name}", self.name.as_deref().unwrap_or(PART));
        let failed = |error| io_error(Doing::Write, name, error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let opened = openat(
            self.directory,
            part.as_str(),
            flags | OFlags::NOFOLLOW,
            mode,
        );
        let mut file = fs::File::from_parts(opened.map_err(failed)?.into(), part.as_str());
        let written = file.write_all(bytes).map_err(|source| RootfsError::Io {
            doing: Doing::Write,
            name: name.to_owned(),
            source,
        });
        let given = written.and_then(|()| {
            let owner = fstat(self.directory).map_err(failed)?;
            let (uid, gid) = (owner.st_uid, owner.st_gid);
            let made = fstat(&file).map_err(failed)?;
            if (made.st_uid, made.st_gid) != (uid, gid) {
                let uid = rustix::fs::Uid::from_raw(uid);
                fchown(&file, Some(uid), Some(rustix::fs::Gid::from_raw(gid))).map_err(failed)?;
            }
            renameat(self.directory, part.as_str(), self.directory, name).map_err(failed)
        });
        if given.is_err() {
            unlinkat(self.directory, part.as_str(), AtFlags::empty()).ok();
        }
        given
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            drop(remove_tree(self.directory, name.as_bytes()));
        }
    }
}

/// Compares an unpacked layer with `tree`, the content of its file in `trees/`.
pub fn check_unpacked(
    directory: BorrowedFd<'_>,
    name: &str,
    tree: &[u8],
) -> Result<Vec<Difference>, RootfsError> {
    let damaged = || RootfsError::Io {
        doing: Doing::Read,
        name: name.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, "its path index is damaged"),
    };
    let index: PathIndex = tree_of_bytes(tree).ok_or_else(damaged)?;
    let root = openat(directory, name, DIRECTORY, Mode::empty())
        .map_err(|error| io_error(Doing::Read, name, error))?;
    check_tree(root.as_fd(), &index).map_err(|error| RootfsError::Io {
        doing: Doing::Read,
        name: name.to_owned(),
        source: io::Error::other(error),
    })
}

fn open_layer(directory: BorrowedFd<'_>, name: &str) -> Result<Option<OwnedFd>, RootfsError> {
    match openat(directory, name, DIRECTORY, Mode::empty()) {
        Ok(layer) => Ok(Some(layer)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(io_error(Doing::Read, name, error)),
    }
}

/// Makes a directory to unpack into.
fn make_part(directory: BorrowedFd<'_>) -> Result<String, RootfsError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Process ids mean little between namespaces: what is there already is somebody else's.
        let name = format!("{PART}{}-{count}", getpid());
        match mkdirat(directory, name.as_str(), Mode::RWXU) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(io_error(Doing::Create, &name, error)),
        }
    }
}

fn io_error(doing: Doing, name: &str, error: Errno) -> RootfsError {
    RootfsError::Io {
        doing,
        name: name.to_owned(),
        source: error.into(),
    }
}

/// Has a thread of its own decompress and hash what `take` reads.
fn read_ahead<T>(mut tar: LayerTar, done: &AtomicU64, take: impl FnOnce(&mut dyn Read) -> T) -> T {
    std::thread::scope(|scope| {
        let (full, filled) = sync_channel::<io::Result<Vec<u8>>>(AHEAD);
        let (empty, emptied) = sync_channel::<Vec<u8>>(AHEAD + 1);
        scope.spawn(move || {
            loop {
                let mut chunk = emptied.try_recv().unwrap_or_default();
                chunk.clear();
                let read = (&mut tar).take(CHUNK as u64).read_to_end(&mut chunk);
                done.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                let (result, is_end) = match read {
                    Ok(count) => (Ok(chunk), count == 0),
                    Err(error) => (Err(error), true),
                };
                // Nobody takes it any more: unpacking has failed.
                if full.send(result).is_err() || is_end {
                    return;
                }
            }
        });
        let mut ahead = Ahead {
            filled,
            emptied: empty,
            chunk: Vec::new(),
            position: 0,
            is_end: false,
        };
        let result = take(&mut ahead);
        drop(ahead);
        result
    })
}

struct Ahead {
    filled: Receiver<io::Result<Vec<u8>>>,
    emptied: std::sync::mpsc::SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    position: usize,
    is_end: bool,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.chunk.len() && !self.is_end {
            let next = self.filled.recv().map_err(|_gone| {
                io::Error::other("the thread that decompresses the layer is gone")
            })??;
            self.is_end = next.is_empty();
            let old = std::mem::replace(&mut self.chunk, next);
            self.position = 0;
            // Where it does not fit, it is just let go.
            drop(self.emptied.try_send(old));
        }
        let rest = self.chunk.get(self.position..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.position += count;
        Ok(count)
    }
}
