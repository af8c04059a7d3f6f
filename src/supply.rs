//! Gets published images: what a registry says of a reference, asked as rarely as allowed, and the blobs.
//!
//! Invariant: offline nothing is asked; within the check interval nothing is asked again; a registry that cannot be
//! reached is no reason to fail while an earlier answer is known. Names that only this program gives are never asked for.

use assembler::{digest::Digest, image::Image, reference::ImageReference, store::RemoteRecord};
use registry::RegistryError;

use crate::{
    clock,
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    memory::{self, Remembered},
    names,
};

/// How hard a registry is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Not at all: what is known counts, however old.
    Never,
    /// When nothing is known, however old the last answer is.
    WhenUnknown,
    /// When the last answer is older than the check interval.
    WhenOld,
    /// Now.
    Always,
}

/// What is known of a published image.
#[derive(Clone, Debug)]
pub enum Offer {
    /// It is there; its manifest and config are in the store.
    There(Box<RemoteRecord>),
    /// The registry has no such image.
    None,
    /// Nothing is known, and the registry could not be asked; why is a sentence.
    Unknown(String),
}

const ABSENT: &str = "absent";

/// Returns what is known of `reference`, asking its registry as `ask` says.
pub async fn look_up(
    context: &Context,
    reference: &ImageReference,
    ask: Ask,
) -> Result<Offer, Diagnostic> {
    if names::is_ours(reference) {
        let name = reference.familiar();
        return Ok(Offer::Unknown(format!(
            "`{name}` is a name for images that are made here; no registry is asked for it"
        )));
    }
    let (store, _) = context.store()?;
    let remembered = store.remote(reference)?;
    let name = reference.to_string();
    let absent = memory::recall(&context.settings.state(), ABSENT, &name);
    let offline = context.options.offline;
    if offline || ask != Ask::Always {
        let any_age = offline || ask == Ask::Never || ask == Ask::WhenUnknown;
        let fresh = |checked_at: &str| any_age || is_fresh(context, checked_at);
        if let Some(record) = &remembered
            // Without a network what is in the store is used, though its registry has it no more.
            && (offline || record.gone_at.is_none())
            && fresh(&record.checked_at)
            && store.manifest(&record.manifest.digest)?.is_some()
        {
            return Ok(Offer::There(Box::new(record.clone())));
        }
        if let Some(absent) = &absent
            && fresh(&absent.checked_at)
        {
            return Ok(Offer::None);
        }
    }
    if offline || ask == Ask::Never {
        let why = if offline {
            "`--offline` was given, and "
        } else {
            ""
        };
        return Ok(Offer::Unknown(format!("{why}nothing is known of {name}")));
    }
    match question(context, reference).await? {
        Ok(offer) => Ok(offer),
        Err(error) => unreachable_registry(context, reference, (remembered, absent), error),
    }
}

/// Asks the registry of `reference` now and remembers its answer. The inner error is one with which an earlier answer
/// is good enough.
pub async fn question(
    context: &Context,
    reference: &ImageReference,
) -> Result<Result<Offer, RegistryError>, Diagnostic> {
    let (store, lock) = context.store()?;
    let name = reference.to_string();
    let client = context.client("looking up an image")?;
    match client
        .resolve(reference, &context.platform(), &context.destination()?)
        .await
    {
        Ok(_resolved) => {
            memory::forget(&context.settings.state(), ABSENT, &name);
            let record = store.remote(reference)?.ok_or_else(|| {
                Diagnostic::new(
                    "store-record",
                    ExitStatus::Failed,
                    format!("what the registry said of {name} was not kept"),
                )
            })?;
            Ok(Ok(Offer::There(Box::new(record))))
        }
        Err(RegistryError::NotFound { .. }) => {
            let answer = Remembered::new(None, &context.now);
            remember(context, ABSENT, &name, &answer);
            if let Some(record) = store.remote(reference)? {
                let gone = RemoteRecord {
                    gone_at: Some(context.now.clone()),
                    ..record
                };
                store.remember_remote(lock, &gone)?;
            }
            Ok(Ok(Offer::None))
        }
        // Registries answer anonymous requests for what does not exist in the same way as for what is private.
        Err(
            error @ RegistryError::Unauthorized {
                had_credentials: false,
                ..
            },
        ) => Ok(Err(error)),
        Err(error) if error.is_offline() || error.is_transient() => Ok(Err(error)),
        Err(error) => Err(error.into()),
    }
}

