//! What an agent runs in: flags first, then what is stored for the project, then questions, then defaults.
//!
//! Invariant: what is stored and cannot be used any more is an error that names the file; nothing is left out silently.
//! All questions come before anything is pulled or built, and an answer is stored at once.

mod asking;
mod keeping;
mod on_page;
mod sharing;

use assembler::reference::ImageReference;

use crate::{
    context::Context,
    definition::agent::AgentDefinition,
    diagnostic::{self, Diagnostic},
    exit_status::ExitStatus,
    extended_image::{ExtendedImage, ExtendedImages},
    names, overview,
    project::{Found, Projects, StoredChoice},
    prompt::{self, Menu},
    selection::{Choice, default_base, find_agent, possible, select},
    trust,
};

use asking::{ask, offer_way_out};
use keeping::{keep_choice, keep_image, refuse_foreign, refuse_taken};
pub use sharing::shares;

/// What the choice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run the agent: the choice is the project's from now on, whether by flags or by answers.
    Run,
    /// To build the image: answers are the project's, flags only for this time.
    Build,
    /// To have it otherwise from now on, without running the agent now.
    Change,
    /// To look at it: nothing is asked and nothing stored.
    Look,
}

/// Completes what was `wanted` on the command line for `agent` in the project, and stores it as `purpose` says.
pub async fn choose(
    context: &Context,
    agent: &str,
    (wanted, purpose): (&Choice, Purpose),
) -> Result<Choice, Diagnostic> {
    trust::refuse_fault(context)?;
    trust::warn_if_left_out(context);
    let agent = find_agent(context, agent)?;
    let projects = Projects::open(&context.settings);
    let found = projects.choice(&context.settings.directory, &agent.id)?;
    for warning in &found.warnings {
        context.printer.warn(warning);
    }
    let stored = stored_choice(&found);
    let may_ask = purpose != Purpose::Look && prompt::can_ask(context);
    let (choice, origin) = if is_given(wanted) {
        (from_flags(context, agent, (wanted, stored))?, Origin::Flags)
    } else if let Some(stored) = stored.filter(|_| !wanted.choose) {
        match usable(context, agent, &found, stored) {
            Ok(choice) if may_ask && is_half(stored) && !found.is_settled => (
                put(context, agent, (&choice, purpose)).await?,
                Origin::Answers,
            ),
            Ok(choice) => (choice, Origin::Store),
            Err(error) if may_ask => {
                offer_way_out(context, error).await?;
                let remaining = remaining(context, agent, stored);
                (
                    put(context, agent, (&remaining, purpose)).await?,
                    Origin::Answers,
                )
            }
            Err(error) => return Err(error),
        }
    } else if may_ask {
        let before = stored.map(|stored| remaining(context, agent, stored));
        let answers = put(context, agent, (&before.unwrap_or_default(), purpose)).await?;
        (answers, Origin::Answers)
    } else if wanted.choose {
        return Err(Diagnostic::new(
            "nobody-to-ask",
            ExitStatus::Usage,
            "`--choose` asks questions, and there is no terminal to ask on",
        )
        .hint("choose with `--base`, `--extension` and `--no-extensions`"));
    } else {
        let base = default_base(context, agent)?.id.clone();
        (with_base(base), Origin::Store)
    };
    let selection = select(context, &agent.id, &choice).map_err(|error| match stored {
        Some(stored) if left_to_store(context, agent, (wanted, stored)) => {
            unusable(agent, &found, error)
        }
        Some(_) | None => error,
    })?;
    if origin == Origin::Flags {
        refuse_taken(context, &selection)?;
    }
    refuse_foreign(context, &selection.reference)
        .await
        .map_err(|refused| match origin {
            Origin::Store => refused.fact("stored in", found.file.display().to_string()),
            Origin::Flags | Origin::Answers => refused,
        })?;
    let is_kept = match origin {
        Origin::Flags => purpose == Purpose::Run,
        Origin::Answers => true,
        Origin::Store => false,
    };
    if purpose != Purpose::Look && origin != Origin::Store {
        keep_image(context, &selection)?;
    }
    if is_kept {
        keep_choice(context, &selection, stored)?;
    }
    Ok(choice)
}

/// Tells whether what is asked is asked on one page, where everything has its place.
pub fn is_on_page(context: &Context) -> bool {
    context.options.menu == Menu::Ui && prompt::can_ask(context) && overview::has_room()
}

/// Asks on one page, or in lines where that was asked for.
async fn put(
    context: &Context,
    agent: &AgentDefinition,
    (before, purpose): (&Choice, Purpose),
) -> Result<Choice, Diagnostic> {
    if is_on_page(context) {
        let verb = match purpose {
            Purpose::Run => "start",
            Purpose::Build => "build",
            Purpose::Change | Purpose::Look => "keep",
        };
        on_page::ask(context, agent, (before, verb)).await
    } else {
        ask(context, agent, before).await
    }
}

