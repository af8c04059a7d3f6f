//! The HTTP client: proxies, certificate authorities, and what a failed connection means.
//!
//! Invariants: it follows no redirect and retries nothing by itself; what it says of a failure bears no URL that was not redacted.

use std::{error::Error as _, io, sync::Arc};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{
    ClientConfig, NamedPem, ProxyFault, RedactedUrl, RegistryError, TlsFault, endpoint::authority,
};

/// Which requests a proxy is for.
type ProxyKind = fn(&str) -> reqwest::Result<reqwest::Proxy>;

/// Makes the client that all requests go through.
pub(crate) fn connect(config: &ClientConfig) -> Result<reqwest::Client, RegistryError> {
    let mut authorities = Vec::new();
    for file in &config.extra_ca {
        authorities.extend(certificates(file)?);
    }
    drop(provider());
    built(builder(config)?.tls_certs_merge(authorities))
}

/// Finishes a client.
pub(crate) fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, RegistryError> {
    builder
        .build()
        .map_err(|error| setting("the certificate authorities".to_owned(), error))
}

/// Returns the cryptography that all connections use.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    if CryptoProvider::get_default().is_none() {
        // Whoever comes first wins; a loser finds an equal provider.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    CryptoProvider::get_default().map_or_else(
        || Arc::new(rustls::crypto::ring::default_provider()),
        Arc::clone,
    )
}

fn setting(setting: String, source: reqwest::Error) -> RegistryError {
    RegistryError::Setting {
        setting,
        source: Some(source.without_url()),
    }
}

/// Begins a client: everything but whom it trusts.
pub(crate) fn builder(config: &ClientConfig) -> Result<reqwest::ClientBuilder, RegistryError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(config.user_agent.as_str())
        .connect_timeout(config.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .no_proxy();
    let unproxied = unproxied(config);
    let proxies = &config.proxies;
    let kinds: [(&Option<String>, ProxyKind); 3] = [
        (&proxies.http, |url| reqwest::Proxy::http(url)),
        (&proxies.https, |url| reqwest::Proxy::https(url)),
        (&proxies.all, |url| reqwest::Proxy::all(url)),
    ];
    for (url, kind) in kinds {
        let Some(url) = url.as_deref().filter(|url| !url.is_empty()) else {
            continue;
        };
        let proxy = kind(url)
            .map_err(|error| setting(format!("proxy `{}`", RedactedUrl::of_text(url)), error))?;
        builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&unproxied)));
    }
    Ok(builder)
}

/// Reads a PEM file of certificate authorities; those that TLS cannot use are passed over, as long as one is left.
fn certificates(file: &NamedPem) -> Result<Vec<reqwest::Certificate>, RegistryError> {
    let usable: Vec<_> = authorities(file)
        .iter()
        .flat_map(|certificate| reqwest::Certificate::from_der(certificate))
        .collect();
    if usable.is_empty() {
        return Err(RegistryError::Setting {
            setting: format!(
                "the certificate authorities in {}: there are none",
                file.name
            ),
            source: None,
        });
    }
    Ok(usable)
}

/// Returns those certificates of a file that TLS can use.
pub(crate) fn authorities(file: &NamedPem) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(&file.pem)
        .flatten()
        .filter(|certificate| {
            rustls::RootCertStore::empty()
                .add(certificate.clone())
                .is_ok()
        })
        .collect()
}

/// Returns the proxy that requests for a URL go through, unless they go without one.
fn proxy_for(config: &ClientConfig, url: &Url) -> Option<RedactedUrl> {
    proxy_text(config, url).map(RedactedUrl::of_proxy)
}

fn proxy_text<'a>(config: &'a ClientConfig, url: &Url) -> Option<&'a str> {
    let proxies = &config.proxies;
    let own = match url.scheme() {
        "http" => &proxies.http,
        _ => &proxies.https,
    };
    let mut named = [own, &proxies.all].into_iter().flatten();
    named
        .find(|proxy| !proxy.is_empty())
        .map(String::as_str)
        .filter(|_| !is_unproxied(config, url))
}

