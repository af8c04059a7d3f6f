//! Whether registries and mirrors answer, whose certificate they show, and whether an image may be read.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::SystemTime,
};

use assembler::reference::ImageReference;
use assembler::reporter::Silent;
use registry::{Certificate, Client, Probe, ProbeAnswer, RegistryError, Shown, TlsFault, Voucher};

use crate::{
    container_options::text,
    context::Context,
    definition::catalogue::Catalogue,
    diagnostic::{self, Diagnostic},
    image_source::ImageSource,
    network,
    settings::Settings,
};

use super::{
    clock,
    finding::{Check, Finding, State},
};

/// So many registries are looked at; bases name any number.
const MOST: usize = 8;

/// Where machines keep the authorities that their owner added.
const ANCHORS: [&str; 4] = [
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/ca-certificates/trust-source/anchors",
    "/etc/pki/trust/anchors",
];

/// Asks all registries that are configured or that bases come from.
pub(super) async fn look(context: &Context, catalogue: &Catalogue) -> Vec<Finding> {
    let hosts = hosts(&context.settings, catalogue);
    if context.options.offline {
        let reason = "`--offline`: nobody is asked";
        return [
            Check::Registry,
            Check::Certificate,
            Check::Access,
            Check::Clock,
        ]
        .map(|check| Finding::skipped(check, reason))
        .into();
    }
    let mut config = match network::client_config(context) {
        Ok(config) => config,
        Err(wrong) => {
            let finding = Finding::problem(
                Check::Registry,
                wrong.sentence(),
                "No registry is asked while this is wrong.",
            );
            return vec![finding.next(wrong.advice().unwrap_or("aicage config show --origin"))];
        }
    };
    // Looking keeps nothing.
    config.token_cache = None;
    let client = Client::new(config);
    let probes = hosts.iter().map(|host| async {
        let probes = client.probe(host).await;
        (host.as_str(), probes)
    });
    let (probes, access) = tokio::join!(
        futures_util::future::join_all(probes),
        access(context, &client)
    );
    let mut findings = Vec::new();
    let mut told = Vec::new();
    let anchors = Anchors::read(&context.settings);
    for (host, outcome) in probes {
        match outcome {
            Ok(places) => {
                for place in places {
                    if let Some(date) = place.date {
                        told.push((host.to_owned(), date));
                    }
                    findings.extend(judge(host, &place, &anchors));
                }
            }
            Err(error) => {
                let wrong = Diagnostic::from(error);
                let finding = Finding::problem(
                    Check::Registry,
                    wrong.sentence(),
                    format!("Nothing can be pulled from {host}."),
                );
                findings
                    .push(finding.next(wrong.advice().unwrap_or("aicage config show --origin")));
            }
        }
    }
    findings.push(clock::judge(now(context), &told));
    findings.extend(access);
    findings
}

fn now(context: &Context) -> SystemTime {
    crate::clock::system(&context.now).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Names the registries that images come from.
fn hosts(settings: &Settings, catalogue: &Catalogue) -> BTreeSet<String> {
    let registry = &settings.config.registry;
    let mut names: Vec<String> = vec![
        registry.final_repository.clone(),
        registry.base_repository.clone(),
    ];
    names.extend(catalogue.bases.values().filter_map(
        |base| match base.settings.from_image.parse() {
            Ok(ImageSource::Name(_)) => Some(base.settings.from_image.clone()),
            _ => None,
        },
    ));
    let references = names
        .iter()
        .filter_map(|name| name.parse::<ImageReference>().ok());
    let mut hosts = BTreeSet::new();
    for reference in references {
        if hosts.len() < MOST {
            hosts.insert(reference.registry().to_owned());
        }
    }
    hosts.extend(registry.mirrors.keys().take(MOST).cloned());
    hosts
}

/// Certificates that this machine's owner added, and what `network.ca` names by now.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// By file.
    added: Vec<(PathBuf, Vec<Certificate>)>,
    configured: Vec<String>,
}

impl Anchors {
    fn read(settings: &Settings) -> Self {
        let mut files: Vec<PathBuf> = settings.environment.ssl_cert_file.iter().cloned().collect();
        for directory in ANCHORS {
            // Many machines have none of these.
            let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
            files.extend(entries.map(|entry| entry.path()));
        }
        let added = files.into_iter().filter_map(|file| {
            let pem = fs_err::read(&file).ok()?;
            Some((file, Certificate::read_pem(&pem)))
        });
        let configured = settings.config.network.ca.iter();
        let configured = configured.map(|path| settings.user_path(path).display().to_string());
        Self {
            added: added.collect(),
            configured: configured.collect(),
        }
    }

