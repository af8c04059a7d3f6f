//! The kinds of access to this machine beyond the project, and how much of one is given.
//!
//! Format: a kind's name is its key under `mounts` in a project's file, and the word after `--allow` and `--deny`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use clap::ValueEnum;

/// A kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Git's own configuration of the user, with what it includes and names.
    GitConfig,
    /// The repository that the project is in or belongs to, as far as it is outside the project.
    GitRoot,
    /// The files of a repository that make git run programs: its hooks and its configuration.
    GitHooks,
    /// Signing with the keys of the user's gpg agent.
    GnuPg,
    /// The keys of the user's SSH agent.
    SshAgent,
    /// The user's SSH directory with the private keys.
    Ssh,
    /// The engine's socket, which is as good as root on this machine.
    Docker,
}

/// How much of a kind is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Nothing.
    Nothing,
    /// To be read; only the repository knows a difference.
    Read,
    /// All that the kind is.
    Full,
}

/// What `--git` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// A kind with how much of it is wished for, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What.
    pub kind: Kind,
    /// How much.
    pub grant: Grant,
}

/// A word that names no kind of access.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// There is no such kind.
    #[error("there is no kind of access `{word}`; there are {}", names())]
    Unknown {
        /// The word.
        word: String,
    },
    /// It cannot be given for reading only.
    #[error("`{kind}` cannot be given read only; only `gitroot` can")]
    NotReadable {
        /// The kind.
        kind: Kind,
    },
}

impl Kind {
    /// All kinds, in the order in which they are spoken of.
    pub const ALL: [Self; 7] = [
        Self::GitConfig,
        Self::GitRoot,
        Self::GitHooks,
        Self::GnuPg,
        Self::SshAgent,
        Self::Ssh,
        Self::Docker,
    ];

    /// Returns its name, which is its key in a project's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::GitConfig => "gitconfig",
            Self::GitRoot => "gitroot",
            Self::GitHooks => "githooks",
            Self::GnuPg => "gnupg",
            Self::SshAgent => "sshagent",
            Self::Ssh => "ssh",
            Self::Docker => "docker",
        }
    }

    /// Refuses what is no key under `mounts`; of the words for a kind only its name is one.
    pub fn check_key(key: &str) -> Result<(), KindError> {
        let is_known = key == WRITE || Self::ALL.iter().any(|kind| kind.name() == key);
        let unknown = || KindError::Unknown {
            word: key.to_owned(),
        };
        is_known.then_some(()).ok_or_else(unknown)
    }

    /// Returns what `--git` means by it: all that git can make use of, but for what has to be named.
    pub fn by_git(self, switch: Switch) -> Option<Grant> {
        match self {
            Self::GitConfig | Self::GitRoot | Self::GnuPg | Self::SshAgent => Some(match switch {
                Switch::On => Grant::Full,
                Switch::Off => Grant::Nothing,
            }),
            Self::Ssh => (switch == Switch::Off).then_some(Grant::Nothing),
            Self::GitHooks | Self::Docker => None,
        }
    }

    /// Reads what is stored of it. `gitroot: true` of the Python program means that it can be written to.
    pub fn stored(self, mounts: &BTreeMap<String, bool>) -> Option<Grant> {
        let whole = mounts.get(self.name()).copied();
        let written = mounts.get(WRITE).copied();
        match (self, whole, written) {
            (_, Some(false), _) => Some(Grant::Nothing),
            (Self::GitRoot, _, Some(false)) => Some(Grant::Read),
            (Self::GitRoot, _, Some(true)) | (_, Some(true), _) => Some(Grant::Full),
            (_, None, _) => None,
        }
    }

    /// Returns the keys that store an answer; `None` is a key that is removed. The Python program, which knows no reading only,
    /// finds nothing where only that was agreed to.
    pub fn to_store(self, grant: Grant) -> Vec<(&'static str, Option<bool>)> {
        match (self, grant) {
            (Self::GitRoot, Grant::Nothing) => vec![(self.name(), Some(false)), (WRITE, None)],
            (Self::GitRoot, Grant::Read) => vec![(self.name(), None), (WRITE, Some(false))],
            (Self::GitRoot, Grant::Full) => vec![(self.name(), Some(true)), (WRITE, Some(true))],
            (_, grant) => vec![(self.name(), Some(grant != Grant::Nothing))],
        }
    }
}

/// Our own key: whether the repository can be written to.
const WRITE: &str = "gitwrite";

fn names() -> String {
    Kind::ALL.map(Kind::name).join(", ")
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(word: &str) -> Result<Self, KindError> {
        let plain: String = word
            .chars()
            .filter(|letter| !"-_".contains(*letter))
            .collect();
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == plain || plain == "gpg" && *kind == Self::GnuPg)
            .ok_or_else(|| KindError::Unknown {
                word: word.to_owned(),
            })
    }
}

impl FromStr for Wish {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        let (word, grant) = match text.strip_suffix(":ro") {
            Some(word) => (word, Grant::Read),
            None => (text, Grant::Full),
        };
        let kind: Kind = word.parse()?;
        if grant == Grant::Read && kind != Kind::GitRoot {
            return Err(KindError::NotReadable { kind });
        }
        Ok(Self { kind, grant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back_and_the_python_programs_words_count() {
        for kind in Kind::ALL {
            for grant in [Grant::Nothing, Grant::Read, Grant::Full] {
                if grant == Grant::Read && kind != Kind::GitRoot {
                    continue;
                }
                let mut mounts: BTreeMap<String, bool> = [(WRITE.to_owned(), true)].into();
                for (key, value) in kind.to_store(grant) {
                    match value {
                        Some(value) => drop(mounts.insert(key.to_owned(), value)),
                        None => drop(mounts.remove(key)),
                    }
                }
                assert_eq!(kind.stored(&mounts), Some(grant), "{kind}");
            }
            let python = |value| [(kind.name().to_owned(), value)].into();
            assert_eq!(kind.stored(&python(true)), Some(Grant::Full));
            assert_eq!(kind.stored(&python(false)), Some(Grant::Nothing));
            assert_eq!(kind.stored(&BTreeMap::new()), None);
        }
    }

    #[test]
    fn only_the_repository_can_be_given_read_only() {
        let wish = |text: &str| text.parse::<Wish>();
        assert_eq!(
            wish("gitroot:ro").unwrap(),
            Wish {
                kind: Kind::GitRoot,
                grant: Grant::Read
            }
        );
        assert_eq!(wish("ssh-agent").unwrap().kind, Kind::SshAgent);
        assert!(matches!(wish("ssh:ro"), Err(KindError::NotReadable { .. })));
        assert!(matches!(wish("all"), Err(KindError::Unknown { .. })));
    }
}
