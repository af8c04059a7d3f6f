//! What confines containers beside namespaces: `SELinux`, `AppArmor`, and what that means for mounts.

use crate::engine::docker::{EngineInfo, Particulars};

use super::finding::{Check, Finding};

/// What the kernel and the engine say.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// `/sys/fs/selinux/enforce`.
    pub(super) selinux: Option<String>,
    /// `/sys/module/apparmor/parameters/enabled`.
    pub(super) apparmor: Option<String>,
    /// `/proc/sys/kernel/apparmor_restrict_unprivileged_userns`.
    pub(super) restricted: Option<String>,
}

/// Looks and judges.
pub(super) fn look(info: &EngineInfo, particulars: &Particulars) -> Finding {
    let read = |path: &str| {
        let text = fs_err::read_to_string(path).ok()?;
        Some(text.trim().to_owned())
    };
    let seen = Seen {
        selinux: read("/sys/fs/selinux/enforce"),
        apparmor: read("/sys/module/apparmor/parameters/enabled"),
        restricted: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    };
    judge(&seen, info, particulars)
}

pub(super) fn judge(seen: &Seen, info: &EngineInfo, particulars: &Particulars) -> Finding {
    let options = particulars.security_options.as_deref().unwrap_or_default();
    let has = |wanted: &str| options.iter().any(|option| option.contains(wanted));
    let seccomp = if has("seccomp") {
        "seccomp"
    } else {
        "no seccomp"
    };
    match seen.selinux.as_deref() {
        Some("1") if has("selinux") => {
            return Finding::note(
                Check::Confinement,
                format!("SELinux enforces, for containers too; {seccomp}"),
            )
            .why("A container sees a mounted file only with the right label; \"permission denied\" on files that are \
                  yours means that.")
            .next("sudo ausearch -m avc -ts recent");
        }
        Some("1") => {
            return Finding::ok(
                Check::Confinement,
                format!("SELinux enforces, but not for this engine's containers; {seccomp}"),
            );
        }
        _ => {}
    }
    if seen.restricted.as_deref() == Some("1") && info.is_rootless() {
        return Finding::note(
            Check::Confinement,
            "AppArmor restricts user namespaces of unprivileged programs",
        )
        .why("A rootless engine needs a profile of its own; the engine's package should bring it.")
        .next("sudo dmesg | grep -i apparmor");
    }
    let apparmor = match (seen.apparmor.as_deref(), has("apparmor")) {
        (Some("Y"), true) => "AppArmor",
        _ => "neither SELinux nor AppArmor",
    };
    Finding::ok(Check::Confinement, format!("{apparmor}; {seccomp}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{finding::State, tests::engine_info};
    use crate::engine::docker::EngineUsers;

    #[track_caller]
    fn check((selinux, apparmor): (&str, &str), options: &[&str], state: State, words: &str) {
        let seen = Seen {
            selinux: Some(selinux.to_owned()),
            apparmor: Some(apparmor.to_owned()),
            restricted: None,
        };
        let particulars = Particulars {
            security_options: Some(options.iter().map(|one| (*one).to_owned()).collect()),
            ..Particulars::default()
        };
        let found = judge(&seen, &engine_info(), &particulars);
        assert_eq!(found.state, state, "{found:?}");
        assert_eq!(found.seen, words);
    }

    #[test]
    fn selinux_is_told_only_where_it_concerns_containers() {
        let both = ["name=selinux", "name=seccomp,profile=builtin"];
        check(
            ("1", "N"),
            &both,
            State::Note,
            "SELinux enforces, for containers too; seccomp",
        );
        check(
            ("1", "N"),
            &["name=seccomp,profile=builtin"],
            State::Ok,
            "SELinux enforces, but not for this engine's containers; seccomp",
        );
        check(
            ("0", "Y"),
            &["name=apparmor"],
            State::Ok,
            "AppArmor; no seccomp",
        );
        check(
            ("0", "N"),
            &[],
            State::Ok,
            "neither SELinux nor AppArmor; no seccomp",
        );
    }

    #[test]
    fn a_rootless_engine_is_told_of_restricted_user_namespaces() {
        let seen = Seen {
            restricted: Some("1".to_owned()),
            ..Seen::default()
        };
        let mut info = engine_info();
        let particulars = Particulars::default();
        assert_eq!(judge(&seen, &info, &particulars).state, State::Ok);
        info.users = EngineUsers::Rootless;
        assert_eq!(judge(&seen, &info, &particulars).state, State::Note);
    }
}
