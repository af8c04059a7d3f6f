//! The overview of a first run: makes the page of what there is, and a choice of what the page says in the end.
//!
//! Invariant: what the plain questions refuse cannot be chosen here either, and the other way round.

mod access;
mod image;
mod options;

use super::{extended_images, is_begun_with, of_image, with_base};
use crate::{
    context::Context,
    definition::agent::AgentDefinition,
    diagnostic::Diagnostic,
    extended_image::ExtendedImage,
    names,
    overview::{
        self, Desk,
        page::{Body, ImageState, Item, Page, Section, SectionId},
    },
    selection::{Choice, default_base, possible, select},
};
use access::Access;
use options::Options;

/// Shows the overview for an agent; it begins with `before`.
pub(super) async fn ask(
    context: &Context,
    agent: &AgentDefinition,
    (before, verb): (&Choice, &'static str),
) -> Result<Choice, Diagnostic> {
    let desk = Offers::collect(context, agent, before).await?;
    let page = desk.page(verb)?;
    let page = overview::show(context, page, &desk).await?;
    let choice = desk.choice(&page)?;
    desk.access.keep(&page).await?;
    desk.options.keep(&page)?;
    Ok(choice)
}

/// What there is to choose from.
struct Offers<'a> {
    context: &'a Context,
    agent: &'a AgentDefinition,
    /// What the page begins with.
    before: &'a Choice,
    bases: Vec<String>,
    images: Vec<ExtendedImage>,
    extensions: Vec<String>,
    access: Access<'a>,
    options: Options<'a>,
}

impl<'a> Offers<'a> {
    async fn collect(
        context: &'a Context,
        agent: &'a AgentDefinition,
        before: &'a Choice,
    ) -> Result<Self, Diagnostic> {
        let images = extended_images(context).images.into_iter();
        Ok(Self {
            context,
            agent,
            before,
            bases: possible(context, agent)
                .map(|base| base.id.clone())
                .collect(),
            images: images.filter(|image| image.agent == agent.id).collect(),
            extensions: context.catalogue().extensions.keys().cloned().collect(),
            access: Access::collect(context, agent).await?,
            options: Options::collect(context, agent)?,
        })
    }

    fn page(&self, verb: &'static str) -> Result<Page, Diagnostic> {
        let (context, before) = (self.context, self.before);
        let usual = match &before.base {
            Some(base) => base.clone(),
            None => default_base(context, self.agent)?.id.clone(),
        };
        let bases = possible(context, self.agent).map(|base| Item {
            name: base.id.clone(),
            description: if base.is_custom() {
                format!("(custom) {}", base.settings.base_image_description)
            } else {
                base.settings.base_image_description.clone()
            },
            refused: None,
        });
        let images = self.images.iter().map(|image| self.describe(image));
        let chosen = match self
            .images
            .iter()
            .position(|image| is_begun_with(before, image))
        {
            Some(at) => Some(self.bases.len() + at),
            None => self.bases.iter().position(|base| *base == usual),
        };
        let base = Body::One {
            items: bases.chain(images).collect(),
            chosen: chosen.unwrap_or(0),
        };
        let extensions = context.catalogue().extensions.values();
        let extensions = Body::Ordered {
            items: extensions
                .map(|extension| Item {
                    name: extension.id.clone(),
                    description: extension.settings.description.clone(),
                    refused: None,
                })
                .collect(),
            chosen: self.places(&before.extensions),
        };
        let mut sections = vec![
            Section {
                id: SectionId::Base,
                title: "Base",
                body: base,
                nothing: "",
            },
            Section {
                id: SectionId::Extensions,
                title: "Extensions",
                body: extensions,
                nothing: "none",
            },
        ];
        if !self.extensions.is_empty() {
            sections.push(Section {
                id: SectionId::ImageName,
                title: "Image name",
                body: Body::Text {
                    text: before.image_name.clone().unwrap_or_default(),
                    prompt: "NAME:TAG, or only a tag",
                },
                nothing: "as its parts",
            });
        }
        sections.extend(self.access.sections(&before.extensions));
        sections.push(self.options.section());
        Ok(Page {
            title: format!("aicage: {}", self.agent.settings.agent_full_name),
            project: context.settings.directory.display().to_string(),
            typed: context.typed.clone(),
            sections,
            image: ImageState::Asking,
            verb,
        })
    }

    fn places(&self, names: &[String]) -> Vec<usize> {
        let known = &self.extensions;
        names
            .iter()
            .filter_map(|name| known.iter().position(|there| there == name))
            .collect()
    }

    fn describe(&self, image: &ExtendedImage) -> Item {
        let missing: Vec<&str> = image
            .extensions
            .iter()
            .filter(|name| !self.extensions.contains(name))
            .map(String::as_str)
            .collect();
        let choice = of_image(image.clone());
        let refused = select(self.context, &self.agent.id, &choice).err();
        Item {
            name: image.image_ref.clone(),
            description: format!(
                "(extended) {} with {}",
                image.base,
                image.extensions.join(", ")
            ),
            refused: if missing.is_empty() {
                refused.map(|error| error.sentence())
            } else {
                Some(format!("{} is missing", missing.join(", ")))
            },
        }
    }

