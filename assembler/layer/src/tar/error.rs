//! Why a layer could not be read or written.

use std::io;

use crate::path::{LayerPath, PathError};

/// Why a layer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source failed.
    #[error("cannot read the layer")]
    Io {
        /// What the source said.
        #[source]
        source: io::Error,
    },
    /// The archive stops in the middle.
    #[error("the layer is cut off at {place}")]
    Truncated {
        /// The entry, or the position of the header.
        place: String,
    },
    /// A header is not a header.
    #[error("at byte {position} the layer is no tar: {reason}")]
    Header {
        /// Where in the archive.
        position: u64,
        /// What about it.
        reason: &'static str,
    },
    /// An entry cannot be part of a layer.
    #[error("entry {path} of the layer is refused: {reason}")]
    Entry {
        /// Its name, made printable.
        path: String,
        /// What about it.
        reason: &'static str,
    },
    /// An entry's name, or the target of a hard link, is not a path of a layer.
    #[error("an entry of the layer is refused")]
    Path {
        /// What about it.
        #[source]
        source: PathError,
    },
    /// The layer is larger than what is accepted.
    #[error("the layer is refused at {place}: {what} is over the limit of {limit}")]
    Limit {
        /// The entry, or the position of the header.
        place: String,
        /// What there is too much of.
        what: &'static str,
        /// How much is accepted.
        limit: u64,
    },
}

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The sink did not take the bytes.
    #[error("cannot write the layer")]
    Io {
        /// What the sink said.
        #[source]
        source: io::Error,
    },
    /// The content could not be read.
    #[error("cannot read the content of {path}")]
    Content {
        /// The file.
        path: LayerPath,
        /// What the source said.
        #[source]
        source: io::Error,
    },
    /// The content is shorter than the entry says.
    #[error("the content of {path} ends after {found} of {size} bytes")]
    ShortContent {
        /// The file.
        path: LayerPath,
        /// Length the entry says.
        size: u64,
        /// Length it has.
        found: u64,
    },
    /// The content is longer than the entry says.
    #[error("the content of {path} goes on after its {size} bytes")]
    LongContent {
        /// The file.
        path: LayerPath,
        /// Length the entry says.
        size: u64,
    },
    /// An item came after one that it belongs before.
    #[error("{path} comes after {last}, which belongs behind it")]
    Unsorted {
        /// The item's path.
        path: LayerPath,
        /// The path of the item before it.
        last: String,
    },
    /// Two items have the same path.
    #[error("{path} is twice in the layer")]
    Duplicate {
        /// The path.
        path: LayerPath,
    },
    /// The directory of an entry is not in the layer, so that whoever unpacks it would have to make one up.
    #[error("the directory of {path} is not in the layer")]
    NoDirectory {
        /// The entry.
        path: LayerPath,
    },
    /// The same layer removes a path and puts something there: appliers disagree about what that means.
    #[error("{path} is both removed and put by the same layer")]
    RemovedAndPut {
        /// The path.
        path: LayerPath,
    },
    /// A hard link points to nothing that came before it.
    #[error("the hard link {path} points to {target}, which is no earlier file of the layer")]
    DanglingLink {
        /// The link.
        path: LayerPath,
        /// Where it points to.
        target: LayerPath,
    },
    /// A field cannot be said in a tar.
    #[error("{path} cannot be in a layer: {reason}")]
    Unrepresentable {
        /// The entry.
        path: LayerPath,
        /// What about it.
        reason: &'static str,
    },
}
