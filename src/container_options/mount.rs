//! `--mount type=bind,source=…,target=…`: everything that can be mounted, spelt out.

use std::{fmt, path::Path, str::FromStr};

use super::{ValueError, csv, limits::Size};

/// What one `--mount` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOption {
    /// Of what kind.
    pub kind: MountKind,
    /// A path of the machine, or the name of a volume.
    pub source: Option<String>,
    /// Where in the container.
    pub target: String,
    /// Whether it cannot be changed from inside.
    pub read_only: bool,
    /// What only one kind has, by docker's names.
    pub details: Vec<(String, String)>,
}

/// What can be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A file or directory of the machine.
    Bind,
    /// A volume of the engine.
    Volume,
    /// A file system in memory.
    Tmpfs,
}

impl MountKind {
    /// Returns docker's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
        }
    }

    const fn details(self) -> &'static [&'static str] {
        match self {
            Self::Bind => &["bind-propagation", "bind-recursive", "bind-nonrecursive"],
            Self::Volume => &[
                "volume-nocopy",
                "volume-label",
                "volume-driver",
                "volume-opt",
                "volume-subpath",
            ],
            Self::Tmpfs => &["tmpfs-size", "tmpfs-mode"],
        }
    }
}

const PROPAGATIONS: [&str; 6] = [
    "private", "rprivate", "shared", "rshared", "slave", "rslave",
];

fn wrong(what: impl Into<String>) -> ValueError {
    ValueError {
        what: what.into(),
        expected: "`type=bind,source=PATH,target=PATH[,readonly]`, or `type=volume` or `type=tmpfs`; a value with a comma as `\"source=/a,b\"`",
    }
}

impl FromStr for MountOption {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut kind = MountKind::Volume;
        let mut source = None;
        let mut target = String::new();
        let mut read_only = false;
        let mut details = Vec::new();
        for (key, value) in csv::pairs(text)? {
            let needed = || {
                value
                    .clone()
                    .ok_or_else(|| wrong(format!("`{key}` has no value")))
            };
            match key.as_str() {
                "type" => {
                    kind = match needed()?.as_str() {
                        "bind" => MountKind::Bind,
                        "volume" => MountKind::Volume,
                        "tmpfs" => MountKind::Tmpfs,
                        other => return Err(wrong(format!("`{other}` is no type of mount"))),
                    }
                }
                "source" | "src" => source = Some(needed()?),
                "target" | "dst" | "destination" => target = needed()?,
                "readonly" | "ro" => read_only = boolean(&key, value.as_deref())?,
                // Has had no meaning but on a Mac of years ago.
                "consistency" => {}
                "bind-nonrecursive" | "volume-nocopy" => {
                    let value = boolean(&key, value.as_deref())?;
                    details.push((key, value.to_string()));
                }
                _ => details.push((key.clone(), needed()?)),
            }
        }
        let mount = Self {
            kind,
            source: source.filter(|source| !source.is_empty()),
            target,
            read_only,
            details,
        };
        mount.check()?;
        Ok(mount)
    }
}

fn boolean(key: &str, value: Option<&str>) -> Result<bool, ValueError> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(wrong(format!(
            "`{key}` is neither true nor false but `{other}`"
        ))),
    }
}

