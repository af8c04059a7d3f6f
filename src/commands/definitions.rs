//! `aicage definitions export`: writes out the agents and bases that are not the user's own.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use assembler::{
    recipe::ScriptFile,
    reference::ImageReference,
    transport::{self as images, Source, Target},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    context::Context,
    definition::{base::BaseDefinition, catalogue::Catalogue},
    definition_bundle,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    leftovers, transport, yaml,
};

/// The verbs of `aicage definitions`.
#[derive(Debug, Subcommand)]
pub enum DefinitionsCommand {
    /// Write all agents and bases but your own, with an index of the combinations that are possible.
    Export(ExportArgs),
}

/// What `aicage definitions export` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage definitions export ./definitions\n  \
    aicage definitions export oci:./bundle:1.0   an image, for `skopeo copy` to a registry\n  \
    aicage config set definitions oci:registry.example/definitions:1.0")]
pub struct ExportArgs {
    /// A directory that is not there yet or empty, or `oci:DIR[:TAG]`.
    #[arg(value_name = "DIR|oci:DIR[:TAG]")]
    pub to: String,
}

/// The name of the index.
const INDEX: &str = "images-metadata.yaml";

#[derive(Debug, Serialize)]
struct Index {
    aicage: &'static str,
    bases: BTreeMap<String, BaseEntry>,
    agents: BTreeMap<String, AgentEntry>,
}

#[derive(Debug, Serialize)]
struct BaseEntry {
    from_image: String,
    base_image_distro: String,
    base_image_description: String,
    architectures: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct AgentEntry {
    agent_full_name: String,
    agent_homepage: String,
    build_local: bool,
    /// The bases it runs on, and the published image; nothing where it is built by each user.
    valid_bases: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Serialize)]
struct ExportReport {
    schema: &'static str,
    to: String,
    agents: Vec<String>,
    bases: Vec<String>,
}

/// Runs the verb.
pub fn definitions(
    context: &Context,
    command: &DefinitionsCommand,
) -> Result<ExitStatus, Diagnostic> {
    let DefinitionsCommand::Export(args) = command;
    let published = definition_bundle::configured(context)?;
    let catalogue = Catalogue::published(&published, None);
    if let Some(problem) = catalogue.problems.first() {
        return Err(Diagnostic::explained(
            "definition-invalid",
            ExitStatus::Usage,
            &problem.error,
        ));
    }
    let files = gather(context, &catalogue)?;
    if let Some(target) = Target::parse(&args.to) {
        write_image(context, &files, &target)?;
    } else {
        let directory = context.settings.user_path(Path::new(&args.to));
        write(&directory, &files).map_err(|error| failed(&args.to, &error))?;
    }
    let report = ExportReport {
        schema: "aicage.definitions.export/1",
        to: args.to.clone(),
        agents: catalogue.agents.keys().cloned().collect(),
        bases: catalogue.bases.keys().cloned().collect(),
    };
    if context.printer.is_json() {
        context.printer.json(&report)?;
    } else {
        context.printer.line(&format!(
            "{}: {} agents, {} bases",
            report.to,
            report.agents.len(),
            report.bases.len()
        ));
    }
    Ok(ExitStatus::Done)
}

fn gather(
    context: &Context,
    catalogue: &Catalogue,
) -> Result<BTreeMap<String, ScriptFile>, Diagnostic> {
    let mut all = BTreeMap::new();
    let agents = catalogue
        .agents
        .values()
        .map(|one| ("agents", &one.id, &one.files));
    let bases = catalogue
        .bases
        .values()
        .map(|one| ("bases", &one.id, &one.files));
    for (folder, id, files) in agents.chain(bases) {
        for (path, file) in files.load()?.iter() {
            all.insert(format!("{folder}/{id}/{path}"), file.clone());
        }
    }
    let text = yaml::to_text(&index(context, catalogue), Path::new(INDEX))?;
    let file = ScriptFile {
        executable: false,
        content: text.into_bytes().into(),
    };
    all.insert(INDEX.to_owned(), file);
    Ok(all)
}

