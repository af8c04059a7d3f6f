//! The environment of a session: the contract's variables, the time zone, proxies, certificates, and what was asked for.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    engine::docker::{Access, SessionMount},
    exit_status::ExitStatus,
    proxy,
    settings::Environment,
};

use super::identity::Identity;

/// Where the merged bundle of certificate authorities is seen inside.
const BUNDLE: &str = "/run/aicage/ca-bundle.pem";

/// Variables that programs read to find certificate authorities.
pub(crate) const BUNDLE_VARIABLES: [&str; 8] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// A bundle of certificate authorities and how it reaches the session.
#[derive(Debug)]
pub struct Bundle {
    /// Variables that name it.
    pub variables: BTreeMap<String, String>,
    /// The mount that brings it.
    pub mount: SessionMount,
}

/// Composes the variables; what was asked for wins over everything else.
pub fn compose(
    context: &Context,
    identity: &Identity,
    asked: &[String],
) -> Result<BTreeMap<String, String>, Diagnostic> {
    let settings = &context.settings;
    let mut env = identity.variables();
    env.insert(
        "AICAGE_WORKSPACE".to_owned(),
        settings.directory.display().to_string(),
    );
    if let Some(zone) = time_zone(settings.environment.time_zone.as_deref()) {
        env.insert("TZ".to_owned(), zone);
    }
    for (name, value) in [
        ("TERM", &settings.environment.term),
        ("COLORTERM", &settings.environment.color_term),
    ] {
        if let Some(value) = value {
            env.insert(name.to_owned(), value.clone());
        }
    }
    if context.sandbox.get().is_none() {
        // Else a step of this run was warned of already.
        proxy::warn_of_loopback(context);
    }
    for (name, value) in &settings.environment.proxies {
        env.insert(name.clone(), value.clone());
    }
    for variable in asked {
        match variable.split_once('=') {
            Some(("", _)) => {
                return Err(Diagnostic::new(
                    "env-name",
                    ExitStatus::Usage,
                    format!("`-e {variable}` names no variable"),
                )
                .hint("write `-e NAME=VALUE`, or `-e NAME` to pass a variable on"));
            }
            Some((name, value)) => drop(env.insert(name.to_owned(), value.to_owned())),
            // As docker has it: a variable that is not set here is not set there.
            None => {
                if let Some(value) = Environment::variable(variable) {
                    env.insert(variable.clone(), value);
                }
            }
        }
    }
    Ok(env)
}

/// Writes the bundle of this machine's authorities and the configured ones; `None` when none are configured.
///
/// The variables replace a program's own list, so that the bundle must hold the usual authorities too.
pub fn certificates(context: &Context) -> Result<Option<Bundle>, Diagnostic> {
    let Some(extra) = context.extra_ca()? else {
        return Ok(None);
    };
    let mut bundle = system_bundle(context);
    bundle.push(b'\n');
    bundle.extend_from_slice(&extra);
    let directory = context.settings.state().join("certificates");
    let digest = assembler::digest::Digest::of(&bundle);
    let path = directory.join(format!("{}.pem", digest.short()));
    let write = || -> std::io::Result<()> {
        if fs_err::read(&path).is_ok_and(|there| there == bundle) {
            return Ok(());
        }
        fs_err::create_dir_all(&directory)?;
        let file = tempfile::NamedTempFile::new_in(&directory)?;
        fs_err::write(file.path(), &bundle)?;
        fs_err::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| {
        Diagnostic::new(
            "ca-bundle",
            ExitStatus::Failed,
            "cannot write the bundle of certificate authorities for the session",
        )
        .caused_by(Some(&error))
    })?;
    Ok(Some(Bundle {
        variables: BUNDLE_VARIABLES
            .iter()
            .map(|name| ((*name).to_owned(), BUNDLE.to_owned()))
            .collect(),
        mount: SessionMount {
            source: path,
            target: PathBuf::from(BUNDLE),
            access: Access::ReadOnly,
        },
    }))
}

fn system_bundle(context: &Context) -> Vec<u8> {
    let usual = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    context
        .settings
        .environment
        .ssl_cert_file
        .iter()
        .cloned()
        .chain(usual.iter().map(PathBuf::from))
        .find_map(|path| fs_err::read(path).ok())
        .unwrap_or_default()
}

/// Returns the zone's name: `TZ` where it is one, `/etc/timezone`, or what `/etc/localtime` links to.
fn time_zone(variable: Option<&str>) -> Option<String> {
    let is_zone = |zone: &str| {
        !zone.is_empty()
            && !zone.starts_with([':', '/'])
            && !zone.contains("..")
            && zone
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
    };
    let file = || {
        let text = fs_err::read_to_string("/etc/timezone").ok()?;
        Some(text.trim().to_owned())
    };
    let link = || {
        let target = fs_err::read_link("/etc/localtime").ok()?;
        let target = target.to_str()?;
        Some(target.split_once("zoneinfo/")?.1.to_owned())
    };
    variable
        .map(str::to_owned)
        .filter(|zone| is_zone(zone))
        .or_else(|| file().filter(|zone| is_zone(zone)))
        .or_else(|| link().filter(|zone| is_zone(zone)))
}
