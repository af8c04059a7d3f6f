//! The command line: what can be typed, as data.
//!
//! Invariant: options stand before the agent; everything after the agent's name is the agent's, `--help` included. A
//! word that is a verb is the verb; no built-in agent has a verb's name (a test holds the two lists against each other).

mod git_word;
mod grammar;
mod older_config;
mod typed;

use std::{ffi::OsString, fmt};

use clap::{Args, Parser, Subcommand};

pub use git_word::join_git;
pub use grammar::{Refused, arrange};
pub use older_config::older_config;
pub use typed::read;

use crate::{
    access::AccessOptions,
    build_secrets::SecretOption,
    commands,
    container_options::{ContainerOptions, text},
    engine::EngineChoice,
    printer::ProgressMode,
    prompt::Menu,
    selection::Choice,
    session::options::SessionOptions,
    settings::SetOption,
    trust::TrustOptions,
    update_check,
};

/// Runs coding agents in containers and assembles their images itself, every layer accounted for.
///
/// The first run of an agent in a project pulls or builds its image; later runs start it at once. The agent sees the
/// project directory at the same path, runs as you, and its exit code is ours.
#[derive(Debug, Parser)]
#[command(
    name = "aicage",
    version,
    allow_external_subcommands = true,
    arg_required_else_help = true,
    override_usage = "aicage [OPTIONS] <AGENT> [AGENT ARGUMENTS]...\n       aicage [OPTIONS] <COMMAND>",
    after_help = "Examples:\n  \
        aicage codex                      run Codex in this directory\n  \
        aicage --base debian claude -p hi run Claude Code on Debian with its own arguments\n  \
        aicage plan codex                 say what a run would do, and why\n  \
        aicage image inspect aicage:codex-debian\n                                    \
        show which layer came from what\n\n\
        `aicage agent list` shows the agents, `aicage base list` what they can run on."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// Options of a run.
    #[command(flatten)]
    pub run: RunOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct GlobalOptions {
    /// Touch no network; use only what is in the store.
    #[arg(long, global = true)]
    pub offline: bool,
    /// What runs the agent and the steps of images: Docker or Podman where one answers and else Linux itself, or the one
    /// that is named.
    #[arg(long, global = true, value_enum, value_name = "ENGINE")]
    pub engine: Option<EngineChoice>,
    /// How to show progress on stderr.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "HOW",
        hide_short_help = true
    )]
    pub progress: ProgressMode,
    /// How to ask what is not said yet: on one page, in lines, or not at all.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "ui",
        value_name = "HOW",
        hide_short_help = true
    )]
    pub menu: Menu,
    /// Set one setting for this run, over all files and variables; may be given several times.
    #[arg(
        long = "set",
        global = true,
        value_name = "KEY=VALUE",
        hide_short_help = true
    )]
    pub set: Vec<SetOption>,
    /// Print results as one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    /// Give a secret to the Dockerfiles that ask for it by its ID, this once; may be given several times.
    #[arg(
        long = "secret",
        global = true,
        value_name = "id=ID[,src=FILE|,env=NAME]",
        hide_short_help = true
    )]
    pub secrets: Vec<SecretOption>,
}

impl GlobalOptions {
    /// Returns the settings that were typed.
    pub fn settings(&self) -> Vec<SetOption> {
        let engine = self
            .engine
            .map(|engine| SetOption::new("engine", engine.name()));
        self.set.iter().cloned().chain(engine).collect()
    }
}

/// Options of a run.
#[derive(Clone, Debug, Default, Args)]
pub struct RunOptions {
    /// What to run.
    #[command(flatten)]
    pub choice: Choice,
    /// Mount a file or directory of this machine at the same path.
    #[arg(long = "share", value_name = "PATH[:ro]")]
    pub shares: Vec<String>,
    /// Mount what this extension shares, from now on in this project; may be given several times.
    #[arg(
        long = "extension-shares",
        value_name = "EXTENSION",
        hide_short_help = true
    )]
    pub extension_shares: Vec<String>,
    /// Mount nothing that extensions share, from now on in this project.
    #[arg(long, conflicts_with = "extension_shares", hide_short_help = true)]
    pub no_extension_shares: bool,
    /// What of this machine the agent gets.
    #[command(flatten)]
    pub access: AccessOptions,
    /// Ask for something newer now, and apply it before the agent starts.
    #[arg(long, conflicts_with_all = ["no_update", "offline"])]
    pub update: bool,
    /// Neither ask nor say whether there is something newer.
    #[arg(long, hide_short_help = true)]
    pub no_update: bool,
    /// The session.
    #[command(flatten)]
    pub session: SessionOptions,
    /// What the repository's `aicage.yml` asks for.
    #[command(flatten)]
    pub trust: TrustOptions,
    /// The container that it runs in; last, because its heading in `--help` holds for all that follows.
    #[command(flatten)]
    pub container: ContainerOptions,
    /// Which of these were typed, as `--option`.
    #[arg(skip)]
    pub typed: Vec<String>,
}

