//! The variables that name proxies: both spellings, and whether containers can reach what they name.

use crate::{
    proxy::{Address, Proxies},
    settings::Settings,
};

use super::{
    finding::{Check, Finding},
    native,
};

/// What is set.
pub(super) struct Seen<'a> {
    /// Variables, by their names as they are spelled.
    pub(super) variables: &'a [(String, String)],
    /// `network.proxy`.
    pub(super) configured: &'a str,
    /// `network.proxy_in_containers`.
    pub(super) inside: &'a str,
    /// Those of them that count.
    pub(super) used: &'a Proxies,
    /// What containers have of this machine's network.
    pub(super) loopback: Loopback,
}

/// Whose loopback containers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loopback {
    /// Each its own.
    Own,
    /// This machine's.
    Machines,
}

/// Looks at variables and settings.
pub(super) fn look(settings: &Settings, native: native::Use) -> Vec<Finding> {
    judge(&Seen {
        loopback: match native {
            native::Use::Chosen => Loopback::Machines,
            native::Use::Spare => Loopback::Own,
        },
        variables: &settings.environment.proxies,
        configured: &settings.config.network.proxy,
        inside: &settings.config.network.proxy_in_containers,
        used: &Proxies::of(settings),
    })
}

/// Judges what is set.
pub(super) fn judge(seen: &Seen<'_>) -> Vec<Finding> {
    let mut set = seen.variables.to_vec();
    if !seen.configured.is_empty() {
        set.push(("network.proxy".to_owned(), seen.configured.to_owned()));
    }
    if set.is_empty() {
        return vec![Finding::ok(Check::Proxy, "no variable names a proxy")];
    }
    let mut findings = Vec::new();
    for (name, value) in &set {
        let lower = name.to_lowercase();
        let is_lower = *name == lower;
        let other = set
            .iter()
            .find(|(other, _)| *other != *name && other.eq_ignore_ascii_case(name));
        if is_lower && other.is_some() {
            // Said with the upper-case one.
            continue;
        }
        let is_list = lower == "no_proxy";
        let address = Address::new(value);
        let shown = if is_list {
            value.clone()
        } else {
            address.to_string()
        };
        let what = format!("{name} is {shown}");
        let is_told = seen.inside.is_empty() && seen.used.addresses().any(|used| *used == address);
        if !is_list && is_told && address.is_on_loopback() && seen.loopback == Loopback::Own {
            findings.push(
                Finding::problem(
                    Check::Proxy,
                    what,
                    "Containers cannot reach it: there, that address is the container itself. Let the proxy listen on the \
                     address of the container bridge too.",
                )
                .next("aicage config set network.proxy_in_containers host"),
            );
        } else if other.is_some_and(|(_, theirs)| theirs != value) {
            findings.push(
                Finding::note(Check::Proxy, format!("{what}, and {lower} is something else"))
                    .why("Programs differ in which of the two they read; aicage takes the lower-case one, and tells containers both.")
                    .next(format!("export {lower}=\"${name}\"")),
            );
        } else {
            findings.push(Finding::ok(Check::Proxy, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[track_caller]
    fn check(proxies: &[(&str, &str)], expected: &[(State, &str)]) {
        check_where(Loopback::Own, proxies, expected);
    }

    #[track_caller]
    fn check_where(loopback: Loopback, proxies: &[(&str, &str)], expected: &[(State, &str)]) {
        let variables: Vec<_> = proxies
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        // As they count: lower case before upper case.
        let used = Proxies {
            http: ["http_proxy", "HTTP_PROXY"].iter().find_map(|name| {
                let mut named = proxies.iter().filter(|(known, _)| known == name);
                named.next().map(|(_, value)| Address::new(value))
            }),
            ..Proxies::default()
        };
        let found = judge(&Seen {
            variables: &variables,
            configured: "",
            inside: "",
            used: &used,
            loopback,
        });
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.state, one.seen.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn proxies_that_containers_cannot_reach_or_that_contradict_each_other_are_told() {
        check(&[], &[(State::Ok, "no variable names a proxy")]);
        check(
            &[
                ("HTTPS_PROXY", "http://me:s3cr3t@proxy.example:3128"),
                ("NO_PROXY", "localhost,.corp"),
            ],
            &[
                (State::Ok, "HTTPS_PROXY is http://proxy.example:3128"),
                (State::Ok, "NO_PROXY is localhost,.corp"),
            ],
        );
        check(
            &[
                ("HTTP_PROXY", "127.0.0.1:3128"),
                ("http_proxy", "127.0.0.1:3128"),
            ],
            &[(State::Problem, "HTTP_PROXY is http://127.0.0.1:3128")],
        );
        // A container that has this machine's network reaches it.
        check_where(
            Loopback::Machines,
            &[("HTTP_PROXY", "127.0.0.1:3128")],
            &[(State::Ok, "HTTP_PROXY is http://127.0.0.1:3128")],
        );
        check(
            &[("HTTP_PROXY", "127.0.0.1:1"), ("http_proxy", "http://b")],
            &[(
                State::Note,
                "HTTP_PROXY is http://127.0.0.1:1, and http_proxy is something else",
            )],
        );
        check(
            &[("HTTP_PROXY", "http://a"), ("http_proxy", "http://b")],
            &[(
                State::Note,
                "HTTP_PROXY is http://a, and http_proxy is something else",
            )],
        );
        check(
            &[("all_proxy", "socks5://a:1")],
            &[(State::Ok, "all_proxy is socks5://a:1")],
        );
    }
}
