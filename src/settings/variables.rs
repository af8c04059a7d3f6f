//! Settings from the environment: `AICAGE_` and the key in capitals, `_` for `.`, such as `AICAGE_UPDATE_POLICY`.
//!
//! Invariant: an empty variable sets nothing; a variable whose name is nearly that of a setting is told, so that a
//! misspelt one is not silently without effect.

use std::ffi::OsString;

use super::{
    Origin, SettingsError, keys,
    layers::{Layer, has_relative_path},
};

/// Variables that mean something else: ours, and those of the contract with images, which are set where aicage runs in
/// one of its own containers.
pub(super) const TAKEN: [&str; 11] = [
    "AICAGE_ENABLE_OSC52_CLIPBOARD",
    "AICAGE_ENTRYPOINT_CMD",
    "AICAGE_GID",
    "AICAGE_HOME",
    "AICAGE_HOST_USER",
    "AICAGE_LOG",
    "AICAGE_MOUNT_HOME",
    "AICAGE_SYSTEM_CONFIG",
    "AICAGE_UID",
    "AICAGE_USERNAME",
    "AICAGE_WORKSPACE",
];

/// Reads settings of variables, whose paths are whole; what is probably misspelt comes back in words.
pub(super) fn layer(
    variables: &[(String, OsString)],
) -> Result<(Layer, Vec<String>), SettingsError> {
    let mut layer = Layer::default();
    let mut warnings = Vec::new();
    for (name, value) in variables {
        if TAKEN.contains(&name.as_str()) || value.is_empty() {
            continue;
        }
        let Some(key) = keys::all().iter().find(|key| key.variable() == *name) else {
            let near = keys::all()
                .iter()
                .map(keys::Key::variable)
                .find(|known| strsim::osa_distance(known, name) <= 2);
            if let Some(near) = near {
                warnings.push(format!(
                    "the variable `{name}` sets nothing; did you mean `{near}`?"
                ));
            }
            continue;
        };
        let refused = |reason: String| SettingsError::Variable {
            name: name.clone(),
            reason,
        };
        let text = value
            .to_str()
            .ok_or_else(|| refused("it is not UTF-8 text".to_owned()))?;
        let value = key.value_of_text(text).map_err(refused)?;
        if has_relative_path(&key.name, &value) {
            let reason = "its path depends on where the program is started; write the whole path";
            return Err(refused(reason.to_owned()));
        }
        let origin = Origin::Variable(name.clone());
        layer.set(&key.name, value, origin).map_err(refused)?;
    }
    Ok((layer, warnings))
}
