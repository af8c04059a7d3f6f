//! Image references: what a user types, and the same with a digest that pins it.
//!
//! Invariant: a parsed reference has a registry, a repository that the distribution spec allows, and a tag or a
//! digest; its `Display` is canonical (`docker.io/library/debian:stable`), `familiar` is what Docker would print.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The registry that a name without one belongs to.
pub const DOCKER_HUB: &str = "docker.io";

/// A name of an image: registry, repository, and a tag or a digest or both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A reference whose digest is known: the only kind that building takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinnedReference {
    reference: ImageReference,
    digest: Digest,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct ReferenceError {
    /// What was found, cut to 200 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl ImageReference {
    /// Returns the registry's host, with its port if it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository, without the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if the reference has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if the reference has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns what stands after the repository in a manifest request: the digest if there is one, else the tag.
    pub fn tag_or_digest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// Pins this name to `digest`, keeping the tag for people.
    #[must_use]
    pub fn pin(&self, digest: Digest) -> PinnedReference {
        PinnedReference {
            reference: self.clone(),
            digest,
        }
    }

    /// Returns the short form that Docker prints and takes: no `docker.io/`, no `library/`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let hub = full.strip_prefix("docker.io/").unwrap_or(&full);
        hub.strip_prefix("library/").unwrap_or(hub).to_owned()
    }
}

impl PinnedReference {
    /// Returns the name, with the tag it was resolved from.
    pub fn reference(&self) -> &ImageReference {
        &self.reference
    }

    /// Returns the digest of the manifest or index.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PinnedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImageReference {
            registry,
            repository,
            tag,
            digest: _,
        } = &self.reference;
        write!(f, "{registry}/{repository}")?;
        if let Some(tag) = tag {
            write!(f, ":{tag}")?;
        }
        write!(f, "@{}", self.digest)
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = |reason| ReferenceError {
            text: text.chars().take(200).collect(),
            reason,
        };
        if text.len() > 1024 {
            return Err(error("it is longer than 1024 bytes"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|_digest_error| error("what stands after `@` is not a digest"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag {
            check_tag(tag).map_err(error)?;
        }
        let (registry, repository) = split_registry(name);
        check_registry(&registry).map_err(error)?;
        check_repository(&repository).map_err(error)?;
        let tag = match (tag, &digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        Ok(Self {
            registry,
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// The first part is a registry when it looks like a host (distribution `reference/normalize.go`).
fn split_registry(name: &str) -> (String, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (DOCKER_HUB, name),
    };
    let registry = match registry {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        other => other,
    };
    if registry == DOCKER_HUB && !repository.contains('/') {
        return (registry.to_owned(), format!("library/{repository}"));
    }
    (registry.to_owned(), repository.to_owned())
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    let (host, port) = match registry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, port)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("the registry's address is not IPv6");
            }
            ("v6", port.strip_prefix(':'))
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !host.split('.').all(label) {
        return Err("the registry is not a host name");
    }
    match port {
        Some(port) if port.parse::<u16>().is_err() => Err("the registry's port is not a number"),
        _ => Ok(()),
    }
}

fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.is_empty() {
        return Err("it names no repository");
    }
    if repository.len() > 255 {
        return Err("the repository is longer than 255 bytes");
    }
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("a repository is lower case");
    }
    if repository.split('/').all(is_path_component) {
        Ok(())
    } else {
        Err("a part of the repository is not `[a-z0-9]` with single `.`, `_`, `__` or `-` between")
    }
}

fn is_path_component(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    if !ends.is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last)) {
        return false;
    }
    bytes
        .split(|byte| alphanumeric(*byte))
        .all(|separator| match separator {
            b"" | b"." | b"_" | b"__" => true,
            dashes => dashes.iter().all(|byte| *byte == b'-'),
        })
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    if bytes.len() > 128 {
        return Err("the tag is longer than 128 bytes");
    }
    match bytes.split_first() {
        Some((first, rest))
            if word(*first) && rest.iter().all(|b| word(*b) || *b == b'.' || *b == b'-') =>
        {
            Ok(())
        }
        _ => Err("the tag is not letters, digits, `_`, `.` and `-`"),
    }
}

impl Serialize for ImageReference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageReference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, canonical: &str, familiar: &str) {
        let reference: ImageReference = text.parse().unwrap();
        assert_eq!(reference.to_string(), canonical);
        assert_eq!(reference.familiar(), familiar);
        assert_eq!(canonical.parse(), Ok(reference));
    }

    #[test]
    fn a_reference_is_normalised_as_docker_does() {
        check("debian", "docker.io/library/debian:latest", "debian:latest");
        check(
            "index.docker.io/debian:stable",
            "docker.io/library/debian:stable",
            "debian:stable",
        );
        check(
            "aicage:codex-debian",
            "docker.io/library/aicage:codex-debian",
            "aicage:codex-debian",
        );
        check(
            "localhost/x__y/z-.9:V1".replace("-.", "--").as_str(),
            "localhost/x__y/z--9:V1",
            "localhost/x__y/z--9:V1",
        );
        check(
            "127.0.0.1:5000/a",
            "127.0.0.1:5000/a:latest",
            "127.0.0.1:5000/a:latest",
        );
        check("[::1]:5000/a:b", "[::1]:5000/a:b", "[::1]:5000/a:b");
    }

    #[test]
    fn what_is_not_a_reference_is_refused_with_the_reason() {
        for bad in [
            "",
            ":",
            "a:",
            "A",
            "a//b",
            "../x",
            "a/../b",
            "a b",
            "a:b c",
            "a@sha256:12",
            "-a",
            "a.-b/c",
            "host:99999/x",
            "http://x/y",
            "a\n",
            "ü",
            "host.example/",
            "a:-x",
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(2000).parse::<ImageReference>().is_err());
    }
}