/// Where a choice comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Flags,
    Answers,
    Store,
}

fn is_given(wanted: &Choice) -> bool {
    wanted.base.is_some()
        || !wanted.extensions.is_empty()
        || wanted.image_name.is_some()
        || wanted.no_extensions
}

/// Returns what is stored, if it says anything of what the agent runs in.
fn stored_choice(found: &Found) -> Option<&StoredChoice> {
    let stored = found.agent.as_ref().map(|agent| &agent.choice)?;
    (stored.base.is_some() || !stored.extensions.is_empty()).then_some(stored)
}

/// Tells whether what is stored leaves a question open, as files of the Python program may.
fn is_half(stored: &StoredChoice) -> bool {
    stored.base.is_none() || stored.image_ref.is_none() && stored.extensions.is_empty()
}

fn with_base(base: String) -> Choice {
    Choice {
        base: Some(base),
        ..Choice::default()
    }
}

/// Lays flags over what is stored.
fn from_flags(
    context: &Context,
    agent: &AgentDefinition,
    (wanted, stored): (&Choice, Option<&StoredChoice>),
) -> Result<Choice, Diagnostic> {
    let stored_extensions = stored.map(|stored| stored.extensions.clone());
    let mut extensions = wanted.extensions.clone();
    if let Some(name) = wanted
        .image_name
        .as_deref()
        .filter(|_| extensions.is_empty())
    {
        let reference = names::chosen_image(name)?;
        if let Some(image) = extended(context, agent, &reference) {
            return from_image(context, wanted, image);
        }
        let is_stored = stored
            .filter(|stored| !stored.extensions.is_empty())
            .and_then(stored_name)
            .is_some_and(|stored| {
                names::chosen_image(&stored).is_ok_and(|stored| stored == reference)
            });
        if !is_stored {
            return Err(no_such_image(context, agent, &reference));
        }
    }
    if extensions.is_empty() && !wanted.no_extensions {
        extensions = stored_extensions.unwrap_or_default();
    }
    let stored_base = stored.and_then(|stored| stored.base.clone());
    let base = match wanted.base.clone().or(stored_base) {
        Some(base) => base,
        None => default_base(context, agent)?.id.clone(),
    };
    let same = stored
        .filter(|stored| stored.extensions == extensions && stored.base.as_ref() == Some(&base));
    let image_name = wanted.image_name.clone().or(same.and_then(stored_name));
    Ok(Choice {
        base: Some(base),
        image_name: image_name.filter(|_| !extensions.is_empty()),
        extensions,
        ..Choice::default()
    })
}

/// Returns the extended image of this agent that has this name.
fn extended(
    context: &Context,
    agent: &AgentDefinition,
    reference: &ImageReference,
) -> Option<ExtendedImage> {
    let images = extended_images(context).images;
    let name = reference.familiar();
    images
        .into_iter()
        .find(|image| image.agent == agent.id && image.image_ref == name)
}

/// Reads all extended images; what is wrong with any is told.
fn extended_images(context: &Context) -> ExtendedImages {
    let found = ExtendedImages::read(&context.settings);
    for problem in &found.problems {
        let why = diagnostic::sentence(problem);
        context.warn_once(format!("an extended image is left out: {why}"));
    }
    found
}

fn from_image(
    context: &Context,
    wanted: &Choice,
    image: ExtendedImage,
) -> Result<Choice, Diagnostic> {
    if let Some(base) = wanted.base.as_ref().filter(|&base| *base != image.base) {
        return Err(Diagnostic::new(
            "image-name",
            ExitStatus::Usage,
            format!(
                "`{}` is an image on base `{}`, not on `{base}`",
                image.image_ref, image.base
            ),
        )
        .hint("leave `--base` out, or give `--extension` and another name"));
    }
    let name = image.image_ref.clone();
    let agent = image.agent.clone();
    let place = image.place(&context.settings);
    let choice = of_image(image);
    if let Err(error) = select(context, &agent, &choice) {
        let hint = format!(
            "put it back, or say with `--extension` what is to be in `{name}` from now on, or remove that directory"
        );
        let place = place.unwrap_or_default();
        return Err(Diagnostic::because(
            format!("`{name}` cannot be put together any more"),
            error,
        )
        .coded("image-name")
        .fact("defined in", place.display().to_string())
        .hint(hint.as_str()));
    }
    Ok(choice)
}

fn of_image(image: ExtendedImage) -> Choice {
    Choice {
        base: Some(image.base),
        extensions: image.extensions,
        image_name: Some(image.image_ref),
        ..Choice::default()
    }
}

