//! Digests of definitions that were computed before, so that nothing is read when nothing changed.
//!
//! Format: `state/definitions/<digest of the directory's path>.json`: the directory, the fingerprint of its listing and,
//! for each set of files that was left out, the digest of the rest. Written whole; a damaged record counts as none.
//!
//! Invariant: a record exists only for files that all were older than its making by more than any clock's grain. So a
//! file that is edited after it was read always has another time than the one that is in the fingerprint.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use assembler::digest::Digest;
use rustix::fs::fstat;
use serde::{Deserialize, Serialize};

/// The coarsest times that file systems keep: two seconds.
const GRAIN: i128 = 2_000_000_000;

#[derive(Debug, Default, Deserialize, Serialize)]
struct Record {
    directory: PathBuf,
    fingerprint: String,
    digests: BTreeMap<String, String>,
}

/// Where records are kept and of which directory.
#[derive(Clone, Debug)]
pub(crate) struct KeptDigest {
    records: PathBuf,
    directory: PathBuf,
}

/// A record that is being made; the time of its beginning is that of its file.
#[derive(Debug)]
pub(crate) struct Making {
    file: tempfile::NamedTempFile,
    begun: i128,
}

impl KeptDigest {
    pub(crate) fn new(state: &Path, directory: &Path) -> Self {
        Self {
            records: state.join("definitions"),
            directory: directory.to_owned(),
        }
    }

    /// Returns the digest without `without` of files with this fingerprint.
    pub(crate) fn recall(
        &self,
        fingerprint: &Digest,
        without: &BTreeSet<String>,
    ) -> Option<Digest> {
        let record = self.read(fingerprint)?;
        record.digests.get(&view(without))?.parse().ok()
    }

    /// Begins a record, before the first file is read; `None` where nothing can be written, which costs only time.
    pub(crate) fn begin(&self) -> Option<Making> {
        fs_err::create_dir_all(&self.records).ok()?;
        let file = tempfile::NamedTempFile::new_in(&self.records).ok()?;
        let stat = fstat(&file).ok()?;
        let begun = i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec);
        Some(Making { file, begun })
    }

    /// Keeps `digest`, unless a file was changed so recently that another change might not show.
    pub(crate) fn keep(
        &self,
        making: Making,
        (fingerprint, newest): (&Digest, i128),
        (without, digest): (&BTreeSet<String>, &Digest),
    ) {
        if newest.saturating_add(GRAIN) >= making.begun {
            return;
        }
        let mut record = self.read(fingerprint).unwrap_or_else(|| Record {
            directory: self.directory.clone(),
            fingerprint: fingerprint.to_string(),
            digests: BTreeMap::new(),
        });
        record.digests.insert(view(without), digest.to_string());
        if serde_json::to_writer(&making.file, &record).is_ok() {
            drop(making.file.persist(self.path()));
        }
    }

    /// Forgets what was kept: it did not fit the files.
    pub(crate) fn forget(&self) {
        drop(fs_err::remove_file(self.path()));
    }

    fn read(&self, fingerprint: &Digest) -> Option<Record> {
        let bytes = fs_err::read(self.path()).ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        (record.directory == self.directory && record.fingerprint == fingerprint.to_string())
            .then_some(record)
    }

    /// Returns where the record is.
    pub(crate) fn path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt as _;
        let name = Digest::of(self.directory.as_os_str().as_bytes()).hex();
        self.records.join(format!("{name}.json"))
    }
}

fn view(without: &BTreeSet<String>) -> String {
    let names: Vec<&str> = without.iter().map(String::as_str).collect();
    names.join("/")
}
