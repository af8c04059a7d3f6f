//! The part of the page about this machine: shares, what extensions share, and access by kind.
//!
//! Invariant: what is kept is what was to be seen on the page; a kind that would be asked about is answered by it, so
//! that nobody is asked twice.

use crate::{
    access::{self, AccessOffer, AccessOptions, Detected, Grant, Kind},
    context::Context,
    definition::{agent::AgentDefinition, extension::ExtensionDefinition},
    diagnostic::Diagnostic,
    overview::page::{Body, Item, Page, Section, SectionId},
    project::{Agreement, Projects, StoredAgent},
    session::share::{Share, Whose},
    yaml::tree::Node,
};

/// What there is, and what was said to it before.
pub(super) struct Access<'a> {
    context: &'a Context,
    agent: &'a AgentDefinition,
    offers: Vec<AccessOffer>,
    stored: StoredAgent,
    /// Shares that are stored above the project and cannot be taken away in it.
    inherited: Vec<String>,
}

impl<'a> Access<'a> {
    pub(super) async fn collect(
        context: &'a Context,
        agent: &'a AgentDefinition,
    ) -> Result<Self, Diagnostic> {
        let Detected { offers, notes, .. } =
            access::detect(context, &agent.id, &AccessOptions::default()).await?;
        for note in notes {
            context.warn_once(note);
        }
        let projects = Projects::open(&context.settings);
        let directory = &context.settings.directory;
        let found = projects.choice(directory, &agent.id)?;
        let own = projects.own(directory, &agent.id)?.shares;
        let stored = found.agent.unwrap_or_default();
        let inherited = stored.shares.iter();
        let inherited = inherited.filter(|share| !own.contains(share));
        Ok(Self {
            context,
            agent,
            offers,
            inherited: inherited.cloned().collect(),
            stored,
        })
    }

    /// Returns the sections; those of `extensions` that share something have a switch each.
    pub(super) fn sections(&self, extensions: &[String]) -> Vec<Section> {
        let kinds = self.offers.iter().map(|offer| {
            let item = Item {
                name: offer.kind.to_string(),
                description: format!("{}: {}", offer.what, offer.why),
                refused: offer.refused.as_ref().map(Diagnostic::sentence),
            };
            (item, offer.unasked() == Grant::Full)
        });
        let mut sections = vec![Section {
            id: SectionId::Shares,
            title: "Shares",
            body: Body::Lines {
                lines: self.stored.shares.clone(),
                prompt: "PATH[:ro]",
            },
            nothing: "only the project",
        }];
        let known = self.context.catalogue().extensions.values();
        if known
            .into_iter()
            .any(|known| !known.settings.shares.is_empty())
        {
            sections.push(Section {
                id: SectionId::ExtensionShares,
                title: "Ext. shares",
                body: Body::Switches {
                    items: self.switches(extensions),
                },
                nothing: "none",
            });
        }
        sections.push(Section {
            id: SectionId::Access,
            title: "Access",
            body: Body::Switches {
                items: kinds.collect(),
            },
            nothing: "nothing",
        });
        sections
    }

    /// Shows the switches of other extensions.
    pub(super) fn follow(&self, page: &mut Page, extensions: &[String]) {
        let fresh = self.switches(extensions);
        if let Some(Body::Switches { items }) = page.body_mut(SectionId::ExtensionShares) {
            let before = std::mem::take(items);
            let turned = |name: &str| {
                let there = before.iter().find(|(item, _)| item.name == name);
                there.map(|(_, is_on)| *is_on)
            };
            *items = fresh
                .into_iter()
                .map(|(item, is_on)| {
                    let is_on = turned(&item.name).unwrap_or(is_on);
                    (item, is_on)
                })
                .collect();
        }
    }

    fn switches(&self, extensions: &[String]) -> Vec<(Item, bool)> {
        let known = &self.context.catalogue().extensions;
        let chosen = extensions.iter().filter_map(|id| known.get(id));
        chosen
            .filter(|extension| !extension.settings.shares.is_empty())
            .map(|extension| self.switch(extension))
            .collect()
    }

