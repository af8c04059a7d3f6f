//! Keeps what was chosen: for the project, and what an extended image is made of.

use assembler::reference::ImageReference;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    engine::Engine,
    exit_status::ExitStatus,
    extended_image::ExtendedImage,
    names,
    project::{Projects, StoredChoice},
    selection::Selection,
};

use super::extended_images;

/// Refuses to give an image a name that another has: one of another agent, or one with other parts whose name came
/// about by itself.
pub(super) fn refuse_taken(context: &Context, selection: &Selection<'_>) -> Result<(), Diagnostic> {
    let wanted = described(selection);
    let others = extended_images(context);
    let Some(other) = others.named(&wanted.image_ref) else {
        return Ok(());
    };
    let ids: Vec<&str> = wanted.extensions.iter().map(String::as_str).collect();
    let usual = names::extended_image(&wanted.agent, &wanted.base, &ids);
    let is_chosen = selection.reference != usual;
    if wanted.extensions.is_empty() || *other == wanted || other.agent == wanted.agent && is_chosen
    {
        return Ok(());
    }
    Err(Diagnostic::new(
        "image-name-taken",
        ExitStatus::Usage,
        format!("another image has the name `{}`", wanted.image_ref),
    )
    .caused_by_words(format!("that is {}", other.parts()))
    .hint("give this one another name with `--image-name`"))
}

/// Refuses to take a name over from an image in the engine that we did not make.
pub(super) async fn refuse_foreign(
    context: &Context,
    reference: &ImageReference,
) -> Result<(), Diagnostic> {
    if names::is_ours(reference) {
        return Ok(());
    }
    // Where no engine can be asked no name is taken; whoever needs it is told so then.
    match context.engine().await.map(Engine::docker) {
        Ok(Some(docker)) => Ok(docker.refuse_taken(reference).await?),
        // The store's names are all ours.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Keeps what an extended image is made of, so that it can be chosen by its name.
pub(super) fn keep_image(context: &Context, selection: &Selection<'_>) -> Result<(), Diagnostic> {
    if selection.extensions.is_empty() {
        return Ok(());
    }
    let image = described(selection);
    let before = extended_images(context);
    if let Some(before) = before
        .named(&image.image_ref)
        .filter(|&before| *before != image)
    {
        context.printer.talk(&format!(
            "from now on `{}` is {}; it was {}",
            image.image_ref,
            image.parts(),
            before.parts()
        ));
    }
    image.store(&context.settings, &selection.reference)?;
    Ok(())
}

/// Keeps what was chosen as the project's; says so when it takes the place of something else.
pub(super) fn keep_choice(
    context: &Context,
    selection: &Selection<'_>,
    before: Option<&StoredChoice>,
) -> Result<(), Diagnostic> {
    let agent = &selection.agent;
    let base = &selection.base.id;
    let extensions = ids(selection);
    let is_published = agent.is_published() && !selection.base.is_custom();
    let image_ref = if extensions.is_empty() && is_published {
        let repository = &context.settings.config.registry.final_repository;
        format!("{repository}:{}-{base}", agent.id)
    } else {
        selection.reference.familiar()
    };
    let choice = StoredChoice {
        base: Some(base.clone()),
        extensions,
        image_ref: Some(image_ref),
    };
    let projects = Projects::open(&context.settings);
    projects.store(&context.settings.directory, &agent.id, &choice)?;
    let parts = |choice: &StoredChoice| {
        let base = choice.base.clone().unwrap_or_default();
        let parts = std::iter::once(base).chain(choice.extensions.iter().cloned());
        parts.collect::<Vec<_>>().join(" + ")
    };
    if let Some(before) = before.filter(|before| parts(before) != parts(&choice)) {
        context.printer.talk(&format!(
            "from now on `{}` runs in {} in this project; it was {}",
            agent.id,
            parts(&choice),
            parts(before)
        ));
    }
    Ok(())
}

fn described(selection: &Selection<'_>) -> ExtendedImage {
    ExtendedImage {
        agent: selection.agent.id.clone(),
        base: selection.base.id.clone(),
        extensions: ids(selection),
        image_ref: selection.reference.familiar(),
    }
}

fn ids(selection: &Selection<'_>) -> Vec<String> {
    let extensions = selection.extensions.iter();
    extensions.map(|extension| extension.id.clone()).collect()
}
