//! What of this machine the agent is to see: `--share`, what is stored, and what extensions share, if the user agreed.
//!
//! Invariant: of what an extension shares nothing is mounted unless the user agreed to this path, where it really is, and
//! to this access. One that wants more later is asked about again; whoever cannot be asked has not agreed.

use crate::{
    cli::RunOptions,
    context::Context,
    definition::extension::ExtensionDefinition,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::printable,
    project::{Agreement, Projects, StoredAgent},
    prompt::{self, Usually},
    selection::{Selection, find_extension},
    session::share::{Share, Whose},
};

/// Returns what a run of `selection` shows of this machine; asks about extensions where nothing is said yet.
pub async fn shares(
    context: &Context,
    selection: &Selection<'_>,
    options: &RunOptions,
) -> Result<Vec<Share>, Diagnostic> {
    let settings = &context.settings;
    let projects = Projects::open(settings);
    let found = projects.choice(&settings.directory, &selection.agent.id)?;
    let stored = found.agent.unwrap_or_default();
    let typed = options.shares.iter().map(|text| (text, Whose::CommandLine));
    let kept = stored.shares.iter();
    let kept = kept.map(|text| match &settings.team {
        Some(team) if found.pinned.contains_key(text) => (text, Whose::Team(team.path.clone())),
        Some(_) | None => (text, Whose::Project(found.file.clone())),
    });
    let mut shares = Vec::new();
    for (text, whose) in typed.chain(kept) {
        let share = Share::parse(settings, text, whose)?;
        share.check(settings)?;
        if let Some(agreed) = found.pinned.get(text)
            && share.real() != agreed
        {
            return Err(moved(&share, agreed));
        }
        shares.push(share);
    }
    if options.access.keep_shares && !context.is_dry() {
        let texts: Vec<String> = shares.iter().filter_map(Share::to_keep).collect();
        projects.add_shares((&settings.directory, &selection.agent.id), &texts)?;
    }
    refuse_others(context, selection, options)?;
    let consent = Consent {
        context,
        selection,
        options,
        stored: &stored,
    };
    for extension in &selection.extensions {
        shares.extend(consent.given(extension).await?);
    }
    Ok(shares)
}

/// What a team file shares was agreed to where it was; a link that was turned meanwhile leads elsewhere.
fn moved(share: &Share, agreed: &std::path::Path) -> Diagnostic {
    Diagnostic::new(
        "team-file-moved",
        ExitStatus::Refused,
        format!("{share} leads elsewhere than what was agreed to"),
    )
    .fact("agreed to", agreed.display().to_string())
    .hint("look who changed it, then start again")
}

/// Refuses `--extension-shares` with what shares nothing here.
fn refuse_others(
    context: &Context,
    selection: &Selection<'_>,
    options: &RunOptions,
) -> Result<(), Diagnostic> {
    for id in &options.extension_shares {
        let extension = find_extension(context, id)?;
        let is_added = selection.extensions.iter().any(|other| other.id == *id);
        let why = match (is_added, extension.settings.shares.is_empty()) {
            (false, _) => format!("extension `{id}` is not added here, so that it shares nothing"),
            (true, true) => format!("extension `{id}` shares nothing"),
            (true, false) => continue,
        };
        return Err(
            Diagnostic::new("extension-shares", ExitStatus::Usage, why).hint(
                "`--extension-shares` takes an extension that is added and has `shares` in its `extension.yml`",
            ),
        );
    }
    Ok(())
}

/// What there is to go by.
struct Consent<'a> {
    context: &'a Context,
    selection: &'a Selection<'a>,
    options: &'a RunOptions,
    stored: &'a StoredAgent,
}

