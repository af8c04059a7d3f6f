//! What can be said of scripts without running them.
//!
//! Invariant: nothing of a script is executed: its shell only reads it (`-n`), in the form in which it would be run.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use assembler::recipe::{ScriptFile, ScriptFiles};
use serde::Serialize;

/// Something about a file that its author should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// `error`: it cannot work. `note`: it works all the same.
    pub(super) level: &'static str,
    pub(super) file: String,
    pub(super) message: String,
}

/// Looks at all shell scripts among `files`; `path` is where shells are looked for.
pub(super) fn check(files: &ScriptFiles, path: Option<&str>) -> Vec<Finding> {
    files
        .iter()
        .flat_map(|(name, file)| script(name, file, path))
        .collect()
}

fn script(name: &str, file: &ScriptFile, path: Option<&str>) -> Vec<Finding> {
    let finding = |level, message: String| Finding {
        level,
        file: name.to_owned(),
        message,
    };
    let first = file.content.split(|&byte| byte == b'\n').next();
    let first = String::from_utf8_lossy(first.unwrap_or_default());
    let by_name = Path::new(name).extension().is_some_and(|end| end == "sh");
    let Some(shell) =
        shell(&first).or_else(|| (by_name && !first.starts_with("#!")).then(|| "sh".to_owned()))
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if by_name && !file.executable {
        findings.push(finding(
            "note",
            "it is not executable; aicage runs it all the same".to_owned(),
        ));
    }
    let mut text = file.content.to_vec();
    if by_name && text.windows(2).any(|two| two == b"\r\n") {
        text.retain(|&byte| byte != b'\r');
        findings.push(finding(
            "note",
            "its lines end as on Windows; aicage runs it as if they did not".to_owned(),
        ));
    }
    match read_by(&shell, &text, path) {
        Some(Err(complaint)) => findings.push(finding("error", complaint)),
        Some(Ok(())) => {}
        None => findings.push(finding(
            "note",
            format!("its syntax was not checked: there is no `{shell}` on this machine"),
        )),
    }
    findings
}

/// Returns the shell that reads a script: what its first line names; other interpreters are none.
fn shell(first: &str) -> Option<String> {
    let line = first.trim_end().strip_prefix("#!")?;
    let mut words = line.split_whitespace();
    let mut program = words.next()?;
    if program.ends_with("/env") {
        program = words.find(|word| !word.starts_with('-'))?;
    }
    let name = program.rsplit('/').next()?;
    ["sh", "bash", "dash", "ash", "ksh", "zsh"]
        .contains(&name)
        .then(|| name.to_owned())
}

/// Has a shell of this machine read `text`; `None` where there is no such shell.
fn read_by(shell: &str, text: &[u8], path: Option<&str>) -> Option<Result<(), String>> {
    let program = std::env::split_paths(path?)
        .map(|directory| directory.join(shell))
        .find(|program| program.is_file())?;
    let mut child = Command::new(program)
        .arg("-n")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let text = text.to_vec();
    let writer = std::thread::spawn(move || {
        // A shell that stops reading has said why.
        drop(stdin.write_all(&text));
    });
    let output = child.wait_with_output().ok()?;
    drop(writer.join());
    if output.status.success() {
        return Some(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("its syntax is wrong");
    Some(Err(said.chars().take(300).collect()))
}
