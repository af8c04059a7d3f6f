//! Whether this machine can run containers by itself, without an engine: each thing that can be missing, and how it is had.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    engine::{
        self, Engine,
        native::{filesystem, takes_no_overlay},
    },
    init_program,
    settings::{Account, Settings},
};

use super::{
    distribution::Distribution,
    finding::{Check, Finding, State},
    sub_ids,
};

/// From this kernel on a user can lay directories over each other.
const OVERLAY: (u32, u32) = (5, 11);
/// From this one on files in memory can have what that notes on them.
const MEMORY: (u32, u32) = (6, 6);
/// From this one on abstract sockets can be shut out.
const SCOPES: (u32, u32) = (6, 12);

const WHY: &str = "Nothing can be built or started without an engine until this is changed.";

/// What there is.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The kernel's release, such as `6.12.3-amd64`.
    pub(super) kernel: String,
    /// `kernel.unprivileged_userns_clone`, which only some kernels have.
    pub(super) clone: Option<String>,
    /// `user.max_user_namespaces`.
    pub(super) most: Option<String>,
    /// `kernel.apparmor_restrict_unprivileged_userns`.
    pub(super) restricted: Option<String>,
    /// `AppArmor`'s name for this process.
    pub(super) label: Option<String>,
    /// Where this program is.
    pub(super) program: PathBuf,
    /// `newuidmap` and `newgidmap`: whether each is there, and whether it has the rights that it needs.
    pub(super) tools: [(&'static str, Tool); 2],
    /// Whether this process and those it starts may gain rights.
    pub(super) may_gain: bool,
    /// What is wrong with the caller's subordinate ids.
    pub(super) ids: Option<Finding>,
    /// What the store's file system is called.
    pub(super) files: &'static str,
    /// Where in `/proc` something is hidden by a mount.
    pub(super) masked: Option<String>,
    /// What the kernel can filter calls by; nothing if it cannot.
    pub(super) seccomp: Option<String>,
    /// The kernel's security modules.
    pub(super) modules: Option<String>,
    /// Which distribution it is.
    pub(super) system: Distribution,
    /// What came of making a container; nothing if it was not tried.
    pub(super) tried: Option<Result<(), String>>,
}

/// A program that gives a user more ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tool {
    /// It is not installed.
    #[default]
    Missing,
    /// It has no more rights than who starts it.
    Plain,
    /// It can do what it is for.
    Able,
}

/// What this machine would be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It is what runs containers.
    Chosen,
    /// An engine does.
    Spare,
}

/// Makes a container, the smallest there is, which is gone at the end.
fn tried(settings: &Settings) -> Option<Result<(), String>> {
    let Some(Engine::Native(native)) = settings.native().engine() else {
        return None;
    };
    let program = init_program::init_for(std::env::consts::ARCH).ok()?;
    let made = engine::native::probe(&native, program);
    Some(made.map_err(|error| crate::diagnostic::sentence(&error)))
}

/// Looks at files, and tries.
pub(super) fn look(settings: &Settings) -> Seen {
    let read = |path: &str| {
        let text = fs_err::read_to_string(path).ok()?;
        Some(text.trim_end_matches(['\n', '\0']).to_owned())
    };
    let status = read("/proc/self/status").unwrap_or_default();
    let path = settings.environment.path.as_deref().unwrap_or_default();
    let find = |name: &str| {
        std::env::split_paths(path)
            .chain(["/usr/bin".into(), "/usr/sbin".into()])
            .map(|directory| directory.join(name))
            .find(|path| path.is_file())
    };
    let mounts = read("/proc/self/mountinfo").unwrap_or_default();
    Seen {
        kernel: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
        clone: read("/proc/sys/kernel/unprivileged_userns_clone"),
        most: read("/proc/sys/user/max_user_namespaces"),
        restricted: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        label: read("/proc/self/attr/apparmor/current").or_else(|| read("/proc/self/attr/current")),
        program: std::env::current_exe().unwrap_or_default(),
        tools: ["newuidmap", "newgidmap"].map(|name| (name, tool(find(name).as_deref()))),
        may_gain: !status.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("NoNewPrivs:") && words.next() == Some("1")
        }),
        ids: sub_ids::short(&settings.account),
        files: filesystem(&settings.store()),
        masked: masked(&mounts).map(str::to_owned),
        seccomp: read("/proc/sys/kernel/seccomp/actions_avail"),
        modules: read("/sys/kernel/security/lsm"),
        system: Distribution::here(),
        tried: tried(settings),
    }
}

