//! What a session may not do unless somebody says so, and how each part is switched off.

use crate::settings::config::SessionConfig;

use super::finding::{Check, Finding};

/// Tells what is in force.
pub(super) fn judge(config: &SessionConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.push(if config.no_new_privileges {
        Finding::ok(
            Check::SafeDefaults,
            "no new privileges: `sudo` and `su` do not work inside",
        )
        .why("If an agent needs them, start it so, or set `session.no_new_privileges` to false.")
        .next("aicage --security-opt no-new-privileges=false AGENT")
    } else {
        Finding::note(Check::SafeDefaults, "programs inside may become root")
            .next("aicage config set session.no_new_privileges true")
    });
    findings.push(if config.drop_capabilities {
        Finding::ok(
            Check::SafeDefaults,
            "only the capabilities that are needed to become you: no ports below 1024, no `ping` in some images",
        )
        .why("If a program inside is refused what root may do, add what it needs.")
        .next("aicage --cap-add NET_BIND_SERVICE AGENT")
    } else {
        Finding::note(Check::SafeDefaults, "all capabilities that the engine gives")
            .next("aicage config set session.drop_capabilities true")
    });
    findings.push(if config.pids_limit > 0 {
        Finding::ok(
            Check::SafeDefaults,
            format!("at most {} processes and threads", config.pids_limit),
        )
        .why("If a build inside says that it cannot fork, allow more.")
        .next("aicage --pids-limit 32768 AGENT")
    } else {
        Finding::note(Check::SafeDefaults, "any number of processes")
            .next("aicage config set session.pids_limit 8192")
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn each_default_says_how_it_is_switched_off_and_each_that_is_off_how_it_is_switched_on() {
        let on = judge(&SessionConfig::default());
        assert!(
            on.iter()
                .all(|one| one.state == State::Ok && one.next.is_some()),
            "{on:?}"
        );
        let off = judge(&SessionConfig {
            no_new_privileges: false,
            drop_capabilities: false,
            pids_limit: 0,
        });
        assert!(
            off.iter()
                .all(|one| one.state == State::Note && one.next.is_some()),
            "{off:?}"
        );
    }
}
