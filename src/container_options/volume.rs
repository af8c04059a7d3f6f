//! `--volume [SOURCE:]PATH[:OPTIONS]` and `--tmpfs PATH[:OPTIONS]`.

use std::{fmt, path::Path, str::FromStr};

use super::ValueError;

/// What one `--volume` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// A path of the machine, or the name of a volume; a new volume without a name if `None`.
    pub source: Option<String>,
    /// Where in the container.
    pub target: String,
    /// `ro`, `z` and the like.
    pub modes: Vec<String>,
}

const MODES: [&str; 18] = [
    "ro",
    "rw",
    "z",
    "Z",
    "nocopy",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "consistent",
    "cached",
    "delegated",
    "default",
    "U",
    "exec",
    "noexec",
];

impl FromStr for Volume {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |what: String| ValueError {
            what,
            expected: "`SOURCE:PATH[:ro]` with a path of this machine or a volume's name; `--mount` takes paths with a colon",
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, modes) = match parts.as_slice() {
            [target] => (None, *target, ""),
            [source, target] => (Some(*source), *target, ""),
            [source, target, modes] => (Some(*source), *target, *modes),
            _ => return Err(wrong(format!("`{text}` has more than two colons"))),
        };
        if source == Some("") {
            return Err(wrong("there is nothing before the colon".to_owned()));
        }
        if !target.starts_with('/') {
            return Err(wrong(format!(
                "`{target}` is no absolute path in the container"
            )));
        }
        if Path::new(target).components().count() < 2 {
            return Err(wrong("nothing can be mounted over `/`".to_owned()));
        }
        let modes: Vec<String> = modes
            .split(',')
            .filter(|_| parts.len() == 3)
            .map(str::to_owned)
            .collect();
        if let Some(mode) = modes.iter().find(|mode| !MODES.contains(&mode.as_str())) {
            return Err(wrong(format!("`{mode}` is no option of a volume")));
        }
        if modes.iter().any(|mode| mode == "ro") && modes.iter().any(|mode| mode == "rw") {
            return Err(wrong("it cannot be both `ro` and `rw`".to_owned()));
        }
        let volume = Self {
            source: source.map(str::to_owned),
            target: target.to_owned(),
            modes,
        };
        if let Some(source) = &volume.source
            && !volume.is_bind()
            && !super::naming::is_name(source)
        {
            return Err(wrong(format!(
                "`{source}` is no name of a volume, and no path: that begins with `/`, `./` or `~/`"
            )));
        }
        Ok(volume)
    }
}

/// Tells whether a source is a path of the machine, and no name.
pub fn is_path(source: &str) -> bool {
    source.starts_with(['/', '.', '~'])
}

impl Volume {
    /// Tells whether it is a path of the machine.
    pub fn is_bind(&self) -> bool {
        self.source.as_deref().is_some_and(is_path)
    }

    /// Tells whether it can be changed from inside.
    pub fn is_writable(&self) -> bool {
        !self.modes.iter().any(|mode| mode == "ro")
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}:")?;
        }
        f.write_str(&self.target)?;
        if self.modes.is_empty() {
            return Ok(());
        }
        write!(f, ":{}", self.modes.join(","))
    }
}

/// A file system in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where in the container.
    pub target: String,
    /// `size=64m,mode=1777` and the like, as the kernel takes them.
    pub options: String,
}

impl FromStr for Tmpfs {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        if !target.starts_with('/') || Path::new(target).components().count() < 2 {
            return Err(ValueError {
                what: format!("`{target}` is no absolute path in the container"),
                expected: "`PATH[:OPTIONS]`, such as `/tmp:size=64m,mode=1777`",
            });
        }
        Ok(Self {
            target: target.to_owned(),
            options: options.to_owned(),
        })
    }
}

impl fmt::Display for Tmpfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.target)?;
        if self.options.is_empty() {
            return Ok(());
        }
        write!(f, ":{}", self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_as_docker_reads_them() {
        for (text, source, target, modes) in [
            ("/a:/b", Some("/a"), "/b", ""),
            ("/a:/b:ro", Some("/a"), "/b", "ro"),
            ("/a b,c:/b:ro,z", Some("/a b,c"), "/b", "ro,z"),
            ("./a:/b", Some("./a"), "/b", ""),
            ("~/a:/b", Some("~/a"), "/b", ""),
            ("cache:/b", Some("cache"), "/b", ""),
            ("/b", None, "/b", ""),
        ] {
            let volume: Volume = text.parse().unwrap();
            assert_eq!(
                (
                    volume.source.as_deref(),
                    volume.target.as_str(),
                    volume.modes.join(",").as_str()
                ),
                (source, target, modes),
                "{text}"
            );
            assert_eq!(volume.to_string(), text);
        }
        for text in [
            "",
            ":/b",
            "/a:b",
            "/a:/b:xx",
            "/a:/b:ro,rw",
            "/a:/b:ro:z",
            "a b:/c",
            "/a:/",
            "a/b:/c",
            "/a:/b:",
        ] {
            assert!(text.parse::<Volume>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_tmpfs_is_at_an_absolute_path() {
        let tmpfs: Tmpfs = "/tmp:size=64m,mode=1777".parse().unwrap();
        assert_eq!(tmpfs.to_string(), "/tmp:size=64m,mode=1777");
        for text in ["", "tmp", "/", ":size=1m"] {
            assert!(text.parse::<Tmpfs>().is_err(), "{text}");
        }
    }
}
