//! Builds a definition once more, whatever is known of it, and measures what it makes.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use assembler::{
    assemble::{AssembleError, Assembled, assemble},
    image::Image,
    provenance::{How, LayerRecord},
    recipe::Recipe,
    sandbox::{Consume, Sandbox, SandboxError, StepNetwork, StepRequest, World},
    store::{BlobStore, SharedLock},
};
use layer::IndexKind;
use serde::Serialize;

use crate::{context::Context, diagnostic::Diagnostic, runner::Runner};

/// Directories in which package managers and installers keep what nobody needs in an image.
const CACHES: [&str; 20] = [
    "root/.bundle/cache",
    "root/.cache",
    "root/.cargo/git",
    "root/.cargo/registry",
    "root/.gradle",
    "root/.m2",
    "root/.npm",
    "root/.pnpm-store",
    "root/go/pkg",
    "tmp",
    "usr/local/share/.cache",
    "var/cache/apk",
    "var/cache/apt",
    "var/cache/dnf",
    "var/cache/libdnf5",
    "var/cache/pacman",
    "var/cache/yum",
    "var/lib/apt/lists",
    "var/log",
    "var/tmp",
];

/// What a definition makes.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Measures {
    /// Compressed size of its layers, in bytes.
    pub(super) size: u64,
    /// Size of the files in them, in bytes.
    pub(super) unpacked: u64,
    /// How many entries they have.
    pub(super) entries: usize,
    /// How long its scripts ran, in milliseconds; the container's start and end included.
    pub(super) milliseconds: u128,
    /// `needed`, `not needed` or `not checked`.
    pub(super) network: &'static str,
    /// What it left in caches: bytes by directory, the largest first.
    pub(super) caches: Vec<Cache>,
}

/// What is left in one directory.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cache {
    pub(super) directory: String,
    pub(super) bytes: u64,
}

/// Executes the steps of `recipe`, with the network and then without it; returns the image of the first time.
pub(super) fn measure(context: &Context, recipe: &Recipe) -> Result<(Image, Measures), Diagnostic> {
    let store = context.store()?;
    let (assembled, spent) = execute(context, (recipe, StepNetwork::Configured), store)?;
    let mut measures = look(&assembled, recipe, store)?;
    measures.milliseconds = spent.as_millis();
    measures.network = if context.options.offline {
        "not needed"
    } else if recipe.steps.is_empty() {
        "not checked"
    } else {
        context
            .printer
            .talk("Once more without a network, to see whether it needs one.");
        match execute(context, (recipe, StepNetwork::None), store) {
            Ok(_) => "not needed",
            Err(AssembleError::Step {
                source: SandboxError::Script { .. },
                ..
            }) => "needed",
            Err(error) => return Err(error.into()),
        }
    };
    Ok((assembled.image, measures))
}

/// Executes all steps, also those whose layers are kept from before.
fn execute(
    context: &Context,
    (recipe, network): (&Recipe, StepNetwork),
    (store, lock): (&BlobStore, &Arc<SharedLock>),
) -> Result<(Assembled, Duration), AssembleError> {
    let mut recipe = recipe.clone();
    for step in &mut recipe.steps {
        // The version is part of a layer's key, so no layer of before is taken for this one.
        let what = match network {
            StepNetwork::Configured => "check",
            StepNetwork::None => "check without network",
        };
        step.origin.version = Some(format!("{what} {}", context.now));
    }
    let logs = context.settings.logs();
    let watched = Watched {
        runner: Runner::new(context),
        network,
        spent: Mutex::new(Duration::ZERO),
    };
    let world = World {
        store,
        lock,
        sandbox: &watched,
        reporter: context.reporter.as_ref(),
        logs: &logs,
        now: &context.now,
    };
    let assembled = tokio::task::block_in_place(|| assemble(&world, &recipe))?;
    let spent = *watched.spent.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((assembled, spent))
}

/// Looks into the layers that the recipe's steps gave.
fn look(
    assembled: &Assembled,
    recipe: &Recipe,
    (store, lock): (&BlobStore, &Arc<SharedLock>),
) -> Result<Measures, Diagnostic> {
    let mut measures = Measures::default();
    let mut caches: BTreeMap<String, u64> = BTreeMap::new();
    let is_of_step = |record: &LayerRecord| {
        let mut steps = recipe.steps.iter().map(|step| &step.origin);
        record.how == How::Executed
            && steps
                .any(|origin| (origin.kind, &origin.id) == (record.origin.kind, &record.origin.id))
    };
    let layers = assembled.image.layers().iter().zip(&assembled.records);
    for (layer, _) in layers.filter(|(_, record)| is_of_step(record)) {
        measures.size += layer.descriptor.size;
        let index = store.layer_index(lock, layer)?;
        measures.entries += index.len();
        for entry in index.iter().filter(|entry| entry.kind == IndexKind::File) {
            measures.unpacked += entry.size;
            let path = entry.path();
            let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
            if let Some(cache) = cache_of(&path) {
                *caches.entry(cache).or_default() += entry.size;
            }
        }
    }
    let caches = caches.into_iter().filter(|(_, bytes)| *bytes > 0);
    measures.caches = caches
        .map(|(directory, bytes)| Cache { directory, bytes })
        .collect();
    measures
        .caches
        .sort_by_key(|cache| std::cmp::Reverse(cache.bytes));
    Ok(measures)
}

fn cache_of(path: &str) -> Option<String> {
    let inside = |directory: &str| {
        path.strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    if let Some(cache) = CACHES.iter().find(|cache| inside(cache)) {
        return Some(format!("/{cache}"));
    }
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("home"), Some(user), Some(name @ (".cache" | ".npm"))) => {
            Some(format!("/home/{user}/{name}"))
        }
        _ => None,
    }
}

/// A sandbox that takes the time, and the network away where that is asked for.
#[derive(Debug)]
struct Watched<'a> {
    runner: Runner<'a>,
    network: StepNetwork,
    spent: Mutex<Duration>,
}

impl Sandbox for Watched<'_> {
    fn run(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError> {
        let network = match self.network {
            StepNetwork::Configured => request.network,
            StepNetwork::None => StepNetwork::None,
        };
        let begun = Instant::now();
        let done = self.runner.run(
            &StepRequest {
                network,
                ..*request
            },
            log,
            consume,
        );
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) += begun.elapsed();
        done
    }

    fn query(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        limit: Duration,
    ) -> Result<Vec<u8>, SandboxError> {
        self.runner.query(request, log, limit)
    }

    fn runner(&self) -> String {
        self.runner.runner()
    }
}