    fn chosen_extensions(&self, page: &Page) -> Vec<String> {
        let Some(Body::Ordered { chosen, .. }) = page.body(SectionId::Extensions) else {
            return Vec::new();
        };
        let chosen = chosen.iter();
        chosen
            .filter_map(|&at| self.extensions.get(at).cloned())
            .collect()
    }

    /// Returns what the page says.
    fn choice(&self, page: &Page) -> Result<Choice, Diagnostic> {
        let base = match page.body(SectionId::Base) {
            Some(Body::One { chosen, .. }) => *chosen,
            _ => 0,
        };
        if let Some(image) = base
            .checked_sub(self.bases.len())
            .and_then(|at| self.images.get(at))
        {
            return Ok(of_image(image.clone()));
        }
        let mut choice = with_base(self.bases.get(base).cloned().unwrap_or_default());
        choice.extensions = self.chosen_extensions(page);
        if choice.extensions.is_empty() {
            return Ok(choice);
        }
        let typed = match page.body(SectionId::ImageName) {
            Some(Body::Text { text, .. }) => text.as_str(),
            _ => "",
        };
        choice.image_name = Some(if typed.is_empty() {
            select(self.context, &self.agent.id, &choice)?
                .reference
                .familiar()
        } else {
            names::chosen_image(typed)?.familiar()
        });
        Ok(choice)
    }
}

impl Desk for Offers<'_> {
    async fn image(&self, page: &Page) -> ImageState {
        match image::look_up(self, page).await {
            Ok(lines) => ImageState::Known(lines),
            Err(diagnostic) => ImageState::Failed(diagnostic.sentence()),
        }
    }

    fn check(&self, section: SectionId, text: &str) -> Result<(), String> {
        match section {
            SectionId::ImageName => {
                let reference = names::chosen_image(text).map_err(|error| error.sentence())?;
                let others = extended_images(self.context);
                match others.named(&reference.familiar()) {
                    Some(other) if other.agent != self.agent.id => {
                        Err(format!("that is {}", other.parts()))
                    }
                    _ => Ok(()),
                }
            }
            SectionId::Shares => self.access.check_share(text),
            SectionId::Base
            | SectionId::Extensions
            | SectionId::ExtensionShares
            | SectionId::Access => Ok(()),
            SectionId::Options => self.options.check(text),
        }
    }

    fn follow(&self, page: &mut Page, section: SectionId) {
        self.follow_image(page, section);
        if matches!(section, SectionId::Base | SectionId::Extensions) {
            self.forget_name(page);
            let chosen = self.chosen_extensions(page);
            self.access.follow(page, &chosen);
        }
    }
}

impl Offers<'_> {
    /// Takes away the name that an image was given whose parts are not those of the page any more.
    fn forget_name(&self, page: &mut Page) {
        let Some(Body::One { chosen: base, .. }) = page.body(SectionId::Base) else {
            return;
        };
        let Some(base) = self.bases.get(*base).cloned() else {
            return;
        };
        let extensions = self.chosen_extensions(page);
        let Some(Body::Text { text, .. }) = page.body_mut(SectionId::ImageName) else {
            return;
        };
        let is_given = |name: Option<&str>| name == Some(text.as_str());
        let is_before = is_given(self.before.image_name.as_deref())
            && (self.before.base.as_ref() != Some(&base) || self.before.extensions != extensions);
        let is_images = self.images.iter().any(|image| {
            is_given(Some(&image.image_ref))
                && (image.base != base || image.extensions != extensions)
        });
        if !text.is_empty() && (is_before || is_images) {
            text.clear();
        }
    }

    /// Keeps an image that was put together before, its extensions and its name in step.
    fn follow_image(&self, page: &mut Page, section: SectionId) {
        let Some(Body::One { chosen, .. }) = page.body(SectionId::Base) else {
            return;
        };
        let image = chosen
            .checked_sub(self.bases.len())
            .and_then(|at| self.images.get(at));
        let Some(image) = image else { return };
        match section {
            // An image that was put together brings its extensions.
            SectionId::Base => {
                let places = self.places(&image.extensions);
                if let Some(Body::Ordered { chosen, .. }) = page.body_mut(SectionId::Extensions) {
                    *chosen = places;
                }
                if let Some(Body::Text { text, .. }) = page.body_mut(SectionId::ImageName) {
                    text.clone_from(&image.image_ref);
                }
            }
            // With others it is another image, on the same base.
            SectionId::Extensions | SectionId::ImageName => {
                let base = self.bases.iter().position(|base| *base == image.base);
                if let Some(Body::One { chosen, .. }) = page.body_mut(SectionId::Base) {
                    *chosen = base.unwrap_or(0);
                }
                if section == SectionId::Extensions
                    && let Some(Body::Text { text, .. }) = page.body_mut(SectionId::ImageName)
                {
                    text.clear();
                }
            }
            SectionId::Shares
            | SectionId::ExtensionShares
            | SectionId::Access
            | SectionId::Options => {}
        }
    }
}
