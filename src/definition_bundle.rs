//! Definitions from elsewhere: a directory, or an image in a registry or layout, in place of those in the program.
//!
//! Format: `agents/<AGENT>/…`, `bases/<BASE>/…` and `images-metadata.yaml`, which is for others and not read. An image
//! with these files is unpacked once to `state/bundles/<digest of its manifest>`; which one a registry's name stands for
//! is kept in `state/bundle/<name>.json`. What is unpacked is used at once: whether the registry has another one is asked
//! as at a start, once an interval and under its deadline.
//!
//! Invariant: an image is untrusted: files and directories only, below `agents` and `bases`, bounded; a bundle is there
//! as a whole or not at all, also after a power cut. What no name stands for any more is `leftovers`' to remove.

use std::{
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use assembler::{image::Image, reference::ImageReference, store::RemoteRecord, transport::Source};
use layer::LayerPath;
use tokio::time::{Duration, timeout};

use crate::{
    clock,
    context::{Context, News},
    definition::catalogue::Published,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    leftovers,
    memory::{self, Remembered},
    settings::Settings,
    settings::config::UpdatePolicy,
    supply::{self, Ask, Offer},
    transport, update_check,
};

/// What is kept of a name: the digest that was unpacked last.
pub const KIND: &str = "bundle";
/// How the name of what is being unpacked begins.
pub const UNFINISHED: &str = ".new-";
/// How long fetching definitions may take before what is here is used, or there is a failure.
const LIMIT: Duration = Duration::from_secs(30);

/// The most bytes of a bundle.
const BYTES: u64 = 256 << 20;
/// The most entries of a bundle.
const ENTRIES: usize = 50_000;

/// Returns where the definitions are that `config.yml` asks for.
pub fn configured(context: &Context) -> Result<Published, Diagnostic> {
    let wanted = context.settings.config.definitions.as_str();
    if wanted.is_empty() {
        return Ok(Published::BuiltIn);
    }
    let path = match wanted.strip_prefix("oci:") {
        None => context.settings.user_path(Path::new(wanted)),
        Some(rest) => tokio::task::block_in_place(|| {
            let image = context.unless_interrupted(image(context, rest));
            tokio::runtime::Handle::current().block_on(image)
        })?,
    };
    if !path.join("agents").is_dir() && !path.join("bases").is_dir() {
        return Err(failure(wanted).caused_by_words(format!(
            "{} has neither `agents` nor `bases`",
            path.display()
        )));
    }
    Ok(Published::Bundle(path))
}

async fn image(context: &Context, wanted: &str) -> Result<PathBuf, Diagnostic> {
    let layout = context.settings.user_path(Path::new(wanted));
    let layout = format!("oci:{}", layout.display());
    // A name of a registry is never looked for below the current directory, which may be anybody's.
    let is_path = wanted.starts_with(['/', '~']);
    if is_path && Source::parse(&layout).is_some_and(|source| source.path().is_dir()) {
        let image = transport::import(context, &layout).await?;
        return unpacked(context, wanted, &image.ok_or_else(|| failure(wanted))?);
    }
    let reference: ImageReference = wanted.parse()?;
    let name = reference.to_string();
    let known = memory::recall(&context.settings.state(), KIND, &name)
        .and_then(|known| known.value)
        .filter(|digest| place(context, digest).is_dir());
    let Some(known) = known else {
        return match timeout(LIMIT, first(context, &reference)).await {
            Ok(done) => done,
            Err(_elapsed) => Err(late(context, wanted)),
        };
    };
    let policy = context.settings.config.update.policy;
    let may_ask =
        !context.options.offline && policy != UpdatePolicy::Never && context.news == News::Asked;
    if may_ask && update_check::is_due(context, &reference)? {
        update_check::ask(context, &[&reference]).await?;
    }
    let (store, _) = context.store()?;
    let newer = store
        .remote(&reference)?
        .filter(|record| may_ask && record.manifest.digest.hex() != known);
    if let Some(record) = newer
        && let Some(place) = renewed(context, &reference, &record).await
    {
        return Ok(place);
    }
    Ok(place(context, &known))
}

/// Returns the definitions of an image that are unpacked already; nobody is asked.
pub fn at_hand(settings: &Settings, wanted: &str) -> Option<PathBuf> {
    let reference: ImageReference = wanted.parse().ok()?;
    let state = settings.state();
    let known = memory::recall(&state, KIND, &reference.to_string())?.value?;
    Some(directory(&state).join(known)).filter(|place| place.is_dir())
}

/// Returns the directory of all that was unpacked.
pub fn directory(state: &Path) -> PathBuf {
    state.join("bundles")
}

fn place(context: &Context, digest: &str) -> PathBuf {
    directory(&context.settings.state()).join(digest)
}

async fn first(context: &Context, reference: &ImageReference) -> Result<PathBuf, Diagnostic> {
    let name = reference.familiar();
    match supply::look_up(context, reference, Ask::WhenOld).await? {
        Offer::There(record) => fetched(context, reference, &record).await,
        Offer::None => Err(failure(&name).caused_by_words("its registry has no such image")),
        Offer::Unknown(why) => Err(unreached(context, &name).caused_by_words(why)),
    }
}

/// Fetches what took the place of what is here; a failure is told and not repeated within the interval.
async fn renewed(
    context: &Context,
    reference: &ImageReference,
    record: &RemoteRecord,
) -> Option<PathBuf> {
    let name = format!("{reference} layers");
    let state = context.settings.state();
    let failed = memory::recall(&state, update_check::FAILED, &name);
    if failed.is_some_and(|failed| supply::is_fresh(context, &failed.checked_at)) {
        return None;
    }
    let done = match timeout(LIMIT, fetched(context, reference, record)).await {
        Ok(done) => done,
        Err(_elapsed) => Err(late(context, &reference.familiar())),
    };
    match done {
        Ok(place) => {
            memory::forget(&state, update_check::FAILED, &name);
            Some(place)
        }
        Err(diagnostic) => {
            let why = diagnostic.sentence();
            context
                .printer
                .warn(&format!("{why}; going by those that are here"));
            let failed = Remembered::new(Some(why), &context.now);
            supply::remember(context, update_check::FAILED, &name, &failed);
            None
        }
    }
}

async fn fetched(
    context: &Context,
    reference: &ImageReference,
    record: &RemoteRecord,
) -> Result<PathBuf, Diagnostic> {
    let image = supply::fetch(context, record).await?;
    let place = unpacked(context, &reference.familiar(), &image)?;
    let known = Remembered::new(Some(image.digest().hex()), &context.now);
    supply::remember(context, KIND, &reference.to_string(), &known);
    Ok(place)
}

fn unpacked(context: &Context, wanted: &str, image: &Image) -> Result<PathBuf, Diagnostic> {
    let place = place(context, &image.digest().hex());
    if place.is_dir() {
        // It is in use: what is not is removed after a while.
        if let (Ok(directory), Ok(now)) = (fs_err::File::open(&place), clock::system(&context.now))
        {
            drop(directory.set_modified(now));
        }
        return Ok(place);
    }
    leftovers::sweep(context);
    unpack(context, image, &place).map_err(|error| not_unpacked(wanted, &error))?;
    Ok(place)
}

fn unpack(context: &Context, image: &Image, place: &Path) -> io::Result<()> {
    let parent = place.parent().unwrap_or(place);
    fs_err::create_dir_all(parent)?;
    let work = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(parent)?;
    let mut left = (BYTES, ENTRIES);
    let (store, _) = context
        .store()
        .map_err(|diagnostic| io::Error::other(diagnostic.sentence()))?;
    for layer in image.layers() {
        let tar = store.layer_tar(layer).map_err(io::Error::other)?;
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries()? {
            take(&mut entry?, work.path(), &mut left)?;
        }
        // The layer's digest is checked at its end.
        io::copy(&mut archive.into_inner(), &mut io::sink())?;
    }
    fs_err::set_permissions(work.path(), std::fs::Permissions::from_mode(0o755))?;
    match fs_err::rename(work.path(), place) {
        // Another process was first.
        Err(_) if place.is_dir() => Ok(()),
        done => done,
    }
}

fn take(
    entry: &mut tar::Entry<'_, impl Read>,
    root: &Path,
    (bytes, entries): &mut (u64, usize),
) -> io::Result<()> {
    let refuse = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let path = entry.path_bytes().into_owned();
    let shown = path.escape_ascii().to_string();
    let Ok(path) = LayerPath::new(&path) else {
        return Err(refuse(format!("`{shown}` is not a path in a bundle")));
    };
    let Ok(path) = std::str::from_utf8(path.as_bytes()).map(str::to_owned) else {
        return Err(refuse(format!("`{shown}` is not UTF-8")));
    };
    if !(path.starts_with("agents/") || path.starts_with("bases/")) {
        return Ok(());
    }
    *entries = entries
        .checked_sub(1)
        .ok_or_else(|| refuse(format!("it has more than {ENTRIES} entries")))?;
    let place = root.join(&path);
    match entry.header().entry_type() {
        tar::EntryType::Directory => fs_err::create_dir_all(&place),
        tar::EntryType::Regular => {
            *bytes = bytes.checked_sub(entry.size()).ok_or_else(|| {
                refuse(format!("it has more than {}", crate::printer::bytes(BYTES)))
            })?;
            let mode = if entry.header().mode()? & 0o100 == 0 {
                0o644
            } else {
                0o755
            };
            if let Some(above) = place.parent() {
                fs_err::create_dir_all(above)?;
            }
            let mut file = fs_err::File::create(&place)?;
            io::copy(entry, &mut file)?;
            file.sync_all()?;
            fs_err::set_permissions(&place, std::fs::Permissions::from_mode(mode))
        }
        _ => Err(refuse(format!(
            "`{shown}` is neither a file nor a directory"
        ))),
    }
}

fn late(context: &Context, wanted: &str) -> Diagnostic {
    unreached(context, wanted)
        .caused_by_words(format!("it did not come within {} s", LIMIT.as_secs()))
}

/// The name may be right, but nobody could be asked.
fn unreached(context: &Context, wanted: &str) -> Diagnostic {
    let (status, hint) = if context.options.offline {
        (ExitStatus::Offline, "run it once without `--offline`")
    } else {
        (
            ExitStatus::Failed,
            "check the network, then try again; what is fetched once is used without one",
        )
    };
    Diagnostic::new("definitions-unreached", status, no_definitions(wanted)).hint(hint)
}

/// What is wrong with the image is the publisher's to mend, all else the system's.
fn not_unpacked(wanted: &str, error: &io::Error) -> Diagnostic {
    match error.kind() {
        io::ErrorKind::InvalidData => failure(wanted).caused_by(Some(error)),
        _ => Diagnostic::system("definitions-unpack", no_definitions(wanted), error),
    }
}

fn no_definitions(wanted: &str) -> String {
    format!("`{wanted}` gives no definitions")
}

fn failure(wanted: &str) -> Diagnostic {
    Diagnostic::new(
        "definitions",
        ExitStatus::Failed,
        no_definitions(wanted),
    )
    .hint("correct `definitions` in `config.yml`: a directory with `agents/` and `bases/`, or `oci:` and an image with these")
}
