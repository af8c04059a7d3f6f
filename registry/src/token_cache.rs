//! Bearer tokens on disk: one file for each registry, scope and identity, readable by its owner only.
//!
//! ```text
//! <directory>/<sha256 of registry, scope and identity>.json   {"v":1,"registry":…,"scope":…,"token":…,"expires":<Unix s>}
//! ```
//!
//! Invariant: losing the cache costs a round trip and nothing else: a file that is damaged, expired or cannot be written is
//! passed over.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use assembler::digest::Digest;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;
const LIMIT: u64 = 1 << 20;

pub(crate) struct TokenCache {
    directory: PathBuf,
}

/// What a token is for and whose it is.
pub(crate) struct Key {
    pub(crate) registry: String,
    pub(crate) scope: String,
    pub(crate) identity: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    v: u32,
    registry: String,
    scope: String,
    token: String,
    expires: u64,
}

impl TokenCache {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Returns the token kept under `key` and when it ends, unless it has ended.
    pub(crate) fn load(&self, key: &Key, now: SystemTime) -> Option<(String, SystemTime)> {
        let kept = read(&self.path(key))?;
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(kept.expires))?;
        let ours = kept.registry == key.registry && kept.scope == key.scope;
        (ours && now < expires).then_some((kept.token, expires))
    }

    /// Keeps a token that ends at `expires`, and clears out what has ended by now.
    pub(crate) fn save(&self, key: &Key, token: &str, (expires, now): (SystemTime, SystemTime)) {
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs()
        };
        let kept = Kept {
            v: VERSION,
            registry: key.registry.clone(),
            scope: key.scope.clone(),
            token: token.to_owned(),
            expires: seconds(expires),
        };
        self.sweep(seconds(now));
        // Nothing is lost without the file but a round trip (see above).
        drop(self.write(key, &kept));
    }

    fn write(&self, key: &Key, kept: &Kept) -> std::io::Result<()> {
        fs_err::create_dir_all(&self.directory)?;
        // Made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        file.persist(self.path(key))?;
        Ok(())
    }

    fn sweep(&self, now: u64) {
        let Ok(entries) = fs_err::read_dir(&self.directory) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_ours = path
                .extension()
                .is_some_and(|extension| extension == "json");
            if is_ours && read(&path).is_none_or(|kept| kept.expires <= now) {
                // Somebody else may have swept it.
                drop(fs_err::remove_file(path));
            }
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        let Key {
            registry,
            scope,
            identity,
        } = key;
        let name = Digest::of(format!("{registry}\n{scope}\n{identity}").as_bytes());
        self.directory.join(format!("{}.json", name.hex()))
    }
}

fn read(path: &Path) -> Option<Kept> {
    let mut text = Vec::new();
    let file = fs_err::File::open(path).ok()?;
    file.take(LIMIT).read_to_end(&mut text).ok()?;
    let kept: Kept = serde_json::from_slice(&text).ok()?;
    (kept.v == VERSION).then_some(kept)
}