impl RunOptions {
    /// Lays the options after `run` over those before it.
    #[must_use]
    pub fn overridden_by(&self, after: Self) -> Self {
        Self {
            choice: Choice {
                base: after.choice.base.or_else(|| self.choice.base.clone()),
                extensions: [self.choice.extensions.clone(), after.choice.extensions].concat(),
                image_name: after
                    .choice
                    .image_name
                    .or_else(|| self.choice.image_name.clone()),
                no_extensions: self.choice.no_extensions || after.choice.no_extensions,
                choose: self.choice.choose || after.choice.choose,
            },
            shares: [self.shares.clone(), after.shares].concat(),
            extension_shares: [self.extension_shares.clone(), after.extension_shares].concat(),
            no_extension_shares: self.no_extension_shares || after.no_extension_shares,
            access: self.access.overridden_by(after.access),
            update: self.update || after.update,
            no_update: self.no_update || after.no_update,
            session: self.session.overridden_by(after.session),
            container: self.container.overridden_by(after.container),
            trust: self.trust.overridden_by(after.trust),
            typed: [self.typed.clone(), after.typed].concat(),
        }
    }
}

/// What was typed beside the choice, as on a command line.
impl fmt::Display for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.access.words();
        for share in &self.shares {
            words.extend(["--share".to_owned(), share.clone()]);
        }
        for extension in &self.extension_shares {
            words.extend(["--extension-shares".to_owned(), extension.clone()]);
        }
        if self.no_extension_shares {
            words.push("--no-extension-shares".to_owned());
        }
        let mut flags = self.container.typed();
        for variable in &mut flags.env {
            // It may be a secret, and this is for the eye.
            variable.value = None;
        }
        words.extend(flags.words());
        let switches = [
            (self.access.keep_shares, "--keep-shares"),
            (self.container.keep_capabilities, "--keep-capabilities"),
            (self.container.no_stored_options, "--no-stored-options"),
            (self.container.save, "--save"),
            (self.session.no_log, "--no-log"),
            (self.session.detach, "--detach"),
        ];
        let typed = switches.iter().filter(|(is_typed, _)| *is_typed);
        words.extend(typed.map(|(_, word)| (*word).to_owned()));
        f.write_str(&text::join(&words))
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an agent; the same as `aicage <AGENT>`, for scripts.
    Run(Box<RunCommand>),
    /// Sessions.
    #[command(flatten)]
    Session(commands::session::SessionCommand),
    /// Build or pull an agent's image without running it.
    Build(commands::build::BuildArgs),
    /// Say what a run would do to the image, and why; does nothing.
    Plan(commands::plan::PlanArgs),
    /// Ask the registries for newer images and rebuild what must be.
    Update(commands::update::UpdateArgs),
    /// Look at and manage images.
    #[command(subcommand)]
    Image(commands::image::ImageCommand),
    /// Show the agents, and help to define more.
    #[command(subcommand)]
    Agent(commands::agent::AgentCommand),
    /// Show, build and import bases, and help to define more.
    #[command(subcommand)]
    Base(commands::base::BaseCommand),
    /// Show the extensions, and help to define more.
    #[command(subcommand)]
    Extension(commands::extension::ExtensionCommand),
    /// Write out the definitions that are not your own.
    #[command(subcommand)]
    Definitions(commands::definitions::DefinitionsCommand),
    /// Look at and clean the store.
    #[command(subcommand)]
    Cache(commands::cache::CacheCommand),
    /// Show and change `config.yml`.
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    /// Look at everything that a start needs, and say what to do about what is wrong.
    Doctor(commands::doctor::DoctorArgs),
    /// Agree to what a repository's `aicage.yml` asks for, or take that back.
    Trust(commands::trust::TrustArgs),
    /// For publishers: which agents on which bases must be built again, and why.
    Matrix(Box<commands::matrix::MatrixArgs>),
    /// Print what makes a shell complete agents, bases, extensions, images, sessions and options.
    #[command(after_help = "Examples:\n  \
        aicage completion bash > ~/.local/share/bash-completion/completions/aicage\n  \
        aicage completion zsh > ~/.zfunc/_aicage            with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc\n  \
        aicage completion fish > ~/.config/fish/completions/aicage.fish\n  \
        aicage completion powershell >> $PROFILE")]
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual, or write it as a page a verb.
    Man(commands::man::ManArgs),
    /// Print the version.
    Version,
    /// Ask an agent's `version.sh` while its session runs; a start leaves this behind.
    #[command(name = "__version", hide = true)]
    RefreshVersion(update_check::RefreshArgs),
    /// An agent's name and its arguments.
    #[command(external_subcommand)]
    Start(Vec<OsString>),
}

/// `aicage run`.
#[derive(Debug, Args)]
pub struct RunCommand {
    /// Options of the run; they stand before the agent.
    #[command(flatten)]
    pub options: RunOptions,
    /// The agent and its arguments; without any, the agent of the repository's `aicage.yml`.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_names = ["AGENT", "AGENT ARGUMENTS"],
        num_args = 0..
    )]
    pub command: Vec<OsString>,
}

/// Words that can never be an agent's name on the command line: the verbs, those to come, and clap's own.
pub const RESERVED: [&str; 29] = [
    "agent",
    "attach",
    "base",
    "build",
    "cache",
    "completion",
    "config",
    "definitions",
    "doctor",
    "exec",
    "extension",
    "help",
    "image",
    "logs",
    "man",
    "matrix",
    "menu",
    "new",
    "plan",
    "ps",
    "run",
    "session",
    "shell",
    "stop",
    "store",
    "trust",
    "update",
    "use",
    "version",
];
