//! Makes new images from old ones: one more layer, other settings.
//!
//! Invariant: what an image's maker wrote into its config and manifest and we do not understand stays as it was;
//! layers, diff ids and non-empty history lines are equally many afterwards, whatever the base's history claims.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    descriptor::{Descriptor, media_type},
    digest::DiffId,
    image::Image,
    manifest::{ImageConfig, Manifest, ManifestError, Raw},
    platform::Platform,
    provenance::{BASE_DIGEST, BASE_NAME, LabelRecord, PROVENANCE_LABEL, Provenance},
    recipe::ConfigChange,
    transport::ROOTFS_PATH,
};

/// A layer to append and what is to be said of it.
#[derive(Debug)]
pub(crate) struct NewLayer<'a> {
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) diff_id: DiffId,
    pub(crate) label: &'a LabelRecord,
}

impl Image {
    /// Returns this image with one more layer on top.
    pub(crate) fn append(&self, new: &NewLayer<'_>) -> Result<Self, ManifestError> {
        let mut config = self.config().json();
        balance_history(&mut config, self.layers().len());
        list(object(&mut config, "rootfs"), "diff_ids").push(json!(new.diff_id));
        list(root(&mut config), "history").push(history_line(new.label));

        let mut layers: Vec<Descriptor> = self
            .layers()
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect();
        let mut descriptor = new.descriptor.clone();
        descriptor.annotations = layer_annotations(new.label);
        layers.push(descriptor);
        rebuild(self, &config, layers, None)
    }

    /// Returns an image without any layer.
    pub(crate) fn empty(platform: &Platform) -> Result<Self, ManifestError> {
        let mut config = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "config": {"Env": [ROOTFS_PATH], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        if let Some(variant) = &platform.variant {
            root(&mut config).insert("variant".to_owned(), json!(variant));
        }
        let config = Raw::<ImageConfig>::read(config.to_string().into_bytes())?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, config.bytes()),
            "layers": [],
        });
        let manifest = Raw::<Manifest>::read(manifest.to_string().into_bytes())?;
        Self::new(manifest, config)
    }

    /// Returns this image with another run config, whole, and its author.
    pub(crate) fn with_run_config(
        &self,
        run: &Map<String, Value>,
        author: Option<&str>,
    ) -> Result<Self, ManifestError> {
        let mut config = self.config().json();
        root(&mut config).insert("config".to_owned(), Value::Object(run.clone()));
        if let Some(author) = author {
            root(&mut config).insert("author".to_owned(), json!(author));
        }
        let layers = self
            .layers()
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect();
        rebuild(self, &config, layers, None)
    }

    /// Returns this image without volumes, which would swallow what a step writes there.
    pub(crate) fn without_volumes(&self) -> Result<Self, ManifestError> {
        if self.config().value().config.volumes.is_empty() {
            return Ok(self.clone());
        }
        let mut config = self.config().json();
        object(&mut config, "config").remove("Volumes");
        let layers = self
            .layers()
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect();
        rebuild(self, &config, layers, None)
    }

    /// Returns this image with `change` applied and its provenance written into labels and annotations.
    pub(crate) fn with_config(
        &self,
        change: &ConfigChange,
        provenance: &Provenance,
    ) -> Result<Self, ManifestError> {
        let mut config = self.config().json();
        balance_history(&mut config, self.layers().len());
        let run = object(&mut config, "config");
        set_environment(run, &change.env);
        default_environment(run, &change.defaults);
        if let Some(entrypoint) = &change.entrypoint {
            run.insert("Entrypoint".to_owned(), json!(entrypoint));
            run.remove("Cmd");
        }
        if let Some(user) = &change.user {
            run.insert("User".to_owned(), json!(user));
        }
        let mut annotations = BTreeMap::new();
        let labels = object_in(run, "Labels");
        for (name, value) in &change.labels {
            labels.insert(name.clone(), json!(value));
        }
        if let Some(base) = &provenance.base {
            annotations.insert(BASE_NAME.to_owned(), base.reference.clone());
            annotations.insert(BASE_DIGEST.to_owned(), base.digest.to_string());
        }
        for (name, value) in &annotations {
            labels.insert(name.clone(), json!(value));
        }
        let record = serde_json::to_string(provenance).expect("the record is plain data");
        labels.insert(PROVENANCE_LABEL.to_owned(), json!(record));
        let layers = self
            .layers()
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect();
        rebuild(self, &config, layers, Some(annotations))
    }
}

