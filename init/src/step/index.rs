//! The index of the image's paths: its bytes are at hand before the first script runs, and are read meanwhile.

use std::cell::{Cell, OnceCell};
use std::io;
use std::path::Path;
use std::thread::JoinHandle;

use layer::{IndexError, PathIndex};

/// An index, or the thread that reads it.
pub(super) struct Index {
    read: OnceCell<PathIndex>,
    reading: Cell<Option<JoinHandle<Result<PathIndex, IndexError>>>>,
}

impl Index {
    /// Begins to read a file; one that is not there is the index of an empty image.
    pub(super) fn begin(file: &Path) -> io::Result<Self> {
        let bytes = match fs_err::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    read: OnceCell::from(PathIndex::default()),
                    reading: Cell::default(),
                });
            }
            Err(error) => return Err(error),
        };
        let reading = std::thread::Builder::new().spawn(move || PathIndex::from_bytes(&bytes))?;
        Ok(Self {
            read: OnceCell::new(),
            reading: Cell::new(Some(reading)),
        })
    }

    /// Returns it, as soon as it is read; it is asked no more after an error.
    pub(super) fn get(&self) -> Result<&PathIndex, IndexError> {
        if let Some(index) = self.read.get() {
            return Ok(index);
        }
        let ended = self.reading.take().map(JoinHandle::join);
        let index = match ended {
            Some(Ok(index)) => index?,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => {
                return Err(IndexError::Damaged {
                    reason: "it was not whole",
                });
            }
        };
        Ok(self.read.get_or_init(|| index))
    }
}
