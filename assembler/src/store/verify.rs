//! Checking all that the store holds, to the last bit.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use fs_err as fs;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    BlobStore, Doing, ExclusiveLock, ImageRecord, KeptLayer, LAYOUT, LayerFacts, RemoteRecord,
    SharedLock, StoreError,
    record::{DAMAGED, Look, look_at_record, set_aside},
    tree::look_at_tree,
};
use crate::digest::Digest;

/// How far verifying is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes of blobs that were read.
    pub done: u64,
    /// Bytes of blobs that there are.
    pub total: u64,
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// How many blobs were read.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// What is wrong, in the order of digests and paths.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub enum Problem {
    /// A blob is not what its name says.
    Corrupt {
        /// Its name.
        digest: Digest,
        /// What its content hashes to.
        found: Digest,
        /// How many bytes there are.
        size: u64,
        /// The images that have it.
        images: Vec<String>,
    },
    /// A blob cannot be read.
    Unreadable {
        /// Its name.
        digest: Digest,
        /// What the system said.
        reason: String,
        /// The images that have it.
        images: Vec<String>,
    },
    /// A blob is not there.
    Missing {
        /// Its name.
        digest: Digest,
        /// The images that have it.
        images: Vec<String>,
    },
    /// A file in `blobs/` has a name that is no digest.
    Stray {
        /// Where it is.
        path: PathBuf,
    },
    /// A manifest or config cannot be used.
    Image {
        /// The image's name.
        image: String,
        /// Why not.
        reason: String,
    },
    /// A record cannot be read.
    Record {
        /// Where it is.
        path: PathBuf,
    },
    /// A path index cannot be read; it is made again when it is needed.
    Tree {
        /// Where it is.
        path: PathBuf,
    },
    /// An unpacked layer is not what it was.
    Unpacked {
        /// Where it is.
        path: PathBuf,
        /// What is not as it was.
        differences: Vec<String>,
    },
    /// `index.json` or `oci-layout` is not what it should be.
    Layout {
        /// Where it is.
        path: PathBuf,
    },
}

/// Where records are.
const RECORDS: [&str; 5] = ["facts", "layers", "images", "remote", "engines"];
/// Where path indexes are.
const TREES: &str = "trees";

type Watch<'a> = &'a (dyn Fn(VerifyProgress) + Sync);

impl BlobStore {
    /// Reads every blob, record and index of the store; `watch` is told how far it is.
    pub fn verify(&self, _lock: &SharedLock, watch: Watch<'_>) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        self.verify_records(&mut report)?;
        let owners = self.verify_images(&mut report)?;
        let blobs = self.blob_files(&mut report)?;
        for (digest, images) in &owners {
            if !blobs.contains_key(digest) {
                report.problems.push(Problem::Missing {
                    digest: *digest,
                    images: names(images),
                });
            }
        }
        report.blobs = blobs.len() as u64;
        report.bytes = blobs.values().sum();
        for (digest, verdict) in self.verify_blobs(&blobs, watch) {
            let images = owners.get(&digest).map(names).unwrap_or_default();
            match verdict {
                Verdict::Whole => {}
                Verdict::Corrupt { found, size } => report.problems.push(Problem::Corrupt {
                    digest,
                    found,
                    size,
                    images,
                }),
                Verdict::Unreadable { reason } => report.problems.push(Problem::Unreadable {
                    digest,
                    reason,
                    images,
                }),
            }
        }
        self.verify_layout(&mut report)?;
        report.problems.sort();
        Ok(report)
    }

    /// Puts right what verifying found, as far as that can be and it is still so: corrupt blobs are removed, so that they
    /// are fetched or made again; damaged records and indexes are set aside. Unpacked layers are
    /// [`repair_rootfs`](Self::repair_rootfs)' matter.
    pub fn repair(&self, _lock: &ExclusiveLock, report: &VerifyReport) -> Result<(), StoreError> {
        for problem in &report.problems {
            match problem {
                Problem::Corrupt { digest, .. } => {
                    let path = self.blob_path(digest);
                    if matches!(check(&path, digest, &|_| {}), Verdict::Corrupt { .. }) {
                        fs::remove_file(&path)
                            .map_err(|error| StoreError::io(Doing::Remove, &path, error))?;
                    }
                }
                Problem::Record { path } | Problem::Tree { path } => {
                    if is_damaged(path)? {
                        set_aside(path);
                    }
                }
                Problem::Layout { .. } => {
                    self.write_index()?;
                    self.replace(&self.path("oci-layout"), LAYOUT.as_bytes())?;
                }
                Problem::Unreadable { .. }
                | Problem::Missing { .. }
                | Problem::Stray { .. }
                | Problem::Unpacked { .. }
                | Problem::Image { .. } => {}
            }
        }
        Ok(())
    }

    fn verify_records(&self, report: &mut VerifyReport) -> Result<(), StoreError> {
        for directory in RECORDS.into_iter().chain([TREES]) {
            for path in self.list(directory)? {
                // What was set aside was told when it was; pruning removes it.
                let aside = path
                    .extension()
                    .is_some_and(|extension| extension == DAMAGED);
                if aside || !is_damaged(&path)? {
                    continue;
                }
                report.problems.push(match directory {
                    TREES => Problem::Tree { path },
                    _ => Problem::Record { path },
                });
            }
        }
        Ok(())
    }

