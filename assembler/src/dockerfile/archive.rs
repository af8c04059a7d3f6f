//! `ADD` of a local archive: told by its content, unpacked into a layer tar.
//!
//! Archives are tars, plain or compressed with gzip, bzip2, xz or zstd. What is none is copied as it is.
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
    tar::{LayerReader, LayerWriter, Limits},
};
use tempfile::TempPath;

use super::{bundle::Parents, error::TreeError, tree::Shelf};
use crate::compression::{Compression, Decoder};

/// Unpacks the one file of a tar, if it is an archive.
pub(crate) fn unpack(shelf: Shelf<'_>, tar: &Path) -> Result<Option<TempPath>, TreeError> {
    if !begins_like_archive(open(tar)?) {
        return Ok(None);
    }
    let mut reader = LayerReader::new(open(tar)?, Limits::default());
    let (mut spool, _path) = shelf.file()?;
    let mut found = Found::default();
    while let Some(item) = reader.next_item()? {
        match item {
            LayerItem::Entry(entry) => found.add(entry, &mut reader, &mut spool)?,
            item => {
                return Err(TreeError::Io(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "`{}` has a name that starts with `.wh.`, which layers reserve",
                        item.path()
                    ),
                )));
            }
        }
    }
    found.write(shelf, &mut spool).map(Some)
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

/// Says whether a first entry can be read.
fn begins_like_archive(source: BufReader<Box<dyn Read>>) -> bool {
    let mut reader = LayerReader::new(source, Limits::default());
    matches!(reader.next_item(), Ok(Some(_)))
}

#[derive(Default)]
struct Found {
    entries: BTreeMap<LayerPath, Entry>,
    places: BTreeMap<LayerPath, (u64, u64)>,
    end: u64,
}

impl Found {
    fn add(
        &mut self,
        mut entry: Entry,
        content: &mut impl Read,
        spool: &mut fs_err::File,
    ) -> Result<(), TreeError> {
        if entry.path.is_root() {
            return Ok(());
        }
        match &entry.kind {
            EntryKind::File { .. } => {
                let size = io::copy(content, spool)?;
                self.places.insert(entry.path.clone(), (self.end, size));
                self.end += size;
            }
            EntryKind::HardLink { target } => {
                // The first name in the order of a layer becomes the file when it is written.
                let target = target.clone();
                let Some(file) = self.entries.get(&target) else {
                    return Err(TreeError::Io(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!(
                            "`{}` is a link to `{target}`, which is not before it",
                            entry.path
                        ),
                    )));
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
        Ok(())
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
