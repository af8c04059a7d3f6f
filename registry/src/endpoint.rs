//! Where a registry's content is asked for: its mirrors in order, then the registry itself.
//!
//! Invariant: HTTP is spoken only to loopback, to registries that are configured so, and to mirrors given as `http://`.

use std::net::IpAddr;

use assembler::reference::{DOCKER_HUB, ImageReference};
use reqwest::Url;

use crate::{ClientConfig, RedactedUrl, RegistryError};

/// One place to ask.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// The host by which credentials are looked up, and which messages name.
    pub(crate) registry: String,
    base: Url,
    prefix: String,
    /// The registry this is a mirror of.
    mirror_of: Option<String>,
}

/// Returns where `registry` is asked, the registry itself last.
pub(crate) fn endpoints(
    config: &ClientConfig,
    registry: &str,
) -> Result<Vec<Endpoint>, RegistryError> {
    let mirrors = config.mirrors.get(registry).into_iter().flatten();
    let mut endpoints = mirrors
        .map(|mirror| Endpoint::mirror(&mirror.url, registry))
        .collect::<Result<Vec<_>, _>>()?;
    endpoints.push(Endpoint::origin(config, registry)?);
    Ok(endpoints)
}

impl Endpoint {
    fn origin(config: &ClientConfig, registry: &str) -> Result<Self, RegistryError> {
        let host = match registry {
            DOCKER_HUB => "registry-1.docker.io",
            other => other,
        };
        let scheme = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/")).map_err(|_not_a_url| {
                RegistryError::Setting {
                    setting: format!("registry `{registry}`"),
                    source: None,
                }
            })
        };
        let plain = scheme("http")?;
        let base = if allows_http(config, &plain) {
            plain
        } else {
            scheme("https")?
        };
        Ok(Self {
            registry: registry.to_owned(),
            base,
            prefix: String::new(),
            mirror_of: None,
        })
    }

    fn mirror(text: &str, registry: &str) -> Result<Self, RegistryError> {
        let refused = || RegistryError::Setting {
            setting: format!("mirror `{}`", RedactedUrl::of_text(text)),
            source: None,
        };
        let url = Url::parse(text).map_err(|_not_a_url| refused())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none();
        let host = authority(&url).filter(|_host| plain).ok_or_else(refused)?;
        let path = url.path().trim_matches('/');
        let prefix = path.strip_prefix("v2/").unwrap_or(path);
        let prefix = if prefix == "v2" { "" } else { prefix };
        let mut base = url.clone();
        base.set_path("/");
        base.set_fragment(None);
        Ok(Self {
            registry: host,
            base,
            prefix: prefix.to_owned(),
            mirror_of: Some(registry.to_owned()),
        })
    }

    /// Tells whether this is a mirror, after which another place follows.
    pub(crate) fn is_mirror(&self) -> bool {
        self.mirror_of.is_some()
    }

    /// Tells whether this place is spoken to over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Returns the host without its port.
    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Returns the name that `reference`'s repository has here.
    pub(crate) fn repository(&self, reference: &ImageReference) -> String {
        if self.prefix.is_empty() {
            reference.repository().to_owned()
        } else {
            format!("{}/{}", self.prefix, reference.repository())
        }
    }

    /// Returns the URL at which a registry says that it is one.
    pub(crate) fn root(&self) -> Url {
        let mut url = self.base.clone();
        url.set_path("/v2/");
        url
    }

    /// Returns the URL of `kind/what` in `repository`; its parts are of the characters that references and digests allow.
    pub(crate) fn url(&self, repository: &str, kind_and_what: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{repository}/{kind_and_what}"));
        if let Some(registry) = &self.mirror_of {
            // As containerd asks a mirror that serves several registries.
            url.query_pairs_mut().append_pair("ns", registry);
        }
        url
    }
}

/// Tells whether HTTP may be spoken to `url`'s host.
pub(crate) fn allows_http(config: &ClientConfig, url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let named = |list: &str| list == host || authority(url).is_some_and(|full| full == list);
    let mut mirrors = config.mirrors.values().flatten();
    is_loopback(host)
        || config.plain_http.iter().any(|entry| named(entry))
        || mirrors.any(|mirror| {
            Url::parse(&mirror.url)
                .is_ok_and(|m| m.scheme() == "http" && authority(&m) == authority(url))
        })
}

/// Returns `host[:port]`.
pub(crate) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Tells whether a URL's host is this machine: `localhost`, 127/8 or `[::1]`.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || address(host).is_some_and(|address| address.is_loopback())
}

/// Reads a URL's host as an address, if it is one.
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::Mirror;

    #[track_caller]
    fn check(config: &ClientConfig, reference: &str, urls: &[&str]) {
        let reference: ImageReference = reference.parse().unwrap();
        let found: Vec<String> = endpoints(config, reference.registry())
            .unwrap()
            .iter()
            .map(|endpoint| {
                let repository = endpoint.repository(&reference);
                endpoint.url(&repository, "manifests/latest").to_string()
            })
            .collect();
        assert_eq!(found, urls);
    }

    #[test]
    fn mirrors_come_first_and_http_is_for_loopback_and_where_configured() {
        let mut config = ClientConfig::new(|| SystemTime::UNIX_EPOCH);
        check(
            &config,
            "debian",
            &["https://registry-1.docker.io/v2/library/debian/manifests/latest"],
        );
        for (host, scheme) in [
            ("127.0.0.1:5000", "http"),
            ("127.8.0.1", "http"),
            ("localhost:5000", "http"),
            ("[::1]:5000", "http"),
            ("[::2]:5000", "https"),
            ("127.0.0.1.example.com", "https"),
            ("10.0.0.1:5000", "https"),
        ] {
            let reference = format!("{host}/a");
            check(
                &config,
                &reference,
                &[&format!("{scheme}://{host}/v2/a/manifests/latest")],
            );
        }
        config.plain_http.insert("10.0.0.1:5000".to_owned());
        let mirror = |url: &str| Mirror {
            url: url.to_owned(),
        };
        config.mirrors.insert(
            "ghcr.io".to_owned(),
            vec![
                mirror("http://m.example:81/"),
                mirror("https://h.example/v2/proxy"),
            ],
        );
        check(
            &config,
            "10.0.0.1:5000/a",
            &["http://10.0.0.1:5000/v2/a/manifests/latest"],
        );
        check(
            &config,
            "10.0.0.1:5001/a",
            &["https://10.0.0.1:5001/v2/a/manifests/latest"],
        );
        check(
            &config,
            "ghcr.io/o/a",
            &[
                "http://m.example:81/v2/o/a/manifests/latest?ns=ghcr.io",
                "https://h.example/v2/proxy/o/a/manifests/latest?ns=ghcr.io",
                "https://ghcr.io/v2/o/a/manifests/latest",
            ],
        );
        for bad in ["ftp://x", "http://u:p@x", "x", "https://x/?a=b"] {
            config
                .mirrors
                .insert("ghcr.io".to_owned(), vec![mirror(bad)]);
            let error = endpoints(&config, "ghcr.io").unwrap_err().to_string();
            assert!(
                error.contains("mirror") && !error.contains("u:p"),
                "{error}"
            );
        }
    }
}
