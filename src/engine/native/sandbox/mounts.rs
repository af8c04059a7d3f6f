//! What a step's mounts become in a cage: directories that are filled, caches, memory, and what the program inside does
//! itself.

use std::{
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use assembler::{instruction::Access, sandbox::SandboxError, store::make_private};
use layer::LayerPath;

use super::NativeSandbox;
use crate::engine::{
    native::{
        cage::{CageMount, CageMountKind},
        error::NativeError,
        job::Job,
        kept::CACHES,
        launch::FirstStage,
    },
    step::{
        caches::{Caches, NewCache, Shelf},
        files::{Nonce, StepJob},
        filling::{Filling, archive},
        inside::Inside,
        mounts::{Shown, ShownKind, StepMounts},
    },
};

/// What a step's mounts come to.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) shown: Vec<CageMount>,
    pub(super) inside: Inside,
    /// Held while the caches are used.
    pub(super) locks: Vec<fs_err::File>,
}

impl NativeSandbox<'_> {
    /// Makes what a step's mounts show; `scratch` is where directories of this step alone are.
    pub(super) fn mounts(
        &self,
        job: &StepJob<'_>,
        nonce: &Nonce,
        scratch: &Path,
    ) -> Result<Mounts, SandboxError> {
        let shelf = Directories { sandbox: self };
        let caches = Caches {
            shelf: &shelf,
            runtime: &self.runtime,
            settings: &self.settings,
            say: &|message| self.warn(message),
        };
        let mounts = StepMounts::of(job, nonce, &caches)?;
        let mut begun = Vec::new();
        let shown = mounts
            .shown
            .into_iter()
            .map(|shown| self.show(shown, scratch, &mut begun))
            .collect::<Result<Vec<_>, _>>();
        for cache in begun {
            if shown.is_ok() {
                cache.keep().map_err(|error| self.host(error))?;
            } else if shelf.remove(&cache.volume).is_ok() {
                // If this fails, the mark says the same.
                fs_err::remove_file(&cache.mark).unwrap_or_default();
            }
        }
        Ok(Mounts {
            shown: shown?,
            inside: mounts.inside,
            locks: mounts.locks,
        })
    }

    /// Makes one mount; a cache that has to be filled for it is one of those that were begun.
    fn show(
        &self,
        shown: Shown<'_>,
        scratch: &Path,
        begun: &mut Vec<NewCache>,
    ) -> Result<CageMount, SandboxError> {
        let kind = match shown.kind {
            ShownKind::Files {
                filling,
                file,
                access,
            } => {
                let directory = scratch.join(format!("mount-{}", shown.number));
                self.fill(&filling, &directory)?;
                CageMountKind::Part {
                    directory: directory.into_os_string(),
                    path: file.unwrap_or_default().to_owned(),
                    read_only: access == Access::ReadOnly,
                }
            }
            ShownKind::Cache {
                name, new, access, ..
            } => {
                let directory = self.cache(&name);
                if let Some((cache, filling)) = new {
                    begun.push(cache);
                    self.fill(&filling, &directory)?;
                }
                CageMountKind::Part {
                    directory: directory.into_os_string(),
                    path: String::new(),
                    read_only: access == Access::ReadOnly,
                }
            }
            ShownKind::Memory { size } => {
                let size = size.map(|size| format!(",size={size}")).unwrap_or_default();
                let options = format!("mode=1777{size}");
                CageMountKind::Memory { options }
            }
            ShownKind::Secrets => {
                let options = "noexec,mode=0755".to_owned();
                CageMountKind::Memory { options }
            }
        };
        Ok(CageMount {
            target: shown.target.into(),
            kind,
        })
    }

    fn fill(&self, filling: &Filling<'_>, directory: &Path) -> Result<(), SandboxError> {
        let tar = archive(&self.settings.scratch, |writer| {
            filling.write(writer, &LayerPath::root())
        });
        let tar = tar.map_err(|error| self.host(error))?;
        let job = Job::Fill {
            directory: directory.as_os_str().to_owned(),
        };
        let filled = FirstStage::carry_out(&self.native, &job, &[tar.as_fd()]);
        filled.map(drop).map_err(|error| self.failed(error))
    }

    fn cache(&self, name: &str) -> PathBuf {
        self.native.store.join(CACHES).join(name)
    }

    pub(super) fn host(&self, source: io::Error) -> SandboxError {
        self.failed(NativeError::host("prepare the step")(source))
    }
}

/// Caches are directories in the store.
struct Directories<'a> {
    sandbox: &'a NativeSandbox<'a>,
}

impl Shelf for Directories<'_> {
    fn id(&self) -> &str {
        &self.sandbox.native.info().id
    }

    fn has(&self, name: &str) -> Result<bool, SandboxError> {
        let cache = self.sandbox.cache(name);
        if let Some(caches) = cache.parent() {
            make_private(caches).map_err(|error| self.sandbox.host(error))?;
        }
        Ok(cache.exists())
    }

    fn remove(&self, name: &str) -> Result<(), SandboxError> {
        let job = Job::Remove {
            paths: vec![self.sandbox.cache(name).into_os_string()],
        };
        let removed = FirstStage::carry_out(&self.sandbox.native, &job, &[]);
        removed
            .map(drop)
            .map_err(|error| self.sandbox.failed(error))
    }

    fn host(&self, source: io::Error) -> SandboxError {
        self.sandbox.host(source)
    }
}
