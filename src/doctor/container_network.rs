//! Names and connections as a container has them: tried in a real one, with our own program in any image at hand.

use tokio::sync::mpsc;

use crate::{
    context::Context,
    engine::docker::{Docker, Reached},
    init_program,
    proxy::{self, Address},
};

use super::finding::{Check, Finding};

/// Tries what an agent would reach: the proxy where there is one, else a registry. `alive` is held while there is a container.
pub(super) async fn look(context: &Context, docker: &Docker, alive: mpsc::Sender<()>) -> Finding {
    if context.options.offline {
        return Finding::skipped(
            Check::ContainerNetwork,
            "`--offline`: containers have no network",
        );
    }
    let image = match docker.any_image().await {
        Ok(Some(image)) => image,
        Ok(None) => {
            return Finding::skipped(
                Check::ContainerNetwork,
                "the engine has no image yet to try it in",
            )
            .next("aicage build AGENT");
        }
        Err(error) => return Finding::skipped(Check::ContainerNetwork, error.to_string()),
    };
    let (image, architecture) = image;
    let program = match init_program::init_for(&architecture) {
        Ok(program) => program,
        Err(error) => return Finding::skipped(Check::ContainerNetwork, error.to_string()),
    };
    let told = proxy::for_containers(context, docker.info());
    let proxy = ["HTTPS_PROXY", "ALL_PROXY"]
        .into_iter()
        .find_map(|name| Address::new(told.variables.get(name)?).host_and_port());
    let registry = &context.settings.config.registry.final_repository;
    let host = registry.split('/').next().unwrap_or_default();
    let target = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:443")
    };
    let way = if proxy.is_some() {
        Way::Proxy
    } else {
        Way::Direct
    };
    let targets = [proxy.unwrap_or(target)];
    let stop = context.interrupt.token().child_token();
    match docker
        .try_network((&image, program), (&targets, told.hosts), (stop, alive))
        .await
    {
        Ok(reached) => {
            let here = match tokio::net::lookup_host(targets[0].as_str()).await {
                Ok(_addresses) => Here::Knows,
                Err(_unknown) => Here::KnowsNot,
            };
            judge(docker.info().program(), (way, here), &reached)
        }
        Err(error) => Finding::problem(
            Check::ContainerNetwork,
            format!(
                "no container can be run: {}",
                crate::diagnostic::sentence(&error)
            ),
            "What fails here fails for the agent too.",
        )
        .next(format!("{} run --rm IMAGE true", docker.info().program())),
    }
}

/// How containers get out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    Proxy,
}

/// Whether this machine itself knows the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    Knows,
    KnowsNot,
}

/// Judges what a container reached.
pub(super) fn judge(program: &str, (way, here): (Way, Here), reached: &[Reached]) -> Finding {
    let what = match way {
        Way::Direct => "",
        Way::Proxy => "the proxy ",
    };
    for one in reached {
        let target = &one.target;
        if let Some(why) = &one.unresolved {
            let host = target
                .rsplit_once(':')
                .map_or(target.as_str(), |(host, _)| host);
            let (cause, next) = match here {
                Here::Knows => (
                    "The engine gives containers other name servers than this machine has, or none that answers them.",
                    format!("{program} run --rm --dns 1.1.1.1 IMAGE getent hosts {host}"),
                ),
                Here::KnowsNot => (
                    "This machine does not know it either: no name server does, or there is no network.",
                    format!("getent hosts {host}"),
                ),
            };
            return Finding::problem(
                Check::ContainerNetwork,
                format!("in a container, {what}{target} has no address: {why}"),
                cause,
            )
            .next(next);
        }
        if let Some(why) = &one.refused {
            return Finding::problem(
                Check::ContainerNetwork,
                format!("a container does not reach {what}{target}: {why}"),
                match way {
                    Way::Direct => {
                        "A firewall or a VPN stops what comes from the container bridge, or there is a proxy that no \
                         variable names."
                    }
                    Way::Proxy => "It must listen on an address that containers see, not on this machine's loopback.",
                },
            )
            .next("sudo iptables -S FORWARD");
        }
    }
    let names: Vec<String> = reached
        .iter()
        .map(|one| match one.addresses.first() {
            Some(address) => format!("{what}{} ({address})", one.target),
            None => format!("{what}{}", one.target),
        })
        .collect();
    Finding::ok(
        Check::ContainerNetwork,
        format!("a container reaches {}", names.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    fn reached(unresolved: Option<&str>, refused: Option<&str>) -> Vec<Reached> {
        vec![Reached {
            target: "ghcr.io:443".to_owned(),
            addresses: vec!["192.0.2.1".to_owned()],
            unresolved: unresolved.map(str::to_owned),
            refused: refused.map(str::to_owned),
        }]
    }

    #[test]
    fn a_name_without_an_address_and_a_connection_that_fails_are_told_apart() {
        let fine = judge("podman", (Way::Direct, Here::Knows), &reached(None, None));
        assert_eq!(fine.state, State::Ok);
        assert_eq!(fine.seen, "a container reaches ghcr.io:443 (192.0.2.1)");
        let nameless = judge(
            "docker",
            (Way::Direct, Here::KnowsNot),
            &reached(Some("try again"), Some("none")),
        );
        assert_eq!(nameless.state, State::Problem);
        assert!(nameless.seen.contains("has no address"), "{nameless:?}");
        assert_eq!(nameless.next.as_deref(), Some("getent hosts ghcr.io"));
        let nameless = judge(
            "podman",
            (Way::Direct, Here::Knows),
            &reached(Some("none"), None),
        );
        let next = nameless.next.unwrap_or_default();
        assert!(next.starts_with("podman run "), "{next}");
        let stopped = judge(
            "podman",
            (Way::Proxy, Here::Knows),
            &reached(None, Some("refused")),
        );
        assert!(
            stopped.seen.contains("does not reach the proxy"),
            "{stopped:?}"
        );
    }
}
