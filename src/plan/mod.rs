//! Plans: what a run would do to an agent's image, layer by layer, and why. Decided once; the run carries it out.
//!
//! Invariant: nothing is pulled or executed without a reason in words, and a plan changes nothing but what is known of
//! registries.

mod draft;
mod held;
mod reasons;

use assembler::{
    provenance::{Kind, Origin},
    reference::ImageReference,
    store::{ImageRecord, RemoteRecord},
};

use crate::{
    base_drift,
    base_image::{self, BaseImage},
    context::Context,
    definition::Source,
    diagnostic::Diagnostic,
    dockerfiles::{self, Dockerfiles, Images},
    selection::Selection,
    supply::Ask,
    version,
};

use draft::{Answer, Draft};

/// Which state of the world a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// What the image was built on, when there is an image; else the newest.
    Held,
    /// The newest, with registries asked as said.
    Newest(Ask),
}

/// What is to be done to an agent's image.
#[derive(Debug)]
pub struct Plan {
    /// The image's name.
    pub reference: ImageReference,
    /// What is to be done.
    pub work: Work,
    /// Why, in sentences; empty when nothing is.
    pub reasons: Vec<String>,
    /// The image's layers as far as they are known, bottom first.
    pub layers: Vec<PlannedLayer>,
    /// The image as it is now.
    pub held: Option<ImageRecord>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Work {
    /// Nothing.
    Nothing,
    /// A finished image is pulled.
    Pull(Box<RemoteRecord>),
    /// The image is assembled on a base.
    Build {
        /// The base.
        base: BaseImage,
        /// The agent's version.
        version: AgentVersion,
        /// What extensions' Dockerfiles are built with.
        dockerfiles: Dockerfiles,
    },
}

/// Which version of the agent an image gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentVersion {
    /// This one, where it has one.
    Known(Option<String>),
    /// What `version.sh` says once the base is at hand, asked like this: the agent's script will run.
    Asked(Ask),
}

/// One layer of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLayer {
    /// Who contributes it.
    pub origin: Origin,
    /// What happens.
    pub action: LayerAction,
    /// Its compressed size in bytes, where it is known.
    pub size: Option<u64>,
}

/// What happens to a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerAction {
    /// It is in the store.
    Reuse,
    /// It is fetched.
    Pull,
    /// Its scripts are run.
    Execute,
    /// It is made of the program's own files.
    BuiltIn,
}

impl Plan {
    /// Tells whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        matches!(self.work, Work::Nothing)
    }

    /// Tells whether the script that installs the agent is run.
    pub fn runs_the_agents_script(&self) -> bool {
        self.layers
            .iter()
            .any(|layer| layer.origin.kind == Kind::Agent && layer.action == LayerAction::Execute)
    }

    /// Returns how many bytes are fetched from registries.
    pub fn download(&self) -> u64 {
        let pulled = self
            .layers
            .iter()
            .filter(|layer| layer.action == LayerAction::Pull);
        pulled.filter_map(|layer| layer.size).sum()
    }
}

/// Plans the image of a selection.
pub async fn plan(
    context: &Context,
    selection: &Selection<'_>,
    want: Want,
) -> Result<Plan, Diagnostic> {
    let plan = decide(context, selection, want).await?;
    if let Work::Build { .. } = plan.work {
        look_over(context, selection)?;
    }
    Ok(plan)
}

/// Refuses definitions that cannot be built, before the first of them is.
fn look_over(context: &Context, selection: &Selection<'_>) -> Result<(), Diagnostic> {
    selection.base.files.digest()?;
    selection.agent.files.digest()?;
    for extension in &selection.extensions {
        extension.files.digest()?;
        if let (true, Source::Custom(directory)) = (extension.has_dockerfile(), &extension.source) {
            dockerfiles::check(context, Kind::Extension, directory)?;
        }
    }
    if let (true, Source::Custom(directory)) =
        (selection.base.has_dockerfile(), &selection.base.source)
    {
        dockerfiles::check(context, Kind::Base, directory)?;
    }
    Ok(())
}

async fn decide(
    context: &Context,
    selection: &Selection<'_>,
    want: Want,
) -> Result<Plan, Diagnostic> {
    let (store, _) = context.store()?;
    let reference = selection.reference.clone();
    let held = store.tagged(&reference)?;
    let ask = match want {
        Want::Newest(ask) => ask,
        Want::Held => Ask::WhenOld,
    };
    let images = Images::of(want, held.as_ref());
    let extensions = &selection.extensions;
    let dockerfiles = dockerfiles::of_extensions(context, extensions, images).await?;
    let draft = Draft {
        context,
        selection,
        reference,
        held,
        dockerfiles,
    };
    let mut otherwise = None;
    if want == Want::Held
        && let Some(record) = &draft.held
        && let Some(plan) = draft.held(record).await?
    {
        // An agent's script is not run where a finished image can be had instead.
        if !plan.runs_the_agents_script() || draft.not_pulled()?.is_some() {
            return Ok(plan);
        }
        otherwise = Some(plan);
    }
    if let Some(record) = draft.published(ask).await? {
        if selection.extensions.is_empty() {
            return draft.pull(*record);
        }
        return draft.build(BaseImage::Final(record), Answer::Now(None));
    }
    if let Some(plan) = otherwise {
        return Ok(plan);
    }
    let mut base = base_image::find(context, selection.base, ask).await?;
    if let BaseImage::Local(record) = &base {
        let outdated = match want {
            Want::Newest(ask) => base_image::outdated(context, record, ask).await?,
            Want::Held => None,
        };
        let outdated = match outdated {
            None => base_drift::changed(context, selection.base, (record, want)).await?,
            outdated => outdated,
        };
        base = outdated.unwrap_or(base);
    }
    // `version.sh` runs on the base, so that it can be asked only where the base is at hand.
    let answer = match draft.base_documents(&base)? {
        Some(image) if ask == Ask::Always && base_image::missing_bytes(context, &image)? == 0 => {
            Answer::Now(version::newest(context, selection, &image, ask)?)
        }
        base => Answer::Before(version::known_on(context, selection, base.as_ref()), ask),
    };
    draft.build(base, answer)
}
