//! As whom the agent runs: the caller, so that what it writes in the project belongs to the caller.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    engine::docker::{EngineInfo, EngineUsers},
    settings::Settings,
};

/// Who the agent is inside the container, in the words of the environment contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Login name inside.
    pub name: String,
    /// Home directory inside.
    pub home: PathBuf,
    /// Where the caller's home directory is mounted from, when that is another path.
    pub mount_home: Option<PathBuf>,
}

/// What is asked of the engine so that the agent can be who it is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How users inside relate to those outside.
    pub userns: Option<String>,
    /// As whom the container's first program starts.
    pub user: Option<String>,
    /// Options for what confines it.
    pub security: Vec<String>,
}

/// Decides who the agent is on this engine, and what of the engine that takes.
///
/// Invariant: what the agent writes into the project belongs to the caller, as far as the engine can have it at all.
pub fn on(info: &EngineInfo, settings: &Settings) -> (Identity, Asked) {
    let identity = match info.users {
        // Root inside is the engine's user outside; nobody else there is anybody of this machine.
        EngineUsers::Rootless => Identity::root_inside(settings),
        EngineUsers::Same | EngineUsers::RootlessKeepId | EngineUsers::Remapped => {
            Identity::caller(settings)
        }
    };
    (identity, asked_of(info))
}

fn asked_of(info: &EngineInfo) -> Asked {
    let mut asked = Asked::default();
    match info.users {
        EngineUsers::Same | EngineUsers::Rootless => {}
        EngineUsers::RootlessKeepId => {
            asked.userns = Some("keep-id".to_owned());
            // Else the first program would be the caller already, and could not make the caller known inside.
            asked.user = Some("0:0".to_owned());
        }
        // In the engine's own range nobody is the caller, and nobody could write into the project.
        EngineUsers::Remapped => asked.userns = Some("host".to_owned()),
    }
    if info.labels {
        // A label of the container's on the caller's files would stay on them.
        asked.security.push("label=disable".to_owned());
    }
    asked
}

impl Identity {
    /// The caller, with the same numbers, name and home.
    pub fn caller(settings: &Settings) -> Self {
        Self {
            uid: settings.account.uid,
            gid: settings.account.gid,
            // By that name images know somebody else.
            name: if settings.account.name == "root" && settings.account.uid != 0 {
                "aicage".to_owned()
            } else {
                settings.account.name.clone()
            },
            home: settings.user_home.clone(),
            mount_home: None,
        }
    }

    /// Root inside, which a rootless engine maps to the caller outside.
    pub fn root_inside(settings: &Settings) -> Self {
        let home = PathBuf::from("/root");
        let mount_home = (settings.user_home != home).then(|| settings.user_home.clone());
        Self {
            uid: 0,
            gid: 0,
            name: "root".to_owned(),
            home,
            mount_home,
        }
    }

    /// Returns the contract's variables.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut variables: BTreeMap<String, String> = [
            ("AICAGE_UID".to_owned(), self.uid.to_string()),
            ("AICAGE_GID".to_owned(), self.gid.to_string()),
            ("AICAGE_HOST_USER".to_owned(), self.name.clone()),
            ("AICAGE_HOME".to_owned(), self.home.display().to_string()),
        ]
        .into();
        if let Some(mount_home) = &self.mount_home {
            variables.insert(
                "AICAGE_MOUNT_HOME".to_owned(),
                mount_home.display().to_string(),
            );
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use assembler::platform::Platform;

    use super::*;
    use crate::engine::docker::{EngineFiles, EngineStore};

    #[test]
    fn an_engine_that_labels_containers_is_asked_not_to_and_the_callers_files_keep_their_labels() {
        for (labels, security) in [(true, vec!["label=disable".to_owned()]), (false, vec![])] {
            let info = EngineInfo {
                id: "id".to_owned(),
                version: "28.5.2".to_owned(),
                name: "podman",
                store: EngineStore::GraphDriver,
                users: EngineUsers::RootlessKeepId,
                live_restore: false,
                labels,
                platform: Platform::linux("amd64"),
                files: EngineFiles::Same,
                api: (1, 41),
            };
            let asked = asked_of(&info);
            assert_eq!(asked.security, security, "labels: {labels}");
            assert_eq!(asked.userns.as_deref(), Some("keep-id"));
        }
    }
}
