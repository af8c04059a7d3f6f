//! Writes a layer: the same items always give the same bytes, and what is no layer is refused.
//!
//! **Invariant.** What [`LayerWriter::finish`] returned holds no path twice, every entry after its directory, every
//! hard link after its target and exactly as many bytes of content as each header says.

use std::io::{self, Read, Write};

use super::error::WriteError;
use super::header::{Header, LARGE_MAX, NAME_BYTES, SMALL_MAX};
use super::pax::{self, Records};
use super::{BLOCK, padding};
use crate::entry::{Entry, EntryKind, LayerItem};
use crate::path::{LayerPath, OPAQUE, WHITEOUT, base_name, compare, is_below, parent};

/// Writes a layer, item by item in the order of a layer.
#[derive(Debug)]
pub struct LayerWriter<W> {
    inner: W,
    /// The last item's key; the next one's must be greater.
    last: Option<Vec<u8>>,
    /// The directories of the last item, outermost first.
    open: Vec<OpenDirectory>,
    files: FileNames,
    buffer: Vec<u8>,
}

#[derive(Debug, Default)]
struct OpenDirectory {
    path: Vec<u8>,
    /// Names removed from it, in order.
    removed: Vec<Vec<u8>>,
}

impl<W: Write> LayerWriter<W> {
    /// Starts a layer; give a buffered sink, headers are small.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            last: None,
            open: Vec::new(),
            files: FileNames::default(),
            buffer: vec![0; 1 << 17],
        }
    }

    /// Appends one item with its content: exactly as many bytes as the item says (`io::empty()` for all but files).
    pub fn append(&mut self, item: &LayerItem, content: impl Read) -> Result<(), WriteError> {
        self.check_place(item)?;
        match item {
            LayerItem::Entry(entry) => {
                self.put_entry(entry)?;
                self.put_content(entry, content)?;
            }
            LayerItem::Whiteout(path) => {
                self.put_marker(
                    parent(path.as_bytes()),
                    &[WHITEOUT, path.base_name()].concat(),
                )?;
            }
            LayerItem::Opaque(directory) => self.put_marker(directory.as_bytes(), OPAQUE)?,
        }
        Ok(())
    }

    /// Ends the layer.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.put(&[0; 2 * BLOCK])?;
        self.inner
            .flush()
            .map_err(|source| WriteError::Io { source })?;
        Ok(self.inner)
    }

    /// Checks order, duplicates, the directory and the link target, and remembers the item.
    fn check_place(&mut self, item: &LayerItem) -> Result<(), WriteError> {
        let path = item.path();
        let key = item.key();
        if let Some(last) = &self.last {
            match compare(&key, last) {
                std::cmp::Ordering::Greater => {}
                std::cmp::Ordering::Equal => {
                    return Err(WriteError::Duplicate { path: path.clone() });
                }
                std::cmp::Ordering::Less => {
                    return Err(WriteError::Unsorted {
                        path: path.clone(),
                        last: crate::path::printable(last),
                    });
                }
            }
        }
        while self
            .open
            .last()
            .is_some_and(|open| !is_below(&key, &open.path))
        {
            self.open.pop();
        }
        let directory = parent(&key);
        if self.open.last().map_or(&b""[..], |open| &open.path) != directory {
            return Err(WriteError::NoDirectory { path: path.clone() });
        }
        if self.open.is_empty() {
            // The root itself need not be in the layer: every applier has one.
            self.open.push(OpenDirectory::default());
        }
        match item {
            LayerItem::Whiteout(victim) if victim.is_root() => {
                return Err(WriteError::Unrepresentable {
                    path: path.clone(),
                    reason: "the root cannot be removed",
                });
            }
            LayerItem::Whiteout(_) => {
                if let Some(open) = self.open.last_mut() {
                    open.removed.push(path.base_name().to_vec());
                }
            }
            LayerItem::Opaque(_) => {}
            LayerItem::Entry(entry) => self.check_entry(entry)?,
        }
        self.last = Some(key);
        Ok(())
    }

    fn check_entry(&mut self, entry: &Entry) -> Result<(), WriteError> {
        let path = entry.path.as_bytes();
        let removed = self.open.last().is_some_and(|open| {
            open.removed
                .binary_search_by(|name| name.as_slice().cmp(base_name(path)))
                .is_ok()
        });
        if removed {
            return Err(WriteError::RemovedAndPut {
                path: entry.path.clone(),
            });
        }
        match &entry.kind {
            EntryKind::Directory => {
                if !entry.path.is_root() {
                    self.open.push(OpenDirectory {
                        path: path.to_vec(),
                        removed: Vec::new(),
                    });
                }
            }
            EntryKind::HardLink { target } => {
                if !self.files.contains(target.as_bytes()) {
                    return Err(WriteError::DanglingLink {
                        path: entry.path.clone(),
                        target: target.clone(),
                    });
                }
            }
            _ => self.files.push(path),
        }
        if entry.path.is_root() && entry.kind != EntryKind::Directory {
            return Err(unrepresentable(entry, "the root must be a directory"));
        }
        if entry.mode > 0o7777 {
            return Err(unrepresentable(entry, "its mode is over 07777"));
        }
        Ok(())
    }

    fn put_entry(&mut self, entry: &Entry) -> Result<(), WriteError> {
        let header = header(entry)?;
        let records = records(entry, &header)?;
        if !records.is_empty() {
            let body = pax::encode(&records);
            // The name is only seen by readers that know no PAX.
            let extended = Header {
                name: b"PaxHeaders.0/entry".to_vec(),
                type_flag: b'x',
                mode: 0o644,
                size: body.len() as u64,
                ..Header::default()
            };
            self.put(&extended.encode())?;
            self.put(&body)?;
            self.put_padding(body.len() as u64)?;
        }
        self.put(&header.encode())
    }

    fn put_content(&mut self, entry: &Entry, mut content: impl Read) -> Result<(), WriteError> {
        let size = entry.kind.content_size();
        let mut found = 0;
        while found < size {
            let want = usize::try_from(size - found)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            let got = read_some(&mut content, &mut self.buffer[..want]).map_err(|source| {
                WriteError::Content {
                    path: entry.path.clone(),
                    source,
                }
            })?;
            if got == 0 {
                return Err(WriteError::ShortContent {
                    path: entry.path.clone(),
                    size,
                    found,
                });
            }
            self.inner
                .write_all(&self.buffer[..got])
                .map_err(|source| WriteError::Io { source })?;
            found += got as u64;
        }
        let more = read_some(&mut content, &mut [0]).map_err(|source| WriteError::Content {
            path: entry.path.clone(),
            source,
        })?;
        if more != 0 {
            return Err(WriteError::LongContent {
                path: entry.path.clone(),
                size,
            });
        }
        self.put_padding(size)
    }

    /// Writes the empty file that stands for a removal.
    fn put_marker(&mut self, directory: &[u8], name: &[u8]) -> Result<(), WriteError> {
        let mut full = directory.to_vec();
        if !full.is_empty() {
            full.push(b'/');
        }
        full.extend_from_slice(name);
        self.put_entry(&Entry::file(LayerPath::from_normal(full), 0o644, 0))
    }

    fn put_padding(&mut self, size: u64) -> Result<(), WriteError> {
        self.put(&[0; BLOCK][..usize::try_from(padding(size)).unwrap_or(0)])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.inner
            .write_all(bytes)
            .map_err(|source| WriteError::Io { source })
    }
}

