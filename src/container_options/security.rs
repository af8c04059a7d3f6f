//! Capabilities and what else keeps a container in its bounds.

use std::{fmt, path::PathBuf, str::FromStr};

use super::ValueError;

/// All that Linux has (`capabilities(7)`), without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// A part of root's power, or `ALL` of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(String);

impl Capability {
    /// Tells whether it stands for every one.
    pub fn is_all(&self) -> bool {
        self.0 == "ALL"
    }
}

impl FromStr for Capability {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        if name != "ALL" && !CAPABILITIES.contains(&name) {
            return Err(ValueError {
                what: format!("Linux has no capability `{text}`"),
                expected: "a name such as `NET_ADMIN` or `SYS_PTRACE`, or `ALL`",
            });
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one `--security-opt` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecurityOption {
    /// Whether nobody inside can become more than they are, by `sudo` or the like.
    NoNewPrivileges(bool),
    /// Which system calls are allowed: `unconfined`, or `builtin`.
    Seccomp(String),
    /// The same, by a file.
    SeccompFile(PathBuf),
    /// Which parts of `/proc` and `/sys` are hidden: none.
    SystemPathsUnconfined,
    /// Others, which the engine knows: `apparmor=…`, `label=…`.
    Other(String),
}

impl FromStr for SecurityOption {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |what: String| ValueError {
            what,
            expected: "`no-new-privileges[=false]`, `seccomp=unconfined` or a file, `apparmor=PROFILE`, `label=disable` or `systempaths=unconfined`",
        };
        let (key, value) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .unwrap_or((text, ""));
        match (key, value) {
            ("no-new-privileges", "" | "true" | "1") => Ok(Self::NoNewPrivileges(true)),
            ("no-new-privileges", "false" | "0") => Ok(Self::NoNewPrivileges(false)),
            ("seccomp", "unconfined" | "builtin") => Ok(Self::Seccomp(value.to_owned())),
            ("seccomp", file) if !file.is_empty() => Ok(Self::SeccompFile(file.into())),
            ("systempaths", "unconfined") => Ok(Self::SystemPathsUnconfined),
            ("apparmor" | "label", value) if !value.is_empty() => {
                Ok(Self::Other(format!("{key}={value}")))
            }
            ("no-new-privileges" | "seccomp" | "systempaths" | "apparmor" | "label", value) => {
                Err(wrong(format!("`{key}` cannot be `{value}`")))
            }
            _ => Err(wrong(format!("`{key}` is not known"))),
        }
    }
}

impl fmt::Display for SecurityOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNewPrivileges(true) => f.write_str("no-new-privileges"),
            Self::NoNewPrivileges(false) => f.write_str("no-new-privileges=false"),
            Self::Seccomp(name) => write!(f, "seccomp={name}"),
            Self::SeccompFile(path) => write!(f, "seccomp={}", path.display()),
            Self::SystemPathsUnconfined => f.write_str("systempaths=unconfined"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The word after `--privileged=`: nobody types it by mistake.
pub const PRIVILEGED: &str = "all-of-this-machine";

/// That the container is to be no boundary at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileged(pub bool);

impl FromStr for Privileged {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            PRIVILEGED => Ok(Self(true)),
            "false" | "0" => Ok(Self(false)),
            _ => Err(ValueError {
                what:
                    "it gives the agent all of this machine, every file and device of it, as root"
                        .to_owned(),
                expected: "`--cap-add`, `--device` or `--security-opt` for what is needed, or `--privileged=all-of-this-machine`",
            }),
        }
    }
}

/// `--user`, which cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {}

impl FromStr for User {
    type Err = ValueError;

    fn from_str(_: &str) -> Result<Self, ValueError> {
        Err(ValueError {
            what: "the agent runs as you, so that what it writes belongs to you; who starts inside is aicage's to say".to_owned(),
            expected: "no `--user`; `--group-add` adds a group",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_those_of_linux_in_any_spelling() {
        for (text, name) in [
            ("SYS_PTRACE", "SYS_PTRACE"),
            ("cap_net_admin", "NET_ADMIN"),
            ("all", "ALL"),
        ] {
            assert_eq!(
                text.parse::<Capability>().map(|it| it.to_string()),
                Ok(name.to_owned())
            );
        }
        for text in ["", "CAP_", "SYS_PTRAC", "SYS PTRACE"] {
            assert!(text.parse::<Capability>().is_err(), "{text}");
        }
    }

    #[test]
    fn security_options_are_read_as_docker_reads_them() {
        for (text, shown) in [
            ("no-new-privileges", "no-new-privileges"),
            ("no-new-privileges:true", "no-new-privileges"),
            ("no-new-privileges=false", "no-new-privileges=false"),
            ("seccomp=unconfined", "seccomp=unconfined"),
            ("seccomp:unconfined", "seccomp=unconfined"),
            ("seccomp=/etc/profile.json", "seccomp=/etc/profile.json"),
            ("label=disable", "label=disable"),
            ("label:type:x_t", "label=type:x_t"),
            ("apparmor=unconfined", "apparmor=unconfined"),
            ("systempaths=unconfined", "systempaths=unconfined"),
        ] {
            assert_eq!(
                text.parse::<SecurityOption>().map(|it| it.to_string()),
                Ok(shown.to_owned())
            );
        }
        for text in [
            "",
            "seccomp",
            "label=",
            "no-new-privileges=maybe",
            "colour=red",
            "systempaths=x",
        ] {
            assert!(text.parse::<SecurityOption>().is_err(), "{text}");
        }
    }

    #[test]
    fn privileged_needs_its_word() {
        for text in ["", "true", "yes", "1"] {
            assert!(text.parse::<Privileged>().is_err(), "{text}");
        }
        assert_eq!(PRIVILEGED.parse(), Ok(Privileged(true)));
        assert_eq!("false".parse(), Ok(Privileged(false)));
    }
}
