//! Reads layers from tars of any origin, trusting nothing in them.
//!
//! **Invariant.** Whatever the bytes are, memory stays within [`Limits`], every path obeys the rules of
//! [`LayerPath`], and content never runs over into the next header.

use std::io::{self, Read};

use super::error::ReadError;
use super::header::{Block, Header};
use super::limits::Limits;
use super::overrides::Overrides;
use super::sparse::SparseMap;
use super::{BLOCK, padding};
use crate::entry::{Entry, EntryKind, LayerItem};
use crate::path::{LayerPath, OPAQUE, WHITEOUT, base_name, parent, printable};

/// What auxiliary files of the aufs driver start with; every engine skips them.
const AUFS: &[u8] = b".wh..wh.";

/// Reads a layer from an untrusted tar.
///
/// The [`Read`] side of it reads the content of the item that [`LayerReader::next_item`] returned last.
#[derive(Debug)]
pub struct LayerReader<R> {
    inner: R,
    pub(super) limits: Limits,
    /// Bytes taken from the archive, and bytes of holes given out.
    pub(super) passed: u64,
    entries: u64,
    /// Bytes of the names and link targets so far.
    names: u64,
    /// Records of PAX global headers, which hold for all that follows.
    global: Overrides,
    pub(super) content: Content,
    pub(super) current: String,
    end: End,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ahead,
    /// The two zero blocks were there.
    Marked,
    /// The bytes stopped between two entries; readers have always taken that.
    Bare,
}

/// What is left of the current item's content.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) stored: u64,
    padding: u64,
    pub(super) holes: Option<Holes>,
}

#[derive(Debug)]
pub(super) struct Holes {
    pub(super) map: SparseMap,
    pub(super) part: usize,
    pub(super) position: u64,
}

impl<R: Read> LayerReader<R> {
    /// Starts reading; give a buffered source, headers are read 512 bytes at a time.
    pub fn new(inner: R, limits: Limits) -> Self {
        Self {
            inner,
            limits,
            passed: 0,
            entries: 0,
            names: 0,
            global: Overrides::default(),
            content: Content::default(),
            current: "its start".to_owned(),
            end: End::Ahead,
            buffer: Vec::new(),
        }
    }

    /// Returns the next item, skipping what was not read of the content before it.
    pub fn next_item(&mut self) -> Result<Option<LayerItem>, ReadError> {
        self.skip_content()?;
        let mut overrides = self.global.clone();
        while let Some((block, header, position)) = self.next_header()? {
            match header.type_flag {
                b'x' | b'X' => {
                    let body = self.extended(header.size, self.limits.header_bytes)?;
                    overrides
                        .take(&body)
                        .map_err(|reason| ReadError::Header { position, reason })?;
                }
                b'g' => {
                    let body = self.extended(header.size, self.limits.header_bytes)?;
                    self.global
                        .take(&body)
                        .map_err(|reason| ReadError::Header { position, reason })?;
                    overrides
                        .take(&body)
                        .map_err(|reason| ReadError::Header { position, reason })?;
                    if self.global.xattrs.len() > 1000 {
                        return Err(self.over("the number of global attributes", 1000));
                    }
                }
                b'L' => overrides.path = Some(self.long_text(header.size)?),
                b'K' => overrides.link = Some(self.long_text(header.size)?),
                // A volume's label is no file.
                b'V' => self
                    .extended(header.size, self.limits.header_bytes)
                    .map(drop)?,
                _ => {
                    self.entries += 1;
                    if self.entries > self.limits.entries {
                        return Err(self.over("the number of entries", self.limits.entries));
                    }
                    let item = self.entry(header, &block, overrides)?;
                    if item.is_some() {
                        return Ok(item);
                    }
                    self.skip_content()?;
                    overrides = self.global.clone();
                }
            }
        }
        Ok(None)
    }

    /// Passes over the hole of a sparse file that begins here, and returns its length: 0 where there is content.
    pub fn skip_hole(&mut self) -> u64 {
        let Some(holes) = &mut self.content.holes else {
            return 0;
        };
        let end = holes
            .map
            .parts
            .get(holes.part)
            .map_or(holes.map.size, |(offset, _)| *offset);
        let hole = end.saturating_sub(holes.position);
        holes.position += hole;
        hole
    }

    /// Tells whether the archive's end was marked as such, and not just where the bytes stopped.
    pub fn has_end_marker(&self) -> bool {
        self.end == End::Marked
    }

    /// Returns the source as it is now.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Reads the source to its end, whatever comes, and returns it.
    pub fn finish(mut self) -> Result<R, ReadError> {
        self.buffer.resize(1 << 16, 0);
        loop {
            let got = match self.inner.read(&mut self.buffer) {
                Ok(0) => return Ok(self.inner),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(ReadError::Io { source }),
            };
            self.pass(got as u64)?;
        }
    }

