//! `version.sh` on this machine, when it failed in a container and the configuration allows it.
//!
//! Invariants: it runs in a directory of its own with a copy of the definition's files and with little of our
//! environment; it and everything that it started in its process group is killed at its end, at the latest when its
//! time is over. It is read, not executed, so that neither its mode nor how the directory is mounted matters.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use assembler::recipe::ScriptFiles;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    certificates,
    context::Context,
    definition::agent::{AgentDefinition, VERSION},
    leftovers,
    proxy::{self, Redacting},
    settings::Environment,
};

/// The most that is read of what it prints, in bytes.
const LIMIT: u64 = 1 << 20;
/// How long a process that left the group may hold the output open.
const LINGER: Duration = Duration::from_secs(1);

/// Runs it and returns what it printed on stdout, else why there is nothing, in words; the rest goes to `log`.
pub(super) async fn run(
    context: &Context,
    agent: &AgentDefinition,
    log: &Path,
) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("it could not be run: {error}");
    let scratch = leftovers::scratch(&context.settings);
    let files = agent.files.load().map_err(|error| error.to_string())?;
    let directory = copy(&files, &scratch).map_err(failed)?;
    let mut command = command(directory.path()).map_err(failed)?;
    command
        .env_clear()
        .envs(environment(context)?)
        .env("AGENT", &agent.id)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = command.spawn().map_err(failed)?;
    let (_, limit) = context.settings.config.update.version_limits();
    let ended = watch(context, child, limit).await;
    let Ended { status, out, err } = ended?;
    let secrets = proxy::secrets(&context.settings);
    super::open_log(log)
        .and_then(|file| {
            let mut file = Redacting::new(secrets, file);
            io::Write::write_all(&mut file, &err)?;
            io::Write::flush(&mut file)
        })
        .map_err(|error| format!("its log cannot be written: {error}"))?;
    match status.code() {
        Some(0) if out.len() as u64 > LIMIT => Err("it printed more than 1 MiB".to_owned()),
        Some(0) => Ok(out),
        Some(code) => Err(format!("it exited with status {code}")),
        None => Err("it was killed".to_owned()),
    }
}

struct Ended {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// Kills a process group when it goes out of scope.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            // Where nobody of the group is left there is nothing to kill.
            kill_process_group(group, Signal::KILL).unwrap_or_default();
        }
    }
}

async fn watch(context: &Context, mut child: Child, limit: Duration) -> Result<Ended, String> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = Group(id.and_then(Pid::from_raw));
    let out = read(child.stdout.take());
    let err = read(child.stderr.take());
    let status = tokio::select! {
        () = context.interrupt.wait() => return Err("it was interrupted".to_owned()),
        status = timeout(limit, child.wait()) => status,
    };
    // Whatever it left running must not keep its output open.
    drop(group);
    let Ok(status) = status else {
        drop(child.wait().await);
        return Err(format!(
            "it did not end within {} s and was killed",
            limit.as_secs()
        ));
    };
    let status = status.map_err(|error| format!("it was lost: {error}"))?;
    let whole = |read: Result<Result<Vec<u8>, _>, _>| match read {
        Ok(Ok(bytes)) => Ok(bytes),
        _ => Err("a process that it left behind holds its output open".to_owned()),
    };
    Ok(Ended {
        status,
        out: whole(timeout(LINGER, out).await)?,
        err: whole(timeout(LINGER, err).await)?,
    })
}

/// Reads the beginning and drops the rest, so that whoever writes is never kept waiting.
fn read(pipe: Option<impl AsyncRead + Send + Unpin + 'static>) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is all there is.
            drop((&mut pipe).take(LIMIT + 1).read_to_end(&mut bytes).await);
            drop(tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await);
        }
        bytes
    })
}

/// Copies the files; scripts with the line ends of Windows lose them, as in a container.
fn copy(files: &ScriptFiles, scratch: &Path) -> io::Result<TempDir> {
    fs_err::create_dir_all(scratch)?;
    let directory = tempfile::Builder::new()
        .prefix("version-")
        .tempdir_in(scratch)?;
    for (name, file) in files.iter() {
        let path = directory.path().join(name);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let is_script = Path::new(name).extension().is_some_and(|end| end == "sh");
        match std::str::from_utf8(&file.content) {
            Ok(text) if is_script => fs_err::write(&path, text.replace("\r\n", "\n"))?,
            _ => fs_err::write(&path, &file.content)?,
        }
        if file.executable {
            use std::os::unix::fs::PermissionsExt as _;
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(directory)
}

/// Returns the interpreter that the script's first line names, with what stands behind it, and the script.
fn command(directory: &Path) -> io::Result<Command> {
    let script = fs_err::read(directory.join(VERSION))?;
    let first = script.split(|byte| *byte == b'\n').next();
    let first = String::from_utf8_lossy(first.unwrap_or_default()).into_owned();
    let line = first.strip_prefix("#!").map_or("/bin/sh", str::trim);
    let (interpreter, argument) = match line.split_once(char::is_whitespace) {
        Some((interpreter, argument)) => (interpreter, Some(argument.trim())),
        None => (line, None),
    };
    let mut command = Command::new(interpreter);
    command.args(argument).arg(format!("./{VERSION}"));
    Ok(command)
}

fn environment(context: &Context) -> Result<Vec<(String, String)>, String> {
    let settings = &context.settings;
    let mut variables: Vec<(String, String)> =
        proxy::for_this_machine(context).into_iter().collect();
    let home = settings.user_home.display().to_string();
    variables.push(("HOME".to_owned(), home));
    let handed_on = ["PATH", "LANG"].iter().chain(&certificates::VARIABLES);
    variables.extend(
        handed_on.filter_map(|name| Some(((*name).to_owned(), Environment::variable(name)?))),
    );
    let bundle = certificates::for_this_machine(context);
    variables.extend(bundle.map_err(|diagnostic| diagnostic.sentence())?);
    Ok(variables)
}
