//! The words that there are, read when a shell asks for them.
//!
//! Invariant: everything here ends within a moment, reads only, and is empty where it cannot be read.

use std::{sync::Arc, time::Duration};

use assembler::store::BlobStore;

use crate::{
    definition::catalogue::{Catalogue, Published},
    definition_bundle,
    engine::docker::{self, EngineSettings},
    settings::{Config, Faults, Settings},
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
            Noun::Setting => keys(),
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
    let root = settings.store();
    if !root.join("oci-layout").exists() {
        return Vec::new();
    }
    let tags = BlobStore::open(&root).and_then(|store| store.tags());
    tags.unwrap_or_default()
        .into_iter()
        .map(|record| (record.reference.familiar(), record.made_at))
        .collect()
}

fn sessions(settings: &Settings) -> Vec<Word> {
    let environment = &settings.environment;
    let engine = EngineSettings {
        host: environment.docker_host.clone(),
        container_host: environment.container_host.clone(),
        context: environment.docker_context.clone(),
        config_dir: environment.docker_config.clone(),
        runtime_dir: environment.runtime_directory.clone(),
        home: Some(settings.user_home.clone()),
        cert_path: environment.docker_cert_path.clone(),
        tls_verify: environment.docker_tls_verify,
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let asked = async {
        let docker = docker::connect(&engine).await.ok()?;
        docker.sessions(settings.account.uid).await.ok()
    };
    let listed = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    runtime.shutdown_background();
    listed
        .ok()
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .map(|session| (session.name, String::new()))
        .collect()
}

/// Lists the settings by their names.
fn keys() -> Vec<Word> {
    let all = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut keys = Vec::new();
    for (section, value) in all.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(below) if !below.is_empty() => {
                keys.extend(below.keys().map(|name| format!("{section}.{name}")));
            }
            _ => keys.push(section.clone()),
        }
    }
    keys.into_iter().map(|key| (key, String::new())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_known_by_their_full_names() {
        let keys: Vec<String> = keys().into_iter().map(|(key, _)| key).collect();
        for key in [
            "default_base",
            "network.ca",
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
