//! What a mount of a step is filled with, as an archive.

use std::io::{self, BufReader, Read, Write};

use assembler::instruction::TarSource;
use layer::{
    Entry, EntryKind, LayerItem, LayerPath,
    tar::{LayerReader, LayerWriter, Limits},
};

/// A directory that is to be filled.
pub(crate) struct Filling<'a> {
    /// What the engine calls it.
    pub(crate) volume: String,
    pub(crate) tar: Option<&'a TarSource>,
    pub(crate) root: Entry,
}

impl Filling<'_> {
    /// Returns the volume's own directory: that of the tar, if it has one.
    pub(crate) fn root(&self) -> io::Result<Entry> {
        let Some(tar) = self.tar else {
            return Ok(self.root.clone());
        };
        let mut reader = LayerReader::new(open(tar)?, Limits::default());
        let first = reader.next_item().map_err(io::Error::other)?;
        Ok(match first {
            Some(LayerItem::Entry(entry)) if entry.path.is_root() => entry,
            _ => self.root.clone(),
        })
    }

    /// Writes the volume's part of an archive.
    pub(crate) fn write<W: Write>(
        &self,
        writer: &mut LayerWriter<W>,
        prefix: &LayerPath,
    ) -> io::Result<()> {
        let root = Entry {
            path: prefix.clone(),
            ..self.root()?
        };
        writer
            .append(&LayerItem::Entry(root), io::empty())
            .map_err(io::Error::other)?;
        let Some(tar) = self.tar else {
            return Ok(());
        };
        let mut reader = LayerReader::new(open(tar)?, Limits::default());
        while let Some(item) = reader.next_item().map_err(io::Error::other)? {
            let LayerItem::Entry(mut entry) = item else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a mount's files cannot be marked as removed",
                ));
            };
            if entry.path.is_root() {
                continue;
            }
            entry.path = prefix
                .join(entry.path.as_bytes())
                .map_err(io::Error::other)?;
            if let EntryKind::HardLink { target } = &mut entry.kind {
                *target = prefix.join(target.as_bytes()).map_err(io::Error::other)?;
            }
            writer
                .append(&LayerItem::Entry(entry), &mut reader)
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Opens a tar, wherever it is.
fn open(tar: &TarSource) -> io::Result<Box<dyn Read + '_>> {
    Ok(match tar {
        TarSource::Bytes(bytes) => Box::new(&bytes[..]),
        TarSource::File(path) => {
            Box::new(BufReader::with_capacity(1 << 18, fs_err::File::open(path)?))
        }
    })
}
