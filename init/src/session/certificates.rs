//! The company's authorities in a session: in the system's own store, and in one bundle that variables name.
//!
//! The caller mounts them at [`GIVEN`] and has the variables name [`BUNDLE`], so that programs started from outside have
//! them too. **Invariant.** Only the container's own files are changed, never what is mounted into it, and nothing here
//! keeps an agent from starting.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Mounted;
use crate::certificates::{self, VARIABLES};

/// The company's authorities.
const GIVEN: &str = "/run/aicage/ca.pem";
/// Where the variables say that all authorities are.
const BUNDLE: &str = "/run/aicage/ca-bundle.pem";
/// Where it is written in a container whose root cannot be written to.
const ELSEWHERE: [&str; 2] = ["/dev/shm", "/tmp"];

/// Where tools that write the system's store anew find what to put into it: one certificate a file.
const ANCHORS: &str = "/usr/local/share/ca-certificates";
/// The same on other distributions, where a file may hold several.
const OTHER_ANCHORS: [&str; 3] = [
    "/etc/pki/ca-trust/source/anchors",
    "/etc/ca-certificates/trust-source/anchors",
    "/etc/pki/trust/anchors",
];

/// Has programs trust what the caller trusts, where the caller says so.
pub(super) fn install(environment: &mut BTreeMap<OsString, OsString>, mounted: &Mounted) {
    let given = match certificates::read(Path::new(GIVEN)) {
        Ok(given) => given,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            crate::say(&format!(
                "the company's authorities are not trusted: {error}"
            ));
            return;
        }
    };
    // Before the system's own bundle has them too.
    let bundle = certificates::merged(&given);
    if rustix::process::geteuid().is_root() {
        extend_system(&given, mounted);
    }
    match write_bundle(&bundle) {
        Ok(place) => redirect(environment, place.as_os_str()),
        Err(error) => {
            crate::say(&format!(
                "the company's authorities are only in the system's own store: {error}"
            ));
            // Programs refuse a name of nothing.
            environment.retain(|name, value| {
                value != BUNDLE || !VARIABLES.iter().any(|variable| name == variable)
            });
        }
    }
}

/// Has the variables name another place than the caller thought of.
fn redirect(environment: &mut BTreeMap<OsString, OsString>, place: &OsStr) {
    for variable in VARIABLES {
        if let Some(value) = environment.get_mut(OsStr::new(variable))
            && value == BUNDLE
        {
            place.clone_into(value);
        }
    }
}

fn write_bundle(bundle: &[u8]) -> io::Result<PathBuf> {
    let usual = PathBuf::from(BUNDLE);
    let Err(error) = write_new(&usual, bundle) else {
        return Ok(usual);
    };
    for directory in ELSEWHERE {
        let place = Path::new(directory).join("aicage-ca-bundle.pem");
        if write_new(&place, bundle).is_ok() {
            return Ok(place);
        }
    }
    Err(error)
}

/// Writes a file in place of what an earlier start of this container, or the image, has there.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    file.write_all(content)?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

/// Puts the authorities into the files that programs read which heed no variable.
///
/// As far as it goes: the variables lead to the bundle in any case.
fn extend_system(given: &str, mounted: &Mounted) {
    let mut bundles = certificates::bundles();
    if bundles.is_empty() {
        let first = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if fs::create_dir_all("/etc/ssl/certs").is_ok() && fs::write(first, "").is_ok() {
            bundles.push(first.to_owned());
        }
    }
    for bundle in bundles.iter().filter(|path| !mounted.leads_to(path)) {
        let own = fs::read(bundle).unwrap_or_default();
        let lacking = certificates::lacking(&own, given);
        if !lacking.is_empty() {
            overwrite(bundle, &certificates::joined(own, &lacking)).unwrap_or_default();
        }
    }
    // OpenSSL's own name for it, which Debian leaves open; its directory of hashed names needs a tool of the image.
    let usual = Path::new("/etc/ssl/cert.pem");
    if let Some(bundle) = bundles.first()
        && fs::symlink_metadata(usual).is_err()
        && usual.parent().is_some_and(Path::is_dir)
        && !mounted.leads_to(usual)
    {
        symlink(bundle, usual).unwrap_or_default();
    }
    anchor(given, mounted).unwrap_or_default();
}

/// Writes into a file that may be read-only for its owner.
fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let Err(error) = fs::write(path, content) else {
        return Ok(());
    };
    let mode = fs::metadata(path)?.permissions();
    if fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).is_err() {
        return Err(error);
    }
    let written = fs::write(path, content);
    fs::set_permissions(path, mode)?;
    written
}

/// Leaves the authorities where the image's own tools look, should the agent run them or install them.
fn anchor(given: &str, mounted: &Mounted) -> io::Result<()> {
    let anchors = Path::new(ANCHORS);
    if !mounted.leads_to(anchors) {
        fs::create_dir_all(anchors)?;
        for (number, certificate) in certificates::certificates(given).enumerate() {
            fs::write(anchors.join(format!("aicage-{number}.crt")), certificate)?;
        }
    }
    for directory in OTHER_ANCHORS.map(Path::new) {
        if directory.is_dir() && !mounted.leads_to(directory) {
            fs::write(directory.join("aicage.pem"), given)?;
        }
    }
    Ok(())
}