    /// Returns the command that adds the authority of this name; what it sets replaces what there was.
    fn add(&self, issuer: &str) -> String {
        let file = self.of(issuer).map_or_else(
            || "/path/to/the-authority.pem".to_owned(),
            |file| file.display().to_string(),
        );
        let files = self.configured.iter().chain([&file]);
        format!("aicage config set network.ca {}", text::join(files))
    }

    /// Finds the file that holds the authority of this name.
    fn of(&self, issuer: &str) -> Option<&Path> {
        self.added.iter().find_map(|(file, certificates)| {
            certificates
                .iter()
                .any(|one| one.said.as_ref().is_some_and(|said| said.subject == issuer))
                .then_some(file.as_path())
        })
    }
}

/// Judges one place that stands for a registry.
pub(super) fn judge(host: &str, probe: &Probe, anchors: &Anchors) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &probe.answer {
        Ok(answer) => findings.push(answered(probe, answer)),
        // Its certificate says it all.
        Err(RegistryError::Tls { .. }) if probe.shown.is_some() => {}
        Err(error) => findings.push(unanswered(host, probe, error)),
    }
    if let Some(shown) = &probe.shown {
        findings.push(vouched(probe, shown, anchors));
    }
    if probe.is_hidden {
        let url = &probe.url;
        let reason =
            format!("{url} is reached through a proxy over TLS: its certificate is not looked at");
        findings.push(Finding::skipped(Check::Certificate, reason));
    }
    findings
}

fn answered(probe: &Probe, answer: &ProbeAnswer) -> Finding {
    let url = &probe.url;
    let status = answer.status;
    let what = if probe.is_mirror { "mirror " } else { "" };
    let seen = format!("{what}{url} answers with status {status}");
    let next = format!("curl -sv {url}");
    match status {
        200 => Finding::ok(Check::Registry, seen),
        401 if answer.asks_who => Finding::ok(
            Check::Registry,
            format!("{what}{url} answers, and asks who is there"),
        ),
        407 => Finding::problem(
            Check::Registry,
            seen,
            "The proxy wants a name and a password.",
        )
        .next("export HTTPS_PROXY=http://NAME:PASSWORD@PROXY:PORT"),
        429 => Finding::note(Check::Registry, seen)
            .why("It allows no more requests for now; whoever is logged in is allowed more."),
        _ if probe.is_mirror => Finding::note(Check::Registry, seen)
            .why("That is no answer of a registry; the next place is asked instead, each time.")
            .next(next),
        _ => Finding::problem(
            Check::Registry,
            seen,
            "That is no answer of a registry; perhaps something on the way answers in its place.",
        )
        .next(next),
    }
}

fn unanswered(host: &str, probe: &Probe, error: &RegistryError) -> Finding {
    let sentence = diagnostic::sentence(error);
    let next = format!("curl -sv {}", probe.url);
    if probe.is_mirror {
        return Finding::note(Check::Registry, format!("mirror {}: {sentence}", probe.url))
            .why("The next place is asked instead, each time.")
            .next(next);
    }
    Finding::problem(
        Check::Registry,
        sentence,
        format!("Nothing can be pulled from {host}; what is here works on with `--offline`."),
    )
    .next(next)
}

/// Says who vouches for a certificate.
fn vouched(probe: &Probe, shown: &Shown, anchors: &Anchors) -> Finding {
    let issuer = shown
        .certificate
        .said
        .as_ref()
        .map_or("somebody who cannot be read", |said| said.issuer.as_str());
    let what = if probe.is_mirror { "mirror " } else { "" };
    let place = format!("{what}{}", probe.url);
    let ok = |seen: String| Finding::ok(Check::Certificate, seen);
    let (seen, why, next) = match &shown.voucher {
        Voucher::Public => {
            return ok(format!("{place}: signed by {issuer}, which browsers know"));
        }
        Voucher::Configured(file) => {
            return ok(format!(
                "{place}: signed by {issuer}, trusted by {file} of `network.ca`"
            ));
        }
        Voucher::Machine => {
            let seen =
                format!("{place}: signed by {issuer}, which only this machine's own list knows");
            return Finding::note(Check::Certificate, seen)
                .why(
                    "A proxy reads along, or the registry is your company's. Containers do not have this machine's list: \
                     installing and the agent will fail there until the authority is in `network.ca`.",
                )
                .next(anchors.add(issuer));
        }
        Voucher::Nobody(TlsFault::UnknownAuthority) => (
            format!("{place}: signed by {issuer}, which nobody here knows"),
            "A proxy reads along, or the registry is your company's. Ask for the authority's certificate, as a PEM file.",
            anchors.add(issuer),
        ),
        Voucher::Nobody(TlsFault::Expired) => (
            format!("{place}: {}", validity(&shown.certificate)),
            "The certificate is too old or too new, or this machine's clock is wrong.",
            "date".to_owned(),
        ),
        Voucher::Nobody(fault) => (
            format!("{place}: {fault} (signed by {issuer})"),
            "Something else answers in its place.",
            format!("curl -sv {}", probe.url),
        ),
    };
    if probe.is_mirror {
        return Finding::note(Check::Certificate, seen)
            .why(format!("{why} The next place is asked instead, each time."))
            .next(next);
    }
    Finding::problem(Check::Certificate, seen, why).next(next)
}

