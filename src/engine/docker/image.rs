//! The images that an engine has.

use std::collections::BTreeMap;

use assembler::{digest::DiffId, reference::ImageReference};
use bollard::query_parameters::{RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use serde::Deserialize;

use super::{
    Docker,
    error::{EngineError, WireError, is_in_use, is_missing},
    info::EngineStore,
};

/// How often images are looked at again: with the containerd store, and on Podman, an engine fails while another takes one
/// of them away.
const LISTINGS: u32 = 8;

/// An image as an engine describes it.
#[derive(Clone, Debug)]
pub struct EngineImage {
    /// What the engine calls it: the digest of its config or of its manifest, depending on the store.
    pub id: String,
    /// The layers' diff ids, bottom first.
    pub diff_ids: Vec<DiffId>,
    /// Its names, in Docker's short spelling.
    pub names: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it starts.
    pub entrypoint: Vec<String>,
    /// Its environment, `NAME=value`.
    pub env: Vec<String>,
    /// Its user.
    pub user: String,
    /// Whether all its blobs are there, where the engine tells.
    pub complete: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    id: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "RootFS", default)]
    root_fs: Option<RootFs>,
    #[serde(default)]
    config: Option<Config>,
    #[serde(default)]
    manifests: Option<Vec<ListedManifest>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(default)]
    layers: Option<Vec<DiffId>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<BTreeMap<String, String>>,
    entrypoint: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
}

/// One line of `GET /images/json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    /// What the engine calls it.
    pub(crate) id: String,
    /// Its names.
    #[serde(default)]
    pub(crate) repo_tags: Option<Vec<String>>,
    /// Its bytes, unpacked.
    #[serde(default)]
    pub(crate) size: u64,
    /// Its labels.
    #[serde(default)]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    /// From version 1.47 on, with the containerd store: the manifests below it.
    #[serde(default)]
    pub(crate) manifests: Option<Vec<ListedManifest>>,
}

/// A manifest of a listed image.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ListedManifest {
    /// Its digest.
    #[serde(rename = "ID")]
    pub(crate) id: String,
    /// Whether all its blobs are there.
    #[serde(rename = "Available", default)]
    pub(crate) available: bool,
}

impl Docker {
    /// Looks an image up by name or id.
    pub async fn image(&self, name: &str) -> Result<Option<EngineImage>, EngineError> {
        // Only the containerd store answers this, and only there an image can lack blobs.
        let query = if self.info.api >= (1, 48) && self.info.store == EngineStore::Containerd {
            "?manifests=1"
        } else {
            ""
        };
        let path = self.path(&format!("/images/{}/json{query}", encoded(name)));
        let mut again = LISTINGS;
        let answer: Answer = loop {
            match self.endpoint.get(&path).await {
                Ok((_, answer)) => break answer,
                Err(WireError::Answer { status: 404, .. }) => return Ok(None),
                Err(WireError::Answer { message, .. })
                    if again > 0 && message.contains("not known") =>
                {
                    again -= 1;
                }
                Err(error) => return Err(self.failed(format!("inspect image {name}"), error)),
            }
        };
        let config = answer.config.unwrap_or_default();
        Ok(Some(EngineImage {
            id: if answer.id.contains(':') {
                answer.id
            } else {
                // Podman leaves the algorithm out.
                format!("sha256:{}", answer.id)
            },
            diff_ids: answer
                .root_fs
                .and_then(|root_fs| root_fs.layers)
                .unwrap_or_default(),
            names: familiar(answer.repo_tags),
            labels: config.labels.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            complete: answer
                .manifests
                .map(|manifests| manifests.iter().any(|manifest| manifest.available)),
        }))
    }

    /// Lists all images, without the layers in between.
    pub(crate) async fn images(&self) -> Result<Vec<Listed>, EngineError> {
        let query = if self.info.api >= (1, 47) {
            "?manifests=1"
        } else {
            ""
        };
        let path = self.path(&format!("/images/json{query}"));
        let mut again = LISTINGS;
        loop {
            match self.endpoint.get(&path).await {
                Ok((_, images)) => {
                    let mut images: Vec<Listed> = images;
                    for image in &mut images {
                        image.repo_tags = Some(familiar(image.repo_tags.take()));
                    }
                    return Ok(images);
                }
                Err(WireError::Answer { message, .. })
                    if again > 0
                        && (message.contains("not found") || message.contains("not known")) =>
                {
                    again -= 1;
                }
                Err(error) => return Err(self.failed("list its images", error)),
            }
        }
    }

    /// Gives an image one more name.
    pub(crate) async fn tag(&self, id: &str, reference: &str) -> Result<(), EngineError> {
        let named = self.name(id, reference).await;
        named.map_err(|error| EngineError::call(format!("name image {reference}"), error))
    }

    /// Gives an image one more name, if it is still there.
    pub(crate) async fn tag_if_there(
        &self,
        id: &str,
        reference: &str,
    ) -> Result<bool, EngineError> {
        match self.name(id, reference).await {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(EngineError::call(format!("name image {reference}"), error)),
        }
    }

    async fn name(&self, id: &str, reference: &str) -> Result<(), bollard::errors::Error> {
        let (repository, tag) = match reference.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (reference, "latest"),
        };
        let options = TagImageOptionsBuilder::new()
            .repo(repository)
            .tag(tag)
            .build();
        self.client.tag_image(id, Some(options)).await
    }

    /// Takes a name of ours away, and the image with its last one; one that something uses keeps it.
    pub(crate) async fn remove_name(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::new().build();
        match self.client.remove_image(name, Some(options), None).await {
            Err(error) if !is_missing(&error) && !is_in_use(&error) => {
                Err(EngineError::call(format!("remove image {name}"), error))
            }
            _ => Ok(()),
        }
    }

    /// Takes a name away, and the image with its last one; an image that is not there is no error.
    ///
    /// One that a container uses stays: the engine's refusal is returned.
    pub async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::new().build();
        match self.client.remove_image(name, Some(options), None).await {
            Err(error) if !is_missing(&error) => {
                Err(EngineError::call(format!("remove image {name}"), error))
            }
            _ => Ok(()),
        }
    }

    /// Names a failed call of our own.
    pub(crate) fn failed(&self, what: impl Into<String>, error: WireError) -> EngineError {
        match error {
            // Podman makes a container ready to run when somebody attaches to it.
            WireError::Answer { message, .. } if message.contains(": OCI ") => {
                EngineError::not_started(&message)
            }
            WireError::Answer { message, .. } => EngineError::Refused {
                what: what.into(),
                message,
            },
            source => EngineError::Unreachable {
                endpoint: self.endpoint.to_string(),
                source,
            },
        }
    }
}

/// Spells names as Docker does; Podman spells them out.
fn familiar(names: Option<Vec<String>>) -> Vec<String> {
    let familiar = |name: String| match name.parse::<ImageReference>() {
        Ok(reference) => reference.familiar(),
        Err(_) => name,
    };
    names
        .unwrap_or_default()
        .into_iter()
        .map(familiar)
        .collect()
}

/// Percent-encodes what is not allowed in a path; a reference's slashes and colons are.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"/:@._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let [high, low] = [byte >> 4, byte & 15].map(|nibble| {
                char::from_digit(u32::from(nibble), 16).expect("four bits are one digit")
            });
            text.extend(['%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
        }
    }
    text
}
