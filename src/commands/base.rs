//! `aicage base`: shows what agents can run on, assembles a base here, makes one from a root file system.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::definition::{
    Noun,
    check::{CheckArgs, check},
    new::{NewArgs, new},
};
use crate::{
    base_build::{self, Root},
    base_image,
    context::Context,
    definition::{Source, base::BaseDefinition, identifier},
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::{Align, Table},
    selection::find_base,
    yaml,
};

/// The verbs of `aicage base`.
#[derive(Debug, Subcommand)]
pub enum BaseCommand {
    /// List all bases.
    List,
    /// Show one base: its definition and where its image comes from.
    Show(ShowArgs),
    /// Assemble a base here, from its root image with its own scripts.
    Build(BuildArgs),
    /// Make a base of your own from a root file system: a tarball or a directory.
    Import(ImportArgs),
    /// Write a base to begin with, commented, that works as it is.
    #[command(after_help = "Example: aicage base new mine")]
    New(NewArgs),
    /// Check a definition: its files, whether it works, how large it is and what it leaves behind.
    Check(CheckArgs),
}

/// What `aicage base show` takes.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The base.
    pub base: String,
}

/// What `aicage base build` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "From then on agents on this base are built on the image that is made here, until\n\
    `aicage image rm aicage-image-base:<BASE>` removes it.\n\n\
    Examples:\n  \
    aicage base build debian\n  \
    aicage base build debian --from registry.example/debian:stable\n  \
    aicage base build debian --from rootfs:./debian.tar.gz"
)]
pub struct BuildArgs {
    /// The base.
    pub base: String,
    /// The root image instead of the definition's: a registry reference, or `oci:DIR[:TAG]`, `oci-archive:FILE`,
    /// `docker-archive:FILE[:REF]`, `rootfs:FILE|DIR` or `docker-daemon:REF`.
    #[arg(long, value_name = "REF")]
    pub from: Option<String>,
}

/// What `aicage base import` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    mmdebstrap --variant=minbase stable root.tar\n  \
    aicage base import mine root.tar --distro Debian\n  \
    aicage --base mine codex\n\n\
    Of a directory, owners are those that root or the user namespace has that made it; what is mounted in it, and what is\n\
    in its /proc and /sys, is left out.")]
pub struct ImportArgs {
    /// The new base's name.
    pub base: String,
    /// A root file system: a tarball, plain, gzip or zstd, or a directory.
    #[arg(value_name = "TARBALL|DIRECTORY")]
    pub tarball: PathBuf,
    /// The distribution it is, such as `Debian`.
    #[arg(long, default_value = "Linux", value_name = "NAME")]
    pub distro: String,
    /// One sentence about it.
    #[arg(long, default_value = "Imported root file system", value_name = "TEXT")]
    pub description: String,
}

#[derive(Debug, Serialize)]
struct ListReport {
    schema: &'static str,
    bases: Vec<BaseReport>,
}

#[derive(Debug, Serialize)]
struct ShowReport {
    schema: &'static str,
    #[serde(flatten)]
    base: BaseReport,
}

#[derive(Debug, Serialize)]
struct BaseReport {
    id: String,
    distro: String,
    description: String,
    from_image: String,
    architectures: Vec<String>,
    /// `built-in` or `custom`.
    source: &'static str,
    directory: Option<String>,
    /// Whether it takes the place of a built-in base.
    replaces_built_in: bool,
    /// The name of its image.
    image: String,
    /// `published`, `assembled here` or `not assembled yet`.
    state: &'static str,
    digest: Option<String>,
    scripts: Vec<String>,
}

/// Runs one of the verbs.
pub async fn base(context: &Context, command: &BaseCommand) -> Result<ExitStatus, Diagnostic> {
    match command {
        BaseCommand::List => list(context),
        BaseCommand::Show(args) => show(context, args),
        BaseCommand::Build(args) => build(context, args).await,
        BaseCommand::Import(args) => import(context, args).await,
        BaseCommand::New(args) => new(context, Noun::Base, args),
        BaseCommand::Check(args) => check(context, Noun::Base, args).await,
    }
}

