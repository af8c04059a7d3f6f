//! `ADD` of a local archive: told by its content, unpacked into a layer tar.
//!
//! Archives are tars, plain or compressed with gzip, bzip2, xz or zstd. What is none is copied as it is; what is one and
//! damaged is refused.
//!
//! Invariant: the archive is as untrusted as any other: paths stay below the destination, and what a layer cannot hold is
//! refused.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use layer::{
    Entry, EntryKind, LayerItem, LayerPath,
    tar::{LayerReader, LayerWriter, Limits, ReadError, WriteError},
};
use tempfile::TempPath;

use super::{
    bundle::Parents,
    error::{ArchiveFault, TreeError},
    tree::Shelf,
};
use crate::compression::{Compression, Decoder};

/// Unpacks the one file of a tar, if it is an archive; `name` is what the file is called.
pub(crate) fn unpack(
    shelf: Shelf<'_>,
    tar: &Path,
    name: &LayerPath,
) -> Result<Option<TempPath>, TreeError> {
    let wrong = |source| TreeError::Archive {
        name: name.to_string(),
        source,
    };
    let read = |source| wrong(ArchiveFault::Read(source));
    if !is_archive(open(tar)?).map_err(read)? {
        return Ok(None);
    }
    let mut reader = LayerReader::new(open(tar)?, Limits::default());
    let (mut spool, _path) = shelf.file()?;
    let mut found = Found::default();
    while let Some(item) = reader.next_item().map_err(read)? {
        match item {
            LayerItem::Entry(entry) => {
                let added = found.add(entry, &mut reader, &mut spool)?;
                added.map_err(wrong)?;
            }
            item => {
                return Err(wrong(ArchiveFault::Reserved {
                    entry: item.path().clone(),
                }));
            }
        }
    }
    match found.write(shelf, &mut spool) {
        Ok(path) => Ok(Some(path)),
        Err(TreeError::Write(source)) if !matches!(source, WriteError::Io { .. }) => {
            Err(wrong(ArchiveFault::Write(source)))
        }
        Err(error) => Err(error),
    }
}

/// Opens the archive inside of the tar that holds it alone.
fn open(tar: &Path) -> Result<BufReader<Box<dyn Read>>, TreeError> {
    let file = fs_err::File::open(tar)?;
    let mut outer = LayerReader::new(BufReader::with_capacity(1 << 17, file), Limits::default());
    outer.next_item()?;
    let mut source = BufReader::with_capacity(1 << 17, outer);
    let decoded: Box<dyn Read> = match Compression::of(source.fill_buf()?) {
        Compression::Xz => Box::new(lzma_rust2::XzReader::new(source, true)),
        Compression::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(source)),
        _ => Box::new(Decoder::new(source)?),
    };
    Ok(BufReader::with_capacity(1 << 17, decoded))
}

/// Says whether this is an archive. The error is for what is one and has a first entry that cannot be taken, and for what
/// is compressed and cannot be decompressed.
fn is_archive(mut source: impl Read) -> Result<bool, ReadError> {
    const HEADER: u64 = 512;
    const MAGIC_AT: usize = 257;
    let mut start = Vec::new();
    let read = source.by_ref().take(HEADER).read_to_end(&mut start);
    read.map_err(|source| ReadError::Io { source })?;
    let has_magic = start
        .get(MAGIC_AT..)
        .is_some_and(|rest| rest.starts_with(b"ustar"));
    match LayerReader::new(start.as_slice().chain(source), Limits::default()).next_item() {
        Ok(first) => Ok(first.is_some()),
        Err(ReadError::Header { .. } | ReadError::Truncated { .. }) if !has_magic => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Default)]
struct Found {
    entries: BTreeMap<LayerPath, Entry>,
    places: BTreeMap<LayerPath, (u64, u64)>,
    end: u64,
}

impl Found {
    /// Takes an entry. The outer error is the disk's, the inner one the archive's.
    fn add(
        &mut self,
        mut entry: Entry,
        content: &mut impl Read,
        spool: &mut fs_err::File,
    ) -> Result<Result<(), ArchiveFault>, io::Error> {
        if entry.path.is_root() {
            return Ok(Ok(()));
        }
        match &entry.kind {
            EntryKind::File { .. } => {
                let size = match copy(content, spool)? {
                    Ok(size) => size,
                    Err(source) => return Ok(Err(ReadError::Io { source }.into())),
                };
                self.places.insert(entry.path.clone(), (self.end, size));
                self.end += size;
            }
            EntryKind::HardLink { target } => {
                // The first name in the order of a layer becomes the file when it is written.
                let target = target.clone();
                let Some(file) = self.entries.get(&target) else {
                    let entry = entry.path;
                    return Ok(Err(ArchiveFault::Link { entry, target }));
                };
                entry.kind = file.kind.clone();
                let place = self.places.get(&target).copied();
                if let Some(place) = place {
                    self.places.insert(entry.path.clone(), place);
                }
            }
            _ => {}
        }
        self.entries.insert(entry.path.clone(), entry);
        Ok(Ok(()))
    }

    fn write(self, shelf: Shelf<'_>, spool: &mut fs_err::File) -> Result<TempPath, TreeError> {
        let (file, path) = shelf.file()?;
        let mut writer = LayerWriter::new(BufWriter::with_capacity(1 << 18, file));
        let mut parents = Parents::default();
        let mut names: BTreeMap<u64, LayerPath> = BTreeMap::new();
        for (path, mut entry) in self.entries {
            parents.lead_to(&entry, &mut writer)?;
            let place = match entry.kind {
                EntryKind::File { size } if size > 0 => self.places.get(&path).copied(),
                _ => None,
            };
            let Some((start, size)) = place else {
                writer.append(&LayerItem::Entry(entry), io::empty())?;
                continue;
            };
            if let Some(first) = names.get(&start) {
                entry.kind = EntryKind::HardLink {
                    target: first.clone(),
                };
                writer.append(&LayerItem::Entry(entry), io::empty())?;
            } else {
                spool.seek(SeekFrom::Start(start))?;
                writer.append(&LayerItem::Entry(entry), (&mut *spool).take(size))?;
                names.insert(start, path);
            }
        }
        writer.finish()?.flush()?;
        Ok(path)
    }
}

/// Copies all of `from`. The outer error is the disk's, the inner one that of `from`.
fn copy(from: &mut impl Read, to: &mut fs_err::File) -> io::Result<io::Result<u64>> {
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(Ok(copied)),
            Ok(got) => {
                to.write_all(buffer.get(..got).unwrap_or_default())?;
                copied += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}
