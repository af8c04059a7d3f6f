//! The files of `network.ca`, as a start reads them: there, PEM, not expired, with their fingerprints.

use jiff::{SignedDuration, Timestamp};

use crate::{
    certificates::{self, Authority, AuthorityFile},
    container_options::text::quote,
    diagnostic::Diagnostic,
    settings::Settings,
};

use super::finding::{Check, Finding};

/// Whoever renews certificates needs some weeks.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
/// So many certificates of a file are named.
const NAMED: usize = 3;

/// Looks at each file that is configured; `now` is RFC 3339.
pub(super) fn look(settings: &Settings, now: &str) -> Vec<Finding> {
    let files = match certificates::named(settings) {
        Ok(files) => files,
        Err(refused) => return vec![unusable(&refused)],
    };
    if files.is_empty() {
        return vec![Finding::ok(
            Check::NetworkCa,
            "no authorities are configured",
        )];
    }
    let files = files.iter().map(|path| match certificates::read_one(path) {
        Ok(file) => judge(&file, now),
        Err(refused) => vec![unusable(&refused)],
    });
    files.flatten().collect()
}

fn unusable(refused: &Diagnostic) -> Finding {
    Finding::problem(
        Check::NetworkCa,
        refused.sentence(),
        "Nothing can be pulled or started with it.",
    )
    .next(
        refused
            .advice()
            .unwrap_or("aicage config set network.ca FILE…"),
    )
}

/// Judges the certificates of one file.
fn judge(file: &AuthorityFile, now: &str) -> Vec<Finding> {
    let path = file.path.display();
    let odd = file.oddities(now);
    let at: Timestamp = now.parse().unwrap_or_default();
    let is_valid = |authority: &&Authority| authority.begin <= at && at <= authority.end;
    let mut findings = Vec::new();
    if file
        .authorities
        .iter()
        .any(|authority| is_valid(&authority))
    {
        findings.push(Finding::ok(
            Check::NetworkCa,
            format!("{path}: {}", names(&file.authorities)),
        ));
        if !odd.is_empty() {
            findings.push(
                Finding::note(Check::NetworkCa, format!("in {path}, {}", odd.join("; ")))
                    .why("What they stand for is not trusted, by some programs at least."),
            );
        }
    } else {
        findings.push(
            Finding::problem(
                Check::NetworkCa,
                format!("in {path}, {}", odd.join("; ")),
                "The file vouches for nobody now.",
            )
            .next("aicage config set network.ca FILE…"),
        );
    }
    let soon = file.authorities.iter().filter(is_valid);
    let soon = soon.min_by_key(|authority| authority.end);
    if let Some(authority) = soon.filter(|authority| authority.end < at + SOON) {
        let day = authority.end.strftime("%Y-%m-%d");
        findings.push(
            Finding::note(
                Check::NetworkCa,
                format!("in {path}, `{}` ends on {day}", authority.subject),
            )
            .why("Whoever gave you the file has, or will have, a newer one."),
        );
    }
    if let Some(error) = file.left_out.first() {
        findings.push(
            Finding::note(
                Check::NetworkCa,
                format!("{path} holds something that is no certificate: {error}"),
            )
            .why("It is left out; whoever it should vouch for is not trusted.")
            .next(format!(
                "openssl storeutl -certs -noout -text {}",
                quote(&path.to_string())
            )),
        );
    }
    if file.has_key {
        findings.push(
            Finding::note(Check::NetworkCa, format!("{path} holds a private key"))
                .why("It is not used and goes nowhere, and should not be there."),
        );
    }
    findings
}

fn names(authorities: &[Authority]) -> String {
    let named = authorities.iter().take(NAMED);
    let named: Vec<String> = named
        .map(|authority| format!("{} ({})", authority.subject, short(&authority.fingerprint)))
        .collect();
    let more = match authorities.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

/// The beginning of the fingerprint, as `openssl x509 -fingerprint -sha256` spells it.
fn short(fingerprint: &str) -> String {
    let pairs: Vec<String> = fingerprint
        .as_bytes()
        .chunks(2)
        .take(8)
        .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
        .collect();
    format!("SHA-256 {}…", pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn authority(from: &str, to: &str) -> Authority {
        let time = |day: &str| format!("{day}T00:00:00Z").parse().unwrap();
        Authority {
            pem: String::new(),
            subject: "CN=Corp".to_owned(),
            fingerprint: "0123456789abcdef0123".to_owned(),
            begin: time(from),
            end: time(to),
            signs: true,
        }
    }

    #[track_caller]
    fn check(authorities: Vec<Authority>, expected: &[(State, &str)]) {
        let file = AuthorityFile {
            path: "/c.pem".into(),
            authorities,
            left_out: Vec::new(),
            has_key: false,
        };
        let found = judge(&file, NOW);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (one, (state, words)) in found.iter().zip(expected) {
            assert_eq!(one.state, *state, "{found:?}");
            assert!(one.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_file_is_judged_by_what_it_holds_and_until_when() {
        let good = || authority("2020-01-01", "2030-01-01");
        let expired = || authority("2020-01-01", "2026-11-20");
        check(
            vec![good()],
            &[(
                State::Ok,
                "/c.pem: CN=Corp (SHA-256 01:23:45:67:89:AB:CD:EF…)",
            )],
        );
        check(vec![good(); 5], &[(State::Ok, "and 2 more")]);
        check(
            vec![authority("2020-01-01", "2026-12-01")],
            &[(State::Ok, "CN=Corp"), (State::Note, "ends on 2026-12-01")],
        );
        check(
            vec![expired()],
            &[(State::Problem, "`CN=Corp` expired on 2026-11-20")],
        );
        check(
            vec![authority("2027-01-01", "2030-01-01")],
            &[(State::Problem, "is not valid before 2027-01-01")],
        );
        // A whole store always has some.
        check(
            vec![expired(), good()],
            &[(State::Ok, "CN=Corp"), (State::Note, "expired on")],
        );
        let server = Authority {
            signs: false,
            ..good()
        };
        check(
            vec![server],
            &[(State::Ok, "CN=Corp"), (State::Note, "not an authority's")],
        );
    }
}
