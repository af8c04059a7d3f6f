//! The page as data: sections that can be changed, and what is known of the image.
//!
//! Invariant: it knows no terminal and no file; what an answer means is for whoever made the page.

/// What can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionId {
    /// What the agent runs on.
    Base,
    /// What is added to the image, in this order.
    Extensions,
    /// What the image with extensions is called.
    ImageName,
    /// Which files of this machine the user shows the agent.
    Shares,
    /// Which files the chosen extensions show it.
    ExtensionShares,
    /// What of this machine the agent may use beyond that.
    Access,
    /// Options of the container.
    Options,
}

/// The whole page.
#[derive(Clone, Debug)]
pub struct Page {
    /// What is started, and where.
    pub title: String,
    /// The project's directory.
    pub project: String,
    /// What was typed beside the choice: it counts, whatever the page says.
    pub typed: String,
    /// What can be changed, in the order in which it is shown.
    pub sections: Vec<Section>,
    /// What is known of the image.
    pub image: ImageState,
    /// What Enter does, in one word.
    pub verb: &'static str,
}

/// One thing that can be changed.
#[derive(Clone, Debug)]
pub struct Section {
    /// Which one it is.
    pub id: SectionId,
    /// Its name.
    pub title: &'static str,
    /// What it holds.
    pub body: Body,
    /// What is said where nothing is chosen.
    pub nothing: &'static str,
}

/// What a section holds.
#[derive(Clone, Debug)]
pub enum Body {
    /// One of several.
    One {
        /// All of them.
        items: Vec<Item>,
        /// Which one.
        chosen: usize,
    },
    /// Several, in the order in which they were chosen.
    Ordered {
        /// All there are.
        items: Vec<Item>,
        /// Those that are chosen.
        chosen: Vec<usize>,
    },
    /// Each on or off by itself.
    Switches {
        /// All of them, and whether they are on.
        items: Vec<(Item, bool)>,
    },
    /// Lines of text.
    Lines {
        /// The lines.
        lines: Vec<String>,
        /// What a line is, for who adds one.
        prompt: &'static str,
    },
    /// One text.
    Text {
        /// The text.
        text: String,
        /// What it is, for who changes it.
        prompt: &'static str,
    },
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// What people should know of it.
    pub description: String,
    /// Why it cannot be chosen, if it cannot.
    pub refused: Option<String>,
}

/// What is known of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// It is being found out.
    Asking,
    /// This.
    Known(Vec<String>),
    /// Nothing, for this reason.
    Failed(String),
}

impl Section {
    /// Says in one line what is chosen.
    pub fn summary(&self) -> String {
        let summary = match &self.body {
            Body::One { items, chosen } => items
                .get(*chosen)
                .map(|item| {
                    if item.description.is_empty() {
                        item.name.clone()
                    } else {
                        format!("{}  {}", item.name, item.description)
                    }
                })
                .unwrap_or_default(),
            Body::Ordered { items, chosen } => {
                let names = chosen.iter().filter_map(|&at| items.get(at));
                joined(names.map(|item| item.name.as_str()))
            }
            Body::Switches { items } => {
                let on = items.iter().filter(|(_, is_on)| *is_on);
                joined(on.map(|(item, _)| item.name.as_str()))
            }
            Body::Lines { lines, .. } => joined(lines.iter().map(String::as_str)),
            Body::Text { text, .. } => text.clone(),
        };
        if summary.is_empty() {
            self.nothing.to_owned()
        } else {
            summary
        }
    }

    /// Tells whether a row's name begins with a letter.
    pub(super) fn begins_with(&self, row: usize, letter: char) -> bool {
        let item = match &self.body {
            Body::One { items, .. } | Body::Ordered { items, .. } => items.get(row),
            Body::Switches { items } => items.get(row).map(|(item, _)| item),
            Body::Lines { .. } | Body::Text { .. } => None,
        };
        item.and_then(|item| item.name.chars().next())
            .is_some_and(|first| first.to_lowercase().eq(letter.to_lowercase()))
    }

    /// Returns how many rows it has when it is open.
    pub(super) fn rows(&self) -> usize {
        match &self.body {
            Body::One { items, .. } | Body::Ordered { items, .. } => items.len(),
            Body::Switches { items } => items.len(),
            // The last row adds a line.
            Body::Lines { lines, .. } => lines.len() + 1,
            Body::Text { .. } => 1,
        }
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl Page {
    /// Returns what is chosen of a kind of section.
    pub fn body(&self, id: SectionId) -> Option<&Body> {
        let section = self.sections.iter().find(|section| section.id == id)?;
        Some(&section.body)
    }

    /// Returns the same, to change it.
    pub fn body_mut(&mut self, id: SectionId) -> Option<&mut Body> {
        let section = self.sections.iter_mut().find(|section| section.id == id)?;
        Some(&mut section.body)
    }
}
