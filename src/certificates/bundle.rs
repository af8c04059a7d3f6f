//! The files and variables by which programs find authorities: in a session, and on this machine.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use assembler::digest::Digest;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    engine::session::{Access, SessionMount},
    exit_status::ExitStatus,
    leftovers,
};

/// Where a session's first process finds the configured authorities.
const GIVEN: &str = "/run/aicage/ca.pem";
/// Where it writes the image's own and the configured ones together.
pub(super) const BUNDLE: &str = "/run/aicage/ca-bundle.pem";

/// Where machines and images keep all authorities in one file.
pub(super) const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Variables that programs read to find certificate authorities; the program inside has the same list.
pub(crate) const VARIABLES: [&str; 11] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// What a session is given.
#[derive(Debug)]
pub struct Given {
    /// Variables that name the bundle inside.
    pub variables: BTreeMap<String, String>,
    /// The mount that brings the configured authorities.
    pub mount: SessionMount,
}

/// Has the configured authorities ready for a session; `None` when none are configured.
///
/// The container's first process puts them behind the image's own: the variables replace a program's list.
pub fn for_session(context: &Context) -> Result<Option<Given>, Diagnostic> {
    let Some(given) = super::configured(context)? else {
        return Ok(None);
    };
    let source = written(context, given.as_bytes())?;
    Ok(Some(Given {
        variables: named(BUNDLE),
        mount: SessionMount {
            source,
            target: PathBuf::from(GIVEN),
            access: Access::ReadOnly,
        },
    }))
}

/// Writes the bundle of this machine's authorities and the configured ones, and returns the variables that name it; none
/// when none are configured.
pub fn for_this_machine(context: &Context) -> Result<BTreeMap<String, String>, Diagnostic> {
    let Some(given) = super::configured(context)? else {
        return Ok(BTreeMap::new());
    };
    let path = written(context, &joined(of_this_machine(context), &given))?;
    Ok(named(&path.display().to_string()))
}

/// Tells whether a mount brings the configured authorities to a session's first process.
pub(super) fn is_given(target: &Path) -> bool {
    target == Path::new(GIVEN)
}

/// Returns the bundle that was kept for an image and these authorities.
pub(super) fn kept(context: &Context, name: &Digest) -> Option<PathBuf> {
    let path = place(context, name);
    path.is_file().then(|| {
        used(context, &path);
        path
    })
}

/// Keeps the bundle of an image's own authorities and the configured ones.
pub(super) fn keep(
    context: &Context,
    name: &Digest,
    own: Vec<u8>,
    given: &str,
) -> Result<PathBuf, Diagnostic> {
    let path = place(context, name);
    write(context, &path, &joined(own, given)).map_err(|error| not_written(&error))?;
    Ok(path)
}

fn joined(mut bundle: Vec<u8>, more: &str) -> Vec<u8> {
    if !bundle.is_empty() && !bundle.ends_with(b"\n") {
        bundle.push(b'\n');
    }
    bundle.extend_from_slice(more.as_bytes());
    bundle
}

fn named(file: &str) -> BTreeMap<String, String> {
    let names = VARIABLES.iter();
    names
        .map(|name| ((*name).to_owned(), file.to_owned()))
        .collect()
}

/// Writes a file that is named by its content, so that a session that runs keeps what it was given.
fn written(context: &Context, content: &[u8]) -> Result<PathBuf, Diagnostic> {
    let path = place(context, &Digest::of(content));
    if !context.is_dry() {
        write(context, &path, content).map_err(|error| not_written(&error))?;
    }
    Ok(path)
}

fn place(context: &Context, name: &Digest) -> PathBuf {
    let directory = directory(&context.settings.state());
    directory.join(format!("{}.pem", name.short()))
}

/// Returns where they are kept.
pub(crate) fn directory(state: &Path) -> PathBuf {
    state.join("certificates")
}

/// Marks a file as in use: one that nobody used for long goes.
fn used(context: &Context, path: &Path) {
    let file = fs_err::File::options().write(true).open(path);
    if let (Ok(file), Ok(now)) = (file, crate::clock::system(&context.now)) {
        // At worst it goes too early, and is written again by whoever needs it.
        drop(file.set_modified(now));
    }
}

fn not_written(error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(
        "ca-bundle",
        ExitStatus::Failed,
        "cannot write the certificate authorities for the session",
    )
    .caused_by(Some(error))
    .hint("`aicage doctor` looks at the directory of aicage and at the room on its disk")
}

fn write(context: &Context, path: &Path, content: &[u8]) -> std::io::Result<()> {
    if fs_err::read(path).is_ok_and(|there| there == content) {
        used(context, path);
        return Ok(());
    }
    // Whoever makes such files takes away what others left.
    leftovers::sweep(context);
    let directory = path.parent().unwrap_or(path);
    fs_err::create_dir_all(directory)?;
    let file = tempfile::NamedTempFile::new_in(directory)?;
    fs_err::write(file.path(), content)?;
    fs_err::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn of_this_machine(context: &Context) -> Vec<u8> {
    let named = context.settings.environment.ssl_cert_file.iter().cloned();
    named
        .chain(BUNDLES.iter().map(PathBuf::from))
        .find_map(|path| fs_err::read(path).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_inside_has_the_same_list_of_variables() {
        let inside = include_str!("../../init/src/certificates.rs");
        let (_, list) = inside.split_once("const VARIABLES:").unwrap();
        let (_, list) = list.split_once("= [").unwrap();
        let (list, _) = list.split_once("];").unwrap();
        let inside: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert_eq!(inside, VARIABLES);
    }
}
