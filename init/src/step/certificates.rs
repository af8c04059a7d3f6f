//! Lets the scripts trust what the company trusts, without a trace in the image.
//!
//! The image's own bundle and the given certificates go into one file outside the captured tree, and every tool is
//! told by its own variable.

use std::path::Path;

use fs_err as fs;

/// Where distributions keep their bundle.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// What tools read the name of a bundle from.
const VARIABLES: [&str; 10] = [
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "NIX_SSL_CERT_FILE",
    "DENO_CERT",
    "AWS_CA_BUNDLE",
];

/// Writes the bundle and returns the variables that lead to it.
pub(super) fn install(given: &Path, private: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut bundle = BUNDLES
        .iter()
        .find_map(|path| fs::read(path).ok())
        .unwrap_or_default();
    if !bundle.is_empty() && !bundle.ends_with(b"\n") {
        bundle.push(b'\n');
    }
    bundle.extend(fs::read(given)?);
    let path = private.join("ca.pem");
    fs::write(&path, bundle)?;
    let apt = private.join("apt.conf");
    fs::write(
        &apt,
        format!("Acquire::https::CaInfo \"{}\";\n", path.display()),
    )?;
    let variables = VARIABLES
        .iter()
        .map(|name| ((*name).to_owned(), path.display().to_string()));
    Ok(variables
        .chain([("APT_CONFIG".to_owned(), apt.display().to_string())])
        .collect())
}
