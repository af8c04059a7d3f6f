//! What a session's container is kept from unless somebody says otherwise.
//!
//! Invariant: each part can be switched off on its own, by an option and in `config.yml`.

use super::{
    Flags,
    security::{Capability, Privileged, SecurityOption},
};

/// What `init` needs of root's power to become the caller's user, found by taking each away: without `CHOWN`,
/// `DAC_OVERRIDE`, `SETGID` and `SETUID` no session begins, without `KILL` no signal reaches the agent. `FOWNER` is for
/// agents whose caller is root, whose package managers change files of others.
pub const CAPABILITIES: [&str; 6] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "SETGID",
    "SETUID",
];

/// What is kept from a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Whether nobody inside can become more than they are.
    pub no_new_privileges: bool,
    /// Whether root inside has only what `init` needs.
    pub drop_capabilities: bool,
    /// How many processes there may be; any number if 0 or less.
    pub pids_limit: i64,
}

impl Defaults {
    /// Lays options over the defaults: what is said there counts.
    #[must_use]
    pub fn under(self, flags: Flags) -> Flags {
        let is_privileged = flags.privileged == Some(Privileged(true));
        let mut flags = flags;
        let said = flags
            .security_opt
            .iter()
            .any(|option| matches!(option, SecurityOption::NoNewPrivileges(_)));
        if self.no_new_privileges && !said && !is_privileged {
            flags
                .security_opt
                .push(SecurityOption::NoNewPrivileges(true));
        }
        if self.pids_limit > 0 {
            flags.pids_limit.get_or_insert(self.pids_limit);
        }
        if self.drop_capabilities && !is_privileged {
            flags = only_needed(flags);
        }
        flags
    }
}

/// Drops all but what is needed and what was added; what was dropped by name is not kept.
fn only_needed(flags: Flags) -> Flags {
    let parse = |name: &str| name.parse::<Capability>().expect("they are names of Linux");
    let needed = CAPABILITIES
        .iter()
        .map(|name| parse(name))
        .filter(|name| !flags.cap_drop.contains(name) && !flags.cap_add.contains(name));
    let mut added: Vec<Capability> = needed.chain(flags.cap_add.iter().cloned()).collect();
    if added.iter().any(Capability::is_all) {
        // Everything was asked for; only what was dropped by name stays away.
        added = vec![parse("ALL")];
        return Flags {
            cap_add: added,
            ..flags
        };
    }
    Flags {
        cap_drop: vec![parse("ALL")],
        cap_add: added,
        ..flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container_options::text::split;

    const ALL: Defaults = Defaults {
        no_new_privileges: true,
        drop_capabilities: true,
        pids_limit: 100,
    };
    const NEEDED: &str = "--cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add KILL --cap-add SETGID --cap-add SETUID";

    #[track_caller]
    fn check(defaults: Defaults, typed: &str, laid: &str) {
        let flags = Flags::parse(&split(typed).unwrap()).unwrap();
        assert_eq!(defaults.under(flags).words().join(" "), laid);
    }

    #[test]
    fn nothing_said_is_all_kept() {
        check(
            ALL,
            "",
            &format!("--pids-limit 100 {NEEDED} --cap-drop ALL --security-opt no-new-privileges"),
        );
    }

    #[test]
    fn each_is_switched_off_by_an_option() {
        check(
            ALL,
            "--pids-limit -1 --security-opt no-new-privileges=false --cap-add SYS_PTRACE",
            &format!(
                "--pids-limit=-1 {NEEDED} --cap-add SYS_PTRACE --cap-drop ALL --security-opt no-new-privileges=false"
            ),
        );
        check(
            ALL,
            "--cap-add ALL",
            "--pids-limit 100 --cap-add ALL --security-opt no-new-privileges",
        );
        check(
            ALL,
            "--cap-drop KILL --cap-drop FOWNER",
            "--pids-limit 100 --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add SETGID --cap-add SETUID --cap-drop ALL --security-opt no-new-privileges",
        );
        // What `init` needs to become the user stays: nobody means a session that cannot start.
        check(
            ALL,
            "--cap-drop ALL",
            &format!("--pids-limit 100 {NEEDED} --cap-drop ALL --security-opt no-new-privileges"),
        );
        check(
            ALL,
            "--privileged=all-of-this-machine",
            "--pids-limit 100 --privileged",
        );
    }

    #[test]
    fn each_is_switched_off_on_its_own() {
        check(
            Defaults {
                no_new_privileges: false,
                ..ALL
            },
            "",
            &format!("--pids-limit 100 {NEEDED} --cap-drop ALL"),
        );
        check(
            Defaults {
                drop_capabilities: false,
                ..ALL
            },
            "",
            "--pids-limit 100 --security-opt no-new-privileges",
        );
        check(
            Defaults {
                pids_limit: 0,
                ..ALL
            },
            "",
            &format!("{NEEDED} --cap-drop ALL --security-opt no-new-privileges"),
        );
    }
}
