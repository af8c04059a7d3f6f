//! Platforms: operating system, architecture and variant, and which entry of an index fits one.
//!
//! Invariant: names are Go's (`amd64`, `arm64`), as in every image; a missing variant means the architecture's usual one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an image is built for (OCI image-spec image-index.md, `platform`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Architecture, such as `amd64`.
    pub architecture: String,
    /// Variant of the architecture, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that is not `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform; expected for example `linux/amd64`")]
pub struct PlatformError {
    /// What was found.
    pub text: String,
}

impl Platform {
    /// Returns Linux on `architecture`, given in Go's or in the kernel's spelling.
    pub fn linux(architecture: &str) -> Self {
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    /// Ranks how well an image for `offered` runs here: `None` not at all, otherwise smaller is better.
    ///
    /// `arm64` is `arm64/v8`; `arm/v7` runs `v6` and `v5`; `amd64/v3` runs `v2` and plain `amd64`.
    pub fn rank(&self, offered: &Self) -> Option<u8> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let wanted = self.level();
        let level = offered.level();
        (level <= wanted).then(|| wanted - level)
    }

    /// The variant as a number; an unknown spelling counts as the usual one.
    fn level(&self) -> u8 {
        let usual = match self.architecture.as_str() {
            "arm64" => 8,
            "arm" => 7,
            _ => 1,
        };
        self.variant
            .as_deref()
            .and_then(|variant| variant.strip_prefix('v'))
            .and_then(|number| number.split('.').next())
            .and_then(|number| number.parse().ok())
            .unwrap_or(usual)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        match parts.as_slice() {
            [os, architecture, variant @ ..] if variant.len() <= 1 && parts.iter().all(word) => {
                Ok(Self {
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: variant.first().map(|variant| (*variant).to_owned()),
                })
            }
            _ => Err(PlatformError {
                text: text.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, offered: &str, rank: Option<u8>) {
        let wanted: Platform = wanted.parse().unwrap();
        assert_eq!(
            wanted.rank(&offered.parse().unwrap()),
            rank,
            "{wanted} {offered}"
        );
    }

    #[test]
    fn an_older_variant_runs_and_a_newer_one_does_not() {
        check("linux/arm64", "linux/arm64/v8", Some(0));
        check("linux/arm64/v8", "linux/arm64", Some(0));
        check("linux/arm/v7", "linux/arm/v6", Some(1));
        check("linux/arm/v6", "linux/arm/v7", None);
        check("linux/amd64", "linux/amd64/v1", Some(0));
        check("linux/amd64", "linux/amd64/v2", None);
        check("linux/amd64", "unknown/unknown", None);
        check("linux/amd64", "windows/amd64", None);
    }
}
