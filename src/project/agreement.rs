//! What the user said to the files that an extension shares, as a project's file keeps it.
//!
//! Format: `extension_mounts: {EXTENSION: true|false}`, which the Python program has too, and `agreed_shares: {EXTENSION:
//! [PATH, PATH:ro]}`, which it drops when it writes. Then `true` alone stands, and means what the extension shares now.

use std::{collections::BTreeMap, path::Path};

use super::{
    ProjectError, Projects,
    file::{AGREED, MOUNTED, ProjectFile, mapping_of},
    file_name, resolved,
};
use crate::{
    whole_file,
    yaml::tree::{Mapping, Node},
};

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// All of it may be mounted: these paths.
    Yes(Vec<String>),
    /// None of it may be.
    No,
    /// The Python program was told yes, or what the project inherits says so: these paths were meant.
    Meant(Vec<String>),
}

impl Projects {
    /// Stores what was said for `agent` in the project in `directory` to what `extension` shares.
    pub fn agree(
        &self,
        (directory, agent): (&Path, &str),
        extension: &str,
        agreement: &Agreement,
    ) -> Result<(), ProjectError> {
        self.change_entry((directory, agent), |entry| {
            set(entry, extension, agreement);
        })
    }

    /// Sets keys under `mounts` for `agent` in the project in `directory`; `None` removes one.
    pub fn set_mounts(
        &self,
        place: (&Path, &str),
        keys: &BTreeMap<&str, Option<bool>>,
    ) -> Result<(), ProjectError> {
        self.change_entry(place, |entry| {
            let mounts = mapping_of(entry, "mounts");
            for (key, value) in keys {
                match value {
                    Some(true) => mounts.set(key, Node::truth()),
                    Some(false) => mounts.set(key, Node::falsehood()),
                    None => mounts.remove(key),
                }
            }
            if mounts.is_empty() {
                entry.remove("mounts");
            }
        })
    }

    /// Adds shares, `PATH` or `PATH:ro`, for `agent` in the project in `directory`; of one path the new access counts.
    pub fn add_shares(&self, place: (&Path, &str), shares: &[String]) -> Result<(), ProjectError> {
        self.change_entry(place, |entry| {
            let there = entry.get("shares").and_then(Node::as_sequence);
            let there = there.unwrap_or_default().iter();
            let bare = |text: &str| text.strip_suffix(":ro").unwrap_or(text).to_owned();
            let mut all: Vec<String> = there
                .filter_map(Node::as_text)
                .filter(|text| !shares.iter().any(|share| bare(share) == bare(text)))
                .map(str::to_owned)
                .collect();
            all.extend_from_slice(shares);
            entry.set("shares", Node::texts(&all));
        })
    }

    fn change_entry(
        &self,
        (directory, agent): (&Path, &str),
        change: impl FnOnce(&mut Mapping),
    ) -> Result<(), ProjectError> {
        let directory = resolved(directory);
        let path = self.home.join("projects").join(file_name(&directory));
        let lock = whole_file::lock(&self.lock())?;
        let mut file = ProjectFile::read(&path)?;
        let mut entry = file.entry_to_change(agent)?;
        change(&mut entry);
        file.change(agent, |there| *there = entry);
        file.set_path(&directory.to_string_lossy());
        self.write(&lock, &path, &file)
    }
}

fn set(entry: &mut Mapping, extension: &str, agreement: &Agreement) {
    match agreement {
        Agreement::Yes(_) => mapping_of(entry, MOUNTED).set(extension, Node::truth()),
        Agreement::No => mapping_of(entry, MOUNTED).set(extension, Node::falsehood()),
        Agreement::Meant(_) => {}
    }
    let agreed = mapping_of(entry, AGREED);
    match agreement {
        Agreement::Yes(paths) | Agreement::Meant(paths) => {
            agreed.set(extension, Node::texts(paths));
        }
        Agreement::No => agreed.remove(extension),
    }
    if agreed.is_empty() {
        entry.remove(AGREED);
    }
}
