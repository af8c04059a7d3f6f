//! Which engine answers, where, and what it is; if none does, how to get one.

use crate::{
    context::Context,
    engine::{
        self, EngineChoice,
        docker::{Docker, EngineError, EngineInfo, EngineStore, EngineUsers, Place, survey},
    },
};

use super::{
    distribution::Distribution,
    finding::{Check, Finding},
    native,
};

const WHY: &str = "Without a container engine no agent can be started.";

/// What came of asking at one place.
pub(super) type Asked = (String, Result<EngineInfo, EngineError>);

/// What runs containers where no engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// Nothing: an engine was asked for.
    Nothing,
    /// This machine itself.
    Machine,
}

/// Asks everywhere; returns what was found and the engine that is used, if it is not this machine itself.
pub(super) async fn look(context: &Context) -> (Vec<Finding>, Option<Docker>, native::Use) {
    let wanted = &context.settings.engine();
    let choice = context.settings.config.engine;
    let places = match survey(wanted).await {
        Ok(places) => places,
        Err(_) if choice == EngineChoice::Native => Vec::new(),
        Err(error) => return (vec![misconfigured(&error)], None, native::Use::Spare),
    };
    if choice == EngineChoice::Native {
        let asked: Vec<Asked> = places.into_iter().map(asked).collect();
        return (of_machine(&asked), None, native::Use::Chosen);
    }
    let instead = if engine::stands_in(choice, wanted) {
        Instead::Machine
    } else {
        Instead::Nothing
    };
    let used = places
        .iter()
        .find_map(|place| place.outcome.as_ref().ok().cloned());
    let asked: Vec<Asked> = places.into_iter().map(asked).collect();
    let group_file = fs_err::read_to_string("/etc/group").unwrap_or_default();
    let caller = Caller {
        name: &context.settings.account.name,
        group_file: &group_file,
        system: Distribution::here(),
    };
    let native = match (&used, instead) {
        (None, Instead::Machine) => native::Use::Chosen,
        (Some(_), _) | (None, Instead::Nothing) => native::Use::Spare,
    };
    (judge(&asked, &caller, instead), used, native)
}

fn asked(Place { endpoint, outcome }: Place) -> Asked {
    let info = outcome.map(|docker| docker.info().clone());
    (endpoint.to_string(), info)
}

/// Says that this machine itself was asked for, and which engines there are besides.
fn of_machine(asked: &[Asked]) -> Vec<Finding> {
    let chosen = Finding::ok(
        Check::Engine,
        "native: this machine itself, which was asked for",
    );
    let others = asked.iter().filter_map(|(place, outcome)| {
        let info = outcome.as_ref().ok()?;
        let seen = format!("also there: {}", described(place, info));
        let next = format!("aicage --engine {} AGENT", info.name);
        Some(Finding::ok(Check::Engine, seen).next(next))
    });
    std::iter::once(chosen).chain(others).collect()
}

/// Who asks, for what a socket's group means.
pub(super) struct Caller<'a> {
    pub(super) name: &'a str,
    pub(super) group_file: &'a str,
    pub(super) system: Distribution,
}

impl Caller<'_> {
    /// Tells whether the caller is listed in a group; it may be so since the last login only.
    fn is_listed(&self, group: &str) -> bool {
        self.group_file.lines().any(|line| {
            let mut fields = line.split(':');
            fields.next() == Some(group)
                && fields
                    .nth(2)
                    .is_some_and(|members| members.split(',').any(|member| member == self.name))
        })
    }
}

fn misconfigured(error: &EngineError) -> Finding {
    let next = match error {
        EngineError::UnknownContext { .. } => "docker context ls",
        EngineError::BadConfiguration { .. } => "docker context show",
        _ => "unset DOCKER_HOST DOCKER_CONTEXT",
    };
    Finding::problem(Check::Engine, error.to_string(), WHY).next(next)
}

/// Says what was found at all places.
pub(super) fn judge(asked: &[Asked], caller: &Caller<'_>, instead: Instead) -> Vec<Finding> {
    let mut findings = Vec::new();
    let used = asked.iter().position(|(_, outcome)| outcome.is_ok());
    let Some((at, (place, Ok(info)))) = used.map(|at| (at, &asked[at])) else {
        let none = none(asked, caller);
        return vec![match instead {
            Instead::Nothing => none,
            Instead::Machine => stood_in_for(none, asked),
        }];
    };
    findings.push(Finding::ok(Check::Engine, described(place, info)));
    for (place, outcome) in &asked[..at] {
        if let Err(EngineError::NotPermitted { group, .. }) = outcome {
            findings.push(
                Finding::note(
                    Check::Engine,
                    format!("{place} may not be used, so the next one is"),
                )
                .next(permission(group, caller)),
            );
        }
    }
    for (place, outcome) in &asked[at + 1..] {
        if let Ok(info) = outcome {
            findings.push(
                Finding::ok(
                    Check::Engine,
                    format!("also there: {}", described(place, info)),
                )
                .next(format!("export DOCKER_HOST={place}")),
            );
        }
    }
    findings
}

