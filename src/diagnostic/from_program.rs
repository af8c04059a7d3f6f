//! Words for the errors of the program itself.

use super::verdict::{Explain, Verdict};
use crate::{init_program::InitProgramError, printer::PrintError};

impl Explain for PrintError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Stdout(error) => Verdict::system("stdout", error),
            Self::Json(_) => Verdict::failed("json-output"),
        }
    }
}

impl Explain for InitProgramError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Unsupported { .. } => Verdict::usage("architecture-unsupported")
                .hint("choose an image for amd64 or arm64"),
            Self::NotEmbedded { .. } => Verdict::failed("architecture-not-embedded").hint(
                "build aicage again after `rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl`",
            ),
        }
    }
}
