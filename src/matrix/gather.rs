//! What all combinations would be made of now: tags, versions, definitions.
//!
//! Invariant: registries are asked side by side, each tag once; each `version.sh` runs once, at most four at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use assembler::{
    descriptor::Descriptor,
    digest::{Digest, Hasher},
    image::Image,
    reference::ImageReference,
    store::RemoteRecord,
};
use futures_util::future::join_all;

use crate::{
    base_image,
    context::Context,
    definition::{agent::AgentDefinition, base::BaseDefinition},
    diagnostic::Diagnostic,
    supply::{self, Ask, Offer},
    transport,
    version::{self, Found},
};

use super::Entry;

/// How many scripts run at the same time.
const AT_ONCE: usize = 4;

/// Which combinations, and how versions are found.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Only these agents; all where there is none.
    pub agents: Vec<String>,
    /// Only these bases; all where there is none.
    pub bases: Vec<String>,
    /// Whether `version.sh` runs on this machine at once.
    pub on_host: bool,
}

/// What one combination would be made of.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The agent.
    pub agent: String,
    /// The base.
    pub base: String,
    /// What it would be made of, else why that cannot be told.
    pub entry: Result<Entry, String>,
    /// The layers that its base has now.
    pub offered: Vec<Descriptor>,
}

type Tags = BTreeMap<ImageReference, Result<Box<RemoteRecord>, String>>;

/// Finds out what all combinations would be made of.
pub async fn gather(context: &Context, wish: &Wish) -> Result<Vec<Facts>, Diagnostic> {
    let architecture = context.platform().architecture;
    let catalogue = context.catalogue();
    let chosen = |names: &[String], id: &String| names.is_empty() || names.contains(id);
    let mut pairs: Vec<(&AgentDefinition, &BaseDefinition)> = Vec::new();
    for agent in catalogue.agents.values() {
        for base in catalogue.bases.values() {
            if chosen(&wish.agents, &agent.id)
                && chosen(&wish.bases, &base.id)
                && agent.excludes(base, &architecture).is_none()
            {
                pairs.push((agent, base));
            }
        }
    }
    let tags = tags(context, &pairs).await?;
    let versions = versions(context, wish, (&pairs, &tags)).await?;
    Ok(pairs
        .into_iter()
        .map(|(agent, base)| facts(context, (agent, base), (&tags, &versions)))
        .collect())
}

/// Returns what a base is built on or pulled as; `None` where it is a file or an engine's.
fn reference_of(context: &Context, base: &BaseDefinition) -> Option<ImageReference> {
    if !base.is_custom() {
        return Some(base_image::published_name(context, base));
    }
    let from = &base.settings.from_image;
    if transport::is_file(from) {
        return None;
    }
    from.parse().ok()
}

async fn tags(
    context: &Context,
    pairs: &[(&AgentDefinition, &BaseDefinition)],
) -> Result<Tags, Diagnostic> {
    let distinct: BTreeSet<ImageReference> = pairs
        .iter()
        .filter_map(|(_, base)| reference_of(context, base))
        .collect();
    let asked = distinct.into_iter().map(|reference| async move {
        let answer = match supply::look_up(context, &reference, Ask::Always).await {
            Ok(Offer::There(record)) => Ok(record),
            Ok(Offer::None) => Err(format!(
                "{} has no {}",
                reference.registry(),
                reference.familiar()
            )),
            Ok(Offer::Unknown(why)) => Err(why),
            Err(diagnostic) => Err(diagnostic.sentence()),
        };
        (reference, answer)
    });
    Ok(join_all(asked).await.into_iter().collect())
}

/// One question for a version: the agent and, where it runs in a container, the image.
struct Question<'a> {
    agent: &'a AgentDefinition,
    image: Option<Image>,
}

async fn versions(
    context: &Context,
    wish: &Wish,
    (pairs, tags): (&[(&AgentDefinition, &BaseDefinition)], &Tags),
) -> Result<BTreeMap<String, Result<Found, String>>, Diagnostic> {
    let mut by_agent: BTreeMap<&str, (&AgentDefinition, Vec<&BaseDefinition>)> = BTreeMap::new();
    for (agent, base) in pairs {
        let (_, bases) = by_agent
            .entry(agent.id.as_str())
            .or_insert_with(|| (agent, Vec::new()));
        bases.push(base);
    }
    let mut images: BTreeMap<String, Option<Image>> = BTreeMap::new();
    let mut questions = Vec::new();
    for (agent, bases) in by_agent.into_values() {
        let image = if wish.on_host {
            None
        } else {
            image_for(context, (&bases, tags), &mut images).await?
        };
        questions.push(Question { agent, image });
    }
    let found = Mutex::new(BTreeMap::new());
    let waiting = Mutex::new(questions);
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE)
                .map(|_| scope.spawn(|| work(context, &runtime, (&waiting, &found))))
                .collect();
            let mut outcome = Ok(());
            for worker in workers {
                let ended = worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                outcome = outcome.and(ended);
            }
            outcome
        })
    });
    outcome?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

