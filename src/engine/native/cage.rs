//! What a cage is made of, as data: the process that makes it gets all of this and asks for nothing else.
//!
//! Paths and texts are bytes, as the system has them.

use std::ffi::OsString;

use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

/// A cage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cage {
    /// Unpacked layers, the topmost first.
    pub lowers: Vec<OsString>,
    /// The directory that says how the root itself looks: owner, mode and time.
    pub like: Option<OsString>,
    /// An empty directory for what is changed inside; it is removed at the end.
    pub scratch: OsString,
    /// How the machine is called inside.
    pub hostname: String,
    /// What of this machine is seen inside, in this order.
    pub mounts: Vec<CageMount>,
    /// Small files, kept in memory.
    pub files: Vec<CageFile>,
    /// Its network.
    pub network: CageNetwork,
    /// Whether the image's files can be changed.
    pub root: RootAccess,
    /// What it is kept from.
    pub confinement: Confinement,
    /// Limits of its processes.
    pub limits: Vec<Limit>,
    /// How large `/dev/shm` is, in bytes.
    pub shared_memory: u64,
    /// What runs in it.
    pub program: Program,
}

/// Something that is seen inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CageMount {
    /// Where; links of the image are followed within it.
    pub target: OsString,
    /// What.
    pub kind: CageMountKind,
}

/// What is seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum CageMountKind {
    /// A file or directory of this machine.
    Bind {
        /// Where it is.
        source: OsString,
        /// Whether it can be changed from inside.
        read_only: bool,
    },
    /// A directory that was filled for this cage, or a part of it; links in it lead nowhere else.
    Part {
        /// The directory.
        directory: OsString,
        /// The part; nothing for the whole.
        path: String,
        /// Whether it can be changed from inside.
        read_only: bool,
    },
    /// A directory of the cage's own, whatever is shown above it: the image's, or where that has none an empty one in
    /// memory.
    Own,
    /// A directory in memory.
    Memory {
        /// Its options, as the kernel spells them, and the flags `nosuid`, `nodev`, `noexec` and `ro`.
        options: String,
    },
}

/// A small file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CageFile {
    /// Where it is seen.
    pub target: OsString,
    /// What is in it.
    #[serde(with = "bytes")]
    pub content: Vec<u8>,
    /// Its mode.
    pub mode: u32,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CageNetwork {
    /// This machine's.
    Host,
    /// Only its own loopback.
    None,
    /// Its own, which a program outside connects: `pasta`.
    Pasta {
        /// The program.
        program: OsString,
        /// What it is told, besides which namespace it is.
        options: Vec<String>,
    },
}

/// Whether the image's files can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RootAccess {
    /// They can; the changes are the cage's own.
    ReadWrite,
    /// They cannot.
    ReadOnly,
}

/// What a cage is kept from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// Capabilities that root has inside.
    pub capabilities: Vec<String>,
    /// Whether the kernel's calls are filtered.
    pub filter: bool,
    /// Whether no program gains rights by being started.
    pub no_new_privileges: bool,
}

/// A limit of processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Limit {
    /// Its name, such as `nofile`.
    pub name: String,
    /// What counts; `None` for no limit.
    pub soft: Option<u64>,
    /// What it may be raised to; `None` for no limit.
    pub hard: Option<u64>,
}

impl Limit {
    /// Limits how many processes the user may have, to no more than is allowed here: nobody may raise what this machine gave
    /// them.
    pub(super) fn processes(most: u64) -> Self {
        let allowed = getrlimit(Resource::Nproc).maximum;
        let most = Some(allowed.map_or(most, |allowed| allowed.min(most)));
        Self {
            name: "nproc".to_owned(),
            soft: most,
            hard: most,
        }
    }
}

/// What `/dev/shm` holds unless something else is asked for: Docker's.
pub(crate) const SHARED_MEMORY: u64 = 64 << 20;

/// What runs in a cage, as its first process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it starts; made if it is not there.
    pub directory: OsString,
    /// As whom: user and group, inside.
    pub user: (u32, u32),
    /// Groups besides the first.
    pub groups: Vec<u32>,
    /// Whether it gets a terminal of its own.
    pub terminal: bool,
    /// Whether it gets the directory of changes as descriptor [`UPPER`].
    pub sees_changes: bool,
    /// Whose it is.
    pub whose: Whose,
}

/// Whose program a cage starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Whose {
    /// aicage's own, shown at a place whose name no image can know.
    Aicage,
    /// Whatever the image has at that path.
    Image,
}

/// The descriptor of the directory of changes.
pub(crate) const UPPER: i32 = 200;

/// Capabilities that root has inside unless something else is asked for: Docker's, without making devices, raw sockets
/// and writing to the audit log.
pub(crate) const CAPABILITIES: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

impl Default for Confinement {
    fn default() -> Self {
        Self {
            capabilities: CAPABILITIES.map(str::to_owned).into(),
            filter: true,
            no_new_privileges: false,
        }
    }
}

/// Bytes as base64 text: as numbers they would be four times as long.
mod bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
