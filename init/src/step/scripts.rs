//! The scripts: copied to a place of our own, repaired, run one after the other.

use std::io::{self, Seek as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use fs_err as fs;
use layer::LayerPath;
use rustix::process::Pid;

use super::StepError;
use super::answer::Ran;
use super::spec::{Mode, Spec};

/// `exec` of a file that is neither a program nor starts with `#!`.
const ENOEXEC: i32 = 8;

/// Scripts that are ready to run.
pub(super) struct Scripts {
    directory: PathBuf,
    /// Added to what the container was given.
    pub(super) environment: Vec<(String, String)>,
    /// Opened before a script can remove it.
    nothing: fs::File,
    /// Where a query's scripts write.
    output: Option<fs::File>,
}

/// How the scripts ended.
pub(super) enum Outcome {
    /// All with 0.
    Ran {
        scripts: Vec<Ran>,
        output: Option<fs::File>,
    },
    /// One with another code; none ran after it.
    Failed { script: String, exit: u8 },
}

impl Scripts {
    /// Copies the scripts, since the directory they came in may be read-only.
    pub(super) fn prepare(from: &Path, private: &Path, spec: &Spec) -> Result<Self, StepError> {
        let directory = private.join("scripts");
        fs::create_dir(private)?;
        copy_tree(&from.join("scripts"), &directory)?;
        for name in &spec.scripts {
            let is_relative =
                LayerPath::new(name).is_ok_and(|path| path.as_bytes() == name.as_bytes());
            let path = directory.join(name);
            if !is_relative || !path.is_file() {
                return Err(StepError::ScriptName { name: name.clone() });
            }
            strip_carriage_returns(&path)?;
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        let output = match spec.mode {
            Mode::Capture => None,
            Mode::Query => {
                let path = private.join("output");
                let options = fs::OpenOptions::new()
                    .read(true)
                    .append(true)
                    .create_new(true)
                    .open(&path)?;
                fs::remove_file(&path)?;
                Some(options)
            }
        };
        Ok(Self {
            directory,
            environment: Vec::new(),
            nothing: fs::File::open("/dev/null")?,
            output,
        })
    }

    pub(super) fn run(self, spec: &Spec) -> Result<Outcome, StepError> {
        let mut scripts = Vec::new();
        for name in &spec.scripts {
            let begin = Instant::now();
            let exit = match self.start(name) {
                Ok(child) => {
                    crate::children::await_one(child).map_err(|error| StepError::Wait {
                        name: name.clone(),
                        source: error.into(),
                    })?
                }
                Err(error) => {
                    let why = why_not(&self.directory.join(name), &error);
                    crate::say(&format!("cannot run {name}: {why}"));
                    if error.kind() == io::ErrorKind::NotFound {
                        127
                    } else {
                        126
                    }
                }
            };
            if exit != 0 {
                return Ok(Outcome::Failed {
                    script: name.clone(),
                    exit,
                });
            }
            let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
            scripts.push(Ran {
                name: name.clone(),
                exit,
                ms,
            });
        }
        let output = match self.output {
            Some(mut output) => {
                output.rewind()?;
                Some(output)
            }
            None => None,
        };
        Ok(Outcome::Ran { scripts, output })
    }

    fn start(&self, name: &str) -> io::Result<Pid> {
        let path = self.directory.join(name);
        match self.spawn(&mut Command::new(&path)) {
            Err(error) if error.raw_os_error() == Some(ENOEXEC) => {
                self.spawn(Command::new("/bin/sh").arg(&path))
            }
            other => other,
        }
    }

    fn spawn(&self, command: &mut Command) -> io::Result<Pid> {
        let stderr = || {
            Ok::<_, io::Error>(Stdio::from(rustix::io::fcntl_dupfd_cloexec(
                io::stderr(),
                3,
            )?))
        };
        let output = match &self.output {
            Some(output) => Stdio::from(output.file().try_clone()?),
            None => stderr()?,
        };
        let child = command
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(self.nothing.file().try_clone()?)
            .stdout(output)
            .stderr(stderr()?)
            .spawn()?;
        Ok(Pid::from_child(&child))
    }
}

/// Says why a script cannot be run; the system says of a missing interpreter that the script itself is missing.
fn why_not(script: &Path, error: &io::Error) -> String {
    let text = fs::read(script).unwrap_or_default();
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let asked = line
        .strip_prefix("#!")
        .and_then(|rest| rest.split_whitespace().next());
    match (asked, error.kind()) {
        (Some(program), io::ErrorKind::NotFound) if !Path::new(program).exists() => {
            format!("its first line asks for {program}, and this image has none")
        }
        (None, io::ErrorKind::NotFound) if script.exists() => {
            "it has no first line such as `#!/bin/sh`, and this image has no /bin/sh".to_owned()
        }
        _ => error.to_string(),
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            if target
                .extension()
                .is_some_and(|extension| extension == "sh")
            {
                strip_carriage_returns(&target)?;
            }
        }
    }
    Ok(())
}

/// Repairs a text that was written on Windows: else `#!/bin/sh\r` names an interpreter that nobody has.
fn strip_carriage_returns(path: &Path) -> io::Result<()> {
    let text = fs::read(path)?;
    if text.contains(&0) || !text.windows(2).any(|pair| pair == b"\r\n") {
        return Ok(());
    }
    let mut clean = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        if *byte != b'\r' || text.get(at + 1) != Some(&b'\n') {
            clean.push(*byte);
        }
    }
    fs::write(path, clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_interpreter_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sh");
        let missing = io::Error::from(io::ErrorKind::NotFound);
        for (text, why) in [
            (
                "#! /nowhere/bash -e\ntrue\n",
                "its first line asks for /nowhere/bash, and this image has none",
            ),
            ("true\n", "this image has no /bin/sh"),
            ("#!/proc/self/exe\n", "not found"),
        ] {
            fs::write(&path, text).unwrap();
            let said = why_not(&path, &missing);
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn only_line_ends_of_texts_lose_their_carriage_return() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sh");
        for (before, after) in [
            ("#!/bin/sh\r\necho 'a\rb'\r\n", "#!/bin/sh\necho 'a\rb'\n"),
            ("\0\r\n", "\0\r\n"),
        ] {
            fs::write(&path, before).unwrap();
            strip_carriage_returns(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }
}