type Answers = BTreeMap<String, Result<Found, String>>;

fn work(
    context: &Context,
    runtime: &tokio::runtime::Handle,
    (waiting, found): (&Mutex<Vec<Question<'_>>>, &Mutex<Answers>),
) -> Result<(), Diagnostic> {
    let _entered = runtime.enter();
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(question) = next else {
            return Ok(());
        };
        let answer = version::find(context, question.agent, question.image.as_ref())?;
        let answer = answer.map_err(|failure| format!("`version.sh`: {}", failure.reason()));
        found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(question.agent.id.clone(), answer);
    }
}

/// Returns the base to ask an agent's version on: one that is at hand, else the first that can be fetched.
async fn image_for(
    context: &Context,
    (bases, tags): (&[&BaseDefinition], &Tags),
    images: &mut BTreeMap<String, Option<Image>>,
) -> Result<Option<Image>, Diagnostic> {
    let (store, _) = context.store()?;
    if let Some(image) = bases.iter().find_map(|base| images.get(&base.id)?.clone()) {
        return Ok(Some(image));
    }
    for base in bases {
        if let Some(local) = store.tagged(&base_image::local_name(base))?
            && let Ok(image) = store.image(&local.manifest.digest)
            && base_image::missing_bytes(context, &image)? == 0
        {
            images.insert(base.id.clone(), Some(image.clone()));
            return Ok(Some(image));
        }
    }
    let default = &context.settings.config.default_base;
    let mut published: Vec<&&BaseDefinition> =
        bases.iter().filter(|base| !base.is_custom()).collect();
    published.sort_by_key(|base| base.id != *default);
    for base in published {
        if images.contains_key(&base.id) {
            continue;
        }
        let reference = base_image::published_name(context, base);
        let Some(Ok(record)) = tags.get(&reference) else {
            continue;
        };
        let image = match supply::fetch(context, record).await {
            Ok(image) => Some(image),
            Err(diagnostic) => {
                context.printer.diagnostic(&diagnostic);
                None
            }
        };
        images.insert(base.id.clone(), image.clone());
        if image.is_some() {
            return Ok(image);
        }
    }
    Ok(None)
}

fn facts(
    context: &Context,
    (agent, base): (&AgentDefinition, &BaseDefinition),
    (tags, versions): (&Tags, &BTreeMap<String, Result<Found, String>>),
) -> Facts {
    let reference = reference_of(context, base);
    let offered = reference.as_ref().and_then(|reference| tags.get(reference));
    let entry = || -> Result<Entry, String> {
        let found = match versions.get(&agent.id) {
            Some(found) => found.clone()?,
            None => return Err("its version was not asked".to_owned()),
        };
        let record = match offered {
            Some(offered) => Some(offered.as_ref().map_err(Clone::clone)?),
            None => None,
        };
        Ok(Entry {
            agent: agent.id.clone(),
            base: base.id.clone(),
            version: found.version,
            built_on: reference
                .as_ref()
                .map_or_else(|| base.settings.from_image.clone(), ToString::to_string),
            manifest: record.map(|record| record.manifest.digest),
            layers: record.map_or_else(Vec::new, |record| {
                record.layers.iter().map(|layer| layer.digest).collect()
            }),
            definition: definition(agent, base)?,
            recorded_at: context.now.clone(),
        })
    };
    Facts {
        agent: agent.id.clone(),
        base: base.id.clone(),
        entry: entry(),
        offered: match offered {
            Some(Ok(record)) => record.layers.clone(),
            _ => Vec::new(),
        },
    }
}

/// Returns the digest of all that is executed: the agent's files, and of a base that is made here its files too.
fn definition(agent: &AgentDefinition, base: &BaseDefinition) -> Result<Digest, String> {
    let own = agent.files.digest().map_err(|error| error.to_string())?;
    if !base.is_custom() {
        return Ok(own);
    }
    let mut hasher = Hasher::sha256();
    hasher.update(own.to_string().as_bytes());
    let below = base.files.digest().map_err(|error| error.to_string())?;
    hasher.update(below.to_string().as_bytes());
    Ok(hasher.finish())
}
