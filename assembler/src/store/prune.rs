//! Removing what nothing needs any more.
//!
//! Kept whatever its age: every named image with its blobs, what it was built on (so that it can be built again without a
//! network), images the policy names, what Dockerfiles of named images gave with the
//! documents of the images that they name, and what engines were given. A step's layer is kept for [`PrunePolicy::keep_layers`]
//! since it was last used. Everything else goes once it is older than [`PrunePolicy::older_than`]: blobs, parts, what a
//! registry said of names that no image is built on, what damage left. What a registry said keeps no blob alive.
//! Unpacked layers go as the layers do, but for those that somebody lives in.
//!
//! Invariant: a record goes before what it speaks of, so a prune that is killed leaves nothing that points nowhere.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;

use super::{
    BlobStore, Doing, ExclusiveLock, KeptDockerfile, KeptLayer, RECORDS, RemoteRecord, StoreError,
    mark::Marked,
    name,
    record::{DAMAGED, Look, look_at_record},
    rootfs::{Found, InMapping, remove_unpacked, unpacked_bytes},
    tree::CHAIN,
};
use crate::digest::{ChainId, DiffId, Digest};

/// What a prune may remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePolicy {
    /// The time.
    pub now: SystemTime,
    /// What is younger stays even if nothing needs it: somebody may be about to.
    pub older_than: Duration,
    /// How long a step's layer stays after its last use, though no image has it.
    pub keep_layers: Duration,
    /// Manifests that stay though nothing names them.
    pub keep: BTreeSet<Digest>,
}

/// What a prune would remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePlan {
    policy: PrunePolicy,
    /// What goes, in the order in which it goes.
    pub items: Vec<Prunable>,
}

/// One file that goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prunable {
    /// What it is.
    pub kind: PruneKind,
    /// Where it is.
    pub path: PathBuf,
    /// How much room it takes.
    pub bytes: u64,
}

/// What a file that goes is, in the order in which they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruneKind {
    /// What a Dockerfile gave, not used for long.
    KeptDockerfile,
    /// A step's layer that was not used for long.
    KeptLayer,
    /// What a registry said of a name.
    Remote,
    /// What is known of a blob that goes or is gone.
    Facts,
    /// A path index.
    Tree,
    /// A download that nobody went on with.
    Part,
    /// What a killed process was writing.
    Temporary,
    /// What could not be read and was set aside.
    Damaged,
    /// An unpacked layer, or what a killed process left of one.
    Unpacked,
    /// Content.
    Blob,
}

impl PrunePlan {
    /// Returns how much room becomes free.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).sum()
    }
}

impl BlobStore {
    /// Finds what a prune would remove, and removes nothing.
    pub fn prune_plan(&self, policy: &PrunePolicy) -> Result<PrunePlan, StoreError> {
        let mut roots = self.roots()?;
        roots.extend(&policy.keep);
        let marked = self.mark(&roots)?;
        let mut plan = Planner {
            store: self,
            policy,
            marked,
            items: Vec::new(),
        };
        plan.dockerfiles()?;
        plan.kept_layers()?;
        plan.remotes()?;
        let blobs = plan.blobs()?;
        plan.facts(&blobs)?;
        plan.trees()?;
        plan.ingest()?;
        plan.damaged()?;
        plan.rootfs()?;
        let mut items = plan.items;
        items.sort();
        Ok(PrunePlan {
            policy: policy.clone(),
            items,
        })
    }

    /// Removes what a plan names, as far as it is still unneeded now that nobody else uses the store; unpacked layers with
    /// the help of a process `inside` their id mapping.
    pub fn prune_apply(
        &self,
        _lock: &ExclusiveLock,
        plan: &PrunePlan,
        inside: &dyn InMapping,
    ) -> Result<PrunePlan, StoreError> {
        let planned: BTreeSet<&Path> = plan.items.iter().map(|item| item.path.as_path()).collect();
        let mut now = self.prune_plan(&plan.policy)?;
        now.items
            .retain(|item| planned.contains(item.path.as_path()));
        let mut failed = None;
        for item in &now.items {
            if item.kind == PruneKind::Unpacked {
                // One that cannot be removed, because its mapping is gone, keeps nothing else from going.
                let removed = remove_unpacked(&item.path, inside);
                failed = failed.or(removed.err());
                continue;
            }
            match fs::remove_file(&item.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(Doing::Remove, &item.path, error));
                }
                _ => {}
            }
        }
        failed.map_or(Ok(now), Err)
    }
}

struct Planner<'a> {
    store: &'a BlobStore,
    policy: &'a PrunePolicy,
    marked: Marked,
    items: Vec<Prunable>,
}

