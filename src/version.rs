//! An agent's newest version: what its `version.sh` prints, in a throwaway container of the base.
//!
//! Invariant: the answer is one line of printable text, kept with its time; within the check interval, and offline, the
//! kept answer is used. Without an answer the agent is installed all the same, its version unknown.

use assembler::{
    image::Image,
    sandbox::{Sandbox as _, SandboxError, StepNetwork, StepRequest, Task},
};

use crate::{
    context::Context,
    definition::agent::VERSION,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    memory::{self, Remembered},
    runner::Runner,
    selection::Selection,
    supply::{self, Ask},
};

const KIND: &str = "version";
/// The longest version that is believed.
const LIMIT: usize = 100;

/// Returns the version that was last seen, however old.
pub fn known(context: &Context, selection: &Selection<'_>) -> Option<String> {
    recall(context, selection)?.value
}

/// Returns the version that was last seen, if that is not too long ago to be believed.
pub fn fresh(context: &Context, selection: &Selection<'_>) -> Option<String> {
    recall(context, selection)
        .filter(|known| context.options.offline || supply::is_fresh(context, &known.checked_at))?
        .value
}

/// Returns the newest version; `base` must be whole in the store.
pub fn newest(
    context: &Context,
    selection: &Selection<'_>,
    base: &Image,
    ask: Ask,
) -> Result<Option<String>, Diagnostic> {
    let remembered = recall(context, selection);
    let fresh = remembered
        .as_ref()
        .is_some_and(|known| supply::is_fresh(context, &known.checked_at));
    if context.options.offline || (fresh && ask == Ask::WhenOld) {
        return Ok(remembered.and_then(|known| known.value));
    }
    let printed = tokio::task::block_in_place(|| run(context, selection, base));
    match printed.map(|printed| parse(&printed)) {
        Ok(Ok(version)) => {
            let answer = Remembered {
                value: Some(version.clone()),
                checked_at: context.now.clone(),
            };
            supply::remember(context, KIND, &name(selection), &answer);
            Ok(Some(version))
        }
        Ok(Err(reason)) => {
            warn(context, selection, &reason);
            Ok(remembered.and_then(|known| known.value))
        }
        Err(SandboxError::Interrupted) => Err(Diagnostic::new(
            "interrupted",
            ExitStatus::Interrupted,
            "interrupted",
        )),
        // Without an engine the installation cannot work either, so say that now.
        Err(error @ SandboxError::Engine { .. }) => Err(error.into()),
        Err(error) => {
            warn(context, selection, &error.to_string());
            Ok(remembered.and_then(|known| known.value))
        }
    }
}

fn run(
    context: &Context,
    selection: &Selection<'_>,
    base: &Image,
) -> Result<Vec<u8>, SandboxError> {
    let (store, lock) = context.store().map_err(|diagnostic| SandboxError::Step {
        reason: diagnostic.message().to_owned(),
    })?;
    let files = selection.agent.files.load();
    let files = files.map_err(|error| SandboxError::Step {
        reason: error.to_string(),
    })?;
    let title = format!("version of {}", selection.agent.id);
    let request = StepRequest {
        store,
        lock,
        image: base,
        task: Task::Scripts {
            files: &files,
            run: &[VERSION.to_owned()],
        },
        network: StepNetwork::Configured,
        env: &[("AGENT".to_owned(), selection.agent.id.clone())].into(),
        source_date: None,
        title: &title,
    };
    let log = context
        .settings
        .logs()
        .join(format!("version-{}.log", selection.agent.id));
    let log_error = |source| SandboxError::Log {
        path: log.clone(),
        source,
    };
    fs_err::create_dir_all(context.settings.logs()).map_err(log_error)?;
    let mut output = fs_err::File::create(&log).map_err(log_error)?;
    Runner::new(context).query(&request, &mut output)
}

fn parse(printed: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(printed)
        .map_err(|_not_utf8| "it printed something that is not text".to_owned())?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (None, _) => Err("it printed nothing".to_owned()),
        (Some(_), Some(_)) => Err("it printed more than one line".to_owned()),
        (Some(line), None) if line.len() > LIMIT || line.chars().any(char::is_control) => {
            Err("what it printed is no version".to_owned())
        }
        (Some(line), None) => Ok(line.to_owned()),
    }
}

fn warn(context: &Context, selection: &Selection<'_>, reason: &str) {
    context.printer.warn(&format!(
        "`{VERSION}` of `{}` gave no version: {reason}; its output is in {}",
        selection.agent.id,
        context
            .settings
            .logs()
            .join(format!("version-{}.log", selection.agent.id))
            .display()
    ));
}

fn recall(context: &Context, selection: &Selection<'_>) -> Option<Remembered> {
    memory::recall(&context.settings.state(), KIND, &name(selection))
}

fn name(selection: &Selection<'_>) -> String {
    format!("{}-{}", selection.agent.id, selection.base.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_line_of_text_is_a_version() {
        assert_eq!(parse(b"1.2.3\n"), Ok("1.2.3".to_owned()));
        assert_eq!(parse(b"\n 1.2.3 \r\n\n"), Ok("1.2.3".to_owned()));
        for bad in [
            &b""[..],
            b"\n",
            b"1\n2\n",
            b"\xff",
            b"1\x1b[31m",
            &[b'1'; 101],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
