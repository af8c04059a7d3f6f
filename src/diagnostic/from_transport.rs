//! Words for images in files.

use assembler::{archive::ArchiveError, transport::TransportError};

use super::verdict::{Explain, Verdict};

impl Explain for TransportError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Read { source, .. } => Verdict::system("transport-read", source),
            Self::Write { source, .. } => Verdict::system("transport-write", source),
            Self::Tar { .. } => Verdict::failed("transport-tar")
                .hint("plain, gzip and zstd archives are read; unpack others first"),
            Self::Member { .. } => Verdict::failed("transport-member").hint(
                "check that the file is complete, and that it is of the kind before the colon",
            ),
            Self::Invalid { .. } => Verdict::failed("transport-invalid"),
            Self::Choice { .. } => Verdict::usage("transport-choice")
                .hint("name the image after a colon: `oci:DIR:TAG`, `docker-archive:FILE:REF`"),
            Self::Manifest(error) => error.verdict(),
            Self::Store(error) => error.verdict(),
            Self::Archive(error) => error.verdict(),
        }
    }
}

impl Explain for ArchiveError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Store(error) => error.verdict(),
            Self::Length { .. } => Verdict::failed("archive-length")
                .hint("run `aicage cache verify --fix`, then try again"),
            Self::Write { source } => Verdict::system("archive-write", source),
        }
    }
}
