//! The questions of a first run: which base, which extensions in which order, what the image is called.

use std::{fmt, iter};

use inquire::{
    Select, Text,
    validator::{ErrorMessage, Validation},
};

use super::ask;
use crate::{context::Context, diagnostic::Diagnostic, names, printer::printable};

/// How many lines of a list are shown at once.
const PAGE: usize = 12;

/// One line of a list.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// What people should know of it.
    pub description: String,
}

/// A line as it is shown; the library searches in it, too.
struct Line {
    at: usize,
    text: String,
    name: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Asks which of `items` it is to be and returns its place in the list.
pub async fn ask_one(
    context: &Context,
    (question, usual): (&str, usize),
    items: &[Item],
) -> Result<usize, Diagnostic> {
    let lines = lines(context, items);
    let help = "arrow keys move, typing searches, Enter chooses, Esc ends";
    let question = question.to_owned();
    ask(context, move |config| {
        let chosen = Select::new(&question, lines)
            .with_page_size(PAGE)
            .with_starting_cursor(usual)
            .with_help_message(help)
            .with_scorer(&|typed, line, _, at| rank(typed, line, at))
            .with_formatter(&|chosen| chosen.value.name.clone())
            .with_render_config(config)
            .prompt()?;
        Ok(chosen.at)
    })
    .await
}

/// Ranks a line by how well it fits what was typed: names before descriptions, then in the order of the list.
fn rank(typed: &str, line: &Line, at: usize) -> Option<i64> {
    let typed = typed.to_lowercase();
    let name = line.name.to_lowercase();
    let fit = if name.starts_with(&typed) {
        3
    } else if name.contains(&typed) {
        2
    } else if line.text.to_lowercase().contains(&typed) {
        1
    } else {
        return None;
    };
    Some(fit * 1_000_000 - i64::try_from(at).unwrap_or(999_999))
}

/// Asks for extensions one after the other, so that the order is the user's; returns their places in `items`.
pub async fn ask_extensions(
    context: &Context,
    items: &[Item],
    before: &[usize],
) -> Result<Vec<usize>, Diagnostic> {
    let mut chosen = before.to_vec();
    loop {
        let names: Vec<&str> = chosen
            .iter()
            .filter_map(|&at| items.get(at))
            .map(|item| item.name.as_str())
            .collect();
        let (done, question) = if names.is_empty() {
            ("no extension".to_owned(), "Add an extension?".to_owned())
        } else {
            let list = names.join(", ");
            (
                format!("done: {list}"),
                format!("Add another after {list}?"),
            )
        };
        let left: Vec<usize> = (0..items.len()).filter(|at| !chosen.contains(at)).collect();
        let mut shown = vec![Item {
            name: done,
            description: String::new(),
        }];
        shown.extend(left.iter().filter_map(|&at| items.get(at)).cloned());
        shown.extend(names.last().map(|last| Item {
            name: format!("without {last}"),
            description: "takes the last one away again".to_owned(),
        }));
        let answer = ask_one(context, (&question, 0), &shown).await?;
        match answer.checked_sub(1).map(|at| left.get(at)) {
            None => return Ok(chosen),
            Some(Some(&at)) => chosen.push(at),
            Some(None) => drop(chosen.pop()),
        }
    }
}

/// Asks what the image is to be called; `refuse` says why a name cannot be.
pub async fn ask_image_name(
    context: &Context,
    usual: &str,
    refuse: impl Fn(&str) -> Option<String> + Clone + Send + 'static,
) -> Result<String, Diagnostic> {
    let usual = usual.to_owned();
    ask(context, move |config| {
        Text::new("Name of the image:")
            .with_default(&usual)
            .with_help_message(
                "Enter takes the one in brackets; without `:` it is a tag of aicage-extended",
            )
            .with_validator(move |name: &str| {
                let refused = names::chosen_image(name)
                    .map_err(|diagnostic| diagnostic.sentence())
                    .map_or_else(Some, |reference| refuse(&reference.familiar()));
                Ok(match refused {
                    Some(why) => Validation::Invalid(ErrorMessage::Custom(why)),
                    None => Validation::Valid,
                })
            })
            .with_render_config(config)
            .prompt()
    })
    .await
}

/// Makes lines of one column of names and one of descriptions, none wider than the terminal.
fn lines(context: &Context, items: &[Item]) -> Vec<Line> {
    let widest = items
        .iter()
        .filter(|item| !item.description.is_empty())
        .map(|item| item.name.chars().count())
        .max()
        .unwrap_or_default();
    let width = context.printer.talk_columns().saturating_sub(4);
    let line = |(at, item): (usize, &Item)| {
        let name = printable(&item.name);
        let padding = widest.saturating_sub(name.chars().count()) + 2;
        let text = if item.description.is_empty() {
            name.clone()
        } else {
            let gap: String = iter::repeat_n(' ', padding).collect();
            format!("{name}{gap}{}", printable(&item.description))
        };
        let text = if text.chars().count() > width {
            let cut: String = text.chars().take(width.saturating_sub(1)).collect();
            format!("{cut}…")
        } else {
            text
        };
        Line { at, text, name }
    };
    items.iter().enumerate().map(line).collect()
}
