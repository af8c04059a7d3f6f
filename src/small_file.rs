//! Small files that users name: read whole, or refused.
//!
//! Invariant: at most so many bytes are read as were allowed, whatever the file says of its size, and nothing is waited
//! for that may never come.

use std::{
    io::{self, Read as _},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

/// What was read.
#[derive(Debug)]
pub enum SmallFile {
    /// There is no such file.
    Missing,
    /// It has more bytes than allowed: at least so many.
    TooLarge(u64),
    /// All of it.
    Content(Vec<u8>),
}

/// Reads at most `limit` bytes of `path`.
pub fn read(path: &Path, limit: u64) -> io::Result<SmallFile> {
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(SmallFile::Missing),
        Err(error) => return Err(error),
    };
    let kind = metadata.file_type();
    let refused = |what: &str| {
        let message = format!("it is {what}, and has to be a file");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    };
    if kind.is_dir() {
        return refused("a directory");
    }
    // Opening one waits for whoever writes to it, and cannot be interrupted.
    if kind.is_fifo() {
        return refused("a named pipe");
    }
    if kind.is_socket() {
        return refused("a socket");
    }
    if metadata.len() > limit {
        return Ok(SmallFile::TooLarge(metadata.len()));
    }
    let mut content = Vec::new();
    let mut file = fs_err::File::open(path)?.take(limit + 1);
    file.read_to_end(&mut content)?;
    // Files of the kernel and devices have more than they say.
    let size = content.len() as u64;
    Ok(if size > limit {
        SmallFile::TooLarge(size)
    } else {
        SmallFile::Content(content)
    })
}
