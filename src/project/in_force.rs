//! What all files of a project say together: settings of the program, and the agents that are named.

use std::{collections::BTreeSet, path::Path};

use super::{Projects, resolved};
use crate::{
    settings::{Layer, Scope, SettingsError},
    yaml::YamlError,
};

impl Projects {
    /// Returns the settings of the program that each place has for `directory`, the weakest place first.
    pub fn settings(&self, directory: &Path) -> Vec<(Scope, Result<Layer, SettingsError>)> {
        let places = self.places(&resolved(directory)).into_iter();
        places
            .map(|(scope, path)| {
                let layer = self.settings_of(&scope, &path);
                (scope, layer)
            })
            .collect()
    }

    fn settings_of(&self, scope: &Scope, path: &Path) -> Result<Layer, SettingsError> {
        let file = self.read(path)?;
        let layer = file.settings(scope)?;
        if *scope == Scope::User && !layer.is_empty() {
            return Err(YamlError::Content {
                path: path.to_owned(),
                line: file.line_of_settings(),
                reason: "settings that hold everywhere are in `config.yml`".to_owned(),
            }
            .into());
        }
        Ok(layer)
    }

    /// Lists the agents of which something is stored for `directory` or above it, and that of the team file.
    pub fn agents(&self, directory: &Path) -> BTreeSet<String> {
        let places = self.places(&resolved(directory));
        let files = places
            .into_iter()
            .filter_map(|(_, path)| self.read(&path).ok());
        files
            .flat_map(|file| file.names())
            .chain(self.team.as_ref().and_then(|team| team.file.agent.clone()))
            .collect()
    }
}
