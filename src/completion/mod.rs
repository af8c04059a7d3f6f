//! Completions that know what there is: agents, bases, extensions, images, sessions and settings.
//!
//! `aicage completion SHELL` prints what makes a shell ask; the shell then calls us with [`VARIABLE`] set and the words
//! typed so far. Invariants: no registry is asked and nothing is written, whatever there is; where something cannot be
//! read, there are no words, and nothing is said.

mod bash;
mod words;

use std::{
    ffi::{OsStr, OsString},
    io,
};

use clap::{Arg, ArgAction, Command, CommandFactory as _, ValueHint};
use clap_complete::{
    CompleteEnv, Shell,
    engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate},
    env::{Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh},
};

use crate::{cli::Cli, settings::Environment};
use words::{Noun, Words};

/// The variable by which a shell asks; its value is the shell's name.
pub const VARIABLE: &str = "_AICAGE_COMPLETE";

static SHELLS: [&(dyn EnvCompleter + Sync); 5] = [&bash::Bash, &Elvish, &Fish, &Powershell, &Zsh];

/// Answers a shell that asks; `false` if none does.
pub fn answer(arguments: &[OsString]) -> bool {
    let Some(shell) = Environment::variable(VARIABLE).filter(|shell| !shell.is_empty()) else {
        return false;
    };
    let arguments = if shell == bash::NAME {
        bash::split(arguments)
    } else {
        arguments.to_vec()
    };
    let shells: [&dyn EnvCompleter; 5] = SHELLS.map(|shell| shell as &dyn EnvCompleter);
    let directory = std::env::current_dir().ok();
    let completed = CompleteEnv::with_factory(|| command(&arguments, &shell))
        .var(VARIABLE)
        .bin("aicage")
        .completer("aicage")
        .shells(Shells(&shells))
        .try_complete(arguments.clone(), directory.as_deref());
    // A shell shows what we say in the middle of what is being typed.
    drop(completed);
    true
}

/// Returns the script that makes a shell ask.
pub fn script(shell: Shell) -> io::Result<Vec<u8>> {
    let name = match shell {
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::PowerShell => "powershell",
        Shell::Elvish => "elvish",
        _ => bash::NAME,
    };
    let mut script = Vec::new();
    for shell in SHELLS {
        if shell.is(name) {
            shell.write_registration(VARIABLE, "aicage", "aicage", "aicage", &mut script)?;
        }
    }
    Ok(script)
}

/// The command line with the words that there are.
fn command(arguments: &[OsString], shell: &str) -> Command {
    let words = Words::read();
    let agents = words.agents();
    let command = Cli::command().disable_help_subcommand(true);
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    let typed = arguments.iter().skip_while(|word| *word != "--").skip(2);
    let is_agents = typed
        .filter_map(|word| word.to_str())
        .find_map(|word| {
            let is_agent = agents.iter().any(|(agent, _)| agent == word);
            (is_agent || verbs.iter().any(|verb| verb == word)).then_some(is_agent)
        })
        .unwrap_or(false);
    let command = dressed(command, &[], &words);
    let command = if is_agents {
        // What follows is the agent's own; options of ours are not.
        command.mut_args(|arg| {
            if arg.is_global_set() {
                arg.global(false)
            } else {
                arg
            }
        })
    } else {
        command
    };
    // Bash completes files by itself where there is nothing else, and quotes them.
    let hint = if shell == bash::NAME {
        ValueHint::Other
    } else {
        ValueHint::AnyPath
    };
    command.subcommands(agents.into_iter().map(|(agent, about)| {
        Command::new(agent)
            .about(about)
            .disable_help_flag(true)
            .arg(
                Arg::new("arguments")
                    .action(ArgAction::Append)
                    .num_args(0..)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true)
                    .value_hint(hint),
            )
    }))
}

/// Gives every argument that names something the words that there are.
fn dressed(command: Command, path: &[&str], words: &Words) -> Command {
    let command = command.mut_args(|arg| {
        let noun = Noun::of(path, arg.get_id().as_str());
        match noun {
            None => arg,
            Some(Noun::AgentFirst) => {
                let words = words.clone();
                arg.add(ArgValueCompleter::new(First(words)))
            }
            Some(noun) => {
                let words = words.clone();
                arg.add(ArgValueCandidates::new(move || candidates(&words, noun)))
            }
        }
    });
    command.mut_subcommands(|verb| {
        let name = verb.get_name().to_owned();
        let path = [path, &[name.as_str()]].concat();
        dressed(verb, &path, words)
    })
}

fn candidates(words: &Words, noun: Noun) -> Vec<CompletionCandidate> {
    words
        .list(noun)
        .into_iter()
        .map(|(word, about)| {
            let about = (!about.is_empty()).then(|| about.into());
            CompletionCandidate::new(word).help(about)
        })
        .collect()
}

/// An agent and then its arguments, of which nothing is known.
struct First(Words);

impl clap_complete::engine::ValueCompleter for First {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let current = current.to_string_lossy();
        let mut found = candidates(&self.0, Noun::Agent);
        found.retain(|one| one.get_value().to_string_lossy().starts_with(&*current));
        found
    }

    fn complete_at(&self, index: usize, current: &OsStr) -> Vec<CompletionCandidate> {
        if index == 0 {
            self.complete(current)
        } else {
            Vec::new()
        }
    }
}
