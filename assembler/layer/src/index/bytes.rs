//! An index as bytes.
//!
//! `AICIDX` and a version byte and a newline; the number of records; the records in order; SHA-256 over all before it.
//! A record is: kind, bytes shared with the key before, length of the rest, the rest, then, but for markers, mode, uid,
//! gid, mtime as a difference to the record before, a flag and the hash of extended attributes, and what belongs to the
//! kind: size, link target or device numbers. Numbers are LEB128, signed ones in zigzag.

use sha2::{Digest as _, Sha256};

use super::{IndexEntry, IndexKind, PathIndex};
use crate::path::{compare, is_normal};

const MAGIC: &[u8; 8] = b"AICIDX\x01\n";
const SUM: usize = 32;
/// No record is shorter than a root-level whiteout: kind, shared, length, NUL and a byte.
const SHORTEST: usize = 4;

/// Why bytes are not an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The bytes are not what this version writes.
    #[error("the path index is damaged or of another version: {reason}")]
    Damaged {
        /// What does not fit.
        reason: &'static str,
    },
}

const fn damaged(reason: &'static str) -> IndexError {
    IndexError::Damaged { reason }
}

impl PathIndex {
    /// Writes the index as bytes, the same for the same index.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put(&mut bytes, self.records.len() as u64);
        let (mut last_key, mut last_mtime): (&[u8], i64) = (b"", 0);
        for entry in self.iter() {
            let shared = entry
                .key
                .iter()
                .zip(last_key)
                .take_while(|(a, b)| a == b)
                .count();
            bytes.push(code(entry.kind));
            put(&mut bytes, shared as u64);
            put_bytes(&mut bytes, &entry.key[shared..]);
            last_key = entry.key;
            if entry.is_marker() {
                continue;
            }
            put(&mut bytes, u64::from(entry.mode));
            put(&mut bytes, entry.uid);
            put(&mut bytes, entry.gid);
            put_signed(&mut bytes, entry.mtime.wrapping_sub(last_mtime));
            last_mtime = entry.mtime;
            bytes.push(u8::from(entry.xattrs.is_some()));
            bytes.extend(entry.xattrs.iter().flatten());
            match entry.kind {
                IndexKind::File => put(&mut bytes, entry.size),
                IndexKind::Symlink(target) => put_bytes(&mut bytes, target),
                IndexKind::HardLink(target) => {
                    put(&mut bytes, entry.size);
                    put_bytes(&mut bytes, target);
                }
                IndexKind::CharDevice(major, minor) | IndexKind::BlockDevice(major, minor) => {
                    put(&mut bytes, u64::from(major));
                    put(&mut bytes, u64::from(minor));
                }
                IndexKind::Directory
                | IndexKind::Fifo
                | IndexKind::Whiteout
                | IndexKind::Opaque => {}
            }
        }
        let sum: [u8; SUM] = Sha256::digest(&bytes).into();
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// Tells whether bytes begin as what [`Self::to_bytes`] of this version writes.
    pub fn is_begun(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads back what [`Self::to_bytes`] wrote; anything else is refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IndexError> {
        let body = bytes
            .strip_prefix(MAGIC)
            .ok_or(damaged("it does not start as one"))?;
        let (mut body, sum) = body
            .split_last_chunk::<SUM>()
            .ok_or(damaged("it is too short"))?;
        let found: [u8; SUM] = Sha256::digest(&bytes[..bytes.len() - SUM]).into();
        if found != *sum {
            return Err(damaged("its checksum is wrong"));
        }
        let from = &mut body;
        let count = usize::try_from(number(from)?)
            .map_err(|_too_many| damaged("it has too many records"))?;
        if count > from.len() / SHORTEST + 1 {
            return Err(damaged("it has fewer records than it says"));
        }
        let mut index = Self {
            arena: Vec::new(),
            records: Vec::with_capacity(count),
        };
        let (mut key, mut before, mut mtime) = (Vec::new(), Vec::new(), 0);
        for place in 0..count {
            before.clone_from(&key);
            let kind = byte(from)?;
            let shared = usize::try_from(number(from)?).unwrap_or(usize::MAX);
            if shared > key.len() {
                return Err(damaged("a path shares more than there is"));
            }
            key.truncate(shared);
            key.extend_from_slice(text(from)?);
            // What they share decides nothing.
            let order = compare(&key[shared..], &before[shared..]);
            if place > 0 && order != std::cmp::Ordering::Greater {
                return Err(damaged("its paths are out of order"));
            }
            if index.arena.len() + key.len() > (u32::MAX / 2) as usize {
                return Err(damaged("its paths are too long"));
            }
            let entry = record(from, kind, &key, &mut mtime)?;
            check_key(&entry)?;
            index.push(&entry);
        }
        if from.is_empty() {
            Ok(index)
        } else {
            Err(damaged("something follows its records"))
        }
    }
}

fn record<'a, 'b: 'a>(
    from: &mut &'b [u8],
    kind: u8,
    key: &'a [u8],
    mtime: &mut i64,
) -> Result<IndexEntry<'a>, IndexError> {
    let mut entry = IndexEntry {
        kind: IndexKind::Whiteout,
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: 0,
        xattrs: None,
        key,
    };
    match kind {
        b'w' => return Ok(entry),
        b'o' => {
            return Ok(IndexEntry {
                kind: IndexKind::Opaque,
                ..entry
            });
        }
        _ => {}
    }
    entry.mode = small(from)?;
    entry.uid = number(from)?;
    entry.gid = number(from)?;
    entry.mtime = mtime.wrapping_add(signed(from)?);
    *mtime = entry.mtime;
    entry.xattrs = match byte(from)? {
        0 => None,
        1 => {
            let (hash, rest) = from
                .split_first_chunk::<16>()
                .ok_or(damaged("it is cut off"))?;
            *from = rest;
            Some(*hash)
        }
        _ => return Err(damaged("a flag is unknown")),
    };
    entry.kind = match kind {
        b'f' => {
            entry.size = number(from)?;
            IndexKind::File
        }
        b'd' => IndexKind::Directory,
        b'l' => IndexKind::Symlink(text(from)?),
        b'h' => {
            entry.size = number(from)?;
            IndexKind::HardLink(text(from)?)
        }
        b'c' => IndexKind::CharDevice(small(from)?, small(from)?),
        b'b' => IndexKind::BlockDevice(small(from)?, small(from)?),
        b'p' => IndexKind::Fifo,
        _ => return Err(damaged("a kind is unknown")),
    };
    Ok(entry)
}

