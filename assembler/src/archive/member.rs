//! Members of an archive, and the tar they become: plain ustar, nothing of this machine in it.

use std::{
    borrow::Cow,
    io::{self, Read},
    sync::Arc,
};

use super::ArchiveError;
use crate::{
    descriptor::Descriptor,
    image::Layer,
    store::{BlobStore, StoreError},
};

const BLOCK: u64 = 512;
/// What the name's field holds.
const NAME_FIELD: usize = 100;
/// Two empty blocks.
const END: u64 = 2 * BLOCK;
/// What eleven octal digits hold; larger sizes are written as numbers of base 256, as GNU tar and Go do.
const OCTAL_SIZE_LIMIT: u64 = 1 << 33;

/// One file or directory of an archive.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) content: Content,
}

/// Where a member's bytes come from.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Directory,
    Bytes(Arc<[u8]>),
    Blob(Descriptor),
    Tar(Layer),
    /// Not a member of its own: the name of the next.
    LongName,
}

/// Reads an archive from its beginning, made on the way.
///
/// Its errors are [`ArchiveError`]s inside `io::Error`: see [`ArchiveError::from_io`].
pub struct ArchiveReader<'a> {
    store: BlobStore,
    members: Cow<'a, [Member]>,
    next: usize,
    /// Zeros and headers that come before the open member's content.
    pending: io::Cursor<Vec<u8>>,
    open: Option<Open>,
    ended: bool,
}

struct Open {
    name: String,
    content: Box<dyn Read + Send>,
    size: u64,
    remaining: u64,
}

impl std::fmt::Debug for ArchiveReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveReader")
            .field("members", &self.members)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Member {
    pub(super) fn bytes(name: String, bytes: Vec<u8>) -> Self {
        Self {
            name,
            size: bytes.len() as u64,
            content: Content::Bytes(bytes.into()),
        }
    }

    pub(super) fn directory(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            size: 0,
            content: Content::Directory,
        }
    }

    fn open(&self, store: &BlobStore) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(match &self.content {
            Content::Directory | Content::LongName => Box::new(io::empty()),
            Content::Bytes(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
            Content::Blob(blob) => Box::new(store.read(blob)?),
            Content::Tar(layer) => store.layer_tar(layer)?,
        })
    }

    /// The names are ours and fit the field, but for blobs named by SHA-512: those get GNU tar's long name before.
    fn header(&self) -> Vec<u8> {
        if self.name.len() <= NAME_FIELD {
            return self.block(self.name.as_bytes(), self.size);
        }
        let long = Self {
            name: "././@LongLink".to_owned(),
            size: self.name.len() as u64 + 1,
            content: Content::LongName,
        };
        let mut header = long.block(long.name.as_bytes(), long.size);
        header.extend_from_slice(self.name.as_bytes());
        header.resize(1024, 0);
        let cut = self.name.as_bytes().get(..NAME_FIELD).unwrap_or_default();
        header.extend(self.block(cut, self.size));
        header
    }

    fn header_size(&self) -> u64 {
        if self.name.len() <= NAME_FIELD {
            BLOCK
        } else {
            3 * BLOCK
        }
    }

    fn block(&self, name: &[u8], size: u64) -> Vec<u8> {
        let mut header = vec![0; 512];
        let (mode, kind) = match self.content {
            Content::Directory => ("0000755\0", b"5"),
            Content::LongName => ("0000000\0", b"L"),
            _ => ("0000644\0", b"0"),
        };
        let size = if size < OCTAL_SIZE_LIMIT {
            format!("{size:011o}\0").into_bytes()
        } else {
            let mut field = vec![0x80, 0, 0, 0];
            field.extend_from_slice(&size.to_be_bytes());
            field
        };
        for (offset, field) in [
            (0, name),
            (100, mode.as_bytes()),
            (108, b"0000000\0"),
            (116, b"0000000\0"),
            (124, &size),
            (136, b"00000000000\0"),
            (148, b"        "),
            (156, kind),
            (257, b"ustar\x0000"),
            (329, b"0000000\0"),
            (337, b"0000000\0"),
        ] {
            if let Some(place) = header.get_mut(offset..offset + field.len()) {
                place.copy_from_slice(field);
            }
        }
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        if let Some(place) = header.get_mut(148..156) {
            place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        header
    }
}

/// Returns the length of the archive of these members.
pub(super) fn total(members: &[Member]) -> u64 {
    let members: u64 = members
        .iter()
        .map(|member| member.header_size() + member.size.next_multiple_of(BLOCK))
        .sum();
    members + END
}

impl<'a> ArchiveReader<'a> {
    pub(super) fn new(store: &BlobStore, members: &'a [Member]) -> Self {
        Self::over(store.clone(), Cow::Borrowed(members))
    }

    pub(super) fn owned(store: BlobStore, members: Vec<Member>) -> ArchiveReader<'static> {
        ArchiveReader::over(store, Cow::Owned(members))
    }

    fn over(store: BlobStore, members: Cow<'a, [Member]>) -> Self {
        Self {
            store,
            members,
            next: 0,
            pending: io::Cursor::default(),
            open: None,
            ended: false,
        }
    }

    /// Goes on to the next member; false at the end of the archive.
    fn advance(&mut self) -> Result<bool, StoreError> {
        if self.ended {
            return Ok(false);
        }
        let mut pending = Vec::new();
        if let Some(previous) = self.next.checked_sub(1).and_then(|i| self.members.get(i)) {
            let padding = previous.size.next_multiple_of(BLOCK) - previous.size;
            pending.resize(usize::try_from(padding).unwrap_or_default(), 0);
        }
        if let Some(member) = self.members.get(self.next) {
            pending.extend(member.header());
            self.open = Some(Open {
                name: member.name.clone(),
                content: member.open(&self.store)?,
                size: member.size,
                remaining: member.size,
            });
            self.next += 1;
        } else {
            pending.resize(pending.len() + 1024, 0);
            self.ended = true;
        }
        self.pending = io::Cursor::new(pending);
        Ok(true)
    }
}

impl Open {
    /// Reads on; at the announced end the source must be at its own, which is where it checks its digest.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wrong = || ArchiveError::Length {
            name: self.name.clone(),
            expected: self.size,
        };
        if self.remaining == 0 {
            let beyond = self.content.read(&mut [0])?;
            return if beyond == 0 {
                Ok(0)
            } else {
                Err(wrong().into())
            };
        }
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(wanted);
        let count = self
            .content
            .read(buffer.get_mut(..wanted).unwrap_or_default())?;
        if count == 0 {
            return Err(wrong().into());
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

impl Read for ArchiveReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.pending.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if let Some(open) = &mut self.open {
                let count = open.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                self.open = None;
            }
            if !self.advance()? {
                return Ok(0);
            }
        }
    }
}
