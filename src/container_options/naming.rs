//! Names: the container's, its host's, labels.

use std::{fmt, str::FromStr};

use super::ValueError;

/// Tells whether it can name a container, a volume or a network.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// A container's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerName(String);

impl FromStr for ContainerName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.len() < 2 || !is_name(text) {
            return Err(ValueError {
                what: format!("`{text}` is no name of a container"),
                expected: "two or more letters, digits, `_`, `.` and `-`, the first a letter or digit",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that the container has for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname(String);

impl FromStr for Hostname {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if text.is_empty()
            || text.len() > 64
            || text.starts_with('-')
            || !text.bytes().all(is_right)
        {
            return Err(ValueError {
                what: format!("`{text}` is no name of a host"),
                expected: "at most 64 letters, digits, `.` and `-`",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A label: `NAME[=VALUE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Label {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let wrong = |what: String| ValueError {
            what,
            expected: "`NAME[=VALUE]`",
        };
        if name.is_empty() {
            return Err(wrong(format!("`{text}` names no label")));
        }
        if name.starts_with("io.github.aicage.") {
            return Err(wrong(format!(
                "`{name}` is one of aicage's own, by which it knows its containers"
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A setting of the kernel for the container: `net.ipv4.ip_forward=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Sysctl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let named = text.split_once('=').filter(|(name, _)| name.contains('.'));
        let (name, value) = named.ok_or_else(|| ValueError {
            what: format!("`{text}` is no setting of the kernel"),
            expected: "`NAME=VALUE`, such as `net.ipv4.ip_forward=1`",
        })?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_engines_take() {
        for text in ["ab", "a1_.-", "0x"] {
            assert!(text.parse::<ContainerName>().is_ok(), "{text}");
        }
        for text in ["", "a", "-a", "a b", "a/b", "ä1"] {
            assert!(text.parse::<ContainerName>().is_err(), "{text}");
        }
        assert!("box.example".parse::<Hostname>().is_ok());
        for text in ["", "-a", "a b", &"x".repeat(65)] {
            assert!(text.parse::<Hostname>().is_err(), "{text}");
        }
        assert_eq!(
            "a=b=c".parse::<Label>().map(|it| it.to_string()),
            Ok("a=b=c".to_owned())
        );
        assert_eq!(
            "a".parse::<Label>().map(|it| it.to_string()),
            Ok("a=".to_owned())
        );
        for text in ["", "=b", "io.github.aicage.agent=x"] {
            assert!(text.parse::<Label>().is_err(), "{text}");
        }
        assert!("net.core.somaxconn=1024".parse::<Sysctl>().is_ok());
        assert!("somaxconn".parse::<Sysctl>().is_err());
    }
}
