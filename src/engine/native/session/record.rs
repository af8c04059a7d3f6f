//! What is written down of a session, for whoever comes later.
//!
//! Format: `state.json` in the session's directory, written whole under another name and renamed.

use std::{collections::BTreeMap, io, path::Path};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde::{Deserialize, Serialize};

use crate::engine::native::cage::{Confinement, Limit};

/// Its name in the directory.
const FILE: &str = "state.json";
/// Longest record that is read: an environment has at most some hundred kilobytes.
const LONGEST: u64 = 8 << 20;

/// What is known of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// A number that no other session has.
    pub(super) id: String,
    /// The image's name.
    pub(super) image: String,
    /// When it was created, in seconds since 1970.
    pub(super) created: i64,
    /// Labels, with agent, project and who started it.
    pub(super) labels: BTreeMap<String, String>,
    /// The first process' program and arguments.
    pub(super) command: Vec<String>,
    /// The first process' variables.
    pub(super) env: BTreeMap<String, String>,
    /// As whom the first process runs, inside.
    pub(super) user: (u32, u32),
    /// Groups besides the first that all its programs have.
    #[serde(default)]
    pub(super) groups: Vec<u32>,
    /// Whether it has a terminal.
    pub(super) terminal: bool,
    /// Whether what it prints is kept.
    pub(super) log: bool,
    /// Whether it stays when it has ended.
    pub(super) kept: bool,
    /// What it is kept from, and so is whatever joins it.
    pub(super) confinement: Confinement,
    /// The limits of its processes.
    pub(super) limits: Vec<Limit>,
    /// Its first process, once it runs.
    pub(super) process: Option<Process>,
    /// How it ended, if it has.
    pub(super) ended: Option<Ended>,
}

/// A process of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine::native) struct Process {
    /// Its number.
    pub(in crate::engine::native) pid: i32,
    /// When it began, by which it is told from others that had or get the number.
    pub(in crate::engine::native) start: u64,
}

/// The end of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    /// Its exit status; unknown where nobody was left to see it.
    pub(super) status: Option<i32>,
    /// When, RFC 3339.
    pub(super) at: String,
}

impl Record {
    /// Reads the record of a directory.
    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        use io::Read as _;
        let mut text = Vec::new();
        let file = fs_err::File::open(directory.join(FILE))?;
        file.take(LONGEST).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Writes it; whoever reads sees the old one or the new one.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let next = directory.join(format!("{FILE}.new"));
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        serde_json::to_writer(options.open(&next)?, self)?;
        fs_err::rename(next, directory.join(FILE))
    }
}

impl Process {
    /// Names a process that runs.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let start = start_of(pid)?;
        Some(Self { pid, start })
    }

    /// Tells whether it still is the one that was meant.
    pub(in crate::engine::native) fn is_there(self) -> bool {
        start_of(self.pid) == Some(self.start)
    }
}

/// Reads field 22 of `/proc/PID/stat`, counted after the name, which may hold anything.
fn start_of(pid: i32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}
