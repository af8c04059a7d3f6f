//! Authorities that a company adds to those of an image.
//!
//! **Invariant.** A bundle of ours is the image's own authorities and the given ones, nobody else's.

use std::path::{Path, PathBuf};

use fs_err as fs;

/// Where distributions keep all authorities in one file.
const BUNDLES: [&str; 8] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What tools read the name of a bundle from; the program outside has the same list.
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

/// The last line of a certificate.
const END: &str = "-----END CERTIFICATE-----\n";

/// Finds the bundles that are there: each file once, by its real name.
pub(crate) fn bundles() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in BUNDLES {
        if let Ok(real) = fs::canonicalize(path)
            && real.is_file()
            && !found.contains(&real)
        {
            found.push(real);
        }
    }
    found
}

/// Returns the image's own authorities with the given ones behind them.
pub(crate) fn merged(given: &str) -> Vec<u8> {
    let own = bundles().iter().find_map(|path| fs::read(path).ok());
    let own = own.unwrap_or_default();
    let lacking = lacking(&own, given);
    joined(own, &lacking)
}

/// Puts authorities behind others.
pub(crate) fn joined(mut bundle: Vec<u8>, more: &str) -> Vec<u8> {
    if !bundle.is_empty() && !bundle.ends_with(b"\n") {
        bundle.push(b'\n');
    }
    bundle.extend_from_slice(more.as_bytes());
    bundle
}

/// Returns those of the given certificates that a bundle has not.
pub(crate) fn lacking(bundle: &[u8], given: &str) -> String {
    let bundle = String::from_utf8_lossy(bundle);
    certificates(given)
        .filter(|certificate| !bundle.contains(certificate.trim_end()))
        .collect()
}

/// Takes a file of certificates apart; the program outside wrote it, without anything in between.
pub(crate) fn certificates(given: &str) -> impl Iterator<Item = &str> {
    given.split_inclusive(END)
}

/// Reads the given certificates.
pub(crate) fn read(path: &Path) -> std::io::Result<String> {
    let mut given = fs::read_to_string(path)?;
    if !given.ends_with('\n') {
        given.push('\n');
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const TWO: &str = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n";

    #[test]
    fn what_a_bundle_has_is_not_put_into_it_again() {
        let both = format!("{ONE}{TWO}");
        assert_eq!(lacking(b"", &both), both);
        assert_eq!(lacking(ONE.trim_end().as_bytes(), &both), TWO);
        assert_eq!(lacking(both.as_bytes(), &both), "");
        let bundle = joined(ONE.trim_end().as_bytes().to_vec(), TWO);
        assert_eq!(
            bundle,
            both.as_bytes(),
            "a last line without its end gets it"
        );
    }
}
