//! The files of `network.ca`: there, PEM, not expired, with their fingerprints.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use registry::Certificate;

use crate::settings::Settings;

use super::{
    day,
    finding::{Check, Finding},
};

/// Whoever renews certificates needs some weeks.
const SOON: Duration = Duration::from_hours(30 * 24);

/// Looks at each file that is configured.
pub(super) fn look(settings: &Settings, now: SystemTime) -> Vec<Finding> {
    let files = &settings.config.network.ca;
    if files.is_empty() {
        return vec![Finding::ok(
            Check::NetworkCa,
            "no authorities are configured",
        )];
    }
    files
        .iter()
        .map(|file| {
            let path = settings.user_path(file);
            match fs_err::read(&path) {
                Ok(pem) => judge(&path, &Certificate::read_pem(&pem), now),
                Err(error) => Finding::problem(
                    Check::NetworkCa,
                    error.to_string(),
                    "Nothing can be pulled or started while a file of `network.ca` cannot be read.",
                )
                .next("aicage config set network.ca FILE"),
            }
        })
        .collect()
}

/// Judges the certificates of one file.
fn judge(path: &Path, certificates: &[Certificate], now: SystemTime) -> Finding {
    let path = path.display();
    if certificates.is_empty() {
        return Finding::problem(
            Check::NetworkCa,
            format!("{path} holds no certificate in PEM"),
            "A PEM file begins with `-----BEGIN CERTIFICATE-----`; what browsers save is often DER.",
        )
        .next(format!("openssl x509 -inform der -in {path} -out {path}.pem"));
    }
    let unreadable = certificates.iter().find(|one| one.said.is_none());
    if let Some(one) = unreadable {
        return Finding::problem(
            Check::NetworkCa,
            format!(
                "{path} holds something that is no certificate ({})",
                short(one)
            ),
            "It is passed over; whoever it should vouch for is not trusted.",
        )
        .next(format!("openssl x509 -noout -text -in {path}"));
    }
    let said = || {
        certificates
            .iter()
            .filter_map(|one| Some((one, one.said.as_ref()?)))
    };
    if let Some((one, said)) =
        said().find(|(_, said)| said.not_after < now || said.not_before > now)
    {
        return Finding::problem(
            Check::NetworkCa,
            format!(
                "{} in {path} is valid from {} to {} ({})",
                said.subject,
                day(said.not_before),
                day(said.not_after),
                short(one)
            ),
            "It vouches for nobody now.",
        )
        .next("aicage config set network.ca FILE");
    }
    let soon = said().find(|(_, said)| said.not_after < now + SOON);
    let names: Vec<String> = said()
        .take(3)
        .map(|(one, said)| format!("{} ({})", said.subject, short(one)))
        .collect();
    let more = match certificates.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let seen = format!("{path}: {}{more}", names.join(", "));
    match soon {
        Some((_, said)) => Finding::note(Check::NetworkCa, seen)
            .why(format!("It ends on {}.", day(said.not_after))),
        None => Finding::ok(Check::NetworkCa, seen),
    }
}

/// The beginning of the fingerprint, as `openssl x509 -fingerprint -sha256` spells it.
fn short(certificate: &Certificate) -> String {
    let pairs: Vec<String> = certificate
        .fingerprint
        .as_bytes()
        .chunks(2)
        .take(8)
        .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
        .collect();
    format!("SHA-256 {}…", pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use registry::CertificateSaid;

    use super::*;
    use crate::doctor::finding::State;

    const DAY: Duration = Duration::from_hours(24);

    fn certificate(from: u32, to: u32) -> Certificate {
        Certificate {
            fingerprint: "0123456789abcdef0123".to_owned(),
            said: Some(CertificateSaid {
                subject: "CN=Corp".to_owned(),
                issuer: "CN=Corp".to_owned(),
                not_before: SystemTime::UNIX_EPOCH + from * DAY,
                not_after: SystemTime::UNIX_EPOCH + to * DAY,
            }),
        }
    }

    #[test]
    fn a_file_is_judged_by_what_it_holds_and_until_when() {
        let now = SystemTime::UNIX_EPOCH + 100 * DAY;
        let unreadable = Certificate {
            said: None,
            ..certificate(0, 1)
        };
        for (certificates, state, words) in [
            (
                vec![certificate(0, 500)],
                State::Ok,
                "/c.pem: CN=Corp (SHA-256 01:23:45:67:89:AB:CD:EF…)",
            ),
            (vec![certificate(0, 500); 5], State::Ok, "and 2 more"),
            (vec![certificate(0, 101)], State::Note, "CN=Corp"),
            (vec![certificate(0, 99)], State::Problem, "to 1970-04-10"),
            (
                vec![certificate(101, 200)],
                State::Problem,
                "from 1970-04-12",
            ),
            (vec![], State::Problem, "no certificate in PEM"),
            (
                vec![certificate(0, 500), unreadable],
                State::Problem,
                "no certificate (",
            ),
        ] {
            let found = judge(Path::new("/c.pem"), &certificates, now);
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }
}
