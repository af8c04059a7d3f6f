//! What a Dockerfile says, line by line, before any variable is known.

use std::collections::BTreeMap;

use super::heredoc::Heredoc;

/// A Dockerfile, understood.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The escape character.
    pub(crate) escape: char,
    /// `ARG`s before the first `FROM`, with their lines.
    pub(crate) globals: Vec<(usize, Vec<Argument>)>,
    /// The stages, in order.
    pub(crate) stages: Vec<Stage>,
}

/// `name` or `name=value`.
pub(crate) type Argument = (String, Option<String>);

/// `FROM` and what follows.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) line: usize,
    pub(crate) base: String,
    /// In lower case, as stages are looked up.
    pub(crate) name: Option<String>,
    pub(crate) platform: Option<String>,
    pub(crate) instructions: Vec<Located>,
}

/// An instruction and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) line: usize,
    /// What people see: its beginning.
    pub(crate) summary: String,
    pub(crate) what: What,
}

/// What an instruction says.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Arg(Vec<Argument>),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Run(Run),
    Copy(Copy),
    Workdir(String),
    User(String),
    Shell(Vec<String>),
    Entrypoint(Command),
    Cmd(Command),
    Expose(Vec<String>),
    Volume(Vec<String>),
    StopSignal(String),
    Healthcheck(Healthcheck),
    Maintainer(String),
    OnBuild(String),
}

/// A command in one of its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Exec(Vec<String>),
    Shell(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) command: Command,
    pub(crate) documents: Vec<Heredoc>,
    pub(crate) mounts: Vec<String>,
    pub(crate) network: Option<String>,
}

/// `COPY` or `ADD`.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) sources: Vec<String>,
    pub(crate) documents: Vec<CopiedDocument>,
    pub(crate) to: String,
    pub(crate) from: Option<String>,
    pub(crate) chown: Option<String>,
    pub(crate) chmod: Option<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) archives: Archives,
}

/// What becomes of archives among the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archives {
    Unpack,
    Copy,
}

#[derive(Clone, Debug)]
pub(crate) struct CopiedDocument {
    pub(crate) name: String,
    pub(crate) content: String,
    pub(crate) expand: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Healthcheck {
    /// Options by name, as written.
    pub(crate) options: BTreeMap<String, String>,
    /// Nothing for `NONE`.
    pub(crate) command: Option<Command>,
}

/// What is wrong with a line, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) line: usize,
    pub(crate) reason: String,
    pub(crate) instead: String,
}

/// Names what is wrong with a line.
pub(crate) fn refuse(
    line: usize,
    reason: impl Into<String>,
    instead: impl Into<String>,
) -> Refusal {
    Refusal {
        line,
        reason: reason.into(),
        instead: instead.into(),
    }
}
