//! What a step's mounts come to, whatever makes them: directories that are filled, caches, memory, and what the program
//! inside does itself.
//!
//! A secret is a file in memory; where it cannot be at its own place there is a link to it.

use std::collections::BTreeMap;

use assembler::{
    instruction::{Access, MountKind, StepMount},
    sandbox::{SandboxError, Task},
};
use layer::{LayerPath, PathIndex};

use super::{
    caches::{Caches, NewCache, Taken},
    files::{Nonce, StepJob},
    filling::Filling,
    inside::{Inside, Placed, SecretFile},
};

/// Where secrets are by default; nothing else is.
const SECRETS: &str = "/run/secrets";

/// A step's mounts; nothing of them is made yet.
#[derive(Default)]
pub(crate) struct StepMounts<'a> {
    /// In the order in which they are mounted.
    pub(crate) shown: Vec<Shown<'a>>,
    pub(crate) inside: Inside,
    /// Held while the caches are used.
    pub(crate) locks: Vec<fs_err::File>,
}

/// Something that is seen inside.
pub(crate) struct Shown<'a> {
    /// Tells it from the step's other mounts.
    pub(crate) number: usize,
    /// Where, absolute.
    pub(crate) target: String,
    pub(crate) kind: ShownKind<'a>,
}

/// What is seen.
pub(crate) enum ShownKind<'a> {
    /// A directory that this step alone has, or one file in it.
    Files {
        filling: Filling<'a>,
        file: Option<&'a str>,
        access: Access,
    },
    /// A cache.
    Cache {
        /// What it is kept as.
        name: String,
        /// What it is called.
        id: &'a str,
        /// How it is filled, where that is to be done first.
        new: Option<(NewCache, Filling<'a>)>,
        access: Access,
    },
    /// A directory in memory of at most so many bytes.
    Memory { size: Option<u64> },
    /// The directory in memory where secrets are.
    Secrets,
}

impl<'a> StepMounts<'a> {
    /// Decides what each mount is, after taking the caches.
    pub(crate) fn of(
        job: &StepJob<'a>,
        nonce: &Nonce,
        caches: &Caches<'_>,
    ) -> Result<Self, SandboxError> {
        let Task::Instructions {
            mounts, secrets, ..
        } = job.request.task
        else {
            return Ok(Self::default());
        };
        let mut made = Self::default();
        if !mounts.is_empty() {
            let index = PathIndex::from_bytes(&job.index);
            let index = index.map_err(|error| SandboxError::Step {
                reason: error.to_string(),
            })?;
            let mut taken = caches.take(mounts)?;
            for (number, mount) in mounts.iter().enumerate() {
                made.add((number, mount), (&index, nonce), &mut taken);
            }
            made.locks
                .extend(taken.into_values().map(|taken| taken.lock));
        }
        made.inside.add_variables(secrets);
        Ok(made)
    }

    fn add(
        &mut self,
        (number, mount): (usize, &'a StepMount),
        ground: (&PathIndex, &Nonce),
        taken: &mut BTreeMap<String, Taken>,
    ) {
        let mut target = format!("/{}", mount.target.trim_matches('/'));
        let kind = match &mount.kind {
            MountKind::Bind { tar, file, access } => ShownKind::Files {
                filling: Filling::of_files(tar),
                file: file.as_deref(),
                access: *access,
            },
            MountKind::Cache {
                id,
                access,
                mode,
                uid,
                gid,
                seed,
                ..
            } => {
                let Some(taken) = taken.get_mut(id) else {
                    return;
                };
                let filling = || Filling::of_cache(seed.as_ref(), *mode, (*uid, *gid));
                ShownKind::Cache {
                    name: taken.volume.clone(),
                    id,
                    new: taken.new.take().map(|new| (new, filling())),
                    access: *access,
                }
            }
            MountKind::Tmpfs { size } => ShownKind::Memory { size: *size },
            MountKind::Secret {
                content,
                mode,
                uid,
                gid,
            } => {
                let (directory, path) = self.secret_place(target, number, ground);
                let file = SecretFile {
                    path,
                    size: content.expose().len() as u64,
                    mode: *mode,
                    uid: *uid,
                    gid: *gid,
                };
                self.inside.add_secret(file, content);
                if self.has_secrets(&directory) {
                    return;
                }
                target = directory;
                ShownKind::Secrets
            }
        };
        self.shown.push(Shown {
            number,
            target,
            kind,
        });
    }

    fn has_secrets(&self, directory: &str) -> bool {
        self.shown
            .iter()
            .any(|shown| shown.target == directory && matches!(shown.kind, ShownKind::Secrets))
    }

    /// Returns the directory in memory where a secret is kept and its path there, and has it seen at its place.
    fn secret_place(
        &mut self,
        target: String,
        number: usize,
        (index, nonce): (&PathIndex, &Nonce),
    ) -> (String, String) {
        let path = LayerPath::new(SECRETS.trim_start_matches('/')).expect("it is a plain path");
        let by_itself = target
            .strip_prefix(SECRETS)
            .and_then(|name| name.strip_prefix('/'))
            .is_some_and(|name| !name.contains('/') && name != "..");
        if by_itself && index.get(&path).is_none() {
            return (SECRETS.to_owned(), target);
        }
        let directory = format!("{}-secrets", nonce.directory());
        let place = format!("{directory}/{number}");
        self.inside.placed.push(Placed {
            target,
            from: place.clone(),
            copy: false,
        });
        (directory, place)
    }
}