impl Consent<'_> {
    /// Returns those shares of an extension that the user agreed to.
    async fn given(&self, extension: &ExtensionDefinition) -> Result<Vec<Share>, Diagnostic> {
        let id = &extension.id;
        let texts = &extension.settings.shares;
        let said = self.stored.extension_mounts.get(id).copied();
        let flag = self.flag(id);
        let asks_again = flag.is_none() && self.options.choice.choose;
        if texts.is_empty() || flag.is_none() && said == Some(false) && !asks_again {
            return Ok(Vec::new());
        }
        if flag == Some(false) {
            self.keep(id, &Agreement::No)?;
            return Ok(Vec::new());
        }
        let settings = &self.context.settings;
        let whose = || Whose::Extension(id.clone());
        let all = texts
            .iter()
            .map(|text| Share::parse(settings, text, whose()));
        let all: Vec<Share> = all.collect::<Result<_, _>>()?;
        let agreed = self.stored.agreed_shares.get(id);
        let is_agreed = |share: &Share| {
            said == Some(true) && agreed.is_none_or(|agreed| share.is_within(agreed))
        };
        let is_known = all.iter().all(is_agreed);
        if flag.is_none() && is_known && !asks_again {
            let all = self.checked(all)?;
            if agreed.is_none() {
                self.keep(id, &Agreement::Meant(agreements(&all)))?;
            }
            return Ok(all);
        }
        if flag.is_none() && !prompt::can_ask(self.context) {
            let (given, left): (Vec<_>, Vec<_>) = all.into_iter().partition(is_agreed);
            self.tell(id, &left);
            return self.checked(given);
        }
        if flag.is_none() && !self.ask(extension, (&all, is_known)).await? {
            self.keep(id, &Agreement::No)?;
            return Ok(Vec::new());
        }
        let all = self.checked(all)?;
        self.keep(id, &Agreement::Yes(agreements(&all)))?;
        Ok(all)
    }

    /// Returns what the command line says.
    fn flag(&self, id: &String) -> Option<bool> {
        if self.options.extension_shares.contains(id) {
            return Some(true);
        }
        self.options.no_extension_shares.then_some(false)
    }

    /// Shows what an extension shares and asks for consent; what is never given away is not even asked for.
    async fn ask(
        &self,
        extension: &ExtensionDefinition,
        (all, is_known): (&[Share], bool),
    ) -> Result<bool, Diagnostic> {
        for share in all {
            share.refuse(&self.context.settings)?;
        }
        let agreed = self.stored.agreed_shares.get(&extension.id);
        let printer = &self.context.printer;
        printer.ask_about(&format!(
            "Extension `{}` ({}) wants {} to see files of this machine:",
            extension.id,
            printable(&extension.settings.name),
            printable(&self.selection.agent.settings.agent_full_name),
        ));
        for share in all {
            let is_new = agreed.is_some_and(|agreed| !share.is_within(agreed));
            let news = if is_new { ", new" } else { "" };
            let gone = if share.is_there() {
                ""
            } else {
                ", nothing there"
            };
            printer.ask_about(&format!("  {share}{gone}{news}"));
        }
        // Enter alone gives nothing away that was not given before.
        let usually = if is_known { Usually::Yes } else { Usually::No };
        prompt::confirm(self.context, "Mount them?", usually).await
    }

    /// Says what is not mounted because nobody could be asked.
    fn tell(&self, id: &str, left: &[Share]) {
        let list: Vec<String> = left.iter().map(Share::to_string).collect();
        self.context.printer.warn(&format!(
            "extension `{id}` shares what nobody agreed to, and it is not mounted: {}; `--extension-shares {id}` agrees, `--no-extension-shares` declines",
            list.join("; ")
        ));
    }

    /// Returns shares that can all be mounted.
    fn checked(&self, shares: Vec<Share>) -> Result<Vec<Share>, Diagnostic> {
        for share in &shares {
            share.check(&self.context.settings)?;
        }
        Ok(shares)
    }

    fn keep(&self, id: &str, agreement: &Agreement) -> Result<(), Diagnostic> {
        if self.context.is_dry() {
            return Ok(());
        }
        let settings = &self.context.settings;
        let agent = &self.selection.agent.id;
        Projects::open(settings).agree((&settings.directory, agent), id, agreement)?;
        Ok(())
    }
}

fn agreements(shares: &[Share]) -> Vec<String> {
    shares.iter().filter_map(Share::agreement).collect()
}