    /// Reads the next header block, if the archive is not at its end.
    fn next_header(&mut self) -> Result<Option<(Block, Header, u64)>, ReadError> {
        if self.end != End::Ahead {
            return Ok(None);
        }
        let position = self.passed;
        let Some(block) = self.block(position)? else {
            self.end = End::Bare;
            return Ok(None);
        };
        if block.iter().all(|byte| *byte == 0) {
            self.end = match self.block(position)? {
                None => End::Bare,
                Some(second) if second.iter().all(|byte| *byte == 0) => End::Marked,
                Some(_) => {
                    return Err(ReadError::Header {
                        position,
                        reason: "an empty block has a header after it",
                    });
                }
            };
            return Ok(None);
        }
        let header =
            Header::decode(&block).map_err(|reason| ReadError::Header { position, reason })?;
        Ok(Some((block, header, position)))
    }

    pub(super) fn block(&mut self, position: u64) -> Result<Option<Block>, ReadError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => {
                    return Err(ReadError::Truncated {
                        place: format!("byte {position}"),
                    });
                }
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ReadError::Io { source }),
            }
        }
        self.pass(BLOCK as u64)?;
        Ok(Some(block))
    }

    /// Reads the body of an extended header.
    fn extended(&mut self, size: u64, limit: usize) -> Result<Vec<u8>, ReadError> {
        if size > limit as u64 {
            return Err(self.over("an extended header", limit as u64));
        }
        self.content = Content {
            stored: size,
            padding: padding(size),
            holes: None,
        };
        let mut body = Vec::new();
        self.read_stored(&mut body, size)?;
        self.skip_content()?;
        Ok(body)
    }

    /// Reads GNU's long name or link: a text with a NUL behind it.
    fn long_text(&mut self, size: u64) -> Result<Vec<u8>, ReadError> {
        let mut text = self.extended(size, self.limits.path_bytes + BLOCK)?;
        if let Some(end) = text.iter().position(|byte| *byte == 0) {
            text.truncate(end);
        }
        Ok(text)
    }

    /// Turns a header into an item; nothing for files that no engine puts anywhere.
    fn entry(
        &mut self,
        header: Header,
        block: &Block,
        overrides: Overrides,
    ) -> Result<Option<LayerItem>, ReadError> {
        let sparse = overrides.sparse.present && matches!(header.type_flag, b'0' | 0 | b'7');
        let pax_name = overrides
            .sparse
            .name
            .clone()
            .filter(|_| sparse)
            .or(overrides.path);
        let name = pax_name.unwrap_or(header.name);
        self.current = printable(&name);
        self.check_length(&name)?;
        let link = overrides.link.unwrap_or(header.link);
        self.check_length(&link)?;
        self.names += (name.len() + link.len()) as u64;
        if self.names > self.limits.names_bytes {
            return Err(self.over("the length of all names", self.limits.names_bytes));
        }
        let stored = overrides.size.unwrap_or(header.size);
        let is_directory = header.type_flag == b'5'
            || (matches!(header.type_flag, b'0' | 0) && name.ends_with(b"/"));
        let kind = match header.type_flag {
            _ if is_directory => EntryKind::Directory,
            b'0' | 0 | b'7' | b'S' => {
                self.content = Content {
                    stored,
                    padding: padding(stored),
                    holes: None,
                };
                if header.type_flag == b'S' {
                    self.open_old_sparse(block)?;
                } else if sparse {
                    self.open_sparse(&overrides.sparse)?;
                }
                EntryKind::File {
                    size: self
                        .content
                        .holes
                        .as_ref()
                        .map_or(stored, |holes| holes.map.size),
                }
            }
            b'1' => EntryKind::HardLink {
                target: self.hard_link_target(&link)?,
            },
            b'2' if link.is_empty() || link.contains(&0) => {
                return Err(self.refuse("its link target is empty or holds NUL"));
            }
            b'2' => EntryKind::Symlink { target: link },
            b'3' => EntryKind::CharDevice {
                major: header.major,
                minor: header.minor,
            },
            b'4' => EntryKind::BlockDevice {
                major: header.major,
                minor: header.minor,
            },
            b'6' => EntryKind::Fifo,
            _ => return Err(self.refuse("it is of a type that layers do not have")),
        };
        let entry = Entry {
            path: LayerPath::root(),
            kind,
            mode: header.mode,
            uid: overrides.uid.unwrap_or(header.uid),
            gid: overrides.gid.unwrap_or(header.gid),
            mtime: overrides.mtime.unwrap_or(header.mtime),
            xattrs: overrides.xattrs,
        };
        self.place(entry, &name)
    }

    /// Gives an entry its path, or makes it the whiteout that its name says.
    fn place(&self, entry: Entry, name: &[u8]) -> Result<Option<LayerItem>, ReadError> {
        // Engines have always taken absolute names as relative to the layer's root.
        let relative = trim_slashes(name);
        let base = base_name(relative);
        let directory = parent(relative);
        if base == OPAQUE {
            return Ok(Some(LayerItem::Opaque(path(directory)?)));
        }
        if relative
            .split(|byte| *byte == b'/')
            .any(|component| component.starts_with(AUFS))
        {
            return Ok(None);
        }
        if let Some(victim) = base.strip_prefix(WHITEOUT) {
            if matches!(victim, b"" | b"." | b"..") {
                return Err(self.refuse("it is a whiteout of nothing"));
            }
            return Ok(Some(LayerItem::Whiteout(path(
                &[directory, b"/", victim].concat(),
            )?)));
        }
        let path = path(relative)?;
        if path.is_root() && entry.kind != EntryKind::Directory {
            return Err(self.refuse("it has no name"));
        }
        Ok(Some(LayerItem::Entry(Entry { path, ..entry })))
    }

    fn hard_link_target(&self, link: &[u8]) -> Result<LayerPath, ReadError> {
        let target = path(trim_slashes(link))?;
        if target.is_root() {
            Err(self.refuse("it is a hard link to nothing"))
        } else {
            Ok(target)
        }
    }

    fn skip_content(&mut self) -> Result<(), ReadError> {
        self.content.holes = None;
        let mut rest = self.content.stored.saturating_add(self.content.padding);
        self.content = Content::default();
        self.buffer.resize(1 << 16, 0);
        while rest > 0 {
            let want = usize::try_from(rest)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            match self.inner.read(&mut self.buffer[..want]) {
                Ok(0) => {
                    return Err(ReadError::Truncated {
                        place: self.current.clone(),
                    });
                }
                Ok(got) => {
                    rest -= got as u64;
                    self.pass(got as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ReadError::Io { source }),
            }
        }
        Ok(())
    }

    /// Reads exactly this much of the content as it is stored.
    pub(super) fn read_stored(&mut self, to: &mut Vec<u8>, size: u64) -> Result<(), ReadError> {
        let cut_off = || ReadError::Truncated {
            place: self.current.clone(),
        };
        self.content.stored = self.content.stored.checked_sub(size).ok_or_else(cut_off)?;
        let got = (&mut self.inner)
            .take(size)
            .read_to_end(to)
            .map_err(|source| ReadError::Io { source })?;
        if got as u64 != size {
            return Err(ReadError::Truncated {
                place: self.current.clone(),
            });
        }
        self.pass(size)
    }

    fn check_length(&self, name: &[u8]) -> Result<(), ReadError> {
        if name.len() > self.limits.path_bytes + 1 {
            return Err(self.over("a path", self.limits.path_bytes as u64));
        }
        Ok(())
    }

    pub(super) fn pass(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.passed = self.passed.saturating_add(bytes);
        if self.passed > self.limits.total_bytes {
            return Err(self.over("the number of bytes", self.limits.total_bytes));
        }
        Ok(())
    }

    pub(super) fn refuse(&self, reason: &'static str) -> ReadError {
        ReadError::Entry {
            path: self.current.clone(),
            reason,
        }
    }

    pub(super) fn over(&self, what: &'static str, limit: u64) -> ReadError {
        let mut place = self.current.clone();
        if let Some((cut, _)) = place.char_indices().nth(200) {
            place.truncate(cut);
            place.push('…');
        }
        ReadError::Limit { place, what, limit }
    }
}

