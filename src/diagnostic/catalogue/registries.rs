//! Failures of registries and of credentials for them.

use std::{path::PathBuf, time::Duration};

use assembler::{manifest::ManifestError, store::StoreError};
use registry::{CredentialError, ProxyFault, RedactedUrl, RegistryError, TlsFault};

use super::{denied, digest, http, json, url};
use crate::diagnostic::Diagnostic;

pub(super) fn credentials() -> Vec<Diagnostic> {
    let program = || "docker-credential-pass".to_owned();
    let file = || PathBuf::from("/home/me/.docker/config.json");
    vec![
        CredentialError::Read { source: denied() }.into(),
        CredentialError::Json {
            path: file(),
            source: json(),
        }
        .into(),
        CredentialError::TooLarge {
            path: file(),
            limit: 1 << 20,
        }
        .into(),
        CredentialError::Entry {
            path: file(),
            key: "ghcr.io".to_owned(),
        }
        .into(),
        CredentialError::NoHelper {
            program: program(),
            file: file(),
        }
        .into(),
        CredentialError::Spawn {
            program: program(),
            source: denied(),
        }
        .into(),
        CredentialError::HelperTimeout {
            program: program(),
            after: Duration::from_secs(30),
        }
        .into(),
        CredentialError::HelperFailed {
            program: program(),
            message: "locked".to_owned(),
        }
        .into(),
        CredentialError::HelperAnswer { program: program() }.into(),
    ]
}

fn proxy(fault: ProxyFault) -> Diagnostic {
    RegistryError::Proxy {
        proxy: RedactedUrl::of_proxy("me:secret@proxy.example:3128"),
        host: "ghcr.io".to_owned(),
        fault,
        source: None,
    }
    .into()
}

pub(super) fn registries() -> Vec<Diagnostic> {
    let registry = || "ghcr.io".to_owned();
    let refused = |had_credentials| RegistryError::Unauthorized {
        registry: registry(),
        repository: "owner/name".to_owned(),
        had_credentials,
        message: "denied".to_owned(),
    };
    let tls = |fault| RegistryError::Tls {
        host: registry(),
        fault,
        source: http(),
    };
    let wait = Some(Duration::from_secs(30));
    let reference = || "ghcr.io/owner/name:old".to_owned();
    vec![
        refused(false).into(),
        refused(true).into(),
        RegistryError::Credentials {
            registry: registry(),
            source: CredentialError::HelperAnswer {
                program: "docker-credential-pass".to_owned(),
            },
        }
        .into(),
        RegistryError::Realm {
            registry: registry(),
            realm: url(),
            reason: "it is not HTTPS",
        }
        .into(),
        RegistryError::Protocol {
            url: url(),
            reason: "no `Location`".to_owned(),
        }
        .into(),
        RegistryError::NotFound {
            registry: registry(),
            what: "manifest owner/name:latest".to_owned(),
        }
        .into(),
        RegistryError::RateLimited {
            registry: registry(),
            retry_after: wait,
            message: String::new(),
        }
        .into(),
        RegistryError::Status {
            url: url(),
            status: 503,
            retry_after: None,
            message: String::new(),
        }
        .into(),
        tls(TlsFault::UnknownAuthority).into(),
        tls(TlsFault::WrongName).into(),
        tls(TlsFault::Expired).into(),
        tls(TlsFault::Certificate).into(),
        tls(TlsFault::Handshake).into(),
        RegistryError::Connect {
            host: registry(),
            source: http(),
        }
        .into(),
        RegistryError::Timeout {
            url: url(),
            after: Duration::from_secs(30),
        }
        .into(),
        RegistryError::Broken {
            url: url(),
            source: None,
        }
        .into(),
        RegistryError::WrongDigest {
            url: url(),
            expected: digest("a"),
            found: digest("b"),
        }
        .into(),
        RegistryError::WrongSize {
            url: url(),
            expected: 9,
            found: 10,
        }
        .into(),
        RegistryError::TooLarge {
            url: url(),
            what: "manifest",
            limit: 8 << 20,
        }
        .into(),
        RegistryError::Redirect {
            from: url(),
            to: url(),
            reason: "it leaves HTTPS",
        }
        .into(),
        RegistryError::Schema1 {
            reference: reference(),
        }
        .into(),
        RegistryError::Manifest {
            reference: reference(),
            source: ManifestError::Json {
                what: "manifest",
                digest: digest("a"),
                source: json(),
            },
        }
        .into(),
        RegistryError::Store {
            source: StoreError::Missing {
                digest: digest("a"),
            },
        }
        .into(),
        proxy(ProxyFault::Login),
        proxy(ProxyFault::Refusal),
        proxy(ProxyFault::Absent),
        RegistryError::Setting {
            setting: "proxy `http://[`".to_owned(),
            source: None,
        }
        .into(),
    ]
}
