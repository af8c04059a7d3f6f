//! JSON schemas of every file that a user may write, and of what programs read of ours, generated from the types that read them.

use schemars::{Schema, schema_for};

use crate::{
    definition::{agent::AgentFile, base::BaseFile, extension::ExtensionFile},
    doctor::finding::Report,
    extended_image::ExtendedImage,
    matrix::State,
    settings::Config,
    trust::TeamFile,
};

/// Returns each schema with the name of its file in `schemas/`.
pub fn all() -> [(&'static str, Schema); 8] {
    [
        ("agent.schema.json", schema_for!(AgentFile)),
        ("base.schema.json", schema_for!(BaseFile)),
        ("extension.schema.json", schema_for!(ExtensionFile)),
        ("image-extended.schema.json", schema_for!(ExtendedImage)),
        ("config.schema.json", schema_for!(Config)),
        ("team.schema.json", schema_for!(TeamFile)),
        ("matrix-state.schema.json", schema_for!(State)),
        ("doctor.schema.json", schema_for!(Report)),
    ]
}
