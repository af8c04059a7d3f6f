//! Whiteouts and opaque directories, once all else is there: they speak of lower layers, wherever in the tar they are.

use std::{collections::BTreeSet, os::fd::AsFd as _};

use layer::LayerPath;
use rustix::{
    fs::{FileType, Mode, XattrFlags, fsetxattr, mknodat},
    io::Errno,
};

use super::{BLOCK, OPAQUE, UnpackError, Unpacking};

/// What markers have left behind.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Directories that are only there for markers.
    pub(super) made: BTreeSet<LayerPath>,
    /// The root is opaque.
    pub(super) hides_all: bool,
}

impl Unpacking<'_> {
    /// Makes what whiteouts and opaque markers stand for.
    pub(super) fn mark(&mut self) -> Result<Marked, UnpackError> {
        let mut marked = Marked::default();
        let mut opaque = BTreeSet::new();
        for path in std::mem::take(&mut self.opaques) {
            let Some(path) = self.way(&path, &mut marked)? else {
                continue;
            };
            marked.hides_all |= path.is_root();
            self.make_opaque(&path)?;
            opaque.insert(path);
        }
        let mut whiteouts = std::mem::take(&mut self.whiteouts);
        whiteouts.sort();
        whiteouts.dedup();
        for whiteout in whiteouts {
            let parent = whiteout.parent().unwrap_or_default();
            let Ok(parent) = self.links.resolve(&parent, &whiteout) else {
                continue;
            };
            let Ok(path) = parent.join(whiteout.base_name()) else {
                continue;
            };
            if is_below(&path, &opaque) {
                continue;
            }
            if self.made.contains_key(&path) {
                // Both a directory of its own and none of the lower layers': it shows nothing of theirs.
                self.make_opaque(&path)?;
                opaque.insert(path);
                continue;
            }
            let Some(parent) = self.way(&parent, &mut marked)? else {
                continue;
            };
            let directory = self.open(&parent)?;
            match mknodat(
                &directory,
                path.base_name(),
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            ) {
                Ok(()) => {
                    self.entries += 1;
                }
                // What this layer has there hides what lower ones have.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(UnpackError::io("make the whiteout of", &path, error)),
            }
        }
        Ok(marked)
    }

    /// Makes the directory of a marker, if it is not there; none where this layer has something else in the way, which
    /// hides all that a marker could.
    fn way(
        &mut self,
        directory: &LayerPath,
        marked: &mut Marked,
    ) -> Result<Option<LayerPath>, UnpackError> {
        let Ok(path) = self.links.resolve(directory, directory) else {
            return Ok(None);
        };
        let mut missing = Vec::new();
        let mut above = Some(path.clone());
        while let Some(path) = above.filter(|path| !self.made.contains_key(path)) {
            above = path.parent();
            missing.push(path);
        }
        match self.make_directories(&path, directory) {
            Ok(()) => {
                marked.made.extend(missing);
                Ok(Some(path))
            }
            Err(UnpackError::NotDirectory { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make_opaque(&mut self, path: &LayerPath) -> Result<(), UnpackError> {
        let directory = self.open(path)?;
        self.bytes += BLOCK;
        fsetxattr(directory.as_fd(), OPAQUE, b"y", XattrFlags::empty())
            .map_err(|error| UnpackError::io("make opaque", path, error))
    }
}

fn is_below(path: &LayerPath, opaque: &BTreeSet<LayerPath>) -> bool {
    if opaque.is_empty() {
        return false;
    }
    let mut above = path.parent();
    while let Some(path) = above {
        if opaque.contains(&path) {
            return true;
        }
        above = path.parent();
    }
    false
}