impl Planner<'_> {
    /// What a Dockerfile gave marks its layers and its documents; so this comes before layers.
    fn dockerfiles(&mut self) -> Result<(), StoreError> {
        let mut keys = BTreeSet::new();
        for record in self
            .store
            .tags()?
            .into_iter()
            .flat_map(|tag| tag.dockerfiles)
        {
            keys.insert(self.store.kept_dockerfile_path(&record.key));
            for image in record.images.values() {
                self.store.mark_documents(image, &mut self.marked)?;
            }
        }
        for path in self.records("dockerfiles")? {
            let Look::Whole(kept) = look_at_record::<KeptDockerfile>(&path)? else {
                continue;
            };
            if keys.contains(&path) || !self.is_older(&path, self.policy.keep_layers)? {
                self.store.mark_documents(&kept.image, &mut self.marked)?;
                for layer in kept.layers {
                    self.marked.blobs.insert(layer.layer.digest);
                    self.marked.diff_ids.insert(layer.diff_id);
                }
            } else {
                self.remove(PruneKind::KeptDockerfile, path)?;
            }
        }
        Ok(())
    }

    /// A kept layer that stays marks its blob; so this comes before blobs.
    fn kept_layers(&mut self) -> Result<(), StoreError> {
        for path in self.records("layers")? {
            let Look::Whole(kept) = look_at_record::<KeptLayer>(&path)? else {
                continue;
            };
            let there = self.store.has(&kept.layer)?;
            let needed = self.marked.blobs.contains(&kept.layer.digest);
            if there && (needed || !self.is_older(&path, self.policy.keep_layers)?) {
                self.marked.blobs.insert(kept.layer.digest);
                self.marked.diff_ids.insert(kept.diff_id);
            } else {
                self.remove(PruneKind::KeptLayer, path)?;
            }
        }
        Ok(())
    }

    fn remotes(&mut self) -> Result<(), StoreError> {
        let mut names = BTreeSet::new();
        for record in self.store.tags()? {
            let base = record.base.map(|base| base.reference);
            names.extend(base.and_then(|base| base.parse().ok()));
            names.insert(record.reference);
            for dockerfile in record.dockerfiles {
                names.extend(
                    dockerfile
                        .images
                        .keys()
                        .filter_map(|name| name.parse().ok()),
                );
            }
        }
        for path in self.records("remote")? {
            if let Look::Whole(record) = look_at_record::<RemoteRecord>(&path)?
                && !names.contains(&record.reference)
            {
                self.remove_old(PruneKind::Remote, path)?;
            }
        }
        Ok(())
    }

    /// Returns the blobs that stay.
    fn blobs(&mut self) -> Result<BTreeSet<Digest>, StoreError> {
        let mut stay = BTreeSet::new();
        for algorithm in ["sha256", "sha512"] {
            for path in self.store.list(&format!("blobs/{algorithm}"))? {
                let digest = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .and_then(|hex| format!("{algorithm}:{hex}").parse().ok());
                let needed = digest.is_some_and(|digest| self.marked.blobs.contains(&digest));
                if needed || !self.remove_old(PruneKind::Blob, path)? {
                    stay.extend(digest);
                }
            }
        }
        Ok(stay)
    }

    fn facts(&mut self, blobs: &BTreeSet<Digest>) -> Result<(), StoreError> {
        for path in self.records("facts")? {
            let digest = stem(&path).and_then(name::to_digest);
            if !digest.is_some_and(|digest| blobs.contains(&digest)) {
                self.remove(PruneKind::Facts, path)?;
            }
        }
        Ok(())
    }

    fn trees(&mut self) -> Result<(), StoreError> {
        for path in self.store.list("trees")? {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let needed = match name.strip_prefix(CHAIN) {
                Some(chain) => name::to_digest(chain)
                    .is_some_and(|chain| self.marked.chains.contains(&ChainId::new(chain))),
                None => name::to_digest(name)
                    .is_some_and(|diff_id| self.marked.diff_ids.contains(&DiffId::new(diff_id))),
            };
            if !needed && !is_damaged(&path) {
                self.remove_old(PruneKind::Tree, path)?;
            }
        }
        Ok(())
    }

    fn ingest(&mut self) -> Result<(), StoreError> {
        for path in self.store.list("ingest")? {
            if path
                .extension()
                .is_some_and(|extension| extension == "part")
            {
                self.remove_old(PruneKind::Part, path)?;
            } else {
                self.remove_old(PruneKind::Temporary, path)?;
            }
        }
        Ok(())
    }

    fn damaged(&mut self) -> Result<(), StoreError> {
        for directory in RECORDS {
            for path in self.store.list(directory)? {
                if is_damaged(&path) {
                    self.remove_old(PruneKind::Damaged, path)?;
                }
            }
        }
        Ok(())
    }

    fn rootfs(&mut self) -> Result<(), StoreError> {
        for (found, path, aged) in self.store.unneeded_rootfs(&self.marked)? {
            if !self.is_older(&aged, self.policy.older_than)? {
                continue;
            }
            match found {
                Found::Tree => self.items.push(Prunable {
                    kind: PruneKind::Unpacked,
                    bytes: unpacked_bytes(&path),
                    path,
                }),
                Found::File => self.remove(PruneKind::Temporary, path)?,
            }
        }
        Ok(())
    }

    fn records(&self, directory: &str) -> Result<Vec<PathBuf>, StoreError> {
        let mut paths = self.store.list(directory)?;
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
        Ok(paths)
    }

    /// Plans to remove a file if it is old enough; tells whether it is.
    fn remove_old(&mut self, kind: PruneKind, path: PathBuf) -> Result<bool, StoreError> {
        let old = self.is_older(&path, self.policy.older_than)?;
        if old {
            self.remove(kind, path)?;
        }
        Ok(old)
    }

    fn remove(&mut self, kind: PruneKind, path: PathBuf) -> Result<(), StoreError> {
        if let Some(metadata) = metadata(&path)? {
            self.items.push(Prunable {
                kind,
                bytes: metadata.len(),
                path,
            });
        }
        Ok(())
    }

    /// A file from the future is young: clocks are set back sometimes.
    fn is_older(&self, path: &Path, age: Duration) -> Result<bool, StoreError> {
        let modified = metadata(path)?.and_then(|metadata| metadata.modified().ok());
        Ok(modified
            .and_then(|modified| self.policy.now.duration_since(modified).ok())
            .is_some_and(|found| found >= age))
    }
}

fn metadata(path: &Path) -> Result<Option<std::fs::Metadata>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(Doing::Read, path, error)),
    }
}

fn is_damaged(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == DAMAGED)
}

fn stem(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()
}
