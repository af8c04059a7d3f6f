//! Why a Dockerfile, or what it copies, is not taken.
//!
//! Invariant: whatever the Dockerfile's author can mend names the file, the line, and what to write instead.

use std::path::PathBuf;

use layer::LayerPath;

use crate::store::StoreError;

/// Why a Dockerfile is not built.
#[derive(Debug, thiserror::Error)]
pub enum DockerfileError {
    /// A line of it asks for something that is wrong or that is not done here.
    #[error("{file} line {line}: {reason}")]
    Refused {
        /// The Dockerfile, as the caller calls it.
        file: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
        /// What to write instead.
        instead: String,
    },
    /// It is larger than any honest one.
    #[error("{file} is larger than {limit} bytes")]
    TooLarge {
        /// The Dockerfile.
        file: String,
        /// How many bytes are read at most.
        limit: usize,
    },
    /// The build context cannot be read.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The store failed, or lacks an image that the Dockerfile is built from.
    #[error("the store cannot serve the Dockerfile's images")]
    Store(#[from] StoreError),
    /// What is to be copied could not be written down.
    #[error("cannot prepare what {file} line {line} copies")]
    Copy {
        /// The Dockerfile.
        file: String,
        /// Which line.
        line: usize,
        /// What went wrong.
        #[source]
        source: TreeError,
    },
    /// A secret that the Dockerfile needs cannot be read.
    #[error("cannot take the secret `{id}` from {from}")]
    Secret {
        /// Which one.
        id: String,
        /// A file, or a variable.
        from: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
}

/// Why a build context cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The system refused.
    #[error("cannot read {} of the build context", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It holds more than is taken.
    #[error("the build context {} has more than {limit} {what}", path.display())]
    TooLarge {
        /// The context.
        path: PathBuf,
        /// Of what there is too much.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// It was edited while it was being used.
    #[error("{} changed while it was being used", path.display())]
    Changed {
        /// The file, or the directory when several may have changed.
        path: PathBuf,
    },
    /// Something that is neither file, directory nor symbolic link.
    #[error("{} in the build context is no file, directory or symbolic link", path.display())]
    Special {
        /// What.
        path: PathBuf,
    },
    /// A name that no layer can hold.
    #[error("a name in the build context cannot be in an image")]
    Name(#[from] layer::PathError),
    /// A `.dockerignore` is nothing that can be read.
    #[error("{} {why}", path.display())]
    Ignore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// A pattern of `.dockerignore` is not one.
    #[error("{} line {line} is no valid pattern: `{pattern}`", path.display())]
    Pattern {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// The pattern.
        pattern: String,
    },
}

/// Why the files to copy could not be gathered.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The layers that hold them cannot be read.
    #[error("the layers that hold it cannot be read")]
    Store(#[from] StoreError),
    /// A layer or an archive is damaged or holds what no layer may.
    #[error("the archive cannot be read")]
    Read(#[from] layer::tar::ReadError),
    /// The files cannot be in one layer.
    #[error("the files cannot be written as a layer")]
    Write(#[from] layer::tar::WriteError),
    /// What `ADD` would unpack is damaged, or holds what no image may.
    #[error("`{name}` cannot be unpacked")]
    Archive {
        /// What it is called.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ArchiveFault,
    },
    /// The disk failed.
    #[error("the files cannot be written to disk")]
    Io(#[from] std::io::Error),
}

/// What is wrong with an archive that `ADD` would unpack.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// It cannot be read, or a name leads out of it.
    #[error(transparent)]
    Read(#[from] layer::tar::ReadError),
    /// Its entries do not fit together.
    #[error(transparent)]
    Write(layer::tar::WriteError),
    /// A name that layers reserve.
    #[error(
        "it has a file named `.wh.` for `{entry}`; layers reserve such names for what they remove"
    )]
    Reserved {
        /// What a layer would remove.
        entry: LayerPath,
    },
    /// A hard link to what is not there.
    #[error("`{entry}` is a link to `{target}`, which is not before it")]
    Link {
        /// The entry.
        entry: LayerPath,
        /// What it is another name of.
        target: LayerPath,
    },
}
