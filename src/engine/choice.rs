//! Which engine runs what is to run, and why that one.
//!
//! Invariant: what was named is what is used, or there is an error; only where nothing was named, neither an engine nor
//! a place such as `DOCKER_HOST`, the machine itself stands in for an engine that does not answer.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    Engine,
    docker::{self, EngineError, EngineInfo, EngineSettings},
    native,
};

/// What runs steps and sessions, as it can be asked for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// Docker or Podman where one answers, else Linux itself.
    #[default]
    Auto,
    /// Docker; it is an error if it does not answer.
    Docker,
    /// Podman; it is an error if it does not answer.
    Podman,
    /// Linux itself, without any service.
    Native,
}

impl EngineChoice {
    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Native => "native",
        }
    }
}

/// What the machine itself needs to be an engine.
#[derive(Clone, Debug)]
pub struct NativeSettings {
    /// Where the store is.
    pub store: PathBuf,
    /// The caller's name, by which sub-ids are listed.
    pub name: String,
    /// The caller's ids, of the user and the group.
    pub ids: (u32, u32),
}

impl NativeSettings {
    /// Returns the machine as an engine, where it can be one.
    pub fn engine(&self) -> Option<Engine> {
        native::here(self).map(Engine::Native)
    }
}

/// An engine, and why it is this one.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The engine.
    pub engine: Engine,
    /// Why, in words that follow its name.
    pub why: String,
}

impl Chosen {
    /// Has long work of this machine's own break off when the user interrupts.
    #[must_use]
    pub fn heeding(self, interrupt: CancellationToken) -> Self {
        let engine = match self.engine {
            Engine::Native(native) => Engine::Native(native.heeding(interrupt)),
            engine @ Engine::Docker(_) => engine,
        };
        Self { engine, ..self }
    }

    /// Says which one it is and why, in one line.
    pub fn in_words(&self) -> String {
        let EngineInfo { name, version, .. } = self.engine.info();
        match &self.engine {
            Engine::Docker(_) => format!("{name} {version}: {}", self.why),
            // The version is the kernel's, and says nothing here.
            Engine::Native(_) => format!("{name}: {}", self.why),
        }
    }

    /// Says the same as data.
    pub fn report(&self) -> EngineReport {
        let EngineInfo { name, version, .. } = self.engine.info();
        EngineReport {
            name,
            version: version.clone(),
            why: self.why.clone(),
        }
    }
}

/// Which engine it is, in what is printed for programs.
#[derive(Clone, Debug, Serialize)]
pub struct EngineReport {
    /// `docker`, `podman` or `native`.
    name: &'static str,
    /// Its version; the kernel's for `native`.
    version: String,
    /// Why it is this one.
    why: String,
}

/// Finds the engine that `choice` means; `named_by` says what asked for it.
pub async fn choose(
    (choice, named_by): (EngineChoice, &str),
    settings: &EngineSettings,
    native: &NativeSettings,
) -> Result<Chosen, EngineError> {
    if choice == EngineChoice::Native {
        let engine = native.engine().ok_or(EngineError::NativeElsewhere)?;
        return Ok(Chosen {
            engine,
            why: format!("asked for by {named_by}"),
        });
    }
    match docker::connect(settings).await {
        Ok(docker) => {
            let why = match choice {
                EngineChoice::Auto => format!("it answers at {}", docker.endpoint()),
                _ => format!("asked for by {named_by}, at {}", docker.endpoint()),
            };
            Ok(Chosen {
                engine: Engine::Docker(docker),
                why,
            })
        }
        Err(error) => match native.engine() {
            Some(engine) if stands_in(choice, settings) => Ok(Chosen {
                engine,
                why: why_native(&error),
            }),
            Some(_) | None => Err(error),
        },
    }
}

/// Tells whether the machine may stand in for an engine that does not answer: not for one that somebody named.
pub(crate) fn stands_in(choice: EngineChoice, settings: &EngineSettings) -> bool {
    cfg!(target_os = "linux") && choice == EngineChoice::Auto && !docker::is_named(settings)
}

fn why_native(error: &EngineError) -> String {
    match error {
        EngineError::Absent { .. } => {
            "no Docker or Podman answers at any of the usual sockets".to_owned()
        }
        EngineError::NotPermitted { socket, .. } => {
            format!("you may not use the engine at {}", socket.display())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native() -> NativeSettings {
        NativeSettings {
            store: "/store".into(),
            name: "me".to_owned(),
            ids: (7, 8),
        }
    }

    /// Chooses where nobody listens: at a place that was named, or at none of the usual ones.
    fn chosen(choice: EngineChoice, host: Option<&str>) -> Result<Chosen, EngineError> {
        let nowhere = tempfile::tempdir().unwrap();
        let settings = EngineSettings {
            host: host.map(str::to_owned),
            home: Some(nowhere.path().to_owned()),
            ..EngineSettings::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(choose((choice, "`AICAGE_ENGINE`"), &settings, &native()))
    }

    #[test]
    fn a_place_that_was_named_and_does_not_answer_is_an_error_and_no_reason_to_run_elsewhere() {
        let error = chosen(EngineChoice::Auto, Some("unix:///nowhere.sock")).unwrap_err();
        assert!(matches!(error, EngineError::Absent { .. }), "{error}");
        let error = chosen(EngineChoice::Docker, Some("unix:///nowhere.sock")).unwrap_err();
        assert!(matches!(error, EngineError::Absent { .. }), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_machine_itself_is_taken_when_it_is_named_whatever_else_is() {
        let chosen = chosen(EngineChoice::Native, Some("unix:///nowhere.sock")).unwrap();
        let Engine::Native(native) = chosen.engine else {
            panic!("it was asked for");
        };
        assert_eq!((native.uid, native.gid), (7, 8));
        assert_eq!(chosen.why, "asked for by `AICAGE_ENGINE`");
    }

    #[test]
    fn only_where_nothing_was_named_the_machine_stands_in() {
        let usual = EngineSettings::default();
        let named = EngineSettings {
            host: Some("unix:///nowhere.sock".to_owned()),
            ..EngineSettings::default()
        };
        assert!(stands_in(EngineChoice::Auto, &usual));
        assert!(!stands_in(EngineChoice::Auto, &named));
        assert!(!stands_in(EngineChoice::Docker, &usual));
        assert!(!stands_in(EngineChoice::Podman, &usual));
    }
}
