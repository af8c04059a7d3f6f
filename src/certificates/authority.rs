//! One certificate of an authority, and what of it its owner should know.

use jiff::Timestamp;
use x509_cert::{
    Certificate,
    der::{Decode as _, Error},
    ext::pkix::BasicConstraints,
};

use super::pem;

/// A certificate that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The certificate, PEM as OpenSSL writes it.
    pub pem: String,
    /// Whose it is.
    pub subject: String,
    /// SHA-256 of it, hexadecimal.
    pub fingerprint: String,
    /// From when it is valid.
    pub begin: Timestamp,
    /// Until when it is valid.
    pub end: Timestamp,
    /// Whether it may sign others.
    pub signs: bool,
}

impl Authority {
    /// Reads a certificate from DER.
    pub fn of(der: &[u8]) -> Result<Self, Error> {
        let certificate = Certificate::from_der(der)?.tbs_certificate;
        let time = |time: x509_cert::time::Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
            Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
        };
        // Those of before 1999 say nothing of it.
        let constraints = certificate.get::<BasicConstraints>()?;
        let signs = constraints.is_none_or(|(_, constraints)| constraints.ca);
        Ok(Self {
            pem: pem::written(der),
            subject: certificate.subject.to_string(),
            fingerprint: assembler::digest::Digest::of(der).hex(),
            begin: time(certificate.validity.not_before),
            end: time(certificate.validity.not_after),
            signs,
        })
    }

    /// Says what keeps it from being of use at a time, RFC 3339, if anything does.
    pub fn oddity(&self, now: &str) -> Option<String> {
        let now: Timestamp = now.parse().ok()?;
        let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
        if now > self.end {
            Some(format!("expired on {}", day(self.end)))
        } else if now < self.begin {
            Some(format!("is not valid before {}", day(self.begin)))
        } else if !self.signs {
            Some("is not an authority's: programs may refuse what it stands for".to_owned())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints as Constraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd,
    };

    use super::*;

    fn authority(is_ca: IsCa) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = is_ca;
        params.not_before = date_time_ymd(2020, 1, 2);
        params.not_after = date_time_ymd(2030, 3, 4);
        params
            .distinguished_name
            .push(DnType::CommonName, "The Company");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Authority::of(certificate.der()).unwrap()
    }

    #[test]
    fn what_keeps_a_certificate_from_being_of_use_is_told() {
        let authority = authority(IsCa::Ca(Constraints::Unconstrained));
        assert!(
            authority.subject.contains("The Company"),
            "{}",
            authority.subject
        );
        for (now, oddity) in [
            ("2026-11-21T12:00:00Z", None),
            ("2030-03-05T00:00:00Z", Some("expired on 2030-03-04")),
            (
                "2019-01-01T00:00:00Z",
                Some("is not valid before 2020-01-02"),
            ),
        ] {
            assert_eq!(authority.oddity(now).as_deref(), oddity);
        }
        let server = self::authority(IsCa::ExplicitNoCa);
        let oddity = server.oddity("2026-11-21T12:00:00Z").unwrap();
        assert!(oddity.contains("is not an authority's"), "{oddity}");
        assert!(Authority::of(b"\x30\x03").is_err());
    }
}
