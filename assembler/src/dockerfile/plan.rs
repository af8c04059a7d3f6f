//! From stages to groups: what runs in one container and gives one layer, with every variable expanded.
//!
//! Instructions of a stage that need the same mounts and the same network are one group; copying and making directories
//! needs neither and joins the group before it, unless it would write below a mount.
//!
//! Invariant: a plan needs no container and no network, and all that can be wrong before one is there was found.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    DockerfileBuild,
    copies::PlannedCopy,
    expand, heredoc,
    mount::{self, Kind, Mount},
    script::{Command, Located, Refusal, Run, What, refuse},
    stages::{Base, Stages, bad_word, trigger},
    state::{self, State},
    tree::Tree,
};
use crate::sandbox::StepNetwork;

/// A stage, ready to be built.
#[derive(Debug)]
pub(crate) struct PlannedStage {
    pub(crate) base: Base,
    pub(crate) groups: Vec<Group>,
    pub(crate) state: State,
}

/// What runs in one container.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) network: StepNetwork,
    pub(crate) operations: Vec<Operation>,
}

/// One instruction that changes files.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) line: usize,
    pub(crate) summary: String,
    pub(crate) what: Doing,
}

/// What an instruction does to files.
#[derive(Debug)]
pub(crate) enum Doing {
    Run {
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        user: Option<String>,
        directory: String,
    },
    Copy(PlannedCopy),
    Directory {
        path: String,
        owner: Option<String>,
    },
}

/// The config of an image that a stage is built on, and its author.
pub(crate) type BaseConfig = (Map<String, Value>, Option<String>);

/// Plans the stages that are needed, by their index.
pub(crate) fn plan(
    build: &DockerfileBuild,
    stages: &Stages<'_>,
    configs: &BTreeMap<Base, BaseConfig>,
) -> Result<BTreeMap<usize, PlannedStage>, Refusal> {
    let mut planned: BTreeMap<usize, PlannedStage> = BTreeMap::new();
    for index in &stages.needed {
        let base = stages.bases.get(*index).cloned().unwrap_or(Base::Scratch);
        let stage = stages
            .script
            .stages
            .get(*index)
            .expect("only stages that are there are needed");
        let mut left: Vec<String> = Vec::new();
        let mut state = match &base {
            Base::Stage(below) => {
                let below = &planned.get(below).expect("a base comes first").state;
                let mut below = below.clone();
                left = below.take_triggers();
                State::on_stage(&below)
            }
            base => {
                let (config, author) = configs.get(base).cloned().unwrap_or_default();
                State::on_image(config, author)
            }
        };
        left.extend(state.take_triggers());
        let mut instructions = Vec::new();
        for text in left {
            instructions.extend(trigger(&text, stage.line)?);
        }
        instructions.extend(stage.instructions.iter().cloned());
        let mut planner = Planner {
            build,
            stages,
            index: *index,
            state,
            groups: Vec::new(),
        };
        for instruction in &instructions {
            planner.instruction(instruction)?;
        }
        let stage = PlannedStage {
            base,
            groups: planner.groups,
            state: planner.state,
        };
        planned.insert(*index, stage);
    }
    Ok(planned)
}

pub(crate) struct Planner<'a> {
    pub(crate) build: &'a DockerfileBuild,
    pub(crate) stages: &'a Stages<'a>,
    pub(crate) index: usize,
    pub(crate) state: State,
    groups: Vec<Group>,
}