    fn switch(&self, extension: &ExtensionDefinition) -> (Item, bool) {
        let (shares, refused) = match self.shares_of(extension) {
            Ok(shares) => {
                let refused = shares
                    .iter()
                    .find_map(|share| share.check(&self.context.settings).err());
                (shares, refused)
            }
            Err(refused) => (Vec::new(), Some(refused)),
        };
        let agreed = self.stored.agreed_shares.get(&extension.id);
        let is_agreed = self.stored.extension_mounts.get(&extension.id) == Some(&true)
            && shares
                .iter()
                .all(|share| agreed.is_none_or(|agreed| share.is_within(agreed)));
        let list: Vec<String> = shares.iter().map(Share::to_string).collect();
        let item = Item {
            name: extension.id.clone(),
            description: list.join("; "),
            refused: refused.as_ref().map(Diagnostic::sentence),
        };
        (item, is_agreed && refused.is_none())
    }

    fn shares_of(&self, extension: &ExtensionDefinition) -> Result<Vec<Share>, Diagnostic> {
        let texts = extension.settings.shares.iter();
        let whose = || Whose::Extension(extension.id.clone());
        texts
            .map(|text| Share::parse(&self.context.settings, text, whose()))
            .collect()
    }

    /// Says what is wrong with a share that was typed.
    pub(super) fn check_share(&self, text: &str) -> Result<(), String> {
        let settings = &self.context.settings;
        Share::parse(settings, text, Whose::CommandLine)
            .and_then(|share| share.check(settings))
            .map_err(|refused| refused.sentence())
    }

    /// Keeps what the page says.
    pub(super) async fn keep(&self, page: &Page) -> Result<(), Diagnostic> {
        self.keep_shares(page)?;
        self.keep_agreements(page)?;
        let Some(Body::Switches { items }) = page.body(SectionId::Access) else {
            return Ok(());
        };
        let answers: Vec<(Kind, Grant)> = self
            .offers
            .iter()
            .zip(items)
            .filter_map(|(offer, (_, is_on))| {
                answer(offer, if *is_on { Grant::Full } else { off(offer) })
            })
            .collect();
        if answers.contains(&(Kind::Docker, Grant::Full)) {
            access::refuse_absent_socket(self.context).await?;
        }
        access::keep(self.context, &self.agent.id, &answers)
    }

    fn keep_shares(&self, page: &Page) -> Result<(), Diagnostic> {
        let Some(Body::Lines { lines, .. }) = page.body(SectionId::Shares) else {
            return Ok(());
        };
        if *lines == self.stored.shares {
            return Ok(());
        }
        let settings = &self.context.settings;
        // From now on a path is the same wherever the project is looked at from.
        let own: Vec<String> = lines
            .iter()
            .filter(|line| !self.inherited.contains(line))
            .map(|line| {
                Share::parse(settings, line, Whose::CommandLine)
                    .ok()
                    .and_then(|share| share.to_keep())
                    .unwrap_or_else(|| line.clone())
            })
            .collect();
        for gone in self.inherited.iter().filter(|there| !lines.contains(there)) {
            self.context.printer.warn(&format!(
                "`{gone}` is shared by what this project inherits; `aicage config show --origin` says where"
            ));
        }
        let projects = Projects::open(settings);
        let file = projects.file(&settings.directory);
        let keys = ["agents", &self.agent.id, "shares"];
        let value = (!own.is_empty()).then(|| Node::texts(&own));
        projects.change((&file, &settings.directory), &keys, value)?;
        Ok(())
    }

    fn keep_agreements(&self, page: &Page) -> Result<(), Diagnostic> {
        let Some(Body::Switches { items }) = page.body(SectionId::ExtensionShares) else {
            return Ok(());
        };
        let settings = &self.context.settings;
        let projects = Projects::open(settings);
        for (item, is_on) in items {
            let Some(extension) = self.context.catalogue().extensions.get(&item.name) else {
                continue;
            };
            let agreement = if *is_on {
                let shares = self.shares_of(extension)?;
                Agreement::Yes(shares.iter().filter_map(Share::agreement).collect())
            } else {
                Agreement::No
            };
            let place = (settings.directory.as_path(), self.agent.id.as_str());
            projects.agree(place, &item.name, &agreement)?;
        }
        Ok(())
    }
}

/// Returns what a kind is with its switch off: the repository is still read, unless even that was forbidden.
fn off(offer: &AccessOffer) -> Grant {
    match offer.kind {
        Kind::GitRoot => offer.unasked().min(Grant::Read),
        _ => Grant::Nothing,
    }
}

/// Returns what is to be kept of a kind: what was changed, and what would be asked about otherwise.
fn answer(offer: &AccessOffer, grant: Grant) -> Option<(Kind, Grant)> {
    let is_asked = offer.question.is_some() && offer.stored.is_none() && offer.refused.is_none();
    (grant != offer.unasked() || is_asked).then_some((offer.kind, grant))
}
