//! Finds what of this machine could be given to an agent in a project.
//!
//! Invariant: nothing is changed and nobody is asked. One run of git, one of `gpgconf` where commits are signed with
//! gpg; everything else is read.

use super::{
    git::{Found, GitConfiguration, Repository},
    gnupg,
    kind::{Grant, Kind},
    offer::{AccessOffer, read_only, writable},
    options::AccessOptions,
    ssh,
};
use crate::{
    context::Context, diagnostic::Diagnostic, printer::printable, project::Projects,
    session::guard, settings::Settings,
};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Detected {
    /// What could be given, in the order of the kinds.
    pub offers: Vec<AccessOffer>,
    /// What people should know of it.
    pub notes: Vec<String>,
    /// Who git says commits here.
    pub author: Option<String>,
    /// What was agreed to before and is not there.
    pub missing: Vec<Kind>,
}

/// Finds what could be given to `agent` in this project. What `typed` names is looked for more closely.
pub async fn detect(
    context: &Context,
    agent: &str,
    typed: &AccessOptions,
) -> Result<Detected, Diagnostic> {
    let settings = &context.settings;
    let found = Projects::open(settings).choice(&settings.directory, agent)?;
    let mounts = found.agent.unwrap_or_default().mounts;
    let wants_gnupg = typed
        .of(Kind::GnuPg)
        .map(|typed| typed.grant)
        .or(Kind::GnuPg.stored(&mounts));
    let look = {
        let settings = settings.clone();
        move || looked(&settings, wants_gnupg)
    };
    let mut detected = crate::aside::aside(look).await;
    for offer in &mut detected.offers {
        offer.stored = offer.kind.stored(&mounts);
    }
    let is_there = |kind: &Kind| detected.offers.iter().any(|offer| offer.kind == *kind);
    let agreed = Kind::ALL
        .into_iter()
        .filter(|kind| kind.stored(&mounts) == Some(Grant::Full));
    detected.missing = agreed.filter(|kind| !is_there(kind)).collect();
    Ok(detected)
}

fn looked(settings: &Settings, wants_gnupg: Option<Grant>) -> Detected {
    let configuration = GitConfiguration::read(settings);
    let mut detected = Detected {
        author: configuration.author(),
        ..Detected::default()
    };
    detected
        .offers
        .extend(git_configuration(settings, &configuration));
    match Found::look(settings) {
        Found::Nothing | Found::Gone { .. } => {}
        Found::Stranger { from, to } => detected.notes.push(format!(
            "{} leads to {}, which does not know this project; it is not mounted, `--share` does that",
            printable(&from.display().to_string()),
            printable(&to.display().to_string())
        )),
        Found::Repository(repository) => {
            detected.offers.extend(git_root(settings, &repository));
            detected.offers.push(git_hooks(settings, &repository));
        }
    }
    let signs_with = configuration.signs_with();
    let wants_gnupg = match wants_gnupg {
        Some(grant) => grant != Grant::Nothing,
        None => signs_with.as_deref() == Some("openpgp"),
    };
    if wants_gnupg {
        detected.offers.extend(gnupg::offer(settings));
    }
    detected.offers.extend(ssh::agent(settings, &configuration));
    detected.offers.extend(ssh::directory(settings));
    let mut docker = AccessOffer::new(
        Kind::Docker,
        "the engine's socket".to_owned(),
        Grant::Nothing,
    );
    "containers can be started from inside, with the rights of root on this machine"
        .clone_into(&mut docker.why);
    detected.offers.push(docker);
    detected
}

fn git_configuration(settings: &Settings, configuration: &GitConfiguration) -> Option<AccessOffer> {
    let project = guard::real(&settings.directory);
    let is_given = |path: &&std::path::PathBuf| {
        // What is in the project is seen already, and stays writable.
        !guard::tidy(path).starts_with(&project)
            && guard::refuse_home(settings, path, "").is_ok()
            && guard::refuse_own(settings, path, "").is_ok()
    };
    let files: Vec<_> = configuration.files().filter(is_given).collect();
    let mut mounts: Vec<_> = files.iter().map(|path| read_only(path)).collect();
    // Inside, nothing says that configuration is elsewhere.
    if let Some(elsewhere) = &settings.environment.config_home {
        let usual = settings.user_home.join(".config/git");
        for path in &files {
            if let Ok(name) = path.strip_prefix(elsewhere.join("git")) {
                let mut mount = read_only(path);
                mount.target = usual.join(name);
                mounts.push(mount);
            }
        }
    }
    let main = files.first()?;
    let what = match files.len() {
        1 => printable(&main.display().to_string()),
        more => format!(
            "{} and {} more",
            printable(&main.display().to_string()),
            more - 1
        ),
    };
    let mut offer = AccessOffer::new(Kind::GitConfig, what, Grant::Full);
    "git has your name and your settings".clone_into(&mut offer.why);
    if let Some(file) = &settings.environment.git_config_global
        && let Some(text) = file.to_str()
    {
        offer
            .variables
            .insert("GIT_CONFIG_GLOBAL".to_owned(), text.to_owned());
    }
    offer.read.clone_from(&mounts);
    offer.full = mounts;
    Some(offer)
}

/// What of the repository is outside the project.
fn git_root(settings: &Settings, repository: &Repository) -> Option<AccessOffer> {
    let project = guard::real(&settings.directory);
    let Repository { top, common, .. } = repository;
    let is_inside = top.starts_with(&project);
    if is_inside && common.starts_with(&project) {
        return None;
    }
    let shown = printable(&common.display().to_string());
    let mut offer = AccessOffer::new(Kind::GitRoot, shown.clone(), Grant::Read);
    if !is_inside {
        offer.what = printable(&top.display().to_string());
        offer.read.push(read_only(top));
    }
    offer.read.push(read_only(common));
    offer.full.clone_from(&offer.read);
    offer.full.pop();
    offer.full.push(writable(common));
    "`git status` and `git log` read the repository, and `git commit` writes to it"
        .clone_into(&mut offer.why);
    offer.question = Some(format!(
        "`git commit` writes to {shown}, which is outside this project."
    ));
    let refused = offer.full.iter().find_map(|mount| {
        let path = &mount.target;
        let what = "the repository of this project";
        guard::refuse_home(settings, path, what)
            .and_then(|()| guard::refuse_own(settings, path, what))
            .err()
    });
    offer.refused = refused.map(|refused| {
        refused.hint("without it git finds no repository inside; start the agent in the repository's own top directory")
    });
    Some(offer)
}

/// What makes git run programs: by default read only where it is outside the project.
fn git_hooks(settings: &Settings, repository: &Repository) -> AccessOffer {
    let common = &repository.common;
    let is_inside = common.starts_with(guard::real(&settings.directory));
    let usual = if is_inside {
        Grant::Full
    } else {
        Grant::Nothing
    };
    let what = format!(
        "{}/hooks and config",
        printable(&common.display().to_string())
    );
    let mut offer = AccessOffer::new(Kind::GitHooks, what, usual);
    "git on this machine runs what they name".clone_into(&mut offer.why);
    let files = [
        common.join("hooks"),
        common.join("config"),
        common.join("config.worktree"),
        repository.directory.join("config.worktree"),
    ];
    let there = files.iter().filter(|path| path.exists());
    offer.withheld = there.map(|path| read_only(path)).collect();
    offer
}
