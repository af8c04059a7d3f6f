//! The overview of a first run: makes the page of what there is, and a choice of what the page says in the end.
//!
//! Invariant: what the plain questions refuse cannot be chosen here either, and the other way round.

use super::{extended_images, of_image, with_base};
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
    plan::{self, LayerAction, Plan, Want, Work},
    printer::bytes,
    selection::{Choice, default_base, possible, select},
    supply::Ask,
};

/// Shows the overview for an agent; it begins with `before`.
pub(super) async fn ask(
    context: &Context,
    agent: &AgentDefinition,
    before: &Choice,
) -> Result<Choice, Diagnostic> {
    let desk = Offers::collect(context, agent);
    let page = desk.page(before)?;
    let page = overview::show(context, page, &desk).await?;
    desk.choice(&page)
}

/// What there is to choose from.
struct Offers<'a> {
    context: &'a Context,
    agent: &'a AgentDefinition,
    bases: Vec<String>,
    images: Vec<ExtendedImage>,
    extensions: Vec<String>,
}

impl<'a> Offers<'a> {
    fn collect(context: &'a Context, agent: &'a AgentDefinition) -> Self {
        let images = extended_images(context).images.into_iter();
        Self {
            context,
            agent,
            bases: possible(context, agent)
                .map(|base| base.id.clone())
                .collect(),
            images: images.filter(|image| image.agent == agent.id).collect(),
            extensions: context.catalogue().extensions.keys().cloned().collect(),
        }
    }

    fn page(&self, before: &Choice) -> Result<Page, Diagnostic> {
        let context = self.context;
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
        let chosen = self.bases.iter().position(|base| *base == usual);
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
                    text: String::new(),
                    prompt: "NAME:TAG, or only a tag",
                },
                nothing: "as its parts",
            });
        }
        Ok(Page {
            title: format!("aicage: {}", self.agent.settings.agent_full_name),
            project: context.settings.directory.display().to_string(),
            sections,
            image: ImageState::Asking,
            verb: "start",
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
        if let Some(Body::Ordered { chosen, .. }) = page.body(SectionId::Extensions) {
            choice.extensions = chosen
                .iter()
                .filter_map(|&at| self.extensions.get(at).cloned())
                .collect();
        }
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

    async fn looked_up(&self, page: &Page) -> Result<Vec<String>, Diagnostic> {
        let choice = self.choice(page)?;
        let selection = select(self.context, &self.agent.id, &choice)?;
        let held = plan::plan(self.context, &selection, Want::Held).await?;
        if !held.is_done() {
            return Ok(described(&held));
        }
        // What is newer by what is known; nobody is asked for it here.
        let newest = plan::plan(self.context, &selection, Want::Newest(Ask::Never)).await;
        Ok(match newest {
            Ok(newest) if !newest.is_done() => {
                let mut lines = vec![format!("{}: here; an update would", name(&held))];
                lines.extend(described(&newest).into_iter().skip(1));
                lines
            }
            _ => vec![format!("{}: here and up to date", name(&held))],
        })
    }
}

impl Desk for Offers<'_> {
    async fn image(&self, page: &Page) -> ImageState {
        match self.looked_up(page).await {
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
            SectionId::Base
            | SectionId::Extensions
            | SectionId::Shares
            | SectionId::Access
            | SectionId::Options => Ok(()),
        }
    }

    fn follow(&self, page: &mut Page, section: SectionId) {
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
            SectionId::Shares | SectionId::Access | SectionId::Options => {}
        }
    }
}

fn name(plan: &Plan) -> String {
    plan.reference.familiar()
}

/// Says what a plan does, and what it costs.
fn described(plan: &Plan) -> Vec<String> {
    let count = |action| {
        let layers = plan.layers.iter();
        layers.filter(|layer| layer.action == action).count()
    };
    let pulled = count(LayerAction::Pull);
    let mut does = Vec::new();
    if pulled > 0 {
        let size = plan.download();
        let size = if size > 0 {
            format!(", {}", bytes(size))
        } else {
            String::new()
        };
        does.push(format!("pull {}{size}", layers(pulled)));
    }
    let executed: Vec<String> = plan
        .layers
        .iter()
        .filter(|layer| layer.action == LayerAction::Execute)
        .map(|layer| layer.origin.to_string())
        .collect();
    if !executed.is_empty() {
        does.push(format!("run the scripts of {}", executed.join(", ")));
    }
    let verb = match plan.work {
        Work::Pull(_) => "to be pulled",
        Work::Nothing | Work::Build { .. } => "to be put together here",
    };
    let mut lines = vec![format!("{}: {verb}", name(plan))];
    if !does.is_empty() {
        lines.push(does.join("; "));
    }
    lines.extend(plan.reasons.iter().cloned());
    lines
}

fn layers(count: usize) -> String {
    if count == 1 {
        "1 layer".to_owned()
    } else {
        format!("{count} layers")
    }
}
