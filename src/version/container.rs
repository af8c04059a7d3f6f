//! `version.sh` in a throwaway container of the base that the agent is installed on: it has what the script needs.

use std::path::Path;

use assembler::{
    image::Image,
    sandbox::{Sandbox as _, SandboxError, StepNetwork, StepRequest, Task},
};

use crate::{
    context::Context,
    definition::agent::{AgentDefinition, VERSION},
    diagnostic::Diagnostic,
    runner::Runner,
};

/// Runs it and returns what it printed on stdout; the rest goes to `log`.
pub(super) fn run(
    context: &Context,
    agent: &AgentDefinition,
    base: &Image,
    log: &Path,
) -> Result<Vec<u8>, SandboxError> {
    let words = |diagnostic: Diagnostic| SandboxError::Step {
        reason: diagnostic.sentence(),
    };
    let (store, lock) = context.store().map_err(words)?;
    let files = agent.files.load().map_err(|error| SandboxError::Step {
        reason: error.to_string(),
    })?;
    let title = format!("version of {}", agent.id);
    let request = StepRequest {
        store,
        lock,
        image: base,
        task: Task::Scripts {
            files: &files,
            run: &[VERSION.to_owned()],
        },
        network: StepNetwork::Configured,
        env: &[("AGENT".to_owned(), agent.id.clone())].into(),
        source_date: None,
        title: &title,
    };
    let mut output = super::open_log(log).map_err(|source| SandboxError::Log {
        path: log.to_owned(),
        source,
    })?;
    let (limit, _) = context.settings.config.update.version_limits();
    Runner::new(context).query(&request, &mut output, limit)
}
