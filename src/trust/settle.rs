//! Asks for consent before anything else of a run happens, or refuses.

use super::{Agreements, Consent, Team, TrustWord, Wish};
use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    prompt::{self, Usually},
};

/// Settles what of the team file counts in this run.
pub async fn settle(context: &mut Context, said: Option<TrustWord>) -> Result<(), Diagnostic> {
    refuse_fault(context)?;
    let Some(team) = context.settings.team.clone() else {
        return Ok(());
    };
    if team.wishes.is_empty() {
        return Ok(());
    }
    match said {
        Some(TrustWord::Never) => context.settings.set_consent(Consent::None),
        Some(TrustWord::Once) => context.settings.set_consent(Consent::Given),
        // A dry run asks nothing and shows what would be without it; `choose` says so.
        None if team.is_agreed() || context.is_dry() => {}
        None if prompt::can_ask(context) => {
            show(context, &team);
            let question = "Agree to this, until the file changes?";
            if !prompt::confirm(context, question, Usually::No).await? {
                return Err(refused(&team, "you did not agree to it"));
            }
            Agreements::below(&context.settings.home).keep(&team, &context.now)?;
            context.settings.set_consent(Consent::Given);
        }
        None => return Err(refused(&team, "there is nobody to ask")),
    }
    Ok(())
}

/// Refuses to work by a team file that is not right.
pub fn refuse_fault(context: &Context) -> Result<(), Diagnostic> {
    match &context.settings.team_fault {
        Some(fault) => Err(fault.clone()),
        None => Ok(()),
    }
}

/// Says once that what a team file asks for does not count, to those who are not asked.
pub fn warn_if_left_out(context: &Context) {
    if let Some(team) = context.settings.team.as_deref()
        && !team.is_agreed()
    {
        context.warn_once(format!(
            "{} asks for what you did not agree to, and goes without it; `aicage trust --show` shows it, `aicage trust` agrees",
            team.path.display()
        ));
    }
}

/// Shows what is asked for; where something else was agreed to, the difference.
pub fn show(context: &Context, team: &Team) {
    let printer = &context.printer;
    let path = team.path.display();
    let wishes = team.wishes.iter().map(Wish::as_str);
    match &team.consent {
        Consent::Given => printer.ask_about(&format!("{path} asks for what you agreed to:")),
        Consent::None => printer.ask_about(&format!(
            "{path} asks for more than the agent gets without it:"
        )),
        Consent::Other(_) => printer.ask_about(&format!(
            "{path} changed since you agreed to it (+ is new, - is not asked for any more):"
        )),
    }
    let before: &[String] = match &team.consent {
        Consent::Other(before) => before,
        Consent::None | Consent::Given => &[],
    };
    let is_diff = !before.is_empty();
    for wish in wishes {
        let sign = match (is_diff, before.iter().any(|before| before == wish)) {
            (true, false) => "+ ",
            (true, true) => "  ",
            (false, _) => "- ",
        };
        let sign = if is_diff { sign } else { "" };
        printer.ask_about(&format!("  {sign}{wish}"));
    }
    for gone in before {
        if !team.wishes.iter().any(|wish| wish.as_str() == gone) {
            printer.ask_about(&format!("  - {}", crate::printer::printable(gone)));
        }
    }
    if is_diff
        && before.len() == team.wishes.len()
        && team
            .wishes
            .iter()
            .all(|wish| before.iter().any(|before| before == wish.as_str()))
    {
        printer.ask_about("  It asks for the same; other parts of it changed.");
    }
}

/// The most wishes that a failure lists.
const SHOWN: usize = 6;

fn refused(team: &Team, why: &str) -> Diagnostic {
    let count = team.wishes.len();
    let mut refused = Diagnostic::new(
        "team-file-trust",
        ExitStatus::Refused,
        format!(
            "{} asks for more than the agent gets without it, and {why}",
            team.path.display()
        ),
    );
    for wish in team.wishes.iter().take(SHOWN) {
        refused = refused.caused_by_words(wish.to_string());
    }
    if count > SHOWN {
        refused = refused.caused_by_words(format!("and {} more", count - SHOWN));
    }
    refused.hint(
        "`aicage trust` agrees, `--trust once` for one run; `--trust never` starts without it",
    )
}
