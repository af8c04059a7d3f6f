//! Opening tars of images: decompressed where they must be, and listed once.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, BufReader, Read},
    path::Path,
    rc::Rc,
};

use fs_err as fs;
use layer::{
    EntryKind, LayerItem,
    tar::{LayerReader, Limits},
};

use super::{
    TransportError,
    tree::{Archive, Span, Tree},
};
use crate::{
    compression::Decoder,
    store::{BlobStore, Doing, RATIO_LIMIT, StoreError},
};

/// An image's archive has some members a layer; more are no image.
const MEMBERS: u64 = 100_000;
/// 1 TiB, as for a layer.
const LARGEST: u64 = 1 << 40;

/// Opens and lists an archive.
pub(super) fn open(store: &BlobStore, path: &Path) -> Result<Tree, TransportError> {
    let failed = |source| TransportError::Read {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(failed(error));
    }
    let size = file.metadata().map_err(failed)?.len();
    let decoder = Decoder::new(BufReader::with_capacity(256 << 10, file)).map_err(failed)?;
    let (listing, unpacked) = match decoder {
        Decoder::None(tar) => (list(tar), None),
        packed => {
            let limit = size.saturating_mul(RATIO_LIMIT).min(LARGEST);
            let unpacked = unpack(store, packed.take(limit))
                .map_err(|error| TransportError::read(path, error))?;
            let tar = fs::File::open(&unpacked).map_err(failed)?;
            let tar = BufReader::with_capacity(256 << 10, tar);
            (list(tar), Some(unpacked))
        }
    };
    let (files, links) = listing.map_err(|source| TransportError::Tar {
        path: path.to_owned(),
        source,
    })?;
    Ok(Tree::Archive(Archive {
        path: path.to_owned(),
        unpacked,
        files,
        links,
    }))
}

/// Writes what a compressed archive holds to a temporary file of the store.
fn unpack(store: &BlobStore, mut packed: impl Read) -> io::Result<tempfile::TempPath> {
    let mut file = store.temporary()?;
    io::copy(&mut packed, &mut file).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::io(Doing::Write, file.path(), error).into()
        }
        _ => error,
    })?;
    Ok(file.into_temp_path())
}

type Listing = (BTreeMap<String, Span>, BTreeMap<String, String>);

/// Lists an archive. What has a name that is no text is no part of an image and passed over.
fn list(tar: impl Read) -> Result<Listing, layer::tar::ReadError> {
    let position = Rc::new(Cell::new(0));
    let counted = Counted {
        inner: tar,
        position: Rc::clone(&position),
    };
    let limits = Limits {
        entries: MEMBERS,
        total_bytes: LARGEST,
        ..Limits::default()
    };
    let mut reader = LayerReader::new(counted, limits);
    let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
    while let Some(item) = reader.next_item()? {
        let LayerItem::Entry(entry) = item else {
            continue;
        };
        let Ok(name) = String::from_utf8(entry.path.as_bytes().to_vec()) else {
            continue;
        };
        match entry.kind {
            EntryKind::File { size } => {
                let offset = position.get();
                files.insert(name, Span { offset, size });
            }
            EntryKind::Symlink { target } => {
                links.extend(String::from_utf8(target).ok().map(|target| (name, target)));
            }
            EntryKind::HardLink { target } => {
                let target = format!("/{}", String::from_utf8_lossy(target.as_bytes()));
                links.insert(name, target);
            }
            _ => {}
        }
    }
    Ok((files, links))
}

struct Counted<R> {
    inner: R,
    position: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.position.set(self.position.get() + count as u64);
        Ok(count)
    }
}
