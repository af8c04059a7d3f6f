//! As whom the agent runs: the caller, so that what it writes in the project belongs to the caller.

use std::{collections::BTreeMap, path::PathBuf};

use crate::settings::Settings;

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

impl Identity {
    /// The caller, with the same numbers, name and home.
    pub fn caller(settings: &Settings) -> Self {
        Self {
            uid: settings.account.uid,
            gid: settings.account.gid,
            name: settings.account.name.clone(),
            home: settings.user_home.clone(),
            mount_home: None,
        }
    }

    /// Root inside, which a rootless engine maps to the caller outside.
    pub fn rootless(settings: &Settings) -> Self {
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
