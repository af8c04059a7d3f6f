//! The strict copy of a layer that a program inside a container wrote.
//!
//! A script ran as root beside that program, so what arrives is as untrusted as any other input. Because the program
//! writes the canonical form, a copy needs no memory and no sorting: whatever is not canonical already is refused.

use std::io::{self, Read, Write};

use super::error::{ReadError, WriteError};
use super::reader::LayerReader;
use super::writer::LayerWriter;
use crate::index::{IndexBuilder, PathIndex};

/// Why a captured layer was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum RecanonicaliseError {
    /// What was sent is not a layer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was sent breaks the order or the rules of a layer, or cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What was sent stops before its end is marked, as when the sender was killed.
    #[error("the captured layer has no end")]
    NoEnd,
    /// Something follows the layer.
    #[error("something follows the captured layer")]
    Trailing,
    /// The source failed behind the layer.
    #[error("cannot read the end of the captured layer")]
    Io {
        /// What the source said.
        #[source]
        source: io::Error,
    },
}

/// Copies a layer that must already be in canonical order, checking all of it, and indexes it on the way.
pub fn recanonicalise<R: Read, W: Write>(
    mut reader: LayerReader<R>,
    mut writer: LayerWriter<W>,
) -> Result<(W, PathIndex), RecanonicaliseError> {
    let mut index = IndexBuilder::default();
    while let Some(item) = reader.next_item()? {
        writer.append(&item, &mut reader)?;
        index.add(&item);
    }
    if !reader.has_end_marker() {
        return Err(RecanonicaliseError::NoEnd);
    }
    let mut source = reader.into_inner();
    if source
        .read(&mut [0])
        .map_err(|source| RecanonicaliseError::Io { source })?
        != 0
    {
        return Err(RecanonicaliseError::Trailing);
    }
    Ok((writer.finish()?, index.finish()))
}
