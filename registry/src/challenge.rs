//! `WWW-Authenticate`: what a registry wants to see, and whether credentials may go where it says.
//!
//! Invariant: a realm is the sender's word. Credentials go to it only over HTTPS to a named host; loopback registries may
//! name loopback, and a registry that is configured for HTTP may name itself over HTTP.

use http_auth::parser::ChallengeParser;
use reqwest::Url;

use crate::{
    RedactedUrl, RegistryError,
    endpoint::{Endpoint, address, is_loopback},
};

/// What a registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token of a token server.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
    /// Name and password.
    Basic,
}

/// Reads the header's values; a token is preferred to a password.
pub(crate) fn read<'a>(values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut found = None;
    for value in values.take(8).filter(|value| value.len() <= 8192) {
        for challenge in ChallengeParser::new(value).map_while(Result::ok) {
            let parameter = |name: &str| {
                let mut all = challenge.params.iter();
                all.find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = parameter("realm") {
                    return Some(Challenge::Bearer {
                        realm,
                        service: parameter("service"),
                        scope: parameter("scope"),
                    });
                }
            } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                found = Some(Challenge::Basic);
            }
        }
    }
    found
}

/// Checks that a token server may be asked on behalf of `endpoint`.
pub(crate) fn check_realm(endpoint: &Endpoint, realm: &str) -> Result<Url, RegistryError> {
    let refused = |reason| RegistryError::Realm {
        registry: endpoint.registry.clone(),
        realm: RedactedUrl::of_text(realm),
        reason,
    };
    let url = Url::parse(realm).map_err(|_not_a_url| refused("that is not a URL"))?;
    let Some(host) = url.host_str() else {
        return Err(refused("that names no server"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it holds a user name"));
    }
    let own = host == endpoint.host();
    let both_here = is_loopback(host) && is_loopback(endpoint.host());
    match url.scheme() {
        "https" => {}
        "http" if !endpoint.is_secure() && (own || both_here) => {}
        "http" => return Err(refused("that is not HTTPS")),
        _ => return Err(refused("that is neither HTTPS nor HTTP")),
    }
    // oras-go CVE-2026-48978: an address as realm reaches into the network of whoever asks.
    if !own && !both_here && (address(host).is_some() || is_loopback(host)) {
        return Err(refused("that is an address, not a named server"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{ClientConfig, endpoint::endpoints};

    #[test]
    fn a_token_is_preferred_to_a_password_and_rubbish_is_nothing() {
        let bearer = r#"Bearer realm="https://a/t",service="s",scope="repository:x:pull""#;
        let read = |values: &[&str]| read(values.iter().copied());
        let expected = Some(Challenge::Bearer {
            realm: "https://a/t".to_owned(),
            service: Some("s".to_owned()),
            scope: Some("repository:x:pull".to_owned()),
        });
        assert_eq!(read(&["Basic realm=\"x\"", bearer]), expected);
        assert_eq!(read(&["basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(read(&["Bearer service=\"x\""]), None);
        assert_eq!(read(&["\u{0}", "=,=", ""]), None);
    }

    #[track_caller]
    fn check(registry: &str, realm: &str, refused: &str) {
        let config = ClientConfig::new(|| SystemTime::UNIX_EPOCH);
        let endpoint = &endpoints(&config, registry).unwrap()[0];
        let reason = match check_realm(endpoint, realm) {
            Ok(_) => "",
            Err(RegistryError::Realm { reason, .. }) => reason,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(reason, refused, "{registry} {realm}");
    }

    #[test]
    fn a_realm_is_https_at_a_named_server_unless_the_registry_is_here() {
        check("docker.io", "https://auth.docker.io/token", "");
        check("h.example", "https://h.example/token", "");
        check("h.example", "http://h.example/token", "that is not HTTPS");
        check("127.0.0.1:5000", "http://127.0.0.1:5001/token", "");
        check(
            "127.0.0.1:5000",
            "http://evil.example/t",
            "that is not HTTPS",
        );
        check("10.0.0.1", "https://10.0.0.1/token", "");
        let address = "that is an address, not a named server";
        check("h.example", "https://169.254.169.254/t", address);
        check("h.example", "https://[::1]/t", address);
        check("h.example", "https://localhost/t", address);
        check(
            "h.example",
            "https://u:p@a.example/t",
            "it holds a user name",
        );
        check("h.example", "file:///etc/passwd", "that names no server");
        check("h.example", "token", "that is not a URL");
    }
}