fn index(context: &Context, catalogue: &Catalogue) -> Index {
    let repository = &context.settings.config.registry.final_repository;
    let bases = catalogue.bases.values().map(|base| {
        let entry = BaseEntry {
            from_image: base.settings.from_image.clone(),
            base_image_distro: base.settings.base_image_distro.clone(),
            base_image_description: base.settings.base_image_description.clone(),
            architectures: base.architectures(),
        };
        (base.id.clone(), entry)
    });
    let agents = catalogue.agents.values().map(|agent| {
        // A combination is valid where there is an architecture that has it.
        let runs = |base: &&BaseDefinition| {
            let mut architectures = base.architectures().into_iter();
            architectures.any(|architecture| agent.excludes(base, architecture).is_none())
        };
        let valid = catalogue.bases.values().filter(runs).map(|base| {
            let name = format!("{repository}:{}-{}", agent.id, base.id);
            (base.id.clone(), agent.is_published().then_some(name))
        });
        let entry = AgentEntry {
            agent_full_name: agent.settings.agent_full_name.clone(),
            agent_homepage: agent.settings.agent_homepage.clone(),
            build_local: agent.settings.build_local,
            valid_bases: valid.collect(),
        };
        (agent.id.clone(), entry)
    });
    Index {
        aicage: env!("CARGO_PKG_VERSION"),
        bases: bases.collect(),
        agents: agents.collect(),
    }
}

fn mode(file: &ScriptFile) -> u32 {
    if file.executable { 0o755 } else { 0o644 }
}

fn write(directory: &Path, files: &BTreeMap<String, ScriptFile>) -> io::Result<()> {
    let is_empty = || fs_err::read_dir(directory).is_ok_and(|mut names| names.next().is_none());
    if directory.symlink_metadata().is_ok() && !is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is something already",
        ));
    }
    let parent = directory.parent().unwrap_or(directory);
    fs_err::create_dir_all(parent)?;
    let work = tempfile::Builder::new()
        .prefix(".definitions-")
        .tempdir_in(parent)?;
    for (path, file) in files {
        let path: PathBuf = work.path().join(path);
        if let Some(above) = path.parent() {
            fs_err::create_dir_all(above)?;
        }
        fs_err::write(&path, &file.content)?;
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode(file)))?;
    }
    fs_err::set_permissions(work.path(), std::fs::Permissions::from_mode(0o755))?;
    fs_err::rename(work.path(), directory)
}

/// Writes an image whose one layer is the files; the same files give the same image.
fn write_image(
    context: &Context,
    files: &BTreeMap<String, ScriptFile>,
    target: &Target,
) -> Result<(), Diagnostic> {
    let failed = |error: io::Error| failed("the image", &error);
    let scratch = leftovers::scratch(&context.settings);
    fs_err::create_dir_all(&scratch).map_err(failed)?;
    let mut archive = tar::Builder::new(tempfile::NamedTempFile::new_in(&scratch).map_err(failed)?);
    for (path, file) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode(file));
        header.set_size(file.content.len() as u64);
        archive
            .append_data(&mut header, path, &*file.content)
            .map_err(failed)?;
    }
    let file = archive.into_inner().map_err(failed)?;
    let (store, lock) = context.store()?;
    let source = Source::Rootfs {
        file: file.path().to_owned(),
    };
    let image =
        tokio::task::block_in_place(|| images::import(store, lock, &source, &context.platform()))?;
    let reference: ImageReference = format!("aicage-definitions:{}", env!("CARGO_PKG_VERSION"))
        .parse()
        .expect("a version can be a tag");
    transport::export(context, &image, &reference, target)
}

fn failed(to: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::new(
        "definitions-export",
        ExitStatus::Failed,
        format!("cannot write the definitions to `{to}`"),
    )
    .caused_by(Some(error))
    .hint(match error.kind() {
        io::ErrorKind::AlreadyExists => Some("name a directory that is not there yet, or is empty"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space, or name a directory on another disk")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("name a directory where you may write")
        }
        _ => None,
    })
}