fn tool(path: Option<&Path>) -> Tool {
    let Some((path, there)) = path.and_then(|path| Some((path, fs_err::metadata(path).ok()?)))
    else {
        return Tool::Missing;
    };
    let is_roots = there.mode() & 0o4000 != 0 && there.uid() == 0;
    let mut room = [0_u8; 64];
    let has_own = rustix::fs::getxattr(path, "security.capability", &mut room[..]).is_ok();
    if is_roots || has_own {
        Tool::Able
    } else {
        Tool::Plain
    }
}

/// Returns what a mount hides below `/proc`, other than the kernel's own places for mounts.
fn masked(mounts: &str) -> Option<&str> {
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let mut hidden = places.filter(|place| {
        place.starts_with("/proc/")
            && !["/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"].contains(place)
    });
    hidden.next()
}

/// Says what keeps this machine from running containers by itself, the first cause first. What was tried and works is not
/// kept from working by anything; where it does not, the causes that can be seen come before what the system said.
fn obstacles(seen: &Seen, account: &Account) -> Vec<Finding> {
    match &seen.tried {
        Some(Ok(())) => Vec::new(),
        None => visible(seen, account),
        Some(Err(said)) => {
            let mut found = visible(seen, account);
            if found.is_empty() {
                let what = format!("no container can be made: {said}");
                found.push(problem(what, "aicage doctor --json"));
            }
            found
        }
    }
}

fn visible(seen: &Seen, account: &Account) -> Vec<Finding> {
    let mut found = of_kernel(seen);
    if account.uid != 0 {
        found.extend(of_user(seen));
        found.extend(of_tools(seen));
    }
    found.extend(of_place(seen));
    if account.uid != 0 {
        found.extend(seen.ids.clone());
    }
    found
}

fn problem(what: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding::problem(Check::Native, what, WHY).next(next)
}

fn is_before(seen: &Seen, version: (u32, u32)) -> bool {
    kernel(&seen.kernel).is_some_and(|kernel| kernel < version)
}

fn of_kernel(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    if is_before(seen, OVERLAY) {
        let what = format!("Linux {} is too old: 5.11 is needed", seen.kernel);
        found.push(problem(what, "uname -r"));
    }
    if seen.most.as_deref() == Some("0") {
        found.push(problem(
            "`user.max_user_namespaces` is 0: there can be no user namespaces",
            setting("user.max_user_namespaces=15000"),
        ));
    }
    if seen.seccomp.is_none() {
        found.push(problem(
            "the kernel cannot filter its calls (seccomp)",
            "zgrep SECCOMP_FILTER /proc/config.gz",
        ));
    }
    found
}

/// What keeps an ordinary user from it.
fn of_user(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    if seen.clone.as_deref() == Some("0") {
        found.push(problem(
            "`kernel.unprivileged_userns_clone` is 0: only root may make user namespaces",
            setting("kernel.unprivileged_userns_clone=1"),
        ));
    }
    if seen.restricted.as_deref() == Some("1") && is_unconfined(seen) {
        found.push(problem(
            "AppArmor lets only programs with a profile of their own have user namespaces",
            profile(&seen.program),
        ));
    }
    found
}

/// What keeps the programs that give a user more ids from doing so.
fn of_tools(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, tool) in &seen.tools {
        match tool {
            Tool::Missing => found.push(problem(
                format!("`{name}` is not installed"),
                seen.system.id_tools(),
            )),
            Tool::Plain => found.push(problem(
                format!(
                    "`{name}` has lost its rights: it is neither setuid nor has it capabilities"
                ),
                format!("sudo chmod u+s \"$(command -v {name})\""),
            )),
            Tool::Able => {}
        }
    }
    if !seen.may_gain {
        found.push(problem(
            "programs here may not gain rights (`no_new_privs`), and `newuidmap` has to",
            "start the container or service that this runs in without `no-new-privileges`",
        ));
    }
    found
}

