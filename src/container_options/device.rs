//! Devices of the machine, graphics processors among them.

use std::{fmt, str::FromStr};

use super::{ValueError, csv};

/// What one `--device` says: `PATH[:PATH INSIDE][:rwm]`, or the name of a device that a vendor describes (CDI).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A device file of the machine.
    File {
        /// Which.
        source: String,
        /// Where in the container.
        target: String,
        /// What is allowed: reading, writing, making.
        permissions: String,
    },
    /// `vendor.example/class=name`.
    Described(String),
}

fn is_permissions(text: &str) -> bool {
    let mut seen = String::new();
    for character in text.chars() {
        if !"rwm".contains(character) || seen.contains(character) {
            return false;
        }
        seen.push(character);
    }
    !text.is_empty()
}

impl FromStr for Device {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |what: String| ValueError {
            what,
            expected: "`PATH[:PATH INSIDE][:rwm]`, such as `/dev/dri`, or `vendor.example/class=name`",
        };
        if !text.starts_with('/')
            && let Some((kind, name)) = text.split_once('=')
            && kind.contains('/')
            && !name.is_empty()
        {
            return Ok(Self::Described(text.to_owned()));
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, permissions) = match parts.as_slice() {
            [source] => (*source, *source, "rwm"),
            [source, permissions] if is_permissions(permissions) => {
                (*source, *source, *permissions)
            }
            [source, target] => (*source, *target, "rwm"),
            [source, target, permissions] => (*source, *target, *permissions),
            _ => return Err(wrong(format!("`{text}` has more than two colons"))),
        };
        for path in [source, target] {
            if !path.starts_with('/') {
                return Err(wrong(format!("`{path}` is no absolute path")));
            }
        }
        if !is_permissions(permissions) {
            return Err(wrong(format!(
                "`{permissions}` is none of `r`, `w` and `m`, or several of them"
            )));
        }
        Ok(Self::File {
            source: source.to_owned(),
            target: target.to_owned(),
            permissions: permissions.to_owned(),
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                source,
                target,
                permissions,
            } => write!(f, "{source}:{target}:{permissions}"),
            Self::Described(name) => f.write_str(name),
        }
    }
}

/// What `--gpus` says: `all`, a number, or `device=0,capabilities=…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus {
    text: String,
    /// How many, -1 for all; 0 where devices are named.
    pub count: i64,
    /// Which.
    pub devices: Vec<String>,
    /// Whose; the engine's choice if empty.
    pub driver: String,
    /// What they must be able to do.
    pub capabilities: Vec<String>,
}

impl FromStr for Gpus {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |what: String| ValueError {
            what,
            expected: "`all`, a number, or `device=0`; two of them as `\"device=0,1\"`, with the quotes",
        };
        let mut gpus = Self {
            text: text.to_owned(),
            count: 0,
            devices: Vec::new(),
            driver: String::new(),
            capabilities: vec!["gpu".to_owned()],
        };
        let list = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
        for (key, value) in csv::pairs(text)? {
            let (key, value) = match value {
                Some(value) => (key, value),
                None => ("count".to_owned(), key),
            };
            match key.as_str() {
                "count" if value == "all" => gpus.count = -1,
                "count" => {
                    gpus.count =
                        value
                            .parse()
                            .ok()
                            .filter(|&count| count > 0)
                            .ok_or_else(|| {
                                wrong(format!("`{value}` is no number of graphics processors"))
                            })?;
                }
                "device" => gpus.devices = list(&value),
                "driver" => gpus.driver = value,
                "capabilities" => {
                    gpus.capabilities = list(&value);
                    gpus.capabilities.push("gpu".to_owned());
                }
                _ => return Err(wrong(format!("`{key}` is not known"))),
            }
        }
        match (gpus.count, gpus.devices.is_empty()) {
            (0, true) => gpus.count = 1,
            (0, false) | (_, true) => {}
            (_, false) => return Err(wrong("both a number and devices are named".to_owned())),
        }
        Ok(gpus)
    }
}

impl fmt::Display for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_docker_reads_them() {
        for (text, shown) in [
            ("/dev/fuse", "/dev/fuse:/dev/fuse:rwm"),
            ("/dev/fuse:r", "/dev/fuse:/dev/fuse:r"),
            ("/dev/a:/dev/b", "/dev/a:/dev/b:rwm"),
            ("/dev/a:/dev/b:rw", "/dev/a:/dev/b:rw"),
            ("nvidia.com/gpu=all", "nvidia.com/gpu=all"),
        ] {
            assert_eq!(
                text.parse::<Device>().map(|it| it.to_string()),
                Ok(shown.to_owned())
            );
        }
        for text in [
            "",
            "fuse",
            "/dev/a:x",
            "/dev/a:/dev/b:q",
            "/dev/a:/dev/b:rr",
            "/a:/b:r:w",
        ] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }

    #[test]
    fn graphics_processors_are_counted_or_named() {
        let read = |text: &str| {
            text.parse::<Gpus>()
                .map(|it| (it.count, it.devices.join("+"), it.capabilities.join("+")))
        };
        assert_eq!(read("all"), Ok((-1, String::new(), "gpu".to_owned())));
        assert_eq!(read("2"), Ok((2, String::new(), "gpu".to_owned())));
        assert_eq!(
            read("device=GPU-3a"),
            Ok((0, "GPU-3a".to_owned(), "gpu".to_owned()))
        );
        assert_eq!(
            read("\"device=0,1\",capabilities=utility"),
            Ok((0, "0+1".to_owned(), "utility+gpu".to_owned()))
        );
        for text in ["", "some", "0", "-1", "2,device=0", "colour=red"] {
            assert!(text.parse::<Gpus>().is_err(), "{text}");
        }
    }
}