impl MountOption {
    fn check(&self) -> Result<(), ValueError> {
        let word = self.kind.word();
        if !self.target.starts_with('/') || Path::new(&self.target).components().count() < 2 {
            return Err(wrong(format!(
                "the target `{}` is no absolute path in the container",
                self.target
            )));
        }
        match (self.kind, &self.source) {
            (MountKind::Bind, None) => return Err(wrong("a bind has no source")),
            (MountKind::Bind, Some(source)) if !source.starts_with(['/', '.', '~']) => {
                return Err(wrong(format!(
                    "the source `{source}` is no path: that begins with `/`, `./` or `~/`"
                )));
            }
            (MountKind::Tmpfs, Some(_)) => return Err(wrong("a tmpfs has no source")),
            (MountKind::Bind | MountKind::Volume | MountKind::Tmpfs, _) => {}
        }
        for (key, value) in &self.details {
            let known = self.kind.details();
            if !known.contains(&key.as_str()) {
                let known = known.join(", ");
                return Err(wrong(format!(
                    "`{key}` is not known for a {word}, only {known}"
                )));
            }
            let is_right = match key.as_str() {
                "bind-propagation" => PROPAGATIONS.contains(&value.as_str()),
                "bind-recursive" => {
                    ["enabled", "disabled", "writable", "readonly"].contains(&value.as_str())
                }
                "tmpfs-size" => value.parse::<Size>().is_ok(),
                "tmpfs-mode" => u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o7777),
                "volume-opt" => value.contains('='),
                _ => !value.is_empty(),
            };
            if !is_right {
                return Err(wrong(format!("`{key}` cannot be `{value}`")));
            }
        }
        Ok(())
    }

    /// Returns the last value of a detail.
    pub fn detail<'a>(&'a self, wanted: &'a str) -> Option<&'a str> {
        self.details(wanted).last()
    }

    /// Returns all values of a detail.
    pub fn details<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.details.iter().filter(move |(key, _)| key == wanted);
        all.map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for MountOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = vec![format!("type={}", self.kind.word())];
        fields.extend(self.source.iter().map(|source| format!("source={source}")));
        fields.push(format!("target={}", self.target));
        if self.read_only {
            fields.push("readonly".to_owned());
        }
        fields.extend(
            self.details
                .iter()
                .map(|(key, value)| format!("{key}={value}")),
        );
        let fields: Vec<String> = fields.iter().map(|field| csv::quote(field)).collect();
        f.write_str(&fields.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_as_docker_reads_them() {
        for (text, shown) in [
            (
                "type=bind,source=/a,target=/b",
                "type=bind,source=/a,target=/b",
            ),
            (
                "type=bind,src=/a,dst=/b,ro",
                "type=bind,source=/a,target=/b,readonly",
            ),
            (
                "type=bind,src=/a,destination=/b,readonly=false",
                "type=bind,source=/a,target=/b",
            ),
            (
                r#"type=bind,"src=/a,b",dst=/b"#,
                r#"type=bind,"source=/a,b",target=/b"#,
            ),
            (
                "type=bind,src=/a:b,dst=/c d",
                "type=bind,source=/a:b,target=/c d",
            ),
            (
                "source=cache,target=/b",
                "type=volume,source=cache,target=/b",
            ),
            ("TARGET=/b", "type=volume,target=/b"),
            (
                "type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1777",
                "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777",
            ),
            (
                "type=bind,src=./a,dst=/b,bind-propagation=rslave",
                "type=bind,source=./a,target=/b,bind-propagation=rslave",
            ),
            (
                "type=volume,dst=/b,volume-opt=a=b,volume-opt=c=d,volume-nocopy",
                "type=volume,target=/b,volume-opt=a=b,volume-opt=c=d,volume-nocopy=true",
            ),
        ] {
            let mount: MountOption = text.parse().unwrap();
            assert_eq!(mount.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(mount), "{shown}");
        }
        for text in [
            "",
            "type=bind,target=/b",
            "type=bind,source=/a",
            "type=bind,source=a,target=/b",
            "type=nfs,target=/b",
            "type=bind,source=/a,target=b",
            "type=tmpfs,source=/a,target=/b",
            "type=bind,source=/a,target=/b,colour=red",
            "type=bind,source=/a,target=/b,tmpfs-size=1m",
            "type=tmpfs,target=/b,tmpfs-size=much",
            "type=bind,source=/a,target=/",
            "type=bind,source=/a,target=/b,ro=maybe",
            "type=bind,source,target=/b",
            r#"type=bind,"source=/a,target=/b"#,
        ] {
            assert!(text.parse::<MountOption>().is_err(), "{text}");
        }
    }
}