/// What is wrong with where this runs and where the store is.
fn of_place(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(place) = &seen.masked {
        found.push(problem(
            format!("{place} is hidden, as in a container: the kernel then gives no `/proc` to containers within"),
            "docker run --security-opt systempaths=unconfined …",
        ));
    }
    match seen.files {
        files if takes_no_overlay(files) => {
            found.push(problem(
                format!(
                    "the store is on {}, which no overlay can be laid over",
                    seen.files
                ),
                "export AICAGE_HOME=DIRECTORY-ON-A-LOCAL-DISK",
            ));
        }
        "tmpfs" if is_before(seen, MEMORY) => found.push(problem(
            "the store is on tmpfs, and this kernel keeps no user attributes there: 6.6 does",
            "export AICAGE_HOME=DIRECTORY-ON-A-LOCAL-DISK",
        )),
        _ => {}
    }
    found
}

/// Judges this machine for what it is used for.
pub(super) fn judge(seen: &Seen, account: &Account, used: Use) -> Vec<Finding> {
    let obstacles = obstacles(seen, account);
    match (used, obstacles.first()) {
        (Use::Spare, None) => vec![
            Finding::ok(
                Check::Native,
                format!("Linux {} could do without an engine", seen.kernel),
            )
            .next("aicage --engine native AGENT"),
        ],
        (Use::Spare, Some(first)) => vec![Finding::ok(
            Check::Native,
            format!("not used, and could not be: {}", first.seen),
        )],
        (Use::Chosen, Some(_)) => obstacles,
        (Use::Chosen, None) => {
            let well = format!("Linux {} runs containers by itself", seen.kernel);
            let mut found = vec![Finding::ok(Check::Native, well)];
            found.extend(limits(seen));
            // It works with fewer, for images that use fewer.
            found.extend(seen.ids.clone().map(|short| Finding {
                state: State::Note,
                ..short
            }));
            found
        }
    }
}

/// What is weaker here than elsewhere.
fn limits(seen: &Seen) -> Option<Finding> {
    let has_module = seen
        .modules
        .as_deref()
        .is_none_or(|modules| modules.split(',').any(|module| module == "landlock"));
    let is_old = is_before(seen, SCOPES);
    (is_old || !has_module).then(|| {
        Finding::note(
            Check::Native,
            "abstract sockets of this machine can be reached from inside",
        )
        .why("Containers have this machine's network, and only Linux 6.12 with Landlock keeps them from such sockets.")
        .next("aicage --network pasta AGENT   # with the package `passt`; or --network none")
    })
}

/// Tells whether `AppArmor` has no profile for this program.
fn is_unconfined(seen: &Seen) -> bool {
    let label = seen.label.as_deref().unwrap_or("unconfined");
    label == "unconfined" || label.starts_with("unprivileged_userns")
}

/// The command that installs a profile under which this program may have user namespaces, and is else not confined.
fn profile(program: &Path) -> String {
    format!(
        "printf '%s\\n' 'abi <abi/4.0>,' 'profile aicage \"{}\" flags=(unconfined) {{ userns, }}' | sudo tee /etc/apparmor.d/aicage | sudo apparmor_parser -r",
        program.display()
    )
}

/// The command that changes a setting of the kernel, for now and for later.
fn setting(assignment: &str) -> String {
    let name = assignment.split(['=', ' ']).next().unwrap_or(assignment);
    format!(
        "echo {assignment} | sudo tee /etc/sysctl.d/60-aicage-{name}.conf && sudo sysctl -w {assignment}"
    )
}

fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Seen {
        Seen {
            kernel: "6.12.3-amd64".to_owned(),
            program: "/opt/aicage".into(),
            tools: [("newuidmap", Tool::Able), ("newgidmap", Tool::Able)],
            may_gain: true,
            seccomp: Some("kill_process errno".to_owned()),
            modules: Some("lockdown,capability,landlock,yama".to_owned()),
            ..Seen::default()
        }
    }

    fn account(uid: u32) -> Account {
        Account {
            uid,
            gid: uid,
            name: "me".to_owned(),
            home: None,
        }
    }

    #[track_caller]
    fn check(seen: &Seen, words: &str, next: &str) {
        let found = judge(seen, &account(1000), Use::Chosen);
        let first = found.first().unwrap();
        assert_eq!(first.state, State::Problem, "{found:?}");
        assert!(first.seen.contains(words), "{found:?}");
        let told = first.next.as_deref().unwrap_or_default();
        assert!(told.contains(next), "{found:?}");
        let spare = judge(seen, &account(1000), Use::Spare);
        let states: Vec<State> = spare.iter().map(|one| one.state).collect();
        assert_eq!(
            states,
            [State::Ok],
            "where an engine is there, nothing fails"
        );
        assert!(spare[0].seen.contains(words), "{spare:?}");
    }

    #[test]
    fn each_thing_that_is_missing_is_named_with_what_to_type() {
        let seen = good;
        check(
            &Seen {
                kernel: "5.10.0-23".to_owned(),
                ..seen()
            },
            "5.11 is needed",
            "uname",
        );
        check(
            &Seen {
                clone: Some("0".to_owned()),
                ..seen()
            },
            "unprivileged_userns_clone",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        );
        check(
            &Seen {
                most: Some("0".to_owned()),
                ..seen()
            },
            "max_user_namespaces",
            "sysctl -w user.max_user_namespaces=15000",
        );
        let restricted = Seen {
            restricted: Some("1".to_owned()),
            label: Some("unconfined".to_owned()),
            ..seen()
        };
        check(
            &restricted,
            "AppArmor",
            "profile aicage \"/opt/aicage\" flags=(unconfined)",
        );
        let mut tools = seen();
        tools.tools[1].1 = Tool::Missing;
        check(&tools, "`newgidmap` is not installed", "`uidmap` or");
        tools.system = Distribution::Alpine;
        check(&tools, "`newgidmap` is not installed", "apk add");
        tools.tools[1].1 = Tool::Plain;
        check(&tools, "`newgidmap` has lost its rights", "chmod u+s");
        check(
            &Seen {
                may_gain: false,
                ..seen()
            },
            "no_new_privs",
            "no-new-privileges",
        );
        check(
            &Seen {
                seccomp: None,
                ..seen()
            },
            "seccomp",
            "SECCOMP",
        );
        check(
            &Seen {
                files: "nfs",
                ..seen()
            },
            "on nfs",
            "AICAGE_HOME",
        );
        let masked = Seen {
            masked: Some("/proc/kcore".to_owned()),
            ..seen()
        };
        check(&masked, "/proc/kcore is hidden", "systempaths=unconfined");
        let old = Seen {
            files: "tmpfs",
            kernel: "6.1.0".to_owned(),
            ..seen()
        };
        check(&old, "tmpfs", "AICAGE_HOME");
    }

    #[test]
    fn what_this_machine_can_do_by_itself_is_said_with_what_is_weaker() {
        let found = judge(&good(), &account(1000), Use::Chosen);
        let states: Vec<State> = found.iter().map(|one| one.state).collect();
        assert_eq!(states, [State::Ok], "{found:?}");
        let older = Seen {
            kernel: "6.1.0".to_owned(),
            ..good()
        };
        let found = judge(&older, &account(1000), Use::Chosen);
        assert!(found[1].seen.contains("abstract sockets"), "{found:?}");
        assert_eq!(found[1].state, State::Note, "nothing fails for it");
    }

    #[test]
    fn a_program_with_a_profile_and_root_are_not_told_of_the_restriction() {
        let restricted = Seen {
            restricted: Some("1".to_owned()),
            label: Some("aicage (unconfined)".to_owned()),
            ..good()
        };
        assert!(obstacles(&restricted, &account(1000)).is_empty());
        let of_root = Seen {
            label: Some("unconfined".to_owned()),
            tools: <[(&str, Tool); 2]>::default(),
            ..restricted
        };
        assert!(obstacles(&of_root, &account(0)).is_empty());
    }

    #[test]
    fn what_was_tried_counts_and_a_cause_that_can_be_seen_explains_it() {
        let restricted = Seen {
            restricted: Some("1".to_owned()),
            ..good()
        };
        let with = |tried: Result<(), String>| Seen {
            tried: Some(tried),
            ..restricted.clone()
        };
        assert_eq!(obstacles(&with(Ok(())), &account(1000)), []);
        let failed = with(Err("cannot mount the overlay".to_owned()));
        let found = obstacles(&failed, &account(1000));
        assert!(found[0].seen.contains("AppArmor"), "{found:?}");
        let unexplained = Seen {
            restricted: None,
            ..failed
        };
        let found = obstacles(&unexplained, &account(1000));
        assert!(
            found[0].seen.contains("cannot mount the overlay"),
            "{found:?}"
        );
    }

    #[test]
    fn only_what_hides_a_part_of_proc_counts() {
        let line = |place: &str| format!("30 24 0:26 / {place} rw,nosuid - proc proc rw\n");
        assert_eq!(masked(&line("/proc")), None);
        assert_eq!(masked(&line("/proc/sys/fs/binfmt_misc")), None);
        assert_eq!(masked(&line("/proc/kcore")), Some("/proc/kcore"));
    }
}