/// Refuses keys that no item has, so that a path taken from an index obeys the rules of a layer's path.
fn check_key(entry: &IndexEntry<'_>) -> Result<(), IndexError> {
    let marked = match entry.kind {
        IndexKind::Opaque => entry.key == b"\0\0" || entry.key.ends_with(b"/\0\0"),
        IndexKind::Whiteout => {
            let name = crate::path::base_name(entry.key);
            name.len() > 1 && name.starts_with(b"\0") && name != b"\0\0"
        }
        _ => !entry.key.contains(&0),
    };
    let is_path = match entry.kind {
        IndexKind::Opaque | IndexKind::Whiteout => {
            is_normal(&super::path_of_key(entry.key, entry.kind))
        }
        _ => is_normal(entry.key),
    };
    if marked && is_path {
        Ok(())
    } else {
        Err(damaged("a path is none of a layer"))
    }
}

const fn code(kind: IndexKind<'_>) -> u8 {
    match kind {
        IndexKind::File => b'f',
        IndexKind::Directory => b'd',
        IndexKind::Symlink(_) => b'l',
        IndexKind::HardLink(_) => b'h',
        IndexKind::CharDevice(..) => b'c',
        IndexKind::BlockDevice(..) => b'b',
        IndexKind::Fifo => b'p',
        IndexKind::Whiteout => b'w',
        IndexKind::Opaque => b'o',
    }
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put(bytes, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn put_bytes(bytes: &mut Vec<u8>, text: &[u8]) {
    put(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

fn byte(from: &mut &[u8]) -> Result<u8, IndexError> {
    let (first, rest) = from.split_first().ok_or(damaged("it is cut off"))?;
    *from = rest;
    Ok(*first)
}

fn number(from: &mut &[u8]) -> Result<u64, IndexError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let next = byte(from)?;
        let part = u64::from(next & 0x7f);
        if part << shift >> shift != part {
            return Err(damaged("a number is out of range"));
        }
        value |= part << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number is out of range"))
}

fn small(from: &mut &[u8]) -> Result<u32, IndexError> {
    u32::try_from(number(from)?).map_err(|_too_large| damaged("a number is out of range"))
}

fn signed(from: &mut &[u8]) -> Result<i64, IndexError> {
    let value = number(from)?;
    Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

fn text<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], IndexError> {
    let length = usize::try_from(number(from)?).unwrap_or(usize::MAX);
    let (text, rest) = from
        .split_at_checked(length)
        .ok_or(damaged("it is cut off"))?;
    *from = rest;
    Ok(text)
}