/// Writes items given in any order as a layer.
pub fn write_sorted<W: Write>(
    mut items: Vec<(LayerItem, Vec<u8>)>,
    inner: W,
) -> Result<W, WriteError> {
    let mut writer = LayerWriter::new(inner);
    items.sort_by(|(a, _), (b, _)| compare(&a.key(), &b.key()));
    for (item, content) in &items {
        writer.append(item, content.as_slice())?;
    }
    writer.finish()
}

fn read_some(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn header(entry: &Entry) -> Result<Header, WriteError> {
    let mut name = entry.path.as_bytes().to_vec();
    if entry.kind == EntryKind::Directory {
        name.extend_from_slice(if name.is_empty() { b"./" } else { b"/" });
    }
    let mut header = Header {
        name,
        type_flag: b'0',
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        size: entry.kind.content_size(),
        mtime: entry.mtime,
        ..Header::default()
    };
    match &entry.kind {
        EntryKind::File { .. } => {}
        EntryKind::HardLink { target } => {
            header.type_flag = b'1';
            header.link = target.as_bytes().to_vec();
        }
        EntryKind::Symlink { target } => {
            header.type_flag = b'2';
            header.link.clone_from(target);
        }
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
            header.type_flag = if matches!(entry.kind, EntryKind::CharDevice { .. }) {
                b'3'
            } else {
                b'4'
            };
            (header.major, header.minor) = (*major, *minor);
            if u64::from(*(major.max(minor))) > SMALL_MAX {
                return Err(unrepresentable(entry, "its device number is too large"));
            }
        }
        EntryKind::Directory => header.type_flag = b'5',
        EntryKind::Fifo => header.type_flag = b'6',
    }
    if matches!(entry.kind, EntryKind::Symlink { .. })
        && (header.link.is_empty() || header.link.contains(&0))
    {
        return Err(unrepresentable(
            entry,
            "its link target is empty or has a NUL byte in it",
        ));
    }
    Ok(header)
}

/// Returns what the header alone cannot say.
fn records(entry: &Entry, header: &Header) -> Result<Records, WriteError> {
    let mut records = Records::new();
    let mut number = |keyword: &str, value: &dyn std::fmt::Display| {
        records.insert(keyword.as_bytes().to_vec(), value.to_string().into_bytes());
    };
    if header.uid > SMALL_MAX {
        number("uid", &header.uid);
    }
    if header.gid > SMALL_MAX {
        number("gid", &header.gid);
    }
    if header.size > LARGE_MAX {
        number("size", &header.size);
    }
    if u64::try_from(header.mtime).is_ok_and(|mtime| mtime > LARGE_MAX) || header.mtime < 0 {
        number("mtime", &header.mtime);
    }
    for (keyword, text) in [("path", &header.name), ("linkpath", &header.link)] {
        if text.len() > NAME_BYTES || !text.is_ascii() {
            records.insert(keyword.as_bytes().to_vec(), text.clone());
        }
    }
    for (name, value) in &entry.xattrs {
        if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
            return Err(unrepresentable(
                entry,
                "the name of an extended attribute is empty or has `=` or NUL in it",
            ));
        }
        records.insert([pax::XATTR, name].concat(), value.clone());
    }
    Ok(records)
}

fn unrepresentable(entry: &Entry, reason: &'static str) -> WriteError {
    WriteError::Unrepresentable {
        path: entry.path.clone(),
        reason,
    }
}

/// The names of all files so far, which come in order, for checking hard links.
#[derive(Debug, Default)]
struct FileNames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl FileNames {
    fn push(&mut self, path: &[u8]) {
        self.bytes.extend_from_slice(path);
        self.ends.push(self.bytes.len());
    }

    fn at(&self, place: usize) -> &[u8] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[place]]
    }

    fn contains(&self, path: &[u8]) -> bool {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            match compare(self.at(middle), path) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }
}
