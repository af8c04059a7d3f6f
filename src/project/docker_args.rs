//! Options for an agent's container, as a project's file keeps them: one text, quoted as in a shell.

use std::path::Path;

use super::{ProjectError, Projects, file::ProjectFile, file_name, resolved};
use crate::{whole_file, yaml::tree::Node};

impl Projects {
    /// Stores the options for `agent` in the project in `directory`: `change` makes them of those that are there, while
    /// nobody else changes them. An empty text removes them.
    pub fn change_docker_args<E: From<ProjectError>>(
        &self,
        (directory, agent): (&Path, &str),
        change: impl FnOnce(&str) -> Result<String, E>,
    ) -> Result<String, E> {
        let directory = resolved(directory);
        let path = self.home.join("projects").join(file_name(&directory));
        let lock = whole_file::lock(&self.lock()).map_err(ProjectError::from)?;
        let mut file = ProjectFile::read(&path)?;
        let mut entry = file.entry_to_change(agent)?;
        let own = entry.get("docker_args").and_then(Node::as_text);
        let text = change(own.unwrap_or_default())?;
        if text.is_empty() {
            entry.remove("docker_args");
        } else {
            entry.set("docker_args", Node::text(&text));
        }
        file.change(agent, |there| *there = entry);
        file.set_path(&directory.to_string_lossy());
        self.write(&lock, &path, &file)?;
        Ok(text)
    }
}
