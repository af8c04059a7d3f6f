//! Words for the errors of `aicage-layer`.

use layer::{
    PathError,
    tar::{ReadError, RecanonicaliseError, WriteError},
};

use super::verdict::{Explain, Verdict};

/// What helps when an image that others made has a broken layer.
const OTHERS_LAYER: &str = "whoever published the image has to repair it; try another tag";
/// What helps when what a container sent is not a layer.
const CAPTURE: &str = "the container or its engine may have been stopped in the middle; try again";

impl Explain for PathError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Absolute { .. } => {
                Verdict::usage("path-absolute").hint("write the path without the leading `/`")
            }
            Self::ParentComponent { .. } => {
                Verdict::usage("path-leaves").hint("write the path without `..`")
            }
            Self::Nul { .. } => Verdict::usage("path-nul"),
            Self::Reserved { .. } => Verdict::failed("path-reserved").hint(
                "images cannot hold files whose names start with `.wh.`; let the script remove them",
            ),
        }
    }
}

impl Explain for ReadError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Io { source } => Verdict::system("layer-read", source),
            Self::Truncated { .. } => Verdict::failed("layer-cut-off").hint(CAPTURE),
            Self::Header { .. } => Verdict::failed("layer-not-tar").hint(OTHERS_LAYER),
            Self::Entry { .. } => Verdict::failed("layer-entry-refused").hint(OTHERS_LAYER),
            Self::Path { source } => Verdict::failed(source.verdict().code).hint(OTHERS_LAYER),
            Self::Limit { .. } => Verdict::failed("layer-too-large")
                .hint("let the script remove what it does not need before it ends"),
        }
    }
}

impl Explain for WriteError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Io { source } => Verdict::system("layer-write", source),
            Self::Content { source, .. } => Verdict::system("layer-content", source),
            Self::ShortContent { .. } | Self::LongContent { .. } => {
                Verdict::failed("layer-content-changed").hint(CAPTURE)
            }
            Self::Unsorted { .. }
            | Self::Duplicate { .. }
            | Self::NoDirectory { .. }
            | Self::RemovedAndPut { .. }
            | Self::DanglingLink { .. } => Verdict::failed("layer-not-canonical").hint(
                "what came out of the container was not written by our program there; look at what the script replaced",
            ),
            Self::Unrepresentable { .. } => Verdict::failed("layer-unrepresentable")
                .hint("let the script remove or rename that file before it ends"),
        }
    }
}

impl Explain for RecanonicaliseError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Read(error) => error.verdict(),
            Self::Write(error) => error.verdict(),
            Self::NoEnd => Verdict::failed("capture-cut-off").hint(CAPTURE),
            Self::Trailing => Verdict::failed("capture-trailing").hint(CAPTURE),
            Self::Io { source } => Verdict::system("capture-read", source),
        }
    }
}
