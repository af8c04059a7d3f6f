//! Assembles a base here: its root image and its own scripts, by the same machinery as an agent's image.

use assembler::{image::Image, provenance::BaseRecord};

use crate::{
    base_image,
    compose::{self, Below},
    context::Context,
    definition::base::BaseDefinition,
    diagnostic::Diagnostic,
    dockerfiles::{self, Images},
    ensure,
    plan::Want,
    root_image::{self, RootImage},
    root_memory::{self, RootMemory},
    supply::Ask,
};

/// What a base is assembled on.
#[derive(Clone, Debug)]
pub enum Root {
    /// What its definition names.
    Defined,
    /// What this names instead.
    From(String),
    /// What it was assembled on before.
    Kept(BaseRecord),
}

/// Assembles `base` on `root`; `why` is kept in its record.
pub async fn build(
    context: &Context,
    base: &BaseDefinition,
    (root, why): (&Root, Option<&str>),
) -> Result<Image, Diagnostic> {
    let defined = &base.settings.from_image;
    let taken = match root {
        Root::Defined => defined.clone(),
        Root::From(from) => from.clone(),
        Root::Kept(record) => root_memory::recall(context, base, record)
            .map_or_else(|| record.reference.clone(), |known| known.from),
    };
    let RootImage { image, record } = match root {
        Root::Defined | Root::From(_) => root_image::fetch(context, &taken, &base.id).await?,
        Root::Kept(record) => root_image::kept(context, (record, &taken), &base.id).await?,
    };
    let known = RootMemory {
        defined: defined.clone(),
        from: taken,
        digest: record.digest,
    };
    let from = &record.reference.clone();
    let below = Below {
        image: &image,
        record,
        origin: root_image::origin(from),
        source_date: context.settings.environment.source_date,
    };
    let (store, _) = context.store()?;
    let before = store.tagged(&base_image::local_name(base))?;
    // Whoever found that it is to be built again has asked.
    let ask = match before {
        Some(_) => Ask::WhenUnknown,
        None => Ask::WhenOld,
    };
    let images = Images::of(Want::Newest(ask), before.as_ref());
    let dockerfile = dockerfiles::of_base(context, base, images).await?;
    let recipe = compose::base_image(below, base, dockerfile);
    dockerfiles::fetch(context, &recipe).await?;
    let reason = match why {
        Some(why) => why.to_owned(),
        None => format!("base `{}` is assembled here from {from}", base.id),
    };
    let name = base_image::local_name(base);
    let built = ensure::build(context, &recipe, &name.into(), &[reason])?;
    root_memory::keep(context, base, &known);
    Ok(built)
}