    /// Returns which images have which blob.
    fn verify_images(
        &self,
        report: &mut VerifyReport,
    ) -> Result<BTreeMap<Digest, BTreeSet<String>>, StoreError> {
        let mut owners: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
        for record in self.whole_names()? {
            let name = record.reference.familiar();
            let mut own = |digest: Digest| {
                owners.entry(digest).or_default().insert(name.clone());
            };
            own(record.manifest.digest);
            match self.manifest(&record.manifest.digest) {
                Ok(Some(manifest)) => {
                    own(manifest.value().config.digest);
                    for layer in &manifest.value().layers {
                        own(layer.digest);
                    }
                }
                Err(StoreError::Manifest(error)) => report.problems.push(Problem::Image {
                    image: name.clone(),
                    reason: error.to_string(),
                }),
                // Told as a missing or corrupt blob.
                Ok(None) | Err(_) => continue,
            }
            if let Err(StoreError::Manifest(error)) = self.image(&record.manifest.digest) {
                report.problems.push(Problem::Image {
                    image: name,
                    reason: error.to_string(),
                });
            }
        }
        Ok(owners)
    }

    fn blob_files(&self, report: &mut VerifyReport) -> Result<BTreeMap<Digest, u64>, StoreError> {
        let mut blobs = BTreeMap::new();
        for algorithm in ["sha256", "sha512"] {
            for path in self.list(&format!("blobs/{algorithm}"))? {
                let hex = path.file_name().and_then(|name| name.to_str());
                let digest = hex.and_then(|hex| format!("{algorithm}:{hex}").parse().ok());
                match (digest, fs::symlink_metadata(&path)) {
                    (Some(digest), Ok(metadata)) if metadata.is_file() => {
                        blobs.insert(digest, metadata.len());
                    }
                    (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                    _ => report.problems.push(Problem::Stray { path }),
                }
            }
        }
        Ok(blobs)
    }

    /// Reads all blobs, two at a time: one waits for the disk while the other hashes.
    fn verify_blobs(
        &self,
        blobs: &BTreeMap<Digest, u64>,
        watch: Watch<'_>,
    ) -> BTreeMap<Digest, Verdict> {
        let total = blobs.values().sum();
        // The largest first, so that no thread is left alone with one at the end.
        let mut order: Vec<(&Digest, &u64)> = blobs.iter().collect();
        order.sort_by(|a, b| b.1.cmp(a.1));
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let verdicts = Mutex::new(BTreeMap::new());
        let work = || {
            while let Some((digest, _)) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let verdict = check(&self.blob_path(digest), digest, &|bytes| {
                    let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                    watch(VerifyProgress { done, total });
                });
                verdicts
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .insert(**digest, verdict);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
        verdicts
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn verify_layout(&self, report: &mut VerifyReport) -> Result<(), StoreError> {
        let path = self.path("index.json");
        let expected = self.index_bytes()?;
        if !fs::read(&path).is_ok_and(|there| there == expected) {
            report.problems.push(Problem::Layout { path });
        }
        let path = self.path("oci-layout");
        if !fs::read(&path).is_ok_and(|there| there == LAYOUT.as_bytes()) {
            report.problems.push(Problem::Layout { path });
        }
        Ok(())
    }
}

enum Verdict {
    Whole,
    Corrupt { found: Digest, size: u64 },
    Unreadable { reason: String },
}

fn check(path: &Path, digest: &Digest, progress: &dyn Fn(u64)) -> Verdict {
    let unreadable = |error: io::Error| Verdict::Unreadable {
        reason: error.to_string(),
    };
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) => return unreadable(error),
    };
    let mut hasher = digest.hasher();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                size += count as u64;
                progress(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return unreadable(error),
        }
    }
    let found = hasher.finish();
    if found == *digest {
        Verdict::Whole
    } else {
        Verdict::Corrupt { found, size }
    }
}

fn names(images: &BTreeSet<String>) -> Vec<String> {
    images.iter().cloned().collect()
}

/// Tells whether a record or a path index cannot be read; its directory says what it should be.
fn is_damaged(path: &Path) -> Result<bool, StoreError> {
    let directory = path.parent().and_then(Path::file_name);
    Ok(match directory.and_then(|name| name.to_str()) {
        Some("facts") => cannot_be_read::<LayerFacts>(path)?,
        Some("layers") => cannot_be_read::<KeptLayer>(path)?,
        Some("images") => cannot_be_read::<ImageRecord>(path)?,
        Some("remote") => cannot_be_read::<RemoteRecord>(path)?,
        Some("engines") => cannot_be_read::<serde_json::Value>(path)?,
        Some(TREES) => matches!(look_at_tree(path)?, Look::Damaged),
        _ => false,
    })
}

fn cannot_be_read<T: DeserializeOwned>(path: &Path) -> Result<bool, StoreError> {
    Ok(matches!(look_at_record::<T>(path)?, Look::Damaged))
}