fn described(place: &str, info: &EngineInfo) -> String {
    let name = if info.is_podman() { "Podman" } else { "Docker" };
    let store = match info.store {
        EngineStore::GraphDriver => "unpacked layers",
        EngineStore::Containerd => "the containerd image store",
    };
    let users = match info.users {
        EngineUsers::Same => "",
        EngineUsers::Rootless => ", rootless",
        EngineUsers::RootlessKeepId => ", rootless, keeping your id",
        EngineUsers::Remapped => ", with userns-remap",
    };
    let (major, minor) = info.api;
    format!(
        "{name} {} at {place}: interface {major}.{minor}, {store}{users}",
        info.version
    )
}

fn permission(group: &str, caller: &Caller<'_>) -> String {
    if caller.is_listed(group) {
        format!("newgrp {group}")
    } else {
        format!("sudo usermod -aG {group} {} && newgrp {group}", caller.name)
    }
}

/// Says that no engine is needed; what keeps one from being used that is there is to be known nevertheless.
fn stood_in_for(none: Finding, asked: &[Asked]) -> Finding {
    let native = "this machine itself runs containers (native)";
    let is_absent = |(_, outcome): &Asked| matches!(outcome, Err(EngineError::Absent { .. }));
    if asked.iter().all(is_absent) {
        let seen = format!("no Docker or Podman answers at any of the usual sockets: {native}");
        return Finding::ok(Check::Engine, seen);
    }
    let finding = Finding::note(Check::Engine, format!("{}; {native}", none.seen));
    finding.next(none.next.unwrap_or_default())
}

