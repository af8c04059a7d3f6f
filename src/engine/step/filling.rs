//! What a mount of a step is filled with, as an archive.

use std::{
    io::{self, BufReader, BufWriter, Read, Seek as _, Write},
    path::Path,
};

use assembler::instruction::TarSource;
use layer::{
    Entry, EntryKind, LayerItem, LayerPath,
    tar::{LayerReader, LayerWriter, Limits},
};

/// A directory that is to be filled.
pub(crate) struct Filling<'a> {
    tar: Option<&'a TarSource>,
    root: Entry,
}

/// An archive that is being written into a file.
pub(crate) type Archive<'a> = LayerWriter<BufWriter<&'a mut fs_err::File>>;

impl<'a> Filling<'a> {
    /// Fills a directory with files.
    pub(super) fn of_files(tar: &'a TarSource) -> Self {
        Self {
            tar: Some(tar),
            root: Entry::directory(LayerPath::root(), 0o755),
        }
    }

    /// Fills a new cache with what it begins with.
    pub(super) fn of_cache(seed: Option<&'a TarSource>, mode: u32, (uid, gid): (u32, u32)) -> Self {
        let mut root = Entry::directory(LayerPath::root(), mode & 0o7777);
        (root.uid, root.gid) = (u64::from(uid), u64::from(gid));
        Self { tar: seed, root }
    }

    /// Returns the directory itself: that of the tar, if it has one.
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

    /// Writes the directory into an archive, at `prefix`.
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

/// Writes an archive into a file that no directory has; `scratch` says on which disk.
pub(crate) fn archive(
    scratch: &Path,
    write: impl FnOnce(&mut Archive<'_>) -> io::Result<()>,
) -> io::Result<fs_err::File> {
    fs_err::create_dir_all(scratch)?;
    let file = tempfile::tempfile_in(scratch)?;
    let mut file = fs_err::File::from_parts(file, scratch);
    let mut writer = LayerWriter::new(BufWriter::with_capacity(1 << 18, &mut file));
    write(&mut writer)?;
    let mut buffer = writer.finish().map_err(io::Error::other)?;
    buffer.flush()?;
    drop(buffer);
    file.rewind()?;
    Ok(file)
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
