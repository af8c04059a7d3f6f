//! Reads the command line, and takes note of which options of a run were typed.
//!
//! Invariant: no option is dropped without a word: before a verb that starts nothing, those of a run are refused.

use std::ffi::OsString;

use clap::{
    ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{Cli, RunOptions};
use crate::container_options;

/// The verbs that start a session, and so have a use for the options before them.
const STARTING: [&str; 2] = ["run", "shell"];

/// Reads what was typed.
pub fn read(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let found = command.try_get_matches_from_mut(arguments);
    let found = found.map_err(|error| in_our_words(error, &mut command))?;
    let mut typed = typed(&found);
    if let Some((verb, within)) = found.subcommand() {
        if STARTING.contains(&verb) {
            typed.extend(self::typed(within));
        } else if let (Some(of_verb), Some(option)) = (command.find_subcommand(verb), typed.first())
        {
            let words = useless(option, of_verb);
            return Err(command.error(ErrorKind::UnknownArgument, words));
        }
    }
    let mut cli = Cli::from_arg_matches(&found).map_err(|error| error.format(&mut command))?;
    cli.run.typed = typed;
    Ok(cli)
}

/// Lists the options of a run that were typed at this place, as `--option`.
fn typed(found: &ArgMatches) -> Vec<String> {
    let options = RunOptions::augment_args(Command::new("run"));
    let typed = options.get_arguments().filter(|option| {
        found.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine)
    });
    typed
        .filter_map(|option| Some(format!("--{}", option.get_long()?)))
        .collect()
}

fn useless(option: &str, verb: &Command) -> String {
    let name = verb.get_name();
    let takes_it = verb
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .any(|long| option.strip_prefix("--") == Some(long));
    if takes_it {
        format!("`{option}` before `{name}` is for starting an agent; write it after `{name}`")
    } else {
        format!("`{option}` is for starting an agent, and `{name}` starts none")
    }
}

/// Says of an option of docker's why it is not taken, which clap cannot know.
fn in_our_words(error: clap::Error, command: &mut Command) -> clap::Error {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if error.kind() == ErrorKind::UnknownArgument => option,
        _ => return error,
    };
    match container_options::why_refused(option) {
        Some(why) => command.error(ErrorKind::UnknownArgument, format!("`{option}` {why}")),
        None => error,
    }
}