impl<R: Read> Read for LayerReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut want = usize::try_from(self.content.stored)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if let Some(holes) = &mut self.content.holes {
            let (offset, length) = holes
                .map
                .parts
                .get(holes.part)
                .copied()
                .unwrap_or((holes.map.size, 0));
            if holes.position < offset {
                let hole = usize::try_from(offset - holes.position)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                buffer[..hole].fill(0);
                holes.position += hole as u64;
                return Ok(hole);
            }
            want =
                want.min(usize::try_from(offset + length - holes.position).unwrap_or(usize::MAX));
        }
        if want == 0 {
            return Ok(0);
        }
        let got = self.inner.read(&mut buffer[..want])?;
        if got == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                ReadError::Truncated {
                    place: self.current.clone(),
                },
            ));
        }
        self.content.stored -= got as u64;
        if let Some(holes) = &mut self.content.holes {
            holes.position += got as u64;
            let finished = holes
                .map
                .parts
                .get(holes.part)
                .is_some_and(|(offset, length)| holes.position == offset + length);
            holes.part += usize::from(finished);
        }
        self.pass(got as u64).map_err(io::Error::other)?;
        Ok(got)
    }
}

fn trim_slashes(name: &[u8]) -> &[u8] {
    let start = name
        .iter()
        .position(|byte| *byte != b'/')
        .unwrap_or(name.len());
    let end = name
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(start, |last| last + 1);
    &name[start..end]
}

fn path(name: &[u8]) -> Result<LayerPath, ReadError> {
    LayerPath::new(trim_slashes(name)).map_err(|source| ReadError::Path { source })
}
