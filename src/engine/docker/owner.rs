//! Who made a throwaway container or name, so that what a crash left behind can be told from what is in use.
//!
//! An owner is a process: `BOOT-NAMESPACE-PID-START`, where `BOOT` is the beginning of the machine's boot id,
//! `NAMESPACE` its pid namespace and `START` when it began. Elsewhere than on Linux all but the pid are 0.

use std::fmt;

/// A process of this or another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    boot: String,
    namespace: u64,
    pid: u32,
    start: u64,
}

impl Owner {
    /// Names this process.
    pub(crate) fn this_process() -> Self {
        let pid = std::process::id();
        Self {
            boot: boot(),
            namespace: namespace(),
            pid,
            start: start_of(pid).unwrap_or_default(),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '-');
        let owner = Self {
            boot: parts.next()?.to_owned(),
            namespace: parts.next()?.parse().ok()?,
            pid: parts.next()?.parse().ok()?,
            start: parts.next()?.parse().ok()?,
        };
        Some(owner)
    }

    /// Tells whether the process is certainly gone. Of another machine or namespace we know nothing.
    pub(crate) fn is_gone(&self) -> bool {
        self.boot == boot()
            && self.namespace == namespace()
            && cfg!(target_os = "linux")
            && start_of(self.pid) != Some(self.start)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            boot,
            namespace,
            pid,
            start,
        } = self;
        write!(f, "{boot}-{namespace}-{pid}-{start}")
    }
}

fn boot() -> String {
    let id = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id: String = id.chars().take_while(|c| *c != '-').collect();
    if id.is_empty() { "0".to_owned() } else { id }
}

/// Reads the number out of `pid:[4026531836]`.
fn namespace() -> u64 {
    let link = fs_err::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = link.to_string_lossy();
    let digits = text.trim_start_matches("pid:[").trim_end_matches(']');
    digits.parse().unwrap_or_default()
}

/// Reads field 22 of `/proc/PID/stat`, counted after the name, which may hold anything.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_is_not_gone_and_one_that_never_was_is() {
        let ours = Owner::this_process();
        assert_eq!(Owner::parse(&ours.to_string()), Some(ours.clone()));
        assert!(!ours.is_gone(), "we are running");
        let mut reused = ours.clone();
        reused.start += 1;
        let mut elsewhere = reused.clone();
        elsewhere.boot = "ffffffff".to_owned();
        if cfg!(target_os = "linux") {
            assert!(
                reused.is_gone(),
                "a pid that was given to another process is gone"
            );
        }
        assert!(!elsewhere.is_gone(), "of another machine we know nothing");
        assert_eq!(Owner::parse("latest"), None);
    }
}
