//! What a step's mounts become in a cage: directories that are filled, caches, memory, and what the program inside does
//! itself.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, BufWriter, Seek as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use assembler::{
    instruction::{Access, MountKind, StepMount},
    sandbox::{SandboxError, Task},
};
use layer::{Entry, LayerPath, PathIndex, tar::LayerWriter};

use super::NativeSandbox;
use crate::engine::{
    native::{
        cage::{CageMount, CageMountKind},
        error::NativeError,
        job::Job,
        launch::Helper,
        scratch::private,
    },
    step::{
        Inside, Placed, SecretFile,
        caches::{Caches, NewCache, Shelf, Taken},
        files::{Nonce, StepJob},
        filling::Filling,
    },
};

/// Where secrets are by default; nothing else is.
const SECRETS: &str = "/run/secrets";
/// Where caches are, in the store.
const CACHES: &str = "caches";

/// What a step's mounts come to.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) shown: Vec<CageMount>,
    pub(super) inside: Inside,
    /// Held while the caches are used.
    pub(super) locks: Vec<fs_err::File>,
}

/// What mounts are made with.
struct Maker<'a> {
    sandbox: &'a NativeSandbox<'a>,
    /// Where directories of this step alone are.
    scratch: &'a Path,
    index: PathIndex,
    nonce: &'a str,
    made: Mounts,
    new: Vec<NewCache>,
}

impl NativeSandbox<'_> {
    /// Makes what a step's mounts show.
    pub(super) fn mounts(
        &self,
        job: &StepJob<'_>,
        nonce: &Nonce,
        scratch: &Path,
    ) -> Result<Mounts, SandboxError> {
        let Task::Instructions {
            mounts, secrets, ..
        } = job.request.task
        else {
            return Ok(Mounts::default());
        };
        let index = PathIndex::from_bytes(&job.index).map_err(|error| SandboxError::Step {
            reason: error.to_string(),
        })?;
        let mut maker = Maker {
            sandbox: self,
            scratch,
            index,
            nonce: nonce.text(),
            made: Mounts::default(),
            new: Vec::new(),
        };
        let made = maker.make(mounts);
        match made {
            Ok(()) => {
                for cache in maker.new {
                    cache.keep().map_err(|error| self.host(error))?;
                }
            }
            Err(error) => {
                let shelf = Directories { sandbox: self };
                for cache in maker.new {
                    // If this fails, the mark says the same.
                    if shelf.remove(&cache.volume).is_ok() {
                        fs_err::remove_file(&cache.mark).unwrap_or_default();
                    }
                }
                return Err(error);
            }
        }
        let mut made = maker.made;
        made.inside.add_variables(secrets);
        Ok(made)
    }
}

