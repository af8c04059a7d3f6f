//! The instructions: carried out one after the other.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use fs_err as fs;
use rustix::process::Pid;

use super::StepError;
use super::answer::Ran;
use super::ground::Ground;
use super::place::{Given, make_directories, resolve};
use super::scripts::Outcome;
use super::spec::{Action, Instruction, Spec};
use super::tars::{Tar, Tars};
use super::unpack::{Unpacking, unpack};
use super::users::Users;
use crate::launch::{self, Whom};

/// Where programs are looked for if the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Instructions that are ready to be carried out.
pub(super) struct Instructions {
    ready: Vec<(Instruction, Option<Tar>)>,
    tars: Tars,
    /// Added to what a program is given, which wins.
    pub(super) environment: BTreeMap<String, String>,
    /// Added to what a program is given, and wins.
    pub(super) secrets: BTreeMap<String, String>,
    nothing: fs::File,
}

impl Instructions {
    /// Has at hand what the instructions need; `private` is where a file can be made.
    pub(super) fn prepare((from, private): (&Path, &Path), spec: &Spec) -> Result<Self, StepError> {
        let mut tars = Tars::new(from)?;
        let mut ready = Vec::new();
        let mut after_program = false;
        for instruction in &spec.instructions {
            let tar = match &instruction.action {
                Action::Unpack { tar, .. } if after_program => Some(tars.for_later(tar, private)?),
                Action::Unpack { tar, .. } => Some(tars.at_once(tar)),
                Action::Run { .. } => {
                    after_program = true;
                    None
                }
                Action::Directory { .. } => None,
            };
            ready.push((instruction.clone(), tar));
        }
        Ok(Self {
            ready,
            tars,
            environment: spec.env.clone(),
            secrets: BTreeMap::new(),
            nothing: fs::File::open("/dev/null")?,
        })
    }

    pub(super) fn run(mut self, ground: &mut Ground<'_>) -> Result<Outcome, StepError> {
        let mut done = Vec::new();
        for (instruction, tar) in std::mem::take(&mut self.ready) {
            let begin = Instant::now();
            let name = instruction.label.clone();
            let exit = self.carry_out((&instruction, tar), ground)?;
            if exit != 0 {
                return Ok(Outcome::Failed { script: name, exit });
            }
            let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
            done.push(Ran { name, exit, ms });
        }
        Ok(Outcome::Ran {
            scripts: done,
            output: None,
        })
    }

    /// Returns the exit code of the instruction's program, or 0 if it has none.
    fn carry_out(
        &self,
        (instruction, tar): (&Instruction, Option<Tar>),
        ground: &mut Ground<'_>,
    ) -> Result<u8, StepError> {
        let label = || instruction.label.clone();
        let failed = |source| StepError::Place {
            label: label(),
            source,
        };
        match &instruction.action {
            Action::Run { .. } => {
                let exit = self.run_program(instruction);
                // Each program has a container of its own, as far as it can tell.
                crate::children::end_all();
                clear_shared_memory().map_err(failed)?;
                ground.was_used();
                exit
            }
            Action::Unpack {
                to,
                destination,
                conflict,
                owner,
                mode,
                ..
            } => {
                let Some(tar) = tar else { return Ok(0) };
                let tar = self.tars.open(&tar).map_err(failed)?;
                let what = Unpacking {
                    to,
                    destination: *destination,
                    conflict: *conflict,
                    given: given(owner.as_deref(), *mode),
                };
                unpack(tar, &what, ground).map_err(|source| StepError::Unpack {
                    label: label(),
                    source,
                })?;
                Ok(0)
            }
            Action::Directory { path, owner } => {
                let place = ground.resolve(Path::new(path)).map_err(failed)?;
                let given = given(owner.as_deref(), None);
                ground.make_directories(&place, given).map_err(failed)?;
                Ok(0)
            }
        }
    }

    fn run_program(&self, instruction: &Instruction) -> Result<u8, StepError> {
        let label = || instruction.label.clone();
        let failed = |source| StepError::Place {
            label: label(),
            source,
        };
        let Action::Run {
            argv,
            env,
            user,
            directory,
        } = &instruction.action
        else {
            return Ok(0);
        };
        let who = Users::read()
            .who(user.as_deref())
            .map_err(|source| StepError::User {
                label: label(),
                source,
            })?;
        let place = resolve(directory).map_err(failed)?;
        make_directories(&place, Given::default()).map_err(failed)?;
        let mut environment = self.environment.clone();
        environment.extend(env.clone());
        environment.extend(self.secrets.clone());
        environment
            .entry("PATH".to_owned())
            .or_insert_with(|| PATH.to_owned());
        environment
            .entry("HOME".to_owned())
            .or_insert_with(|| who.home.clone());
        let whom = Whom {
            uid: who.uid,
            gid: who.gid,
            groups: Some(&who.groups),
        };
        // A script can remove this program, but not from under itself.
        let mut command = launch::command(Path::new("/proc/self/exe"), &whom, directory.as_ref());
        command.args(argv).env_clear().envs(&environment);
        let child = self.spawn(&mut command).map_err(failed)?;
        crate::children::await_one(child).map_err(|error| StepError::Wait {
            name: label(),
            source: error.into(),
        })
    }

    /// Starts a program; its output goes where ours does.
    fn spawn(&self, command: &mut Command) -> io::Result<Pid> {
        let output = || rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3).map(Stdio::from);
        let child = command
            .stdin(self.nothing.file().try_clone()?)
            .stdout(output()?)
            .stderr(output()?)
            .spawn()?;
        Ok(Pid::from_child(&child))
    }
}

/// Removes what programs left in memory that the engine mounts for all of them.
fn clear_shared_memory() -> io::Result<()> {
    const SHARED_MEMORY: &str = "/dev/shm";
    const TMPFS: i128 = 0x0102_1994;
    let is_memory =
        rustix::fs::statfs(SHARED_MEMORY).is_ok_and(|statfs| i128::from(statfs.f_type) == TMPFS);
    if !is_memory {
        return Ok(());
    }
    for entry in fs::read_dir(SHARED_MEMORY)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn given(owner: Option<&str>, mode: Option<u32>) -> Given {
    Given {
        owner: owner.map(|owner| Users::read().owner(owner)),
        mode,
    }
}
