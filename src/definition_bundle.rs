//! Definitions from elsewhere: a directory, or an image in a registry or layout, in place of those in the program.
//!
//! Format: `agents/<AGENT>/…`, `bases/<BASE>/…` and `images-metadata.yaml`, which is for others and not read. An image
//! with these files is unpacked once to `state/bundles/<digest of its manifest>`.
//!
//! Invariant: an image is untrusted: files and directories only, below `agents` and `bases`, bounded; a bundle is there
//! as a whole or not at all.

use std::{
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use assembler::{image::Image, reference::ImageReference, transport::Source};
use layer::LayerPath;

use crate::{
    context::Context,
    definition::catalogue::Published,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    supply::{self, Ask, Offer},
    transport,
};

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
            tokio::runtime::Handle::current().block_on(image(context, rest))
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
    let is_layout = Source::parse(&layout).is_some_and(|source| source.path().is_dir());
    let image = if is_layout {
        transport::import(context, &layout).await?
    } else {
        Some(published(context, wanted).await?)
    };
    let image = image.ok_or_else(|| failure(wanted))?;
    let place = context.settings.state().join("bundles");
    let place = place.join(image.digest().hex());
    if !place.is_dir() {
        unpack(context, &image, &place).map_err(|error| failure(wanted).caused_by(Some(&error)))?;
    }
    Ok(place)
}

async fn published(context: &Context, name: &str) -> Result<Image, Diagnostic> {
    let reference: ImageReference = name.parse()?;
    match supply::look_up(context, &reference, Ask::WhenOld).await? {
        Offer::There(record) => supply::fetch(context, &record).await,
        Offer::None => Err(failure(name).caused_by_words("its registry has no such image")),
        Offer::Unknown(why) => Err(failure(name).caused_by_words(why)),
    }
}

fn unpack(context: &Context, image: &Image, place: &Path) -> io::Result<()> {
    let parent = place.parent().unwrap_or(place);
    fs_err::create_dir_all(parent)?;
    let work = tempfile::Builder::new()
        .prefix(".new-")
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
            fs_err::set_permissions(&place, std::fs::Permissions::from_mode(mode))
        }
        _ => Err(refuse(format!(
            "`{shown}` is neither a file nor a directory"
        ))),
    }
}

fn failure(wanted: &str) -> Diagnostic {
    Diagnostic::new(
        "definitions",
        ExitStatus::Failed,
        format!("`{wanted}` gives no definitions"),
    )
    .hint("correct `definitions` in `config.yml`: a directory with `agents/` and `bases/`, or `oci:` and an image with these")
}
