//! What is asked on a first run, and where what is stored cannot be used.
//!
//! Invariant: what the agent cannot run on is not offered; what lacks something is marked and cannot be chosen.

use std::sync::Arc;

use super::{extended_images, is_begun_with, of_image, with_base};
use crate::{
    context::Context,
    definition::agent::AgentDefinition,
    diagnostic::Diagnostic,
    extended_image::ExtendedImage,
    names,
    prompt::{self, Item, Usually},
    selection::{Choice, default_base, possible, select},
};

/// Shows what is wrong and asks whether to choose anew; whoever does not gets the failure.
pub(super) async fn offer_way_out(context: &Context, error: Diagnostic) -> Result<(), Diagnostic> {
    context.printer.warn(&error.sentence());
    if prompt::confirm(context, "Choose anew?", Usually::Yes).await? {
        return Ok(());
    }
    Err(error)
}

/// Asks for what an agent is to run in; the questions begin with `before`.
pub(super) async fn ask(
    context: &Context,
    agent: &AgentDefinition,
    before: &Choice,
) -> Result<Choice, Diagnostic> {
    let usual = match &before.base {
        Some(base) => base.clone(),
        None => default_base(context, agent)?.id.clone(),
    };
    let images = extended_images(context).images;
    let images: Vec<ExtendedImage> = images
        .into_iter()
        .filter(|image| image.agent == agent.id)
        .collect();
    let bases: Vec<_> = possible(context, agent).collect();
    let mut items: Vec<Item> = bases
        .iter()
        .map(|base| Item {
            name: base.id.clone(),
            description: if base.is_custom() {
                format!("(custom) {}", base.settings.base_image_description)
            } else {
                base.settings.base_image_description.clone()
            },
        })
        .collect();
    items.extend(images.iter().map(|image| describe(context, image)));
    let question = format!("Which base for {}?", agent.settings.agent_full_name);
    let image = images.iter().position(|image| is_begun_with(before, image));
    let start = match image {
        Some(at) => Some(bases.len() + at),
        None => bases.iter().position(|base| base.id == usual),
    };
    loop {
        let at = prompt::ask_one(context, (&question, start.unwrap_or(0)), &items).await?;
        if let Some(base) = bases.get(at) {
            return ask_rest(context, agent, (&base.id, before)).await;
        }
        let Some(image) = images.get(at - bases.len()) else {
            continue;
        };
        let choice = of_image(image.clone());
        match select(context, &agent.id, &choice) {
            Ok(_) => return Ok(choice),
            Err(error) => context.printer.warn(&format!(
                "`{}` cannot be used: {}; put it back, or choose something else",
                image.image_ref,
                error.sentence()
            )),
        }
    }
}

fn describe(context: &Context, image: &ExtendedImage) -> Item {
    let is_missing = |name: &&String| !context.catalogue().extensions.contains_key(*name);
    let missing: Vec<&str> = image
        .extensions
        .iter()
        .filter(is_missing)
        .map(String::as_str)
        .collect();
    let parts = format!("{} with {}", image.base, image.extensions.join(", "));
    Item {
        name: image.image_ref.clone(),
        description: if missing.is_empty() {
            format!("(extended) {parts}")
        } else {
            format!("(extended, {} is missing) {parts}", missing.join(", "))
        },
    }
}

/// Asks for extensions, if there are any, and for the name of the image that has them.
async fn ask_rest(
    context: &Context,
    agent: &AgentDefinition,
    (base, before): (&str, &Choice),
) -> Result<Choice, Diagnostic> {
    let known: Vec<_> = context.catalogue().extensions.values().collect();
    let mut choice = with_base(base.to_owned());
    if known.is_empty() {
        return Ok(choice);
    }
    let items: Vec<Item> = known
        .iter()
        .map(|extension| Item {
            name: extension.id.clone(),
            description: extension.settings.description.clone(),
        })
        .collect();
    let places: Vec<usize> = before
        .extensions
        .iter()
        .filter_map(|name| known.iter().position(|extension| extension.id == *name))
        .collect();
    let chosen = prompt::ask_extensions(context, &items, &places).await?;
    choice.extensions = chosen
        .iter()
        .filter_map(|&at| known.get(at))
        .map(|extension| extension.id.clone())
        .collect();
    if choice.extensions.is_empty() {
        return Ok(choice);
    }
    let usual = select(context, &agent.id, &choice)?.reference.familiar();
    let others = extended_images(context);
    let wanted = ExtendedImage {
        agent: agent.id.clone(),
        base: base.to_owned(),
        extensions: choice.extensions.clone(),
        image_ref: usual.clone(),
    };
    let refuse = move |name: &str| {
        let other = others.named(name)?;
        let same = ExtendedImage {
            image_ref: name.to_owned(),
            ..wanted.clone()
        };
        (*other != same).then(|| format!("that is {}", other.parts()))
    };
    let refuse = Arc::new(refuse);
    let same = before.base.as_deref() == Some(base) && before.extensions == choice.extensions;
    let given = before.image_name.as_ref().filter(|_| same);
    let usual = given.unwrap_or(&usual);
    let name = prompt::ask_image_name(context, usual, move |name: &str| (*refuse)(name)).await?;
    choice.image_name = Some(names::chosen_image(&name)?.familiar());
    Ok(choice)
}
