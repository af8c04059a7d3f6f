//! `aicage agent|base|extension check`: whether a definition is right, whether it works, and what it makes.

use clap::Args;
use serde::Serialize;

use super::{
    Noun,
    measure::{Measures, measure},
    program,
    syntax::{self, Finding},
};
use crate::{
    compose::{self, Additions, Below, Install},
    context::Context,
    definition::{DOCKERFILE, Source, base::BaseDefinition, catalogue::Problem},
    diagnostic::Diagnostic,
    dockerfiles::{self, Dockerfiles, Images},
    ensure::{self, ReadyBase},
    exit_status::ExitStatus,
    init_program,
    plan::{self, Want},
    printer::{bytes, duration, printable},
    root_image::{self, RootImage},
    selection::{Choice, find_agent, find_base, find_extension, possible, select},
    supply::Ask,
    version,
};
use assembler::{provenance::Kind, recipe::Recipe};

/// What `check` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "It is executed once with the network and once without: `network needed` means that it failed without.\n\
    Nothing of it is put into an image of yours."
)]
pub struct CheckArgs {
    /// The definition's name.
    pub name: String,
    /// Try it on this base; may be given several times. Without it, on the one that would be chosen for you.
    #[arg(long = "base", value_name = "BASE")]
    pub bases: Vec<String>,
    /// Try an extension on this agent's image; without it, on the base alone.
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Only look at the files; run nothing.
    #[arg(long)]
    pub no_build: bool,
}

#[derive(Debug, Serialize)]
struct CheckReport {
    schema: String,
    id: String,
    findings: Vec<Finding>,
    builds: Vec<Build>,
}