fn list(context: &Context) -> Result<ExitStatus, Diagnostic> {
    let bases: Result<Vec<BaseReport>, Diagnostic> = context
        .catalogue()
        .bases
        .values()
        .map(|base| report(context, base))
        .collect();
    let bases = bases?;
    if context.printer.is_json() {
        context.printer.json(&ListReport {
            schema: "aicage.base.list/1",
            bases,
        })?;
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new([
        ("BASE", Align::Left),
        ("DISTRIBUTION", Align::Left),
        ("STATE", Align::Left),
        ("ARCHITECTURES", Align::Left),
        ("DESCRIPTION", Align::Left),
    ]);
    for base in bases {
        let state = match base.source {
            "custom" if base.replaces_built_in => {
                format!("{} (custom, not the built-in)", base.state)
            }
            "custom" => format!("{} (custom)", base.state),
            _ => base.state.to_owned(),
        };
        table.row([
            base.id,
            base.distro,
            state,
            base.architectures.join(" "),
            base.description,
        ]);
    }
    context.printer.table(&table);
    Ok(ExitStatus::Done)
}

fn show(context: &Context, args: &ShowArgs) -> Result<ExitStatus, Diagnostic> {
    let base = report(context, find_base(context, &args.base)?)?;
    if context.printer.is_json() {
        context.printer.json(&ShowReport {
            schema: "aicage.base.show/1",
            base,
        })?;
        return Ok(ExitStatus::Done);
    }
    let printer = &context.printer;
    if base.replaces_built_in {
        printer.talk("This takes the place of the built-in base of the same name.");
    }
    printer.line(&format!("{} ({})", base.id, base.description));
    let line = |name: &str, value: String| {
        if !value.is_empty() {
            printer.line(&format!("  {name:<14}{value}"));
        }
    };
    line("distribution", base.distro);
    line("root image", base.from_image);
    line("architectures", base.architectures.join(" "));
    line(
        "source",
        base.directory.unwrap_or_else(|| base.source.to_owned()),
    );
    line("image", base.image);
    line("state", base.state.to_owned());
    line("digest", base.digest.unwrap_or_default());
    line("scripts", base.scripts.join(" "));
    Ok(ExitStatus::Done)
}

async fn build(context: &Context, args: &BuildArgs) -> Result<ExitStatus, Diagnostic> {
    let base = find_base(context, &args.base)?;
    if let Some(reason) = base.lacks(&context.platform().architecture) {
        return Err(Diagnostic::new(
            "base-architecture",
            ExitStatus::Usage,
            reason,
        ));
    }
    let root = args.from.clone().map_or(Root::Defined, Root::From);
    let image = base_build::build(context, base, (&root, None)).await?;
    context
        .printer
        .image(&base_image::local_name(base).familiar(), image.digest())?;
    Ok(ExitStatus::Done)
}

async fn import(context: &Context, args: &ImportArgs) -> Result<ExitStatus, Diagnostic> {
    let directory = context
        .settings
        .custom_roots()
        .custom
        .join("image-base")
        .join(&args.base);
    identifier::check(&args.base, &directory)?;
    if directory.exists() {
        return Err(Diagnostic::new(
            "base-exists",
            ExitStatus::Usage,
            format!(
                "there is a base `{}` already: {}",
                args.base,
                directory.display()
            ),
        )
        .hint("choose another name, or remove that directory first"));
    }
    let tarball = context.settings.user_path(&args.tarball);
    let tarball = tarball.canonicalize().map_err(|error| {
        Diagnostic::new(
            "tarball",
            ExitStatus::Usage,
            format!("cannot read {}", tarball.display()),
        )
        .caused_by(Some(&error))
    })?;
    let file = BaseFile {
        from_image: format!("rootfs:{}", tarball.display()),
        base_image_distro: &args.distro,
        base_image_description: &args.description,
        architectures: vec![context.platform().architecture],
    };
    let path = directory.join("base.yml");
    let text = yaml::to_text(&file, &path)?;
    // The image first: a tarball that cannot be used leaves no definition behind.
    let files = [(
        "base.yml".to_owned(),
        assembler::recipe::ScriptFile {
            executable: false,
            content: text.as_bytes().into(),
        },
    )];
    let definition = BaseDefinition::new(
        &args.base,
        assembler::recipe::ScriptFiles::new(files.into()).into(),
        Source::Custom(directory.clone()),
        &directory,
    )?;
    let image = base_build::build(context, &definition, (&Root::Defined, None)).await?;
    let write = || -> std::io::Result<()> {
        fs_err::create_dir_all(&directory)?;
        fs_err::write(&path, &text)
    };
    write().map_err(|error| {
        Diagnostic::system("base-write", "cannot write the base's definition", &error)
    })?;
    context.printer.image(
        &base_image::local_name(&definition).familiar(),
        image.digest(),
    )?;
    Ok(ExitStatus::Done)
}

/// What `base import` writes into `base.yml`.
#[derive(Debug, Serialize)]
struct BaseFile<'a> {
    from_image: String,
    base_image_distro: &'a str,
    base_image_description: &'a str,
    architectures: Vec<String>,
}

fn report(context: &Context, base: &BaseDefinition) -> Result<BaseReport, Diagnostic> {
    let (store, _) = context.store()?;
    let local_name = base_image::local_name(base);
    let local = store.tagged(&local_name)?;
    let (source, directory) = match &base.source {
        Source::BuiltIn => ("built-in", None),
        Source::Custom(path) => ("custom", Some(path.display().to_string())),
    };
    let published = base_image::published_name(context, base);
    let remembered = store.remote(&published)?;
    let (image, state, digest) = match (&local, base.is_custom()) {
        (Some(local), _) => (
            local_name.familiar(),
            "assembled here",
            Some(local.manifest.digest),
        ),
        (None, true) => (local_name.familiar(), "not assembled yet", None),
        (None, false) => (
            published.familiar(),
            "published",
            remembered.map(|record| record.manifest.digest),
        ),
    };
    Ok(BaseReport {
        id: base.id.clone(),
        distro: base.settings.base_image_distro.clone(),
        description: base.settings.base_image_description.clone(),
        from_image: base.settings.from_image.clone(),
        architectures: base
            .architectures()
            .iter()
            .map(|&name| name.to_owned())
            .collect(),
        source,
        directory,
        replaces_built_in: context
            .catalogue()
            .replaced
            .contains(&("base", base.id.clone())),
        image,
        state,
        digest: digest.map(|digest| digest.to_string()),
        scripts: base.scripts(),
    })
}