fn no_such_image(
    context: &Context,
    agent: &AgentDefinition,
    reference: &ImageReference,
) -> Diagnostic {
    let name = reference.familiar();
    let images = extended_images(context).images;
    let images = images.iter().filter(|image| image.agent == agent.id);
    let near = images
        .map(|image| (strsim::osa_distance(&image.image_ref, &name), image))
        .filter(|(distance, _)| *distance <= 3)
        .min_by_key(|(distance, _)| *distance);
    let hint = match near {
        Some((_, near)) => format!("did you mean `{}`?", near.image_ref),
        None => "say with `--extension` what is to be in it".to_owned(),
    };
    Diagnostic::new(
        "image-name",
        ExitStatus::Usage,
        format!("no image `{name}` was put together for `{}`", agent.id),
    )
    .hint(hint.as_str())
}

/// Makes a choice of what is stored, if all of it is there.
fn usable(
    context: &Context,
    agent: &AgentDefinition,
    found: &Found,
    stored: &StoredChoice,
) -> Result<Choice, Diagnostic> {
    let base = match &stored.base {
        Some(base) => base.clone(),
        None => default_base(context, agent)?.id.clone(),
    };
    let has_extensions = !stored.extensions.is_empty();
    let choice = Choice {
        base: Some(base),
        extensions: stored.extensions.clone(),
        image_name: stored_name(stored).filter(|_| has_extensions),
        ..Choice::default()
    };
    match select(context, &agent.id, &choice) {
        Ok(_) => Ok(choice),
        Err(error) => Err(unusable(agent, found, error)),
    }
}

/// Returns the stored name of an image with extensions; one that we give to other images, as forks of the Python program
/// have it, gives way to the usual one.
fn stored_name(stored: &StoredChoice) -> Option<String> {
    let name = stored.image_ref.clone()?;
    names::chosen_image(&name).is_ok().then_some(name)
}

fn unusable(agent: &AgentDefinition, found: &Found, error: Diagnostic) -> Diagnostic {
    let id = &agent.id;
    let hint = format!(
        "put it back, or choose anew: `aicage --choose {id}`, or `aicage --base BASE --extension EXTENSION {id}`, or `aicage --no-extensions {id}`"
    );
    Diagnostic::because(
        format!("what is stored for `{id}` in this project cannot be used"),
        error,
    )
    .coded("stored-choice")
    .fact("file", place_of(found))
    .hint(hint.as_str())
}

/// Returns the file that says what the agent runs in.
fn place_of(found: &Found) -> String {
    let said = ["base", "extensions"]
        .iter()
        .filter_map(|key| found.origins.get(key));
    let file = said.flatten().next_back().and_then(|origin| origin.file());
    file.unwrap_or(&found.file).display().to_string()
}

/// Tells whether flags left something to the project's file that is not there any more.
fn left_to_store(
    context: &Context,
    agent: &AgentDefinition,
    (wanted, stored): (&Choice, &StoredChoice),
) -> bool {
    let there = remaining(context, agent, stored);
    let base = wanted.base.is_none() && there.base != stored.base;
    let extensions = wanted.extensions.is_empty() && !wanted.no_extensions;
    base || extensions && there.extensions != stored.extensions
}

/// Returns what of a stored choice is still there: the answers that the questions begin with.
fn remaining(context: &Context, agent: &AgentDefinition, stored: &StoredChoice) -> Choice {
    let base = stored.base.clone();
    let base = base.filter(|base| possible(context, agent).any(|there| there.id == *base));
    let known = &context.catalogue().extensions;
    let extensions: Vec<String> = stored
        .extensions
        .iter()
        .filter(|&name| known.contains_key(name))
        .cloned()
        .collect();
    Choice {
        image_name: given_name(agent, stored)
            .filter(|_| base.is_some() && extensions == stored.extensions),
        base,
        extensions,
        ..Choice::default()
    }
}

/// Returns the name that somebody gave the stored image, and that did not come about by itself.
fn given_name(agent: &AgentDefinition, stored: &StoredChoice) -> Option<String> {
    let name = names::chosen_image(&stored_name(stored)?).ok()?;
    let ids: Vec<&str> = stored.extensions.iter().map(String::as_str).collect();
    let usual = names::extended_image(&agent.id, stored.base.as_deref()?, &ids);
    (!ids.is_empty() && name != usual).then(|| name.familiar())
}

/// Tells whether an image that was put together is the one that the questions begin with.
fn is_begun_with(before: &Choice, image: &ExtendedImage) -> bool {
    before.image_name.as_ref() == Some(&image.image_ref)
        && before.base.as_ref() == Some(&image.base)
        && before.extensions == image.extensions
}