#[derive(Debug, Serialize)]
struct Build {
    /// The base; of a base, its root image.
    on: String,
    works: bool,
    /// Of an agent, what `version.sh` said.
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measures: Option<Measures>,
    /// Why it does not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

struct Composed {
    recipe: Recipe,
    version: Option<String>,
}

/// Checks the definition and prints what was found.
pub async fn check(
    context: &Context,
    noun: Noun,
    args: &CheckArgs,
) -> Result<ExitStatus, Diagnostic> {
    let is_it =
        |problem: &Problem| problem.noun == noun.word() && problem.id.as_ref() == Some(&args.name);
    // What is wrong with this one is the answer, and not told beside it.
    let catalogue = context.catalogue_telling(|problem| !is_it(problem));
    if let Some(problem) = catalogue.problems.iter().find(|one| is_it(one)) {
        return Err(Diagnostic::explained(
            "definition-invalid",
            ExitStatus::Usage,
            &problem.error,
        ));
    }
    let (kind, files, dockerfile) = match noun {
        Noun::Agent => (Kind::Agent, &find_agent(context, &args.name)?.files, None),
        Noun::Base => {
            let base = find_base(context, &args.name)?;
            let of = base.has_dockerfile().then_some(&base.source);
            (Kind::Base, &base.files, of)
        }
        Noun::Extension => {
            let extension = find_extension(context, &args.name)?;
            let of = extension.has_dockerfile().then_some(&extension.source);
            (Kind::Extension, &extension.files, of)
        }
    };
    let files = files.load()?;
    let mut findings = syntax::check(&files, context.settings.environment.path.as_deref());
    if let Some(Source::Custom(directory)) = dockerfile
        && let Err(wrong) = dockerfiles::check(context, kind, directory)
    {
        findings.push(Finding {
            level: "error",
            file: DOCKERFILE.to_owned(),
            message: wrong.sentence(),
        });
    }
    let printer = &context.printer;
    if !printer.is_json() {
        for finding in &findings {
            printer.line(&format!(
                "{}: {}: {}",
                finding.level,
                finding.file,
                printable(&finding.message)
            ));
        }
    }
    let broken = findings.iter().any(|finding| finding.level == "error");
    let mut builds = Vec::new();
    if !broken && !args.no_build {
        for on in places(context, noun, args)? {
            let build = build(context, noun, args, &on).await?;
            if !printer.is_json() {
                print(context, noun, args, &build);
            }
            builds.push(build);
        }
    }
    let works = !broken && builds.iter().all(|build| build.works);
    if printer.is_json() {
        printer.json(&CheckReport {
            schema: format!("aicage.{}.check/1", noun.word()),
            id: args.name.clone(),
            findings,
            builds,
        })?;
    } else if works && builds.is_empty() {
        printer.line(&format!(
            "{} `{}`: nothing is wrong with its files",
            noun.word(),
            args.name
        ));
    }
    Ok(if works {
        ExitStatus::Done
    } else {
        ExitStatus::Failed
    })
}

/// Returns what it is tried on: bases, or for a base its root image.
fn places(context: &Context, noun: Noun, args: &CheckArgs) -> Result<Vec<String>, Diagnostic> {
    if noun == Noun::Base {
        return Ok(vec![
            find_base(context, &args.name)?.settings.from_image.clone(),
        ]);
    }
    if !args.bases.is_empty() {
        return Ok(args.bases.clone());
    }
    let agents = &context.catalogue().agents;
    let agent = match noun {
        Noun::Agent => Some(args.name.as_str()),
        _ => args.agent.as_deref(),
    };
    let agent = agent.or_else(|| agents.keys().next().map(String::as_str));
    let choice = Choice::default();
    let selection = select(context, agent.unwrap_or_default(), &choice)?;
    Ok(vec![selection.base.id.clone()])
}

/// Builds it on one base; a script that fails is an answer, everything else an error.
async fn build(
    context: &Context,
    noun: Noun,
    args: &CheckArgs,
    on: &str,
) -> Result<Build, Diagnostic> {
    let composed = match noun {
        Noun::Agent => agent(context, &args.name, on).await,
        Noun::Base => base(context, find_base(context, &args.name)?).await,
        Noun::Extension => extension(context, args, on).await,
    };
    let measured = match composed {
        Ok(Composed { recipe, version }) => {
            measure(context, &recipe).and_then(|(image, measures)| {
                if noun == Noun::Agent {
                    program::look_for(context, &image, &args.name)?;
                }
                Ok((measures, version))
            })
        }
        Err(diagnostic) => Err(diagnostic),
    };
    match measured {
        Ok((measures, version)) => Ok(Build {
            on: on.to_owned(),
            works: true,
            version,
            measures: Some(measures),
            error: None,
        }),
        Err(diagnostic) if is_answer(diagnostic.code()) => {
            if !context.printer.is_json() {
                context.printer.diagnostic(&diagnostic);
            }
            Ok(Build {
                on: on.to_owned(),
                works: false,
                version: None,
                measures: None,
                error: Some(diagnostic.sentence()),
            })
        }
        Err(diagnostic) => Err(diagnostic),
    }
}

/// Tells whether a failure says what the definition does, and nothing of this machine.
fn is_answer(code: &str) -> bool {
    matches!(code, "script-failed" | "version-unknown" | "check-program")
}

async fn agent(context: &Context, name: &str, on: &str) -> Result<Composed, Diagnostic> {
    let choice = Choice {
        base: Some(on.to_owned()),
        ..Choice::default()
    };
    let selection = select(context, name, &choice)?;
    let ready = ensure::base(context, selection.base).await?;
    let found = version::find(context, selection.agent, Some(&ready.image))?;
    let version = found.map_err(Diagnostic::from)?;
    let additions = Additions {
        agent: selection.agent,
        install: Install::Script(Some(&version.version)),
        extensions: &[],
        dockerfiles: &Dockerfiles::new(),
    };
    let recipe = on_image(context, &ready, additions)?;
    Ok(Composed {
        recipe,
        version: Some(version.version),
    })
}

async fn extension(context: &Context, args: &CheckArgs, on: &str) -> Result<Composed, Diagnostic> {
    let extension = find_extension(context, &args.name)?;
    let choice = Choice {
        base: Some(on.to_owned()),
        ..Choice::default()
    };
    let (ready, agent) = if let Some(agent) = &args.agent {
        let selection = select(context, agent, &choice)?;
        let plan = plan::plan(context, &selection, Want::Held).await?;
        let image = ensure::carry_out(context, &selection, &plan).await?;
        let record = assembler::provenance::BaseRecord {
            reference: plan.reference.to_string(),
            digest: *image.digest(),
        };
        (ReadyBase { image, record }, selection.agent)
    } else {
        let base = find_base(context, on)?;
        let mut agents = context.catalogue().agents.values();
        let agent = agents
            .find(|agent| possible(context, agent).any(|possible| possible.id == base.id))
            .ok_or_else(|| {
                Diagnostic::new(
                    "no-agent",
                    ExitStatus::Usage,
                    format!("no agent runs on base `{on}` here, so no extension does"),
                )
                .hint("`base_exclude` and `base_distro_exclude` of `aicage agent show` say why; name another base")
            })?;
        (ensure::base(context, base).await?, agent)
    };
    let images = Images::Newest(Ask::WhenOld, &[]);
    let dockerfiles = dockerfiles::of_extensions(context, &[extension], images).await?;
    let additions = Additions {
        agent,
        install: Install::There,
        extensions: &[extension],
        dockerfiles: &dockerfiles,
    };
    let recipe = on_image(context, &ready, additions)?;
    dockerfiles::fetch(context, &recipe).await?;
    Ok(Composed {
        recipe,
        version: None,
    })
}

fn on_image(
    context: &Context,
    ready: &ReadyBase,
    additions: Additions<'_>,
) -> Result<Recipe, Diagnostic> {
    let below = Below {
        image: &ready.image,
        record: ready.record.clone(),
        origin: crate::base_image::unknown_origin(),
        source_date: context.settings.environment.source_date,
    };
    let init = init_program::init_for(&ready.image.platform().architecture)?;
    let mut recipe = compose::agent_image(below, additions, init);
    recipe.steps.retain(|step| step.origin.kind != Kind::Glue);
    Ok(recipe)
}

async fn base(context: &Context, base: &BaseDefinition) -> Result<Composed, Diagnostic> {
    let from = &base.settings.from_image;
    let RootImage { image, record } = root_image::fetch(context, from, &base.id).await?;
    let below = Below {
        image: &image,
        record,
        origin: root_image::origin(from),
        source_date: context.settings.environment.source_date,
    };
    let images = Images::Newest(Ask::WhenOld, &[]);
    let dockerfile = dockerfiles::of_base(context, base, images).await?;
    let recipe = compose::base_image(below, base, dockerfile);
    dockerfiles::fetch(context, &recipe).await?;
    Ok(Composed {
        recipe,
        version: None,
    })
}

fn print(context: &Context, noun: Noun, args: &CheckArgs, build: &Build) {
    let printer = &context.printer;
    let verdict = if build.works {
        "works"
    } else {
        "does not work"
    };
    printer.line(&format!(
        "{} `{}` on {}: {verdict}",
        noun.word(),
        args.name,
        printable(&build.on)
    ));
    let line = |name: &str, value: &str| printer.line(&format!("  {name:<12}{value}"));
    if let Some(version) = &build.version {
        line("version", &printable(version));
    }
    let Some(measures) = &build.measures else {
        return;
    };
    line(
        "layer",
        &format!(
            "{} ({} unpacked, {} entries)",
            bytes(measures.size),
            bytes(measures.unpacked),
            measures.entries
        ),
    );
    let time = u64::try_from(measures.milliseconds).unwrap_or(u64::MAX);
    line("time", &duration(std::time::Duration::from_millis(time)));
    line("network", measures.network);
    for cache in &measures.caches {
        line(
            "left behind",
            &format!("{} in {}", bytes(cache.bytes), printable(&cache.directory)),
        );
    }
}
