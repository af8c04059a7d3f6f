//! Sparse files in their four spellings, read as the dense files they stand for.
//!
//! GNU's own (`S` with a map in the header and in blocks after it) and PAX 0.0, 0.1 and 1.0.

use std::io::Read;

use super::error::ReadError;
use super::header::{Block, number};
use super::reader::{Holes, LayerReader};
use super::{BLOCK, pax};

/// The parts of a file that have bytes in the archive, in order: offset and length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SparseMap {
    pub(super) parts: Vec<(u64, u64)>,
    /// Length of the whole file.
    pub(super) size: u64,
}

/// What PAX records say about a sparse file.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    pub(super) numbers: Vec<u64>,
    pub(super) size: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// Version 1.0: the map is at the start of the content.
    pub(super) map_in_content: bool,
    pub(super) present: bool,
}

impl SparseRecords {
    /// Takes a `GNU.sparse.*` record.
    pub(super) fn add(&mut self, keyword: &[u8], value: &[u8]) -> Result<(), &'static str> {
        self.present = true;
        match keyword {
            b"size" | b"realsize" => self.size = Some(pax::number(value)?),
            b"offset" | b"numbytes" => self.numbers.push(pax::number(value)?),
            b"map" => {
                self.numbers = value
                    .split(|byte| *byte == b',')
                    .map(pax::number)
                    .collect::<Result<_, &'static str>>()?;
            }
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.map_in_content = value == b"1",
            _ => {}
        }
        Ok(())
    }
}

impl SparseMap {
    /// Builds a map of alternating offsets and lengths.
    pub(super) fn new(numbers: &[u64], size: u64) -> Result<Self, &'static str> {
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("its sparse map has an offset without a length");
        }
        let mut end = 0;
        let mut parts = Vec::with_capacity(pairs.len());
        for [offset, length] in pairs {
            let next = offset
                .checked_add(*length)
                .ok_or("its sparse map is out of range")?;
            if *offset < end || next > size {
                return Err("its sparse map is out of order or out of range");
            }
            end = next;
            if *length > 0 {
                parts.push((*offset, *length));
            }
        }
        Ok(Self { parts, size })
    }

    /// Returns how many bytes of the archive the parts take.
    pub(super) fn stored(&self) -> u64 {
        self.parts.iter().map(|(_, length)| length).sum()
    }
}

impl<R: Read> LayerReader<R> {
    /// Reads the map of a file of GNU's own kind.
    pub(super) fn open_old_sparse(&mut self, block: &Block) -> Result<(), ReadError> {
        let (mut numbers, size, mut more) =
            old_header(block).map_err(|reason| self.refuse(reason))?;
        while more {
            let extension = self
                .block(self.passed)?
                .ok_or_else(|| ReadError::Truncated {
                    place: self.current.clone(),
                })?;
            let (next, again) = old_extension(&extension).map_err(|reason| self.refuse(reason))?;
            numbers.extend(next);
            more = again;
            if numbers.len() * 8 > self.limits.header_bytes {
                return Err(self.over("its sparse map", self.limits.header_bytes as u64));
            }
        }
        self.open_holes(&numbers, size)
    }

    /// Reads or takes the map of a file that PAX records call sparse.
    pub(super) fn open_sparse(&mut self, records: &SparseRecords) -> Result<(), ReadError> {
        let size = records
            .size
            .ok_or_else(|| self.refuse("its sparse size is missing"))?;
        if !records.map_in_content {
            return self.open_holes(&records.numbers, size);
        }
        // The map is decimal lines in the first blocks of the content: a count, then offsets and lengths.
        let mut numbers: Vec<u64> = Vec::new();
        let mut line = Vec::new();
        loop {
            let mut block = Vec::with_capacity(BLOCK);
            self.read_stored(&mut block, BLOCK as u64)?;
            for byte in block {
                let wanted = numbers
                    .first()
                    .map_or(1, |count| count.saturating_mul(2).saturating_add(1));
                if numbers.len() as u64 == wanted {
                    break;
                }
                if byte == b'\n' {
                    numbers.push(pax::number(&line).map_err(|reason| self.refuse(reason))?);
                    line.clear();
                } else {
                    line.push(byte);
                }
            }
            let wanted = numbers
                .first()
                .map_or(1, |count| count.saturating_mul(2).saturating_add(1));
            if numbers.len() as u64 == wanted {
                return self.open_holes(numbers.get(1..).unwrap_or_default(), size);
            }
            if numbers.len() * 8 > self.limits.header_bytes || line.len() > 20 {
                return Err(self.over("its sparse map", self.limits.header_bytes as u64));
            }
        }
    }

    fn open_holes(&mut self, numbers: &[u64], size: u64) -> Result<(), ReadError> {
        let map = SparseMap::new(numbers, size).map_err(|reason| self.refuse(reason))?;
        if map.stored() != self.content.stored {
            return Err(self.refuse("its sparse map does not match its size"));
        }
        self.pass(size - map.stored())?;
        self.content.holes = Some(Holes {
            map,
            part: 0,
            position: 0,
        });
        Ok(())
    }
}

/// Reads the part of GNU's map in a header: its numbers, the file's length, and whether a block with more follows.
fn old_header(block: &Block) -> Result<(Vec<u64>, u64, bool), &'static str> {
    let numbers = old_numbers(&block[386..482])?;
    let size = number(&block[483..495]).and_then(|size| u64::try_from(size).ok());
    Ok((
        numbers,
        size.ok_or("its sparse size is not a number")?,
        block[482] != 0,
    ))
}

/// Reads one of the blocks that go on with GNU's map.
fn old_extension(block: &Block) -> Result<(Vec<u64>, bool), &'static str> {
    Ok((old_numbers(&block[..504])?, block[504] != 0))
}

fn old_numbers(fields: &[u8]) -> Result<Vec<u64>, &'static str> {
    let mut numbers = Vec::new();
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        for field in [&pair[..12], &pair[12..]] {
            let value = number(field).and_then(|value| u64::try_from(value).ok());
            numbers.push(value.ok_or("its sparse map is not made of numbers")?);
        }
    }
    Ok(numbers)
}
