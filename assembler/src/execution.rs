//! Runs one step in the sandbox: its log, what it changed, and the layer that is kept of it.
//!
//! Invariant: a layer is kept only after all of it was captured; every failure says which log tells more.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    assemble::AssembleError,
    capture::{CapturedLayer, store_tar},
    digest::LayerKey,
    provenance::{LayerRecord, Origin},
    reporter::Event,
    sandbox::{SandboxError, StepRequest, World},
    store::KeptLayer,
};

/// Runs a step of `origin` with a log of its own.
pub(crate) fn run(
    world: &World<'_>,
    request: &StepRequest<'_>,
    origin: &Origin,
) -> Result<CapturedLayer, AssembleError> {
    let failed = |log: PathBuf, source| AssembleError::Step {
        origin: origin.clone(),
        log,
        source,
    };
    let stem = log_stem(world, origin);
    let (output, log) = create_log(world.logs, &stem).map_err(|source| {
        let path = world.logs.join(stem);
        failed(path.clone(), SandboxError::Log { path, source })
    })?;
    captured(world, request, origin, (output, &log)).map_err(|source| failed(log, source))
}

/// Keeps what a step gave under its key.
pub(crate) fn keep(
    world: &World<'_>,
    key: &LayerKey,
    captured: CapturedLayer,
    record: LayerRecord,
) -> Result<KeptLayer, AssembleError> {
    let kept = KeptLayer {
        layer: captured.layer,
        diff_id: captured.diff_id,
        uncompressed_size: captured.uncompressed_size,
        record,
    };
    world.store.keep_layer(world.lock, key, &kept)?;
    world.reporter.event(Event::StepDone {
        origin: &kept.record.origin,
        layer: &kept.layer,
    });
    Ok(kept)
}

fn captured(
    world: &World<'_>,
    request: &StepRequest<'_>,
    origin: &Origin,
    (mut output, log): (fs_err::File, &Path),
) -> Result<CapturedLayer, SandboxError> {
    let log_error = |source| SandboxError::Log {
        path: log.to_owned(),
        source,
    };
    world.reporter.event(Event::StepStarted { origin, log });
    let mut captured = None;
    world.sandbox.run(request, &mut output, &mut |tar| {
        world.reporter.event(Event::StepCapturing { origin });
        captured = Some(store_tar(world.store, world.lock, tar)?);
        Ok(())
    })?;
    output.flush().map_err(log_error)?;
    captured.ok_or_else(|| SandboxError::Step {
        reason: "it ended without saying what changed".to_owned(),
    })
}

/// Makes a log that is ours alone; two runs of one second get two files. Scripts may print what is nobody else's business.
fn create_log(logs: &Path, stem: &str) -> std::io::Result<(fs_err::File, PathBuf)> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    fs_err::create_dir_all(logs)?;
    let mut number = 1;
    loop {
        let name = match number {
            1 => format!("{stem}.log"),
            _ => format!("{stem}-{number}.log"),
        };
        let path = logs.join(name);
        let mut options = fs_err::OpenOptions::new();
        match options.write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 10_000 => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Names a log after the step and the time; characters that a file name should not have became `_`.
fn log_stem(world: &World<'_>, origin: &Origin) -> String {
    let safe = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || ".-".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .take(100)
            .collect()
    };
    let stamp: String = world
        .now
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    format!("{}-{}-{stamp}", origin.kind, safe(&origin.id))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn two_logs_of_one_name_are_two_files_that_only_their_owner_reads() {
        let logs = tempfile::tempdir().unwrap();
        let (mut one, first) = create_log(logs.path(), "agent-x").unwrap();
        let (mut two, second) = create_log(logs.path(), "agent-x").unwrap();
        one.write_all(b"1").unwrap();
        two.write_all(b"2").unwrap();
        assert_eq!(fs_err::read(&first).unwrap(), b"1");
        assert_eq!(fs_err::read(&second).unwrap(), b"2");
        for log in [first, second] {
            let mode = fs_err::metadata(log).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
