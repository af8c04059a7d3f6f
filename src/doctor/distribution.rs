//! How this machine's distribution has what is missing: the command to type, or where it is not known, what to look for.

use std::path::Path;

use crate::small_file::{self, SmallFile};

/// Where a distribution says which one it is; see os-release(5).
const NAMES: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
const LIMIT: u64 = 64 << 10;

/// A family of distributions, whose packages are called alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Distribution {
    /// Debian, Ubuntu and what is made of them.
    Debian,
    /// Fedora and Red Hat's.
    Fedora,
    /// Arch.
    Arch,
    /// Alpine.
    Alpine,
    /// openSUSE and SUSE's own.
    Suse,
    /// Any other, and what is no Linux.
    #[default]
    Other,
}

impl Distribution {
    /// Finds out which one this is.
    pub(super) fn here() -> Self {
        let read = |name| match small_file::read(Path::new(name), LIMIT) {
            Ok(SmallFile::Content(bytes)) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        };
        let text = NAMES.into_iter().find_map(read);
        Self::of(&text.unwrap_or_default())
    }

    /// Reads what a distribution says of itself: its name, else those of what it is like.
    fn of(text: &str) -> Self {
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            // As in a shell, the last one counts.
            let value = lines.rfind(|(name, _)| *name == key);
            value.map_or("", |(_, value)| value.trim().trim_matches(['"', '\'']))
        };
        let names = value("ID").split(' ').chain(value("ID_LIKE").split(' '));
        let mut families = names.map(|name| match name {
            "debian" | "ubuntu" => Self::Debian,
            "fedora" | "rhel" | "centos" => Self::Fedora,
            "arch" => Self::Arch,
            "alpine" => Self::Alpine,
            "suse" | "sles" => Self::Suse,
            name if name.starts_with("opensuse") => Self::Suse,
            _ => Self::Other,
        });
        let known = families.find(|family| *family != Self::Other);
        known.unwrap_or_default()
    }

    /// How `newuidmap` and `newgidmap` are had.
    pub(super) fn id_tools(self) -> &'static str {
        match self {
            Self::Debian => "sudo apt-get install uidmap",
            Self::Fedora => "sudo dnf install shadow-utils",
            Self::Arch => "sudo pacman -S shadow",
            Self::Alpine => "sudo apk add shadow-subids || sudo apk add shadow-uidmap",
            Self::Suse => "sudo zypper install shadow",
            Self::Other => {
                "install the package of your distribution that has `newuidmap`: mostly `uidmap` or `shadow`"
            }
        }
    }

    /// How an engine is had.
    pub(super) fn engine(self) -> &'static str {
        match self {
            Self::Debian => "sudo apt-get install docker.io",
            Self::Fedora => {
                "sudo dnf install podman && systemctl --user enable --now podman.socket"
            }
            Self::Arch => "sudo pacman -S docker",
            Self::Alpine => "sudo apk add docker",
            Self::Suse => "sudo zypper install docker",
            Self::Other => "install Docker (https://docs.docker.com/engine/install/) or Podman",
        }
    }

    /// How a newer engine is had.
    pub(super) fn newer_engine(self) -> &'static str {
        match self {
            Self::Debian => "sudo apt-get install --only-upgrade docker.io",
            Self::Fedora => "sudo dnf upgrade podman moby-engine",
            Self::Arch => "sudo pacman -Syu",
            Self::Alpine => "sudo apk upgrade docker podman",
            Self::Suse => "sudo zypper update docker podman",
            Self::Other => "upgrade Docker or Podman as you installed it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_name_or_by_what_it_is_like() {
        for (text, expected) in [
            ("NAME=Debian\nID=debian\n", Distribution::Debian),
            (
                "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                Distribution::Debian,
            ),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                Distribution::Fedora,
            ),
            ("ID=manjaro\nID_LIKE=arch", Distribution::Arch),
            ("ID='alpine'\n", Distribution::Alpine),
            (
                "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n",
                Distribution::Suse,
            ),
            ("ID=nixos\n# ID=debian\n", Distribution::Other),
            ("", Distribution::Other),
        ] {
            assert_eq!(Distribution::of(text), expected, "{text}");
        }
    }

    #[test]
    fn the_command_is_that_of_the_distribution() {
        assert!(
            Distribution::Fedora
                .id_tools()
                .contains("dnf install shadow-utils")
        );
        assert!(Distribution::Arch.id_tools().contains("pacman -S shadow"));
        assert!(Distribution::Other.id_tools().contains("`newuidmap`"));
    }
}
