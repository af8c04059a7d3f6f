//! Assembles a base here: its root image and its own scripts, by the same machinery as an agent's image.

use assembler::image::Image;

use crate::{
    base_image,
    compose::{self, Below},
    context::Context,
    definition::base::BaseDefinition,
    diagnostic::Diagnostic,
    ensure,
    root_image::{self, RootImage},
};

/// Assembles `base` on `from`, or on what its definition names.
pub async fn build(
    context: &Context,
    base: &BaseDefinition,
    from: Option<&str>,
) -> Result<Image, Diagnostic> {
    let from = from.unwrap_or(&base.settings.from_image);
    let RootImage { image, record } = root_image::fetch(context, from, &base.id).await?;
    let below = Below {
        image: &image,
        record,
        origin: root_image::origin(from),
        source_date: context.settings.environment.source_date,
    };
    let recipe = compose::base_image(below, base);
    let reason = format!("base `{}` is assembled here from {from}", base.id);
    ensure::build(context, &recipe, &base_image::local_name(base), &[reason])
}
