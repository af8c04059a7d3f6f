//! The symbolic links of the layer that is being unpacked, and where they lead.
//!
//! Engines put `in/x` at `usr/x` where the same layer has `in` as a link to `usr`. So do we, but the kernel follows
//! nothing: a path is made free of links here first, and one that is not is refused where it is opened.
//!
//! Invariant: what comes out is a path of the layer, whatever the links say: a target that begins with `/` begins at the
//! layer's root, and `..` ends there.

use std::collections::{BTreeMap, VecDeque};

use layer::LayerPath;

use super::UnpackError;

/// How many links may lead to one place; Linux has the same bound.
const MOST: usize = 40;
/// The longest path that is followed.
const LONGEST: usize = 4095;

/// Symbolic links by path.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<LayerPath, Vec<u8>>);

impl Links {
    pub(super) fn insert(&mut self, path: LayerPath, target: Vec<u8>) {
        self.0.insert(path, target);
    }

    pub(super) fn get(&self, path: &LayerPath) -> Option<&Vec<u8>> {
        self.0.get(path)
    }

    /// Forgets what is at a path and below it.
    pub(super) fn forget(&mut self, path: &LayerPath) {
        let gone: Vec<LayerPath> = self
            .0
            .range(path..)
            .take_while(|(there, _)| there.starts_with(path))
            .map(|(there, _)| there.clone())
            .collect();
        for path in gone {
            self.0.remove(&path);
        }
    }

    /// Returns a directory's path without links; `whose` is named in errors.
    pub(super) fn resolve(
        &self,
        directory: &LayerPath,
        whose: &LayerPath,
    ) -> Result<LayerPath, UnpackError> {
        if self.0.is_empty() || directory.is_root() {
            return Ok(directory.clone());
        }
        let circle = || UnpackError::Circle {
            path: whose.clone(),
        };
        let mut left: VecDeque<Vec<u8>> = components(directory.as_bytes()).collect();
        let mut here = LayerPath::root();
        let mut followed = 0;
        while let Some(name) = left.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    here = here.parent().unwrap_or_default();
                    continue;
                }
                _ => {}
            }
            let next = here.join(&name).map_err(|source| UnpackError::Astray {
                path: whose.clone(),
                source,
            })?;
            let Some(target) = self.0.get(&next) else {
                here = next;
                if here.as_bytes().len() > LONGEST {
                    return Err(circle());
                }
                continue;
            };
            followed += 1;
            if followed > MOST {
                return Err(circle());
            }
            if target.first() == Some(&b'/') {
                here = LayerPath::root();
            }
            for name in components(target).rev() {
                left.push_front(name);
            }
        }
        Ok(here)
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec)
}
