//! The words that there are, read when a shell asks for them.
//!
//! Invariant: everything here ends within a moment, reads only, and is empty where it cannot be read.

use std::{sync::Arc, time::Duration};

use assembler::store::BlobStore;

use crate::{
    definition::catalogue::{Catalogue, Published},
    definition_bundle,
    engine::docker,
    project::AgentKey,
    settings::{Faults, Settings, keys},
};

/// How long an engine may take to list its sessions; somebody waits with a finger on a key.
const PATIENCE: Duration = Duration::from_millis(200);

/// What an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noun {
    Agent,
    /// An agent, and then arguments of its own.
    AgentFirst,
    Base,
    Extension,
    Image,
    Session,
    Setting,
}

impl Noun {
    /// Tells what an argument of a verb names, by their names.
    pub(super) fn of(path: &[&str], argument: &str) -> Option<Self> {
        Some(match (path, argument) {
            (["run"], "command") => Self::AgentFirst,
            (["attach" | "logs" | "exec" | "stop" | "session", ..], "name" | "names")
            | (["shell"], "which") => Self::Session,
            (["agent", "check"], "name") | (_, "agent" | "agents") => Self::Agent,
            (["base", "check"], "name") | (_, "base" | "bases") => Self::Base,
            (["extension", "check"], "name")
            | (_, "extension" | "extensions" | "extension_shares") => Self::Extension,
            (["image", ..], "image" | "images" | "before" | "after") | (_, "image_name") => {
                Self::Image
            }
            (["config", ..], "key") => Self::Setting,
            _ => return None,
        })
    }
}

/// Where words come from.
#[derive(Clone)]
pub(super) struct Words(Arc<Option<Settings>>);

/// A word and what is said of it.
type Word = (String, String);

impl Words {
    /// Reads the settings, without which there are only the built-in definitions.
    pub(super) fn read() -> Self {
        Self(Arc::new(Settings::read(&[], Faults::LeftOut).ok()))
    }

    /// Lists the agents.
    pub(super) fn agents(&self) -> Vec<Word> {
        self.list(Noun::Agent)
    }

    /// Lists what there is of a kind.
    pub(super) fn list(&self, noun: Noun) -> Vec<Word> {
        let Some(settings) = self.0.as_ref() else {
            return Vec::new();
        };
        match noun {
            Noun::Agent | Noun::AgentFirst => catalogue(settings)
                .agents
                .into_iter()
                .map(|(id, agent)| (id, agent.settings.agent_full_name))
                .collect(),
            Noun::Base => catalogue(settings)
                .bases
                .into_iter()
                .map(|(id, base)| (id, base.settings.base_image_description))
                .collect(),
            Noun::Extension => catalogue(settings)
                .extensions
                .into_iter()
                .map(|(id, extension)| (id, extension.settings.description))
                .collect(),
            Noun::Image => images(settings),
            Noun::Session => sessions(settings),
            Noun::Setting => keys(catalogue(settings).agents.into_keys()),
        }
    }
}

fn catalogue(settings: &Settings) -> Catalogue {
    let wanted = settings.config.definitions.as_str();
    let published = match wanted.strip_prefix("oci:") {
        None if wanted.is_empty() => Published::BuiltIn,
        None => Published::Bundle(settings.user_path(wanted.as_ref())),
        Some(name) => {
            definition_bundle::at_hand(settings, name).map_or(Published::Missing, Published::Bundle)
        }
    };
    Catalogue::read(&published, &settings.custom_roots())
}

fn images(settings: &Settings) -> Vec<Word> {
    BlobStore::names_below(&settings.store())
        .unwrap_or_default()
        .into_iter()
        .map(|record| (record.reference.familiar(), record.made_at))
        .collect()
}

fn sessions(settings: &Settings) -> Vec<Word> {
    let engine = settings.engine();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let uid = settings.account.uid;
    let asked = async {
        let docker = docker::connect(&engine).await.ok()?;
        docker.sessions(uid).await.ok()
    };
    let own = settings.native().engine();
    let (listed, own) = runtime.block_on(async {
        let listed = tokio::time::timeout(PATIENCE, asked).await;
        let own = match &own {
            Some(native) => native.sessions(uid).await.unwrap_or_default(),
            None => Vec::new(),
        };
        (listed.ok().flatten().unwrap_or_default(), own)
    });
    runtime.shutdown_background();
    listed
        .into_iter()
        .chain(own)
        .map(|session| (session.name, String::new()))
        .collect()
}

/// Lists the settings by their names, and what can be stored for each agent.
fn keys(agents: impl IntoIterator<Item = String>) -> Vec<Word> {
    let settings = keys::all();
    let settings = settings.iter().map(|key| {
        let about = key.description.split(". ").next().unwrap_or_default();
        (key.name.clone(), about.trim_end_matches('.').to_owned())
    });
    let stored = agents.into_iter().flat_map(|agent| {
        let keys = AgentKey::settable();
        keys.map(move |key| (format!("agents.{agent}.{}", key.name), String::new()))
    });
    settings.chain(stored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_known_by_their_full_names() {
        let keys = keys(["codex".to_owned()]).into_iter();
        let keys: Vec<String> = keys.map(|(key, _)| key).collect();
        for key in [
            "default_base",
            "network.ca",
            "network.proxy_in_containers",
            "agents.codex.docker_args",
            "registry.mirrors",
            "update.policy",
        ] {
            assert!(keys.iter().any(|known| known == key), "{key} in {keys:?}");
        }
    }

    #[test]
    fn what_an_argument_names_depends_on_its_verb() {
        for (path, argument, noun) in [
            (&["stop"][..], "names", Some(Noun::Session)),
            (&["agent", "check"], "name", Some(Noun::Agent)),
            (&["agent", "new"], "name", None),
            (&["image", "rm"], "images", Some(Noun::Image)),
            (&[], "base", Some(Noun::Base)),
            (&[], "name", None),
        ] {
            assert_eq!(Noun::of(path, argument), noun, "{path:?} {argument}");
        }
    }
}