/// Lists what is reached without a proxy.
fn unproxied(config: &ClientConfig) -> String {
    format!(
        "localhost,127.0.0.0/8,::1,{}",
        config.proxies.no_proxy.as_deref().unwrap_or_default()
    )
}

/// Tells whether a URL is reached without a proxy, by the rules that the client itself goes by.
fn is_unproxied(config: &ClientConfig, url: &Url) -> bool {
    let any = Matcher::builder()
        .all("http://proxy.invalid")
        .no(unproxied(config))
        .build();
    url.as_str()
        .parse()
        .is_ok_and(|uri| any.intercept(&uri).is_none())
}

/// Tells whether a URL is reached through a proxy that is spoken to over TLS itself.
pub(crate) fn has_secure_proxy(config: &ClientConfig, url: &Url) -> bool {
    proxy_text(config, url).is_some_and(|proxy| {
        let scheme = proxy.trim_start().split_once("://");
        scheme.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
    })
}

/// Says that the proxy wants to know who asks; for answers to requests that it passes on in clear.
pub(crate) fn proxy_login(config: &ClientConfig, url: &Url) -> Option<RegistryError> {
    Some(RegistryError::Proxy {
        proxy: proxy_for(config, url)?,
        host: authority(url).unwrap_or_default(),
        fault: ProxyFault::Login,
        source: None,
    })
}

/// Looks for what a proxy did; the library that says so keeps its type to itself, but not its words.
fn proxy_fault(error: &reqwest::Error) -> Option<ProxyFault> {
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if let Some(words) = words.strip_prefix("tunnel error: ") {
            return match words {
                "proxy authorization required" => Some(ProxyFault::Login),
                "unsuccessful" => Some(ProxyFault::Refusal),
                "failed to create underlying connection" => Some(ProxyFault::Absent),
                _ => None,
            };
        }
        cause = error.source();
    }
    None
}

/// Says what a failed request means.
pub(crate) fn failure(config: &ClientConfig, error: reqwest::Error, url: &Url) -> RegistryError {
    let host = authority(url).unwrap_or_default();
    let tls = tls_fault(&error);
    let fault = proxy_fault(&error).zip(proxy_for(config, url));
    let source = error.without_url();
    if let Some((fault, proxy)) = fault {
        return RegistryError::Proxy {
            proxy,
            host,
            fault,
            source: Some(source),
        };
    }
    if let Some(fault) = tls {
        return RegistryError::Tls {
            host,
            fault,
            source,
        };
    }
    if source.is_connect() {
        return RegistryError::Connect { host, source };
    }
    if source.is_timeout() {
        return RegistryError::Timeout {
            url: RedactedUrl::new(url),
            after: config.connect_timeout,
        };
    }
    RegistryError::Broken {
        url: RedactedUrl::new(url),
        source: Some(source),
    }
}

/// Looks for rustls' error among the causes; `io::Error` hides what it wraps from `source()`.
fn tls_fault(error: &reqwest::Error) -> Option<TlsFault> {
    use rustls::{CertificateError as Certificate, Error as Tls};
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let found = error
            .downcast_ref::<Tls>()
            .or_else(|| inner?.downcast_ref::<Tls>());
        if let Some(found) = found {
            return Some(match found {
                Tls::InvalidCertificate(Certificate::UnknownIssuer) => TlsFault::UnknownAuthority,
                Tls::InvalidCertificate(
                    Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
                ) => TlsFault::WrongName,
                Tls::InvalidCertificate(
                    Certificate::Expired
                    | Certificate::ExpiredContext { .. }
                    | Certificate::NotValidYet
                    | Certificate::NotValidYetContext { .. },
                ) => TlsFault::Expired,
                Tls::InvalidCertificate(_) => TlsFault::Certificate,
                _ => TlsFault::Handshake,
            });
        }
        cause = error.source();
    }
    None
}
