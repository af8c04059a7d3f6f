//! Keeps what was chosen: for the project, and what an extended image is made of.

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    extended_image::ExtendedImage,
    project::{Projects, StoredChoice},
    selection::Selection,
};

/// Keeps what an extended image is made of, so that it can be chosen by its name.
pub(super) fn keep_image(context: &Context, selection: &Selection<'_>) -> Result<(), Diagnostic> {
    if selection.extensions.is_empty() {
        return Ok(());
    }
    let image = ExtendedImage {
        agent: selection.agent.id.clone(),
        base: selection.base.id.clone(),
        extensions: ids(selection),
        image_ref: selection.reference.familiar(),
    };
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

fn ids(selection: &Selection<'_>) -> Vec<String> {
    let extensions = selection.extensions.iter();
    extensions.map(|extension| extension.id.clone()).collect()
}
