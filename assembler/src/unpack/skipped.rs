//! What a layer says and an unpacked one does not have.

use layer::LayerPath;

/// How many are named; the rest is counted.
const NAMED: usize = 1000;

/// Something that was not unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Whose it is.
    pub path: LayerPath,
    /// What it is.
    pub reason: SkipReason,
}

/// What was not unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// A device node: containers have a `/dev` of their own, and only the host's root can make one.
    Device,
    /// A hard link to something that was skipped.
    LinkToSkipped,
    /// An extended attribute that cannot be set here.
    Attribute {
        /// Its name, made printable.
        name: String,
    },
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        match &self.reason {
            SkipReason::Device => write!(f, "{path} is a device, which is not unpacked"),
            SkipReason::LinkToSkipped => {
                write!(
                    f,
                    "{path} is a hard link to a device, which is not unpacked"
                )
            }
            SkipReason::Attribute { name } => {
                write!(f, "attribute {name} of {path} cannot be set here")
            }
        }
    }
}

/// What was skipped so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skips {
    /// The first ones.
    pub first: Vec<Skipped>,
    /// How many there are beyond those.
    pub more: u64,
}

impl Skips {
    pub(super) fn add(&mut self, path: &LayerPath, reason: SkipReason) {
        if self.first.len() < NAMED {
            self.first.push(Skipped {
                path: path.clone(),
                reason,
            });
        } else {
            self.more += 1;
        }
    }
}
