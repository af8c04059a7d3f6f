//! Looks at the places that stand for a registry: does each answer, what is its clock, and who vouches for its certificate.
//!
//! Invariants: no credential of a registry is sent and nothing that comes is kept or believed; the second look, which takes
//! any certificate, is there to read that certificate, and only when the place speaks TLS. It takes none of a proxy's: a
//! proxy that is itself spoken to over TLS is not asked a second time, since its login would go to whoever answers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use reqwest::{Method, header};
use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{
    Certificate, Client, RedactedUrl, RegistryError, TlsFault, challenge, connection,
    endpoint::{Endpoint, endpoints},
    transport::Ask,
};

/// What came of looking at one place.
#[derive(Debug)]
pub struct Probe {
    /// What was asked.
    pub url: RedactedUrl,
    /// Whether it is a mirror, after which another place follows.
    pub is_mirror: bool,
    /// What it answered, or why there is no answer.
    pub answer: Result<ProbeAnswer, RegistryError>,
    /// The certificate it showed; `None` without TLS, or where no connection came about.
    pub shown: Option<Shown>,
    /// Whether its certificate was not looked at, because a proxy that is spoken to over TLS is in between.
    pub is_hidden: bool,
    /// What its clock said; also known where the certificate is not accepted.
    pub date: Option<SystemTime>,
}

/// An answer to `GET /v2/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Whether it wants to know who asks, in a way that registries do.
    pub asks_who: bool,
    /// Whether it calls itself a registry.
    pub is_registry: bool,
}

/// The certificate that a place showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The certificate.
    pub certificate: Certificate,
    /// Who vouches for it.
    pub voucher: Voucher,
}

/// Who vouches for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// An authority that browsers know.
    Public,
    /// An authority in this file of those that were configured.
    Configured(String),
    /// An authority that was added to this machine's own list.
    Machine,
    /// Nobody.
    Nobody(TlsFault),
}

impl Client {
    /// Looks at `registry` (`ghcr.io`, `docker.io`, `host:port`) and at its mirrors, which come first.
    pub async fn probe(&self, registry: &str) -> Result<Vec<Probe>, RegistryError> {
        let endpoints = endpoints(&self.shared.config, registry)?;
        let looks = endpoints.iter().map(|endpoint| self.look(endpoint));
        Ok(futures_util::future::join_all(looks).await)
    }

    async fn look(&self, endpoint: &Endpoint) -> Probe {
        let url = endpoint.root();
        let ask = Ask::new(Method::GET, url.clone());
        let answered = self.shared.transport.send(&ask).await;
        let mut date = None;
        let answer = answered.map(|answer| {
            date = answer.header(header::DATE).and_then(read_date);
            let challenge = challenge::read(answer.header_values(header::WWW_AUTHENTICATE));
            ProbeAnswer {
                status: answer.status().as_u16(),
                asks_who: challenge.is_some(),
                is_registry: answer
                    .header(header::HeaderName::from_static(
                        "docker-distribution-api-version",
                    ))
                    .is_some(),
            }
        });
        let is_hidden =
            endpoint.is_secure() && connection::has_secure_proxy(&self.shared.config, &url);
        let shown = if endpoint.is_secure() && !is_hidden {
            let fault = match &answer {
                Err(RegistryError::Tls { fault, .. }) => Some(*fault),
                _ => None,
            };
            let (shown, its_date) = self.witness(endpoint, fault).await;
            date = date.or(its_date);
            shown
        } else {
            None
        };
        Probe {
            url: RedactedUrl::new(&url),
            is_mirror: endpoint.is_mirror(),
            answer,
            shown,
            is_hidden,
            date,
        }
    }

    /// Asks again, taking any certificate, and judges it.
    async fn witness(
        &self,
        endpoint: &Endpoint,
        fault: Option<TlsFault>,
    ) -> (Option<Shown>, Option<SystemTime>) {
        let config = &self.shared.config;
        let provider = connection::provider();
        let witness = Arc::new(Witness {
            provider: Arc::clone(&provider),
            seen: Mutex::default(),
        });
        let Ok(versions) = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
        else {
            return (None, None);
        };
        let tls = versions
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let Ok(client) = connection::builder(config)
            .and_then(|builder| connection::built(builder.tls_backend_preconfigured(tls)))
        else {
            return (None, None);
        };
        let answer = client.get(endpoint.root()).send().await;
        let date = answer.ok().and_then(|answer| {
            let date = answer.headers().get(header::DATE)?;
            read_date(date.to_str().ok()?)
        });
        let seen = witness.take();
        let shown = seen.map(|seen| {
            let voucher = match fault {
                Some(fault) => Voucher::Nobody(fault),
                None => self.voucher(&seen, &provider),
            };
            Shown {
                certificate: Certificate::read(&seen.certificate),
                voucher,
            }
        });
        (shown, date)
    }

    /// Tells who vouches for a certificate that was accepted.
    fn voucher(&self, seen: &Seen, provider: &Arc<CryptoProvider>) -> Voucher {
        let config = &self.shared.config;
        let now = (config.clock)()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = UnixTime::since_unix_epoch(now);
        let vouches = |roots: RootCertStore| {
            WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
                .build()
                .is_ok_and(|verifier| {
                    verifier
                        .verify_server_cert(&seen.certificate, &seen.between, &seen.name, &[], now)
                        .is_ok()
                })
        };
        let public = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if vouches(public) {
            return Voucher::Public;
        }
        for file in &config.extra_ca {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(connection::authorities(file));
            if !roots.is_empty() && vouches(roots) {
                return Voucher::Configured(file.name.clone());
            }
        }
        Voucher::Machine
    }
}

/// Takes any certificate and remembers it.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Seen>>,
}

/// What a server showed.
#[derive(Clone, Debug)]
struct Seen {
    certificate: CertificateDer<'static>,
    between: Vec<CertificateDer<'static>>,
    name: ServerName<'static>,
}

impl Witness {
    fn take(&self) -> Option<Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.take()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Seen {
            certificate: end_entity.clone().into_owned(),
            between: intermediates
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
            name: server_name.to_owned(),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn read_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}