/// When a registry last answered for a reference, and what; nothing where it never did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAnswer {
    /// When, RFC 3339.
    pub at: String,
    /// Whether it said that there is none, or none any more.
    pub is_none: bool,
}

/// Returns when and what a registry last answered.
pub fn last_answer(
    context: &Context,
    reference: &ImageReference,
) -> Result<Option<LastAnswer>, Diagnostic> {
    let (store, _) = context.store()?;
    let state = context.settings.state();
    let absent = memory::recall(&state, ABSENT, &reference.to_string());
    Ok(match (absent, store.remote(reference)?) {
        (Some(absent), _) => Some(LastAnswer {
            at: absent.checked_at,
            is_none: true,
        }),
        (None, Some(record)) => Some(LastAnswer {
            is_none: record.gone_at.is_some(),
            at: record.gone_at.unwrap_or(record.checked_at),
        }),
        (None, None) => None,
    })
}

/// Fetches the layers that the store lacks and returns the image.
pub async fn fetch(context: &Context, record: &RemoteRecord) -> Result<Image, Diagnostic> {
    fetch_manifest(context, (&record.reference, &record.manifest.digest)).await
}

/// Fetches the layers that the store lacks of an image whose documents it has; `reference` is where it was found.
pub async fn fetch_manifest(
    context: &Context,
    (reference, manifest): (&ImageReference, &Digest),
) -> Result<Image, Diagnostic> {
    let (store, _) = context.store()?;
    let image = store.image(manifest)?;
    let mut missing = false;
    for layer in image.layers() {
        missing |= !store.has(&layer.descriptor)?;
    }
    if !missing {
        return Ok(image);
    }
    let what = format!("fetching the layers of {reference}");
    let client = context.client(&what)?;
    let destination = context.destination()?;
    // Pinned: the tag may move between the question and the fetch.
    let pinned: ImageReference = reference
        .pin(*manifest)
        .to_string()
        .parse()
        .expect("a pinned reference is a reference");
    let resolved = client
        .resolve(&pinned, &context.platform(), &destination)
        .await?;
    Ok(client.fetch(&resolved, &destination).await?)
}

/// Tells whether an answer is younger than the check interval; one from the future is not.
pub fn is_fresh(context: &Context, checked_at: &str) -> bool {
    let interval = context.settings.config.check_interval().as_secs();
    clock::seconds_between(checked_at, &context.now)
        .and_then(|age| u64::try_from(age).ok())
        .is_some_and(|age| age < interval)
}

/// Remembers an answer; a memory that cannot be written costs a question next time, nothing else.
pub fn remember(context: &Context, kind: &str, name: &str, answer: &Remembered) {
    if let Err(error) = memory::remember(&context.settings.state(), kind, name, answer) {
        context
            .printer
            .warn(&format!("cannot remember an answer: {error}"));
    }
}

fn unreachable_registry(
    context: &Context,
    reference: &ImageReference,
    (remembered, absent): (Option<RemoteRecord>, Option<Remembered>),
    error: RegistryError,
) -> Result<Offer, Diagnostic> {
    let (store, _) = context.store()?;
    let registry = reference.registry();
    if let Some(record) = remembered
        && store.manifest(&record.manifest.digest)?.is_some()
    {
        context.printer.warn(&format!(
            "{registry} cannot be reached; going by what it said of {reference} at {}",
            record.checked_at
        ));
        return Ok(Offer::There(Box::new(record)));
    }
    if absent.is_some() {
        return Ok(Offer::None);
    }
    Ok(Offer::Unknown(Diagnostic::from(error).sentence()))
}
