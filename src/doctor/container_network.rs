//! Names and connections as a container has them: tried in a real one, with our own program in any image at hand.

use crate::{
    context::Context,
    engine::docker::{Docker, Reached},
    init_program, proxy,
};

use super::finding::{Check, Finding};

/// Tries what an agent would reach: the proxy where there is one, else a registry.
pub(super) async fn look(context: &Context, docker: &Docker) -> Finding {
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
        .find_map(|name| authority(told.variables.get(name)?));
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
    match docker
        .try_network((&image, program), (&targets, told.hosts))
        .await
    {
        Ok(reached) => {
            let here = match tokio::net::lookup_host(targets[0].as_str()).await {
                Ok(_addresses) => Here::Knows,
                Err(_unknown) => Here::KnowsNot,
            };
            judge((way, here), &reached)
        }
        Err(error) => Finding::problem(
            Check::ContainerNetwork,
            format!(
                "no container can be run: {}",
                crate::diagnostic::sentence(&error)
            ),
            "What fails here fails for the agent too.",
        )
        .next("docker run --rm -it IMAGE true"),
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
pub(super) fn judge((way, here): (Way, Here), reached: &[Reached]) -> Finding {
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
                    format!("docker run --rm --dns 1.1.1.1 IMAGE getent hosts {host}"),
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

/// Returns `host:port` of a proxy.
fn authority(proxy: &str) -> Option<String> {
    let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", proxy));
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit('@')
        .next()
        .filter(|host| !host.is_empty())?;
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => 1080,
    };
    Some(if has_port {
        host.to_owned()
    } else {
        format!("{host}:{usual}")
    })
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
        let fine = judge((Way::Direct, Here::Knows), &reached(None, None));
        assert_eq!(fine.state, State::Ok);
        assert_eq!(fine.seen, "a container reaches ghcr.io:443 (192.0.2.1)");
        let nameless = judge(
            (Way::Direct, Here::KnowsNot),
            &reached(Some("try again"), Some("none")),
        );
        assert_eq!(nameless.state, State::Problem);
        assert!(nameless.seen.contains("has no address"), "{nameless:?}");
        assert_eq!(nameless.next.as_deref(), Some("getent hosts ghcr.io"));
        let stopped = judge((Way::Proxy, Here::Knows), &reached(None, Some("refused")));
        assert!(
            stopped.seen.contains("does not reach the proxy"),
            "{stopped:?}"
        );
    }

    #[test]
    fn a_proxy_is_asked_for_by_its_host_and_port() {
        for (proxy, expected) in [
            (
                "http://me:s3cr3t@proxy.example:3128/",
                Some("proxy.example:3128"),
            ),
            ("proxy.example", Some("proxy.example:80")),
            ("socks5://proxy.example", Some("proxy.example:1080")),
            ("http://[::1]:8080", Some("[::1]:8080")),
            ("http://", None),
        ] {
            assert_eq!(authority(proxy).as_deref(), expected, "{proxy}");
        }
    }
}
