//! `docker-credential-NAME get`: asks a program that keeps credentials.
//!
//! Invariant: it is waited for only so long, its answer is bounded, and what it says goes into an error only when it is not
//! the answer itself.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};

use super::{Credential, CredentialError, Helper, file::password_or_token};
use crate::redact::printable;

/// Long enough for a person to unlock a keychain.
const PATIENCE: Duration = Duration::from_mins(1);
const LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    username: String,
    secret: String,
}

/// Returns the file name of a program that keeps credentials.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Finds the program; a name that could be a path finds none.
pub(super) fn find(name: &str, path: &[PathBuf]) -> Option<PathBuf> {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    path.iter().filter(|_| plain).find_map(|directory| {
        let file = directory.join(program(name));
        runnable(&file).then_some(file)
    })
}

/// Asks `helper`; `None` if it knows nothing of the registry.
pub(super) async fn get(
    helper: &Helper,
    path: &[PathBuf],
) -> Result<Option<Credential>, CredentialError> {
    let program = program(&helper.name);
    let found = find(&helper.name, path);
    let Some(file) = found else {
        return Err(CredentialError::NoHelper {
            program,
            file: helper.file.clone(),
        });
    };
    let spawn = |source| CredentialError::Spawn {
        program: program.clone(),
        source,
    };
    let child = Command::new(file)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(spawn)?;
    let Ok(said) = timeout(PATIENCE, converse(child, &helper.server)).await else {
        return Err(CredentialError::HelperTimeout {
            program,
            after: PATIENCE,
        });
    };
    let (succeeded, stdout, stderr) = said.map_err(spawn)?;
    if succeeded {
        let reply: Reply = serde_json::from_slice(&stdout)
            .map_err(|_secret| CredentialError::HelperAnswer { program })?;
        return Ok(Some(password_or_token(reply.username, reply.secret)));
    }
    let message = format!(
        "{} {}",
        String::from_utf8_lossy(&stdout).trim(),
        String::from_utf8_lossy(&stderr).trim()
    );
    // The words of docker-credential-helpers' protocol for "none"; there is no other sign.
    if message.contains("credentials not found") {
        return Ok(None);
    }
    Err(CredentialError::HelperFailed {
        program,
        message: printable(message.trim(), 300),
    })
}

async fn converse(mut child: Child, server: &str) -> std::io::Result<(bool, Vec<u8>, Vec<u8>)> {
    if let Some(mut stdin) = child.stdin.take() {
        // One that answers without reading has closed its end; its answer counts.
        drop(stdin.write_all(server.as_bytes()).await);
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(bounded(stdout), bounded(stderr))?;
    Ok((child.wait().await?.success(), stdout, stderr))
}

async fn bounded(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LIMIT).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(unix)]
fn runnable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn runnable(file: &Path) -> bool {
    fs_err::metadata(file.with_extension("exe")).is_ok()
}
