//! From stages to groups: what runs in one container and gives one layer, with every variable expanded.
//!
//! Invariant: a plan needs no container and no network, and all that can be wrong before one is there was found.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    DockerfileBuild, IMAGE_SO_FAR, expand,
    groups::{Doing, Group},
    script::{Located, Refusal, What, refuse},
    stages::{Base, Stages, bad_word, trigger},
    state::{self, State},
};

/// A stage, ready to be built.
#[derive(Debug)]
pub(crate) struct PlannedStage {
    pub(crate) base: Base,
    pub(crate) groups: Vec<Group>,
    pub(crate) state: State,
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
    pub(crate) groups: Vec<Group>,
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
                let value = value.replace(IMAGE_SO_FAR, &self.stages.so_far_name);
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
}
