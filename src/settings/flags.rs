//! `--set KEY=VALUE`: one setting for one run.

use std::{fmt, path::Path, str::FromStr};

use super::{
    Origin, SettingsError, keys,
    layers::{Layer, meant_from},
};

/// What `--set` was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetOption {
    key: String,
    value: String,
}

impl SetOption {
    /// Sets `key` to `value`, for options that stand for one setting.
    pub fn new(key: &str, value: &str) -> Self {
        Self {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }
}

impl FromStr for SetOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| "it is KEY=VALUE".to_owned())?;
        Ok(Self {
            key: key.trim().to_owned(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for SetOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// Makes settings of options, typed in `directory`; of two for one key the last counts.
pub(super) fn layer(options: &[SetOption], directory: &Path) -> Result<Layer, SettingsError> {
    let mut layer = Layer::default();
    for option in options {
        let refused = |reason| SettingsError::Flag {
            key: option.key.clone(),
            reason,
        };
        let key = keys::find(&option.key).map_err(refused)?;
        let value = key.value_of_text(&option.value).map_err(refused)?;
        let value = meant_from(directory, &key.name, value);
        layer.set(&key.name, value, Origin::Flag).map_err(refused)?;
    }
    Ok(layer)
}
