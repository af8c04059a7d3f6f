//! Composes recipes: what is in an agent's image and in a base, from their definitions.
//!
//! Invariant: pure; the same definitions on the same base give the same recipe. The order is fixed: base, agent,
//! extensions, glue; glue is last so that a new `aicage` never runs a script again.

use std::{collections::BTreeMap, sync::Arc};

use assembler::{
    dockerfile::DockerfileBuild,
    image::Image,
    manifest::ImageConfig,
    provenance::{BaseRecord, Kind, Origin},
    recipe::{Addition, ConfigChange, PlacedFile, Recipe, Step},
};

use crate::{
    definition::{
        agent::{AgentDefinition, INSTALL},
        base::BaseDefinition,
        extension::ExtensionDefinition,
    },
    dockerfiles::Dockerfiles,
};

/// Where the program that runs inside containers is put.
pub const INIT: &str = "opt/aicage/init";
/// The search path for images that bring none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where the scripts of bases and extensions put tools for all users. Not set in the image: there they would break `npm -g` and pipx for
/// the agent's own user.
const TOOLS: [(&str, &str); 4] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("NPM_CONFIG_PREFIX", "/usr/local"),
    ("PIPX_BIN_DIR", "/usr/local/bin"),
    ("PIPX_HOME", "/opt/pipx"),
];

/// What a recipe is composed on.
#[derive(Debug)]
pub struct Below<'a> {
    /// The image.
    pub image: &'a Image,
    /// What is recorded as the base.
    pub record: BaseRecord,
    /// Who contributed its layers, where nothing else says so.
    pub origin: Origin,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date: Option<i64>,
}

/// What goes on top of an image.
#[derive(Clone, Copy, Debug)]
pub struct Additions<'a> {
    /// The agent.
    pub agent: &'a AgentDefinition,
    /// Whether and how the agent is installed.
    pub install: Install<'a>,
    /// The extensions, in order.
    pub extensions: &'a [&'a ExtensionDefinition],
    /// The Dockerfiles of those that have one.
    pub dockerfiles: &'a Dockerfiles,
}

/// Whether an agent is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install<'a> {
    /// By its script; its version, where it is known.
    Script(Option<&'a str>),
    /// The image below has it: it is a published final image.
    There,
}

/// Composes the image of an agent, with extensions; `init` is the program for the image's architecture.
pub fn agent_image(below: Below<'_>, additions: Additions<'_>, init: &'static [u8]) -> Recipe {
    let Additions {
        agent,
        install,
        extensions,
        dockerfiles,
    } = additions;
    let config = below.image.config().value();
    let mut change = ConfigChange {
        env: [("AICAGE_ENTRYPOINT_CMD".to_owned(), agent.id.clone())].into(),
        ..ConfigChange::default()
    };
    let mut steps = Vec::new();
    if let Install::Script(version) = install {
        steps.push(install_step(agent, version));
        change.env.insert("AGENT".to_owned(), agent.id.clone());
        change.labels = title(
            "aicage",
            &format!("{} for aicage", agent.settings.agent_full_name),
        );
    }
    let with_layers = extensions
        .iter()
        .filter(|extension| extension.adds_layers());
    steps.extend(
        with_layers.map(|extension| match dockerfiles.get(&extension.id) {
            Some(build) => Step {
                origin: extension_origin(extension),
                addition: Addition::Dockerfile(Arc::clone(build)),
            },
            None => extension_step(extension, agent),
        }),
    );
    change.defaults.insert("PATH".to_owned(), PATH.to_owned());
    let honours = honours_contract(config);
    if !honours {
        steps.push(glue(init));
        change.entrypoint = Some(entrypoint());
    }
    // The entrypoint becomes the caller's user by itself, whatever user a Dockerfile ended with.
    if !honours || !dockerfiles.is_empty() {
        change.user = Some("0:0".to_owned());
    }
    recipe(below, steps, change)
}

