//! Which agent × base combinations a publisher must build again, and why: what is now against what was recorded.
//!
//! Invariant: nothing of an agent is stored but its version and digests, so that it serves agents too that may not be
//! redistributed. Each distinct tag and each agent's version is asked exactly once.

mod gather;
mod state;

use std::collections::BTreeMap;

use assembler::{descriptor::Descriptor, digest::Digest, reference::ImageReference};
use registry::{BuiltOn, Freshness};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::printer;

pub use gather::{Facts, Wish, gather};
pub use state::Place;

/// The schema of the state.
pub const SCHEMA: u32 = 1;

/// What was built last: the state that is kept in a file or a registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `schema` and `images`"
)]
#[schemars(title = "State of `aicage matrix`")]
pub struct State {
    /// Always 1.
    pub schema: u32,
    /// By `<agent>-<base>`.
    pub images: BTreeMap<String, Entry>,
}

/// What one image was made of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object about one image")]
pub struct Entry {
    /// The agent.
    pub agent: String,
    /// The base.
    pub base: String,
    /// What the agent's `version.sh` printed.
    pub version: String,
    /// The image that it is built on, as it was asked for; for a custom base, its root image.
    pub built_on: String,
    /// The digest of that image's manifest; nothing where it is no registry's.
    #[schemars(with = "Option<String>")]
    pub manifest: Option<Digest>,
    /// The digests of its layers, bottom first.
    #[schemars(with = "Vec<String>")]
    pub layers: Vec<Digest>,
    /// The digest of the agent's definition, and of a custom base's.
    #[schemars(with = "String")]
    pub definition: Digest,
    /// When it was recorded, RFC 3339.
    pub recorded_at: String,
}

/// One combination: what it is now, and why it must be built.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    /// The agent.
    pub agent: String,
    /// The base.
    pub base: String,
    /// Whether it must be built.
    pub build: bool,
    /// Why, in sentences; empty when it need not be.
    pub reasons: Vec<String>,
    /// Why nothing can be said of it.
    pub problem: Option<String>,
    /// What it would be made of now.
    pub now: Option<Entry>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            images: BTreeMap::new(),
        }
    }
}

impl Entry {
    /// Returns the name that the state knows it by.
    pub fn name(&self) -> String {
        format!("{}-{}", self.agent, self.base)
    }
}

impl State {
    /// Compares all combinations with what was recorded.
    pub fn compare(&self, facts: Vec<Facts>) -> Vec<Row> {
        facts.into_iter().map(|facts| self.row(facts)).collect()
    }

    fn row(&self, facts: Facts) -> Row {
        let Facts {
            agent,
            base,
            entry,
            offered,
        } = facts;
        let (reasons, problem, now) = match entry {
            Ok(now) => {
                let before = self.images.get(&now.name());
                let reasons = match before {
                    None => vec!["it was never built".to_owned()],
                    Some(before) => reasons(before, &now, &offered),
                };
                (reasons, None, Some(now))
            }
            Err(problem) => (Vec::new(), Some(problem), None),
        };
        Row {
            agent,
            base,
            build: !reasons.is_empty(),
            reasons,
            problem,
            now,
        }
    }
}

fn reasons(before: &Entry, now: &Entry, offered: &[Descriptor]) -> Vec<String> {
    let mut reasons = Vec::new();
    if before.version != now.version {
        reasons.push(format!(
            "agent `{}`: version {} replaces {}",
            now.agent, now.version, before.version
        ));
    }
    if before.built_on != now.built_on {
        reasons.push(format!(
            "base `{}` is {}, not {} any more",
            now.base, now.built_on, before.built_on
        ));
    } else if let Some(reason) = new_layers(before, now, offered) {
        reasons.push(reason);
    }
    if before.definition != now.definition {
        reasons.push(format!("the definition of `{}` changed", now.agent));
    }
    reasons
}

fn new_layers(before: &Entry, now: &Entry, offered: &[Descriptor]) -> Option<String> {
    let (Some(then), Some(manifest)) = (before.manifest, now.manifest) else {
        return None;
    };
    let reference: ImageReference = now.built_on.parse().ok()?;
    let built_on = BuiltOn {
        reference: reference.clone(),
        manifest: then,
        layers: before.layers.clone(),
    };
    let remote = assembler::store::RemoteRecord {
        reference,
        digest: manifest,
        manifest: Descriptor {
            digest: manifest,
            ..Descriptor::of(assembler::descriptor::media_type::OCI_MANIFEST, b"")
        },
        layers: offered.to_vec(),
        checked_at: now.recorded_at.clone(),
        gone_at: None,
    };
    match Freshness::remembered(&built_on, Some(&remote)) {
        Freshness::Superseded {
            new_layers, bytes, ..
        } => Some(format!(
            "base `{}` changed: {} of its layers are new, {}",
            now.base,
            new_layers.len(),
            printer::bytes(bytes)
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: &str, layers: &[&str], definition: &str) -> Entry {
        Entry {
            agent: "codex".to_owned(),
            base: "debian".to_owned(),
            version: version.to_owned(),
            built_on: "registry.example/base:debian".to_owned(),
            manifest: Some(Digest::of(layers.concat().as_bytes())),
            layers: layers.iter().map(|l| Digest::of(l.as_bytes())).collect(),
            definition: Digest::of(definition.as_bytes()),
            recorded_at: "2026-11-21T12:00:00Z".to_owned(),
        }
    }

    #[track_caller]
    fn check(before: &Entry, now: &Entry, words: &[&str]) {
        let offered: Vec<Descriptor> = now
            .layers
            .iter()
            .map(|digest| Descriptor {
                digest: *digest,
                size: 1000,
                ..Descriptor::of("application/x", b"")
            })
            .collect();
        let found = reasons(before, now, &offered);
        assert_eq!(found.len(), words.len(), "{found:?}");
        for (reason, words) in found.iter().zip(words) {
            assert!(reason.contains(words), "no `{words}` in {reason}");
        }
    }

    #[test]
    fn an_image_is_built_for_each_thing_that_changed_and_for_nothing_else() {
        let before = entry("1", &["a", "b"], "d");
        check(&before, &before, &[]);
        let later = Entry {
            recorded_at: "2026-11-22T12:00:00Z".to_owned(),
            // Only its settings are others; its layers are what it was built on.
            manifest: Some(Digest::of(b"x")),
            ..before.clone()
        };
        check(&before, &later, &[]);
        check(
            &before,
            &entry("2", &["a", "b"], "d"),
            &["version 2 replaces 1"],
        );
        check(
            &before,
            &entry("1", &["a", "c"], "d"),
            &["1 of its layers are new"],
        );
        check(
            &before,
            &entry("1", &["a"], "d"),
            &["0 of its layers are new"],
        );
        check(&before, &entry("1", &["a", "b"], "e"), &["definition"]);
        check(
            &before,
            &entry("2", &["c"], "e"),
            &["version", "1 of its layers", "definition"],
        );
    }
}
