//! Plans `RUN`: its mounts can be made, its here-documents become a command or a file, and it finds its group.

use super::{
    groups::{Doing, Group, Operation},
    heredoc,
    mount::{self, Kind, Mount},
    plan::Planner,
    script::{Command, Located, Refusal, Run, refuse},
    tree::Tree,
};
use crate::sandbox::StepNetwork;

impl Planner<'_> {
    pub(crate) fn run(&mut self, run: &Run, instruction: &Located) -> Result<(), Refusal> {
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
                            line,
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
            _ => return Ok(()),
        };
        match from {
            Some(from) => self.known(&self.stages.source(from, self.index, line)?, line),
            None => match Tree::Context(self.build.context.opened()).resolve(source.as_bytes()) {
                Some(_) => Ok(()),
                None => Err(self.missing(source, line)),
            },
        }
    }
}
