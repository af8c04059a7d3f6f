//! Certificates as people read them: who, by whom, until when, and the fingerprint.
//!
//! Invariant: nothing is trusted here; a certificate that cannot be read still has its fingerprint.

use std::time::SystemTime;

use assembler::digest::Digest;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_cert::der::Decode as _;

use crate::redact::printable;

/// The longest name that is kept of a certificate.
const NAME_LIMIT: usize = 200;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its bytes, in hexadecimal.
    pub fingerprint: String,
    /// What it says; `None` where it cannot be read.
    pub said: Option<CertificateSaid>,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSaid {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Since when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub fn read(der: &[u8]) -> Self {
        let said = x509_cert::Certificate::from_der(der).ok().map(|read| {
            let inner = read.tbs_certificate;
            let name =
                |name: x509_cert::name::RdnSequence| printable(&name.to_string(), NAME_LIMIT);
            CertificateSaid {
                subject: name(inner.subject),
                issuer: name(inner.issuer),
                not_before: inner.validity.not_before.to_system_time(),
                not_after: inner.validity.not_after.to_system_time(),
            }
        });
        Self {
            fingerprint: Digest::of(der).hex(),
            said,
        }
    }

    /// Reads all certificates of a PEM file; none where there are none.
    pub fn read_pem(pem: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(pem)
            .flatten()
            .map(|der| Self::read(&der))
            .collect()
    }
}
