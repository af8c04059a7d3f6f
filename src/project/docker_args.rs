//! Options for an agent's container, as a project's file keeps them: one text, quoted as in a shell.

use std::path::Path;

use super::{ProjectError, Projects, file::ProjectFile, file_name, resolved};
use crate::{whole_file, yaml::tree::Node};

impl Projects {
    /// Stores the options for `agent` in the project in `directory`; an empty text removes them.
    pub fn store_docker_args(
        &self,
        (directory, agent): (&Path, &str),
        text: &str,
    ) -> Result<(), ProjectError> {
        let directory = resolved(directory);
        let path = self.home.join("projects").join(file_name(&directory));
        let lock = whole_file::lock(&self.lock())?;
        let mut file = ProjectFile::read(&path)?;
        let mut entry = file.entry_to_change(agent)?;
        if text.is_empty() {
            entry.remove("docker_args");
        } else {
            entry.set("docker_args", Node::text(text));
        }
        file.change(agent, |there| *there = entry);
        file.set_path(&directory.to_string_lossy());
        self.write(&lock, &path, &file)
    }
}
