//! The caches of a step: which volume stands for each, who may use it at once, and whether it is filled.
//!
//! Invariants: a step takes each cache once and all in the order of their names, so that no two steps wait for each
//! other. A cache is filled by one step while no other has it; until that is done a mark says so, and whoever finds the
//! mark later begins anew.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use assembler::{
    instruction::{MountKind, Sharing, StepMount},
    sandbox::SandboxError,
};

use super::SandboxSettings;
use crate::clock;

/// What the names of caches begin with.
const CACHE_NAME: &str = "aicage-cache-";

/// Where an engine keeps caches.
pub(crate) trait Shelf {
    /// Names the engine: what is whole in one is not in another.
    fn id(&self) -> &str;
    /// Tells whether a cache is there.
    fn has(&self, name: &str) -> Result<bool, SandboxError>;
    /// Removes one.
    fn remove(&self, name: &str) -> Result<(), SandboxError>;
    /// Says that something of this machine failed.
    fn host(&self, source: io::Error) -> SandboxError;
}

/// A cache that is not filled yet, held alone.
#[derive(Debug)]
pub(crate) struct NewCache {
    pub(crate) volume: String,
    /// The file that says so.
    pub(crate) mark: PathBuf,
    /// Its lock, if others may use it as soon as it is filled.
    pub(crate) shared: Option<fs_err::File>,
}

impl NewCache {
    /// It is whole: from now on it is used as it is. May wait for others that took it just now.
    pub(crate) fn keep(self) -> io::Result<()> {
        fs_err::remove_file(&self.mark)?;
        match self.shared {
            Some(lock) => lock.lock_shared(),
            None => Ok(()),
        }
    }
}

/// Returns the name under which a cache is kept; `number` tells several caches of one name apart.
fn cache_name(id: &str, number: u32) -> String {
    let digest = assembler::digest::Digest::of(id.as_bytes()).hex();
    let short = digest.get(..20).unwrap_or(&digest);
    if number == 0 {
        format!("{CACHE_NAME}{short}")
    } else {
        format!("{CACHE_NAME}{short}-{number}")
    }
}

/// How often a cache that is in use is tried again.
const PATIENCE: Duration = Duration::from_millis(100);
/// After how many tries it is said what is waited for.
const SILENT: u32 = 10;
/// As many caches of one name as are used at once.
const CACHES: u32 = 64;

/// What caches are taken with.
pub(crate) struct Caches<'a> {
    pub(crate) shelf: &'a dyn Shelf,
    pub(crate) runtime: &'a tokio::runtime::Handle,
    /// Where the locks and the marks are, and what ends the waiting.
    pub(crate) settings: &'a SandboxSettings,
    /// Says something to the user.
    pub(crate) say: &'a dyn Fn(&str),
}

/// A cache that is this step's until the lock is dropped.
pub(crate) struct Taken {
    pub(crate) volume: String,
    pub(crate) lock: fs_err::File,
    /// What it takes to fill it, if that is to be done.
    pub(crate) new: Option<NewCache>,
}

/// How a cache is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Alone,
    Together,
}