fn install_step(agent: &AgentDefinition, version: Option<&str>) -> Step {
    Step {
        origin: Origin {
            kind: Kind::Agent,
            id: agent.id.clone(),
            version: version.map(str::to_owned),
        },
        addition: Addition::Scripts {
            files: agent.scripts(),
            run: vec![INSTALL.to_owned()],
            env: [("AGENT".to_owned(), agent.id.clone())].into(),
        },
    }
}

fn extension_origin(extension: &ExtensionDefinition) -> Origin {
    Origin {
        kind: Kind::Extension,
        id: extension.id.clone(),
        version: None,
    }
}

fn extension_step(extension: &ExtensionDefinition, agent: &AgentDefinition) -> Step {
    let mut env = tools();
    env.insert("AGENT".to_owned(), agent.id.clone());
    env.insert("EXTENSION".to_owned(), extension.id.clone());
    Step {
        origin: extension_origin(extension),
        addition: Addition::Scripts {
            files: extension
                .files
                .without(&["extension.yml", "extension.yaml"]),
            run: extension.scripts(),
            env,
        },
    }
}

/// Composes a base from its root image; `dockerfile` is its Dockerfile, if it has one.
pub fn base_image(
    below: Below<'_>,
    base: &BaseDefinition,
    dockerfile: Option<Arc<DockerfileBuild>>,
) -> Recipe {
    let run = base.scripts();
    let addition = match dockerfile {
        Some(build) => Some(Addition::Dockerfile(build)),
        None if run.is_empty() => None,
        None => Some(Addition::Scripts {
            files: base.files.without(&["base.yml", "base.yaml"]),
            run,
            env: tools(),
        }),
    };
    let origin = Origin {
        kind: Kind::Base,
        id: base.id.clone(),
        version: None,
    };
    let steps = addition.map(|addition| Step { origin, addition });
    let steps: Vec<Step> = steps.into_iter().collect();
    let mut change = ConfigChange {
        labels: title("aicage-image-base", &base.settings.base_image_description),
        ..ConfigChange::default()
    };
    // Without a locale most tools treat every name with an umlaut as damaged.
    for name in ["LANG", "LC_ALL"] {
        change
            .defaults
            .insert(name.to_owned(), "C.UTF-8".to_owned());
    }
    change.defaults.insert("PATH".to_owned(), PATH.to_owned());
    recipe(below, steps, change)
}

/// Tells whether an image's entrypoint follows the environment contract (`facts` of the published images; `doc/formats.md`).
pub fn honours_contract(config: &ImageConfig) -> bool {
    let run = &config.config;
    has_variable(config, "AICAGE_ENTRYPOINT_CMD")
        && run
            .entrypoint
            .iter()
            .any(|word| word.ends_with("/entrypoint.sh") || word.ends_with(INIT))
}

fn recipe(below: Below<'_>, steps: Vec<Step>, config: ConfigChange) -> Recipe {
    Recipe {
        base: *below.image.digest(),
        base_record: below.record,
        base_origin: below.origin,
        steps,
        config,
        source_date: below.source_date,
    }
}

fn glue(init: &'static [u8]) -> Step {
    Step {
        origin: Origin {
            kind: Kind::Glue,
            id: "init".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        },
        addition: Addition::Files(vec![PlacedFile {
            path: INIT.to_owned(),
            mode: 0o755,
            content: Arc::from(init),
        }]),
    }
}

fn tools() -> BTreeMap<String, String> {
    TOOLS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn entrypoint() -> Vec<String> {
    vec![format!("/{INIT}"), "session".to_owned(), "--".to_owned()]
}

fn title(title: &str, description: &str) -> BTreeMap<String, String> {
    let name = |name: &str| format!("org.opencontainers.image.{name}");
    [
        (name("title"), title.to_owned()),
        (name("description"), description.to_owned()),
    ]
    .into()
}

fn has_variable(config: &ImageConfig, name: &str) -> bool {
    config
        .config
        .env
        .iter()
        .any(|line| line.split_once('=').is_some_and(|(known, _)| known == name))
}
