//! What all files of a project say together: settings of the program, and the agents that are named.

use std::{collections::BTreeSet, path::Path};

use super::{Projects, resolved};
use crate::{
    settings::{Layer, Scope},
    yaml::YamlError,
};

impl Projects {
    /// Returns the settings of the program that hold in `directory`, the weakest place first.
    ///
    /// A file that cannot be read at all sets nothing here; whoever needs its choices is told.
    pub fn settings(&self, directory: &Path) -> Result<Vec<(Scope, Layer)>, YamlError> {
        let mut layers = Vec::new();
        for (scope, path) in self.places(&resolved(directory)) {
            let Ok(file) = self.read(&path) else { continue };
            let layer = file.settings(&scope)?;
            if layer.is_empty() {
                continue;
            }
            if scope == Scope::User {
                return Err(YamlError::Content {
                    path,
                    line: file.line_of_settings(),
                    reason: "settings that hold everywhere are in `config.yml`".to_owned(),
                });
            }
            layers.push((scope, layer));
        }
        Ok(layers)
    }

    /// Lists the agents of which something is stored for `directory` or above it, and that of the team file.
    pub fn agents(&self, directory: &Path) -> BTreeSet<String> {
        let places = self.places(&resolved(directory));
        let files = places
            .into_iter()
            .filter_map(|(_, path)| self.read(&path).ok());
        files
            .flat_map(|file| file.names().unwrap_or_default())
            .chain(self.team.as_ref().and_then(|team| team.file.agent.clone()))
            .collect()
    }
}
