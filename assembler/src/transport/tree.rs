//! Files by name: of a directory, or of an archive with a table of where each begins.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::TransportError;

/// How often a link in an archive is followed.
const LINKS: usize = 8;

/// A place with files that have names.
#[derive(Debug)]
pub(super) enum Tree {
    Directory(PathBuf),
    Archive(Archive),
}

/// An archive that was listed.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) path: PathBuf,
    /// The tar itself where the file is a compressed one; removed with this value.
    pub(super) unpacked: Option<tempfile::TempPath>,
    pub(super) files: BTreeMap<String, Span>,
    /// Symbolic links, as old archives have them for layers that occur twice.
    pub(super) links: BTreeMap<String, String>,
}

/// Where a file's content is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Tree {
    pub(super) fn directory(path: &Path) -> Self {
        Self::Directory(path.to_owned())
    }

    fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Archive(archive) => &archive.path,
        }
    }

    /// Opens a file with its size. For a directory, `name` must be one that this program made.
    pub(super) fn open(&self, name: &str) -> Result<(u64, Box<dyn Read + Send>), TransportError> {
        let missing = || TransportError::Member {
            path: self.path().to_owned(),
            member: name.to_owned(),
        };
        let failed = |source| TransportError::Read {
            path: self.path().to_owned(),
            source,
        };
        match self {
            Self::Directory(directory) => {
                let file = match fs::File::open(directory.join(name)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
                    file => file.map_err(failed)?,
                };
                let metadata = file.metadata().map_err(failed)?;
                if !metadata.is_file() {
                    return Err(missing());
                }
                Ok((metadata.len(), Box::new(file)))
            }
            Self::Archive(archive) => {
                let span = archive.find(name).ok_or_else(missing)?;
                let path = archive.unpacked.as_deref().unwrap_or(&archive.path);
                let mut tar = fs::File::open(path).map_err(failed)?;
                tar.seek(SeekFrom::Start(span.offset)).map_err(failed)?;
                Ok((span.size, Box::new(tar.take(span.size))))
            }
        }
    }

    /// Reads a small file.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, TransportError> {
        let (size, file) = self.open(name)?;
        if size > limit {
            return Err(self.invalid(
                name,
                format!("it has {size} bytes; at most {limit} are read"),
            ));
        }
        let mut bytes = Vec::new();
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(|source| TransportError::Read {
                path: self.path().to_owned(),
                source,
            })?;
        Ok(bytes)
    }

    pub(super) fn invalid(&self, member: &str, reason: String) -> TransportError {
        TransportError::Invalid {
            path: self.path().to_owned(),
            member: member.to_owned(),
            reason,
        }
    }
}

impl Archive {
    fn find(&self, name: &str) -> Option<Span> {
        let mut name = normal("", name)?;
        for _ in 0..LINKS {
            if let Some(span) = self.files.get(&name) {
                return Some(*span);
            }
            let target = self.links.get(&name)?;
            let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
            name = normal(directory, target)?;
        }
        None
    }
}

/// Resolves a name of an archive against a directory of it; one that leads out of it names nothing.
pub(super) fn normal(directory: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = if name.starts_with('/') {
        Vec::new()
    } else {
        directory
            .split('/')
            .filter(|part| !part.is_empty())
            .collect()
    };
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