/// Of several failures the most telling one is reported: a socket we may not use rather than one nobody listens on.
fn none(asked: &[Asked], caller: &Caller<'_>) -> Finding {
    let rank = |error: &EngineError| match error {
        EngineError::NotPermitted { .. } => 0,
        EngineError::TooOld { .. } => 1,
        EngineError::Stopped { .. } => 2,
        EngineError::Absent { .. } => 9,
        _ => 3,
    };
    let worst = asked
        .iter()
        .filter_map(|(place, outcome)| Some((place, outcome.as_ref().err()?)))
        .min_by_key(|(_, error)| rank(error));
    let Some((place, error)) = worst else {
        return Finding::problem(Check::Engine, "there is no place to look at", WHY);
    };
    match error {
        EngineError::NotPermitted { group, .. } => {
            let why = if caller.is_listed(group) {
                format!(
                    "You are in the group `{group}`, but this shell was started before you were."
                )
            } else {
                format!(
                    "Only members of the group `{group}` may use it; who may use it is as good as root on this machine."
                )
            };
            Finding::problem(
                Check::Engine,
                format!("you may not use the engine at {place}"),
                why,
            )
            .next(permission(group, caller))
        }
        EngineError::Stopped { .. } => Finding::problem(
            Check::Engine,
            format!("nobody listens at {place}: the engine is not running"),
            WHY,
        )
        .next(crate::diagnostic::start_command(place)),
        EngineError::TooOld { api, .. } => Finding::problem(
            Check::Engine,
            format!("the engine at {place} is too old: it speaks interface {api}"),
            "1.41 (Docker 20.10, Podman 3) is the oldest that is spoken.",
        )
        .next(caller.system.newer_engine()),
        EngineError::Absent { podman, .. } => {
            let places: Vec<&str> = asked.iter().map(|(place, _)| place.as_str()).collect();
            Finding::problem(
                Check::Engine,
                format!(
                    "there is no container engine; looked at {}",
                    places.join(", ")
                ),
                WHY,
            )
            .next(if *podman {
                "systemctl --user enable --now podman.socket"
            } else {
                caller.system.engine()
            })
        }
        error => Finding::problem(Check::Engine, crate::diagnostic::sentence(error), WHY)
            .next("docker info"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use assembler::platform::Platform;

    use super::*;
    use crate::{doctor::finding::State, engine::docker::EngineFiles};

    const CALLER: Caller<'static> = Caller {
        name: "me",
        group_file: "root:x:0:\ndocker:x:998:you\nengine:x:997:you,me\n",
        system: Distribution::Debian,
    };

    fn info(name: &'static str, users: EngineUsers) -> EngineInfo {
        EngineInfo {
            id: "id".to_owned(),
            version: "28.5.2".to_owned(),
            name,
            store: EngineStore::Containerd,
            users,
            live_restore: false,
            labels: false,
            platform: Platform::linux("amd64"),
            files: EngineFiles::Same,
            api: (1, 51),
        }
    }

    fn absent() -> EngineError {
        EngineError::Absent {
            tried: vec!["unix:///a".to_owned()],
            podman: false,
        }
    }

    fn forbidden(group: &str) -> EngineError {
        EngineError::NotPermitted {
            socket: "/a".into(),
            group: group.to_owned(),
            source: io::ErrorKind::PermissionDenied.into(),
        }
    }

    fn stopped() -> EngineError {
        EngineError::Stopped {
            endpoint: "unix:///a".to_owned(),
            source: io::ErrorKind::ConnectionRefused.into(),
        }
    }

    #[track_caller]
    fn check(outcomes: Vec<Result<EngineInfo, EngineError>>, expected: &[(State, &str, &str)]) {
        let names = [
            "unix:///a",
            "unix:///b",
            "unix:///run/user/1000/podman/podman.sock",
        ];
        let asked: Vec<Asked> = names.map(str::to_owned).into_iter().zip(outcomes).collect();
        let found = judge(&asked, &CALLER, Instead::Nothing);
        let found: Vec<_> = found
            .iter()
            .map(|one| {
                let next = one.next.as_deref().unwrap_or_default();
                (one.state, one.seen.as_str(), next)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_engine_that_answers_first_is_used_and_described() {
        check(
            vec![
                Err(absent()),
                Ok(info("docker", EngineUsers::Same)),
                Ok(info("podman", EngineUsers::Rootless)),
            ],
            &[
                (
                    State::Ok,
                    "Docker 28.5.2 at unix:///b: interface 1.51, the containerd image store",
                    "",
                ),
                (
                    State::Ok,
                    "also there: Podman 28.5.2 at unix:///run/user/1000/podman/podman.sock: interface 1.51, the containerd image store, rootless",
                    "export DOCKER_HOST=unix:///run/user/1000/podman/podman.sock",
                ),
            ],
        );
    }

    #[test]
    fn where_this_machine_stands_in_an_engine_that_is_missing_is_no_problem() {
        let judged = |outcome| {
            let asked = [("unix:///a".to_owned(), Err(outcome))];
            judge(&asked, &CALLER, Instead::Machine).remove(0)
        };
        let nowhere = judged(absent());
        assert_eq!(nowhere.state, State::Ok, "{nowhere:?}");
        assert!(nowhere.seen.contains("native"), "{nowhere:?}");
        let closed = judged(forbidden("docker"));
        assert_eq!(
            closed.state,
            State::Note,
            "somebody may want it: {closed:?}"
        );
        assert!(closed.next.unwrap().contains("usermod -aG docker"));
    }

    #[test]
    fn a_socket_without_permission_says_how_to_get_it() {
        check(
            vec![Err(forbidden("docker")), Err(stopped()), Err(absent())],
            &[(
                State::Problem,
                "you may not use the engine at unix:///a",
                "sudo usermod -aG docker me && newgrp docker",
            )],
        );
        check(
            vec![Err(forbidden("engine"))],
            &[(
                State::Problem,
                "you may not use the engine at unix:///a",
                "newgrp engine",
            )],
        );
        check(
            vec![
                Err(forbidden("docker")),
                Ok(info("docker", EngineUsers::Remapped)),
            ],
            &[
                (
                    State::Ok,
                    "Docker 28.5.2 at unix:///b: interface 1.51, the containerd image store, with userns-remap",
                    "",
                ),
                (
                    State::Note,
                    "unix:///a may not be used, so the next one is",
                    "sudo usermod -aG docker me && newgrp docker",
                ),
            ],
        );
    }

    #[test]
    fn an_engine_that_is_stopped_old_or_not_there_says_what_to_type() {
        check(
            vec![Err(absent()), Err(stopped())],
            &[(
                State::Problem,
                "nobody listens at unix:///b: the engine is not running",
                "sudo systemctl start docker",
            )],
        );
        check(
            vec![Err(absent()), Err(absent()), Err(stopped())],
            &[(
                State::Problem,
                "nobody listens at unix:///run/user/1000/podman/podman.sock: the engine is not running",
                "systemctl --user start podman.socket",
            )],
        );
        check(
            vec![Err(EngineError::TooOld {
                endpoint: "unix:///a".to_owned(),
                api: "1.39".to_owned(),
            })],
            &[(
                State::Problem,
                "the engine at unix:///a is too old: it speaks interface 1.39",
                "sudo apt-get install --only-upgrade docker.io",
            )],
        );
        check(
            vec![Err(absent()), Err(absent())],
            &[(
                State::Problem,
                "there is no container engine; looked at unix:///a, unix:///b",
                "sudo apt-get install docker.io",
            )],
        );
    }
}
