//! The part of the page about the container: options with docker's names, in one line, quoted as in a shell.

use crate::{
    container_options::stored::Stored,
    context::Context,
    definition::agent::AgentDefinition,
    diagnostic::Diagnostic,
    overview::page::{Body, Page, Section, SectionId},
    project::Projects,
};

/// The options that the project has of its own for an agent.
pub(super) struct Options<'a> {
    context: &'a Context,
    agent: &'a AgentDefinition,
    own: String,
}

impl<'a> Options<'a> {
    pub(super) fn collect(
        context: &'a Context,
        agent: &'a AgentDefinition,
    ) -> Result<Self, Diagnostic> {
        let projects = Projects::open(&context.settings);
        let found = projects.choice(&context.settings.directory, &agent.id)?;
        let mut stored = found.docker_args.into_iter();
        let own = stored.find(|stored| stored.file == found.file);
        Ok(Self {
            context,
            agent,
            own: own.map(|stored| stored.text).unwrap_or_default(),
        })
    }

    pub(super) fn section(&self) -> Section {
        Section {
            id: SectionId::Options,
            title: "Options",
            body: Body::Text {
                text: self.own.clone(),
                prompt: "as for docker run",
            },
            nothing: "none",
        }
    }

    /// Says what is wrong with options that were typed.
    pub(super) fn check(&self, text: &str) -> Result<(), String> {
        let projects = Projects::open(&self.context.settings);
        let typed = Stored {
            file: projects.file(&self.context.settings.directory),
            text: text.to_owned(),
        };
        let read = typed.flags(&self.agent.id);
        read.map(drop).map_err(|refused| refused.sentence())
    }

    /// Keeps what the page says.
    pub(super) fn keep(&self, page: &Page) -> Result<(), Diagnostic> {
        let Some(Body::Text { text, .. }) = page.body(SectionId::Options) else {
            return Ok(());
        };
        if *text != self.own {
            let settings = &self.context.settings;
            let place = (settings.directory.as_path(), self.agent.id.as_str());
            let projects = Projects::open(settings);
            projects.change_docker_args(place, |_before| Ok::<_, Diagnostic>(text.clone()))?;
        }
        Ok(())
    }
}