impl Maker<'_> {
    fn make(&mut self, mounts: &[StepMount]) -> Result<(), SandboxError> {
        let shelf = Directories {
            sandbox: self.sandbox,
        };
        let settings = &self.sandbox.settings;
        let caches = Caches {
            shelf: &shelf,
            runtime: &self.sandbox.runtime,
            interrupt: &settings.interrupt,
            locks: settings.locks.clone(),
            say: &|message| self.sandbox.warn(message),
        };
        let mut caches = caches.take(mounts)?;
        for (number, mount) in mounts.iter().enumerate() {
            let target = format!("/{}", mount.target.trim_matches('/'));
            match &mount.kind {
                MountKind::Bind { tar, file, access } => {
                    let directory = self.scratch.join(format!("mount-{number}"));
                    let filling = Filling {
                        volume: String::new(),
                        tar: Some(tar),
                        root: Entry::directory(LayerPath::root(), 0o755),
                    };
                    self.fill(&filling, &directory)?;
                    self.show(
                        target,
                        CageMountKind::Part {
                            directory: directory.into_os_string(),
                            path: file.clone().unwrap_or_default(),
                            read_only: *access == Access::ReadOnly,
                        },
                    );
                }
                MountKind::Cache { .. } => self.cache((&mount.kind, target), &mut caches)?,
                MountKind::Tmpfs { size } => {
                    let size = size.map(|size| format!(",size={size}")).unwrap_or_default();
                    let options = format!("mode=1777{size}");
                    self.show(target, CageMountKind::Memory { options });
                }
                MountKind::Secret {
                    content,
                    mode,
                    uid,
                    gid,
                } => {
                    let path = self.secret_place(&target, number);
                    self.made.inside.secrets.push(SecretFile {
                        path,
                        size: content.expose().len() as u64,
                        mode: *mode,
                        uid: *uid,
                        gid: *gid,
                    });
                    let sealed = &mut self.made.inside.sealed.0;
                    sealed.extend_from_slice(content.expose());
                }
            }
        }
        let locks = caches.into_values().map(|taken| taken.lock);
        self.made.locks.extend(locks);
        Ok(())
    }

    fn show(&mut self, target: String, kind: CageMountKind) {
        let target = OsString::from(target);
        self.made.shown.push(CageMount { target, kind });
    }

    /// Returns where in memory a secret is kept, and has it seen at its place.
    fn secret_place(&mut self, target: &str, number: usize) -> String {
        let options = "noexec,mode=0755".to_owned();
        let path = LayerPath::new(SECRETS.trim_start_matches('/')).expect("it is a plain path");
        let by_itself = target
            .strip_prefix(SECRETS)
            .and_then(|name| name.strip_prefix('/'))
            .is_some_and(|name| !name.contains('/') && name != "..");
        let is_usual = by_itself && self.index.get(&path).is_none();
        let directory = if is_usual {
            SECRETS.to_owned()
        } else {
            format!("/.aicage-{}-secrets", self.nonce)
        };
        let is_there = |mount: &CageMount| mount.target == *directory;
        if !self.made.shown.iter().any(is_there) {
            self.show(directory.clone(), CageMountKind::Memory { options });
        }
        if is_usual {
            return target.to_owned();
        }
        let place = format!("{directory}/{number}");
        self.made.inside.placed.push(Placed {
            target: target.to_owned(),
            from: place.clone(),
            copy: false,
        });
        place
    }

    /// Shows a cache, filled where that is to be done.
    fn cache(
        &mut self,
        (kind, target): (&MountKind, String),
        taken: &mut BTreeMap<String, Taken>,
    ) -> Result<(), SandboxError> {
        let MountKind::Cache {
            id,
            access,
            mode,
            uid,
            gid,
            seed,
            ..
        } = kind
        else {
            return Ok(());
        };
        let Some(taken) = taken.get_mut(id) else {
            return Ok(());
        };
        let directory = self.sandbox.cache(&taken.volume);
        if let Some(new) = taken.new.take() {
            let mut root = Entry::directory(LayerPath::root(), *mode & 0o7777);
            (root.uid, root.gid) = (u64::from(*uid), u64::from(*gid));
            // Noted first: what is not filled is removed.
            self.new.push(new);
            let filling = Filling {
                volume: String::new(),
                tar: seed.as_ref(),
                root,
            };
            self.fill(&filling, &directory)?;
        }
        self.show(
            target,
            CageMountKind::Part {
                directory: directory.into_os_string(),
                path: String::new(),
                read_only: *access == Access::ReadOnly,
            },
        );
        Ok(())
    }

    fn fill(&self, filling: &Filling<'_>, directory: &Path) -> Result<(), SandboxError> {
        let tar = self
            .archive(filling)
            .map_err(|error| self.sandbox.host(error))?;
        let job = Job::Fill {
            directory: directory.as_os_str().to_owned(),
        };
        let filled = Helper::carry_out(&self.sandbox.native, &job, &[tar.as_fd()]);
        filled.map(drop).map_err(|error| self.sandbox.failed(error))
    }

    fn archive(&self, filling: &Filling<'_>) -> io::Result<OwnedFd> {
        let scratch = &self.sandbox.settings.scratch;
        fs_err::create_dir_all(scratch)?;
        let mut file = tempfile::tempfile_in(scratch)?;
        let mut writer = LayerWriter::new(BufWriter::with_capacity(1 << 18, &mut file));
        filling.write(&mut writer, &LayerPath::root())?;
        let mut buffer = writer.finish().map_err(io::Error::other)?;
        buffer.flush()?;
        drop(buffer);
        file.rewind()?;
        Ok(file.into())
    }
}

impl NativeSandbox<'_> {
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
            private(caches).map_err(|error| self.sandbox.host(error))?;
        }
        Ok(cache.exists())
    }

    fn remove(&self, name: &str) -> Result<(), SandboxError> {
        let job = Job::Remove {
            paths: vec![self.sandbox.cache(name).into_os_string()],
        };
        let removed = Helper::carry_out(&self.sandbox.native, &job, &[]);
        removed
            .map(drop)
            .map_err(|error| self.sandbox.failed(error))
    }

    fn host(&self, source: io::Error) -> SandboxError {
        self.sandbox.host(source)
    }
}
