//! The answer: one line of JSON, then the layer or the scripts' output.

use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use rustix::io::Errno;
use serde::Serialize;

use super::spec::Output;

/// Longest first line that callers read.
const LINE_BYTES: usize = 64 << 10;
/// Most that a query's scripts can say.
pub(super) const QUERY_BYTES: u64 = 1 << 20;

/// What came of a step.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(super) enum Answer {
    /// All scripts ended with 0.
    Ok {
        /// Each with its duration.
        scripts: Vec<Ran>,
    },
    /// A script ended with another code.
    Failed {
        /// Its name.
        script: String,
        /// Its exit code, or 128 and the signal.
        exit: u8,
    },
    /// An instruction asks for what the container's files do not allow.
    Refused {
        /// Which one and why.
        message: String,
    },
    /// The step itself could not be done.
    Error {
        /// Why.
        message: String,
    },
}

/// A script that ran.
#[derive(Debug, Serialize)]
pub(super) struct Ran {
    pub(super) name: String,
    pub(super) exit: u8,
    pub(super) ms: u64,
}

impl Answer {
    /// Writes the line; one that is too long loses its details, never its meaning.
    pub(super) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        if line.len() >= LINE_BYTES {
            let short = match self {
                Self::Ok { .. } => Self::Ok {
                    scripts: Vec::new(),
                },
                Self::Failed { exit, .. } => Self::Failed {
                    script: "…".to_owned(),
                    exit: *exit,
                },
                Self::Refused { message } => Self::Refused {
                    message: message.chars().take(1000).collect(),
                },
                Self::Error { message } => Self::Error {
                    message: message.chars().take(1000).collect(),
                },
            };
            line = serde_json::to_vec(&short)?;
        }
        line.push(b'\n');
        output.write_all(&line)
    }
}

/// Opens the way to the caller. A pipe without a reader means that the caller's kernel is not ours.
pub(super) fn channel(directory: &Path, output: Output) -> Result<fs_err::File, io::Error> {
    let path = directory.join("out");
    let channel = match output {
        Output::Stdout => rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?,
        Output::Fifo => {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let pipe = open(&path, flags, Mode::empty())?;
            if FileType::from_raw_mode(fstat(&pipe)?.st_mode) != FileType::Fifo {
                return Err(Errno::NXIO.into());
            }
            fcntl_setfl(&pipe, fcntl_getfl(&pipe)? - OFlags::NONBLOCK)?;
            pipe
        }
    };
    Ok(fs_err::File::from_parts(channel.into(), path))
}