fn validity(certificate: &Certificate) -> String {
    certificate.said.as_ref().map_or_else(
        || "its certificate is not valid now".to_owned(),
        |said| {
            format!(
                "its certificate is valid from {} to {}",
                super::day(said.not_before),
                super::day(said.not_after)
            )
        },
    )
}

/// Asks for the image that most agents run on, as a pull would.
async fn access(context: &Context, client: &Client) -> Option<Finding> {
    let config = &context.settings.config;
    let name = format!(
        "{}:{}",
        config.registry.base_repository, config.default_base
    );
    let reference: ImageReference = name.parse().ok()?;
    let outcome = client.head(&reference, &Silent).await.map(drop);
    Some(judge_access(&reference, outcome.as_ref().err()))
}

fn judge_access(reference: &ImageReference, error: Option<&RegistryError>) -> Finding {
    let name = reference.familiar();
    let registry = reference.registry();
    let Some(error) = error else {
        return Finding::ok(Check::Access, format!("{name} may be read"));
    };
    let sentence = diagnostic::sentence(error);
    match error {
        RegistryError::NotFound { .. } => Finding::note(Check::Access, sentence)
            .why("The base is built here instead, which takes longer."),
        RegistryError::Unauthorized { .. } | RegistryError::Credentials { .. } => Finding::problem(
            Check::Access,
            sentence,
            "Without the right to read it, nothing can be pulled from there.",
        )
        .next(format!("docker login {registry}")),
        RegistryError::RateLimited { .. } => Finding::note(Check::Access, sentence)
            .why("Whoever is logged in is allowed more.")
            .next(format!("docker login {registry}")),
        // What is wrong is said of the registry itself.
        _ => Finding::new(Check::Access, State::Skipped, format!("{name}: {sentence}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use registry::{CertificateSaid, RedactedUrl};

    use super::*;

    fn probe(status: u16) -> Probe {
        Probe {
            url: RedactedUrl::of_text("https://r.example/v2/"),
            is_mirror: false,
            answer: Ok(ProbeAnswer {
                status,
                asks_who: false,
                is_registry: false,
            }),
            shown: None,
            is_hidden: false,
            date: None,
        }
    }

    fn shown(voucher: Voucher) -> Shown {
        Shown {
            certificate: Certificate {
                fingerprint: "ab".to_owned(),
                said: Some(CertificateSaid {
                    subject: "CN=r.example".to_owned(),
                    issuer: "CN=Corp".to_owned(),
                    not_before: SystemTime::UNIX_EPOCH,
                    not_after: SystemTime::UNIX_EPOCH + Duration::from_hours(24),
                }),
            },
            voucher,
        }
    }

    #[test]
    fn statuses_are_what_registries_say_or_what_stands_before_them() {
        for (status, asks_who, is_mirror, state) in [
            (200, false, false, State::Ok),
            (401, true, false, State::Ok),
            (401, false, false, State::Problem),
            (407, false, false, State::Problem),
            (429, false, false, State::Note),
            (503, false, false, State::Problem),
            (503, false, true, State::Note),
            (302, false, false, State::Problem),
        ] {
            let mut probe = Probe {
                is_mirror,
                ..probe(status)
            };
            if let Ok(answer) = &mut probe.answer {
                answer.asks_who = asks_who;
            }
            let found = judge("r.example", &probe, &Anchors::default());
            assert_eq!(found[0].state, state, "{status}: {found:?}");
            assert_eq!(found[0].check, Check::Registry);
        }
    }

    #[test]
    fn a_certificate_that_is_not_looked_at_is_said() {
        let probe = Probe {
            is_hidden: true,
            ..probe(200)
        };
        let found = judge("r.example", &probe, &Anchors::default());
        assert_eq!(found[1].check, Check::Certificate, "{found:?}");
        assert_eq!(found[1].state, State::Skipped, "{found:?}");
        assert!(found[1].seen.contains("a proxy over TLS"), "{found:?}");
    }

    #[test]
    fn a_place_that_is_silent_is_a_problem_and_a_silent_mirror_is_none() {
        for (is_mirror, state) in [(false, State::Problem), (true, State::Note)] {
            let url = RedactedUrl::of_text("https://r.example/v2/");
            let probe = Probe {
                is_mirror,
                answer: Err(RegistryError::Timeout {
                    url,
                    after: Duration::from_secs(1),
                }),
                ..probe(200)
            };
            let found = judge("r.example", &probe, &Anchors::default());
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].state, state);
            assert_eq!(
                found[0].next.as_deref(),
                Some("curl -sv https://r.example/v2/")
            );
        }
    }

    #[test]
    fn whoever_vouches_for_a_certificate_is_named_with_what_to_type() {
        let file = PathBuf::from("/anchors/corp.crt");
        let corp = Certificate {
            fingerprint: "cd".to_owned(),
            said: Some(CertificateSaid {
                subject: "CN=Corp".to_owned(),
                issuer: "CN=Corp".to_owned(),
                not_before: SystemTime::UNIX_EPOCH,
                not_after: SystemTime::UNIX_EPOCH,
            }),
        };
        let anchors = Anchors {
            added: vec![(file, vec![corp])],
            configured: Vec::new(),
        };
        let unknown = Voucher::Nobody(TlsFault::UnknownAuthority);
        for (voucher, state, next) in [
            (Voucher::Public, State::Ok, None),
            (Voucher::Configured("/corp.pem".to_owned()), State::Ok, None),
            (
                Voucher::Machine,
                State::Note,
                Some("aicage config set network.ca /anchors/corp.crt"),
            ),
            (
                unknown.clone(),
                State::Problem,
                Some("aicage config set network.ca /anchors/corp.crt"),
            ),
            (
                Voucher::Nobody(TlsFault::Expired),
                State::Problem,
                Some("date"),
            ),
            (
                Voucher::Nobody(TlsFault::WrongName),
                State::Problem,
                Some("curl -sv https://r.example/v2/"),
            ),
        ] {
            let found = vouched(&probe(200), &shown(voucher), &anchors);
            assert_eq!(
                (found.state, found.next.as_deref()),
                (state, next),
                "{found:?}"
            );
        }
        let found = vouched(&probe(200), &shown(unknown.clone()), &Anchors::default());
        assert!(found.next.unwrap().ends_with("/path/to/the-authority.pem"));
        let found = vouched(
            &probe(200),
            &shown(Voucher::Nobody(TlsFault::Expired)),
            &anchors,
        );
        assert!(
            found.seen.contains("from 1970-01-01 to 1970-01-02"),
            "{found:?}"
        );
    }

    #[test]
    fn what_network_ca_names_stays_named_and_a_mirror_is_no_problem() {
        let anchors = Anchors {
            configured: vec!["/home/me/my ca.pem".to_owned()],
            ..Anchors::default()
        };
        let mirror = Probe {
            url: RedactedUrl::of_text("https://mirror.example/v2/"),
            is_mirror: true,
            ..probe(200)
        };
        let unknown = shown(Voucher::Nobody(TlsFault::UnknownAuthority));
        let found = vouched(&mirror, &unknown, &anchors);
        assert_eq!(found.state, State::Note, "{found:?}");
        assert!(found.seen.contains("mirror.example"), "{found:?}");
        assert_eq!(
            found.next.as_deref(),
            Some("aicage config set network.ca '/home/me/my ca.pem' /path/to/the-authority.pem")
        );
        let found = vouched(&probe(200), &unknown, &anchors);
        assert_eq!(found.state, State::Problem, "{found:?}");
    }

    #[test]
    fn an_image_that_may_not_be_read_says_how_to_log_in() {
        let reference: ImageReference = "r.example/a:b".parse().unwrap();
        assert_eq!(judge_access(&reference, None).state, State::Ok);
        let refused = RegistryError::Unauthorized {
            registry: "r.example".to_owned(),
            repository: "a".to_owned(),
            had_credentials: false,
            message: String::new(),
        };
        let found = judge_access(&reference, Some(&refused));
        assert_eq!(found.state, State::Problem);
        assert_eq!(found.next.as_deref(), Some("docker login r.example"));
        let missing = RegistryError::NotFound {
            registry: "r.example".to_owned(),
            what: "a:b".to_owned(),
        };
        assert_eq!(judge_access(&reference, Some(&missing)).state, State::Note);
    }
}
