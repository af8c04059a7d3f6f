//! Proxies as containers get them, and a word where that cannot work.
//!
//! Invariant: no user name or password of a proxy is shown.

use std::collections::BTreeMap;

use registry::RedactedUrl;

use crate::context::Context;

/// The variables that name a proxy.
const VARIABLES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Returns the variables in both spellings: apt, for one, reads only the lower-case ones.
pub fn for_containers(context: &Context) -> BTreeMap<String, String> {
    let environment = &context.settings.environment;
    warn_of_loopback(context);
    VARIABLES
        .iter()
        .chain(["NO_PROXY"].iter())
        .filter_map(|name| Some((*name, environment.proxy(name)?)))
        .flat_map(|(name, value)| {
            [name.to_owned(), name.to_lowercase()].map(|name| (name, value.to_owned()))
        })
        .collect()
}

/// Warns of a proxy that containers cannot reach, because it is on this machine's own loopback.
pub fn warn_of_loopback(context: &Context) {
    let environment = &context.settings.environment;
    for name in VARIABLES {
        if let Some(value) = environment.proxy(name)
            && is_on_loopback(value)
        {
            let shown = RedactedUrl::of_text(&with_scheme(value));
            context.printer.warn(&format!(
                "{name} is {shown}, which containers cannot reach: it is on this machine's loopback; let the proxy listen \
                 on the address of the container bridge too and name that"
            ));
            return;
        }
    }
}

/// Tells whether a proxy's host is this machine's loopback.
fn is_on_loopback(proxy: &str) -> bool {
    let text = with_scheme(proxy);
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

/// A proxy may be written without its scheme.
fn with_scheme(proxy: &str) -> String {
    if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_own_addresses_are_out_of_a_containers_reach() {
        for proxy in [
            "http://127.0.0.1:3128",
            "http://me:s3cr3t@localhost:3128/",
            "localhost:3128",
            "http://[::1]:3128",
            "socks5://127.8.8.8",
        ] {
            assert!(is_on_loopback(proxy), "{proxy}");
        }
        for proxy in [
            "http://172.17.0.1:3128",
            "http://proxy.example",
            "http://localhost.example",
            "http://127.0.0.1@proxy.example:3128",
            "",
        ] {
            assert!(!is_on_loopback(proxy), "{proxy}");
        }
    }

    #[test]
    fn what_a_proxy_asks_for_is_not_shown() {
        let shown = RedactedUrl::of_text(&with_scheme("me:s3cr3t@localhost:1")).to_string();
        assert_eq!(shown, "http://localhost:1/");
    }
}