impl Caches<'_> {
    /// Takes all caches that the mounts name.
    pub(crate) fn take(
        &self,
        mounts: &[StepMount],
    ) -> Result<BTreeMap<String, Taken>, SandboxError> {
        let mut wanted: BTreeMap<&str, Sharing> = BTreeMap::new();
        for mount in mounts {
            if let MountKind::Cache { id, sharing, .. } = &mount.kind {
                let so_far = wanted.entry(id).or_insert(*sharing);
                *so_far = stricter(*so_far, *sharing);
            }
        }
        let mut taken = BTreeMap::new();
        for (id, sharing) in wanted {
            taken.insert(id.to_owned(), self.take_one(id, sharing)?);
        }
        Ok(taken)
    }

    fn take_one(&self, id: &str, sharing: Sharing) -> Result<Taken, SandboxError> {
        fs_err::create_dir_all(self.locks()).map_err(|error| self.host(error))?;
        let usual = match sharing {
            Sharing::Shared => Hold::Together,
            Sharing::Private | Sharing::Locked => Hold::Alone,
        };
        let (mut hold, mut number, mut tries) = (usual, 0, 0);
        loop {
            let volume = cache_name(id, number);
            if let Some(lock) = self.try_lock(&volume, hold)? {
                let mark = self.mark(&volume);
                let is_begun = mark.exists();
                let there = self.shelf.has(&volume)?;
                match (there && !is_begun, hold == usual, hold) {
                    (true, true, _) => {
                        return Ok(Taken {
                            volume,
                            lock,
                            new: None,
                        });
                    }
                    // Somebody else has filled it meanwhile.
                    (true, false, _) => hold = usual,
                    (false, _, Hold::Together) => hold = Hold::Alone,
                    (false, _, Hold::Alone) => {
                        self.begin((&volume, there), &mark)?;
                        let shared = match usual {
                            Hold::Together => Some(lock.try_clone()),
                            Hold::Alone => None,
                        };
                        let new = Some(NewCache {
                            volume: volume.clone(),
                            mark,
                            shared: shared.transpose().map_err(|error| self.host(error))?,
                        });
                        return Ok(Taken { volume, lock, new });
                    }
                }
                continue;
            }
            if sharing == Sharing::Private {
                number = (number + 1) % CACHES;
                if number != 0 {
                    continue;
                }
            }
            tries += 1;
            if tries == SILENT {
                (self.say)(&format!(
                    "waiting for another build to be done with the cache `{id}`"
                ));
            }
            self.pause()?;
        }
    }

    /// Marks a cache as not filled, and removes what somebody did not get done.
    fn begin(&self, (volume, there): (&str, bool), mark: &Path) -> Result<(), SandboxError> {
        fs_err::write(mark, "").map_err(|error| self.host(error))?;
        if there {
            self.shelf.remove(volume)?;
        }
        Ok(())
    }

    fn try_lock(&self, volume: &str, hold: Hold) -> Result<Option<fs_err::File>, SandboxError> {
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.locks().join(volume));
        let file = file.map_err(|error| self.host(error))?;
        let locked = match hold {
            Hold::Together => file.try_lock_shared(),
            Hold::Alone => file.try_lock(),
        };
        match locked {
            Ok(()) => {
                used_now(&file);
                Ok(Some(file))
            }
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(self.host(error)),
        }
    }

    /// Returns the file that is there while a cache of this engine is being filled.
    fn mark(&self, volume: &str) -> PathBuf {
        let engine = assembler::digest::Digest::of(self.shelf.id().as_bytes());
        self.locks().join(format!("{volume}.{}", engine.short()))
    }

    fn pause(&self) -> Result<(), SandboxError> {
        let stopped = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.settings.interrupt.cancelled())
                .await
                .is_ok()
        });
        if stopped {
            return Err(SandboxError::Interrupted);
        }
        Ok(())
    }

    fn locks(&self) -> &Path {
        &self.settings.locks
    }

    fn host(&self, source: io::Error) -> SandboxError {
        self.shelf.host(source)
    }
}

/// Notes when a cache was used last: its lock has that time. Not knowing it is no reason to fail.
fn used_now(lock: &fs_err::File) {
    if let Ok(now) = clock::system(&clock::now()) {
        lock.set_modified(now).unwrap_or_default();
    }
}

/// Returns what serves both when a step names one cache twice.
fn stricter(one: Sharing, other: Sharing) -> Sharing {
    match (one, other) {
        (Sharing::Locked, _) | (_, Sharing::Locked) => Sharing::Locked,
        (Sharing::Private, _) | (_, Sharing::Private) => Sharing::Private,
        (Sharing::Shared, Sharing::Shared) => Sharing::Shared,
    }
}