impl Planner<'_> {
    pub(crate) fn expand(&self, word: &str, line: usize) -> Result<String, Refusal> {
        expand::word(word, &self.state.environment, self.stages.script.escape)
            .map_err(|reason| bad_word(line, &reason))
    }

    fn instruction(&mut self, instruction: &Located) -> Result<(), Refusal> {
        let line = instruction.line;
        match &instruction.what {
            What::Arg(arguments) => self.argument(arguments, line)?,
            What::Env(pairs) => {
                // All see the variables as they were before the instruction.
                for (name, value) in self.pairs(pairs, line)? {
                    self.state.set_env(&name, &value);
                }
            }
            What::Label(pairs) => {
                for (name, value) in self.pairs(pairs, line)? {
                    self.state.map("Labels").insert(name, json!(value));
                }
            }
            What::Run(run) => self.run(run, instruction)?,
            What::Copy(copy) => self.copy(copy, instruction)?,
            What::Workdir(path) => self.workdir(path, instruction)?,
            What::User(user) => {
                let user = self.expand(user, line)?;
                if user.is_empty() {
                    return Err(refuse(line, "USER is empty", "write a name or a number"));
                }
                self.state.put("User", json!(user));
            }
            What::Shell(argv) => self.state.put("Shell", json!(argv)),
            What::Entrypoint(command) => self.state.set_entrypoint(command),
            What::Cmd(command) => self.state.set_command(command),
            What::Expose(words) => self.expose(words, line)?,
            What::Volume(words) => {
                for word in words {
                    let path = self.expand(word, line)?;
                    if path.is_empty() {
                        return Err(refuse(
                            line,
                            "VOLUME has an empty path",
                            "write a directory",
                        ));
                    }
                    self.state.map("Volumes").insert(path, json!({}));
                }
            }
            What::StopSignal(signal) => {
                let signal = self.expand(signal, line)?;
                if !state::is_signal(&signal) {
                    return Err(refuse(
                        line,
                        format!("STOPSIGNAL `{signal}` is no signal"),
                        "write a name such as `SIGTERM` or a number",
                    ));
                }
                self.state.put("StopSignal", json!(signal));
            }
            What::Healthcheck(check) => self.state.set_healthcheck(check).map_err(|reason| {
                refuse(
                    line,
                    format!("HEALTHCHECK {reason}"),
                    "write times such as `30s` or `1m30s`, and a number of retries",
                )
            })?,
            What::Maintainer(name) => self.state.author = Some(name.clone()),
            What::OnBuild(text) => self.state.push("OnBuild", json!(text)),
        }
        Ok(())
    }

    fn pairs(
        &self,
        pairs: &[(String, String)],
        line: usize,
    ) -> Result<Vec<(String, String)>, Refusal> {
        pairs
            .iter()
            .map(|(name, value)| Ok((self.expand(name, line)?, self.expand(value, line)?)))
            .collect()
    }

    fn argument(
        &mut self,
        arguments: &[(String, Option<String>)],
        line: usize,
    ) -> Result<(), Refusal> {
        for (name, default) in arguments {
            let value = match (self.build.args.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(default, line)?),
                (None, None) => {
                    expand::Variables::get(&self.stages.globals, name).map(ToOwned::to_owned)
                }
            };
            if let Some(value) = value {
                self.state.environment.set(name, &value);
            }
        }
        Ok(())
    }

    fn expose(&mut self, words: &[String], line: usize) -> Result<(), Refusal> {
        for word in words {
            let escape = self.stages.script.escape;
            let words = expand::words(word, &self.state.environment, escape)
                .map_err(|reason| bad_word(line, &reason))?;
            for word in words {
                let ports = state::ports(&word).map_err(|reason| {
                    refuse(
                        line,
                        format!("EXPOSE: {reason}"),
                        "write `80`, `53/udp` or `8000-8010/tcp`",
                    )
                })?;
                for port in ports {
                    self.state.map("ExposedPorts").insert(port, json!({}));
                }
            }
        }
        Ok(())
    }

    fn workdir(&mut self, path: &str, instruction: &Located) -> Result<(), Refusal> {
        let path = self.expand(path, instruction.line)?;
        if path.is_empty() {
            return Err(refuse(
                instruction.line,
                "WORKDIR is empty",
                "write a directory",
            ));
        }
        let path = state::absolute(&self.state.directory(), &path);
        self.state.put("WorkingDir", json!(path));
        if path != "/" {
            let owner = self.state.user();
            self.join(
                &path,
                instruction,
                Doing::Directory {
                    path: path.clone(),
                    owner,
                },
            );
        }
        Ok(())
    }

    fn run(&mut self, run: &Run, instruction: &Located) -> Result<(), Refusal> {
        let line = instruction.line;
        let directory = self.state.directory();
        let mut mounts = Vec::new();
        for text in &run.mounts {
            let read = mount::read(text, line, &directory, |word| self.expand(word, line))?;
            self.check_mount(&read, line)?;
            mounts.push(read);
        }
        let network = match run.network.as_deref().map(|word| self.expand(word, line)) {
            None => StepNetwork::Configured,
            Some(word) => match word?.as_str() {
                "default" => StepNetwork::Configured,
                "none" => StepNetwork::None,
                other => {
                    return Err(refuse(
                        line,
                        format!(
                            "RUN --network={other} is not done: a step is never in the host's network"
                        ),
                        "write `--network=none`, or leave it out for the container's own",
                    ));
                }
            },
        };
        let mut command = run.command.clone();
        if let (Command::Shell(text), false) = (&mut command, run.documents.is_empty()) {
            let only = heredoc::is_only_heredoc(text);
            match run.documents.as_slice() {
                [document] if only => {
                    let content = if document.chomp {
                        heredoc::chomp(&document.content)
                    } else {
                        document.content.clone()
                    };
                    if content.starts_with("#!") {
                        *text = format!("/dev/pipes/{}", document.name);
                        mounts.push(Mount {
                            target: "/dev/pipes".to_owned(),
                            kind: Kind::Document {
                                name: document.name.clone(),
                                content,
                            },
                        });
                    } else {
                        *text = content;
                    }
                }
                documents => {
                    for document in documents {
                        text.push('\n');
                        text.push_str(&document.content);
                        text.push_str(&document.name);
                    }
                }
            }
        }
        let operation = Operation {
            line,
            summary: instruction.summary.clone(),
            what: Doing::Run {
                argv: self.state.argv(&command),
                env: self.state.environment.to_map(),
                user: self.state.user(),
                directory,
            },
        };
        match self.groups.last_mut() {
            Some(group) if group.takes(&mounts, network) => {
                group.mounts = mounts;
                group.network = network;
                group.operations.push(operation);
            }
            _ => self.groups.push(Group {
                mounts,
                network,
                operations: vec![operation],
            }),
        }
        Ok(())
    }

    /// Refuses what a mount cannot be made from.
    fn check_mount(&self, mount: &Mount, line: usize) -> Result<(), Refusal> {
        let (from, source) = match &mount.kind {
            Kind::Bind { from, source, .. } => (from, source),
            Kind::Cache {
                from: Some(from), ..
            } => return self.known(&self.stages.source(from, self.index, line)?, line),
            Kind::Secret { id, need, .. } => {
                if *need == mount::Need::Required && !self.build.secrets.contains_key(id) {
                    return Err(refuse(
                        line,
                        format!("the secret `{id}` is required and not given"),
                        "give it, or take `required` away",
                    ));
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        match from {
            Some(from) => self.known(&self.stages.source(from, self.index, line)?, line),
            None => match Tree::Context(&self.build.context).resolve(source.as_bytes()) {
                Some(_) => Ok(()),
                None => Err(self.missing(source, line)),
            },
        }
    }

    /// Refuses an image that nobody brought.
    pub(crate) fn known(&self, base: &Base, line: usize) -> Result<(), Refusal> {
        match base {
            Base::Image(name) if !self.build.images.contains_key(name) => Err(refuse(
                line,
                format!("there is no stage `{name}`, nor an image of that name"),
                self.stages.known(),
            )),
            _ => Ok(()),
        }
    }

    /// Adds what needs no mount to the group before it, if no mount is in its way.
    pub(crate) fn join(&mut self, path: &str, instruction: &Located, what: Doing) {
        let operation = Operation {
            line: instruction.line,
            summary: instruction.summary.clone(),
            what,
        };
        match self.groups.last_mut() {
            Some(group) if group.mounts.iter().all(|mount| apart(&mount.target, path)) => {
                group.operations.push(operation);
            }
            _ => self.groups.push(Group {
                mounts: Vec::new(),
                network: StepNetwork::Configured,
                operations: vec![operation],
            }),
        }
    }
}

impl Group {
    /// Says whether a command with these mounts can run in this group.
    fn takes(&self, mounts: &[Mount], network: StepNetwork) -> bool {
        let runs = |operation: &Operation| matches!(operation.what, Doing::Run { .. });
        if self.operations.iter().any(runs) {
            return self.mounts == mounts && self.network == network;
        }
        self.operations.iter().all(|operation| {
            let path = match &operation.what {
                Doing::Copy(copy) => copy.to.as_str(),
                Doing::Directory { path, .. } => path,
                Doing::Run { .. } => "/",
            };
            mounts.iter().all(|mount| apart(&mount.target, path))
        })
    }

    /// Names the group for people: its first instruction, and how many follow.
    pub(crate) fn title(&self, file: &str) -> String {
        let Some(first) = self.operations.first() else {
            return file.to_owned();
        };
        let more = match self.operations.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more} ({file} line {})", first.summary, first.line)
    }
}

/// Says whether neither of two paths is in the other.
fn apart(one: &str, other: &str) -> bool {
    let one = format!("{}/", one.trim_end_matches('/'));
    let other = format!("{}/", other.trim_end_matches('/'));
    !one.starts_with(&other) && !other.starts_with(&one)
}