impl Provenance {
    /// Reads the record that an image's label carries; a damaged or newer one counts as none.
    pub fn of(config: &ImageConfig) -> Option<Self> {
        let label = config.config.labels.get(PROVENANCE_LABEL)?;
        let provenance: Self = serde_json::from_str(label).ok()?;
        (provenance.v == 1).then_some(provenance)
    }
}

fn rebuild(
    below: &Image,
    config: &Value,
    layers: Vec<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
) -> Result<Image, ManifestError> {
    let config_bytes = serde_json::to_vec(config).expect("a JSON value is serialisable");
    let config_descriptor = Descriptor::of(media_type::OCI_CONFIG, &config_bytes);
    let mut manifest = below.manifest().json();
    let root = root(&mut manifest);
    // One family of media types throughout: Podman refuses a mixture.
    root.insert("mediaType".to_owned(), json!(media_type::OCI_MANIFEST));
    root.insert("config".to_owned(), json!(config_descriptor));
    let layers: Vec<Descriptor> = layers
        .into_iter()
        .map(|mut layer| {
            layer.media_type = media_type::to_oci(&layer.media_type).to_owned();
            layer
        })
        .collect();
    root.insert("layers".to_owned(), json!(layers));
    if let Some(annotations) = annotations {
        // The base's own annotations describe the base (its title, its revision), not what is built on it.
        root.insert("annotations".to_owned(), json!(annotations));
    }
    let bytes = serde_json::to_vec(&manifest).expect("a JSON value is serialisable");
    Image::new(
        Raw::<Manifest>::read(bytes)?,
        Raw::<ImageConfig>::read(config_bytes)?,
    )
}

/// Returns the map at the top; both documents were parsed as objects.
fn root(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("the document is an object")
}

fn object<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    object_in(root(value), key)
}

/// Returns the map under `key`; what is there and is no map (`null`) is replaced.
fn object_in<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = map.entry(key).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("it was made one just now")
}

fn list<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let slot = map.entry(key).or_insert(Value::Null);
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut().expect("it was made one just now")
}

/// Gives every layer its history line: history is optional and often wrong (OCI image-spec config.md).
fn balance_history(config: &mut Value, layers: usize) {
    let history = list(root(config), "history");
    let is_layer = |line: &Value| line.get("empty_layer") != Some(&Value::Bool(true));
    let lines = history.iter().filter(|line| is_layer(line)).count();
    if lines > layers {
        history.clear();
    }
    let lines = history.iter().filter(|line| is_layer(line)).count();
    for _ in lines..layers {
        history.push(json!({ "comment": "no history" }));
    }
}

fn history_line(label: &LabelRecord) -> Value {
    let mut created_by = format!("aicage {}", label.origin);
    if let Some(script) = &label.script {
        created_by.push_str(" # ");
        created_by.push_str(&script.to_string());
    }
    json!({ "created_by": created_by, "comment": "io.github.aicage" })
}

fn layer_annotations(label: &LabelRecord) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let mut put = |name: &str, value: String| {
        annotations.insert(format!("io.github.aicage.layer.{name}"), value);
    };
    put("kind", label.origin.kind.to_string());
    put("id", label.origin.id.clone());
    if let Some(version) = &label.origin.version {
        put("version", version.clone());
    }
    if let Some(script) = &label.script {
        put("script", script.to_string());
    }
    annotations
}

fn default_environment(run: &mut Map<String, Value>, defaults: &BTreeMap<String, String>) {
    let env = list(run, "Env");
    for (name, value) in defaults {
        let has = env
            .iter()
            .filter_map(Value::as_str)
            .any(|line| line.split('=').next() == Some(name));
        if !has {
            env.push(json!(format!("{name}={value}")));
        }
    }
}

fn set_environment(run: &mut Map<String, Value>, change: &BTreeMap<String, String>) {
    let env = list(run, "Env");
    for (name, value) in change {
        let line = json!(format!("{name}={value}"));
        let same = env.iter_mut().find(|old| {
            old.as_str()
                .and_then(|old| old.split_once('='))
                .is_some_and(|(old, _)| old == name)
        });
        match same {
            Some(old) => *old = line,
            None => env.push(line),
        }
    }
}
