//! What is in a file that should hold certificates in PEM, and what to do about one that does not.

use std::path::Path;

use rustls::pki_types::pem::{PemObject as _, SectionKind};

/// What of a file matters.
#[derive(Debug)]
pub(super) struct Sections {
    /// The certificates, DER.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Whether there is a private key too.
    pub(super) has_key: bool,
}

/// Takes a file apart; says what is wrong with one that has no certificate.
pub(super) fn read(content: &[u8]) -> Result<Sections, String> {
    let mut sections = Sections {
        certificates: Vec::new(),
        has_key: false,
    };
    // Editors of Windows put a mark before the first line.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(content) {
        match section.map_err(|error| format!("is damaged: {error}"))? {
            (SectionKind::Certificate, der) => sections.certificates.push(der),
            (
                SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey,
                _,
            ) => sections.has_key = true,
            _ => {}
        }
    }
    if sections.certificates.is_empty() {
        return Err(what(content).to_owned());
    }
    Ok(sections)
}

/// The sign of a DER sequence of more than 255 bytes.
const DER: &[u8] = b"\x30\x82";

fn what(content: &[u8]) -> &'static str {
    if content.starts_with(DER) {
        "is DER, and has to be PEM"
    } else if has(content, "-----BEGIN PKCS7-----") {
        "is PKCS #7, and has to hold certificates in PEM"
    } else if has(content, "-----BEGIN TRUSTED CERTIFICATE-----") {
        "holds OpenSSL's own kind of certificate, which other programs do not read"
    } else {
        "holds no certificate"
    }
}

/// Says what to do about a file without certificates.
pub(super) fn remedy(path: &Path, content: &[u8]) -> String {
    let name = path.display();
    let is_store = path.extension().is_some_and(|end| {
        ["p12", "pfx"]
            .iter()
            .any(|known| end.eq_ignore_ascii_case(known))
    });
    if is_store {
        format!(
            "take the authorities out of it: `openssl pkcs12 -in {name} -cacerts -nokeys -out ca.pem`"
        )
    } else if content.starts_with(DER) {
        format!("convert it: `openssl x509 -inform der -in {name} -out ca.pem`")
    } else if has(content, "-----BEGIN PKCS7-----") {
        format!("convert it: `openssl pkcs7 -print_certs -in {name} -out ca.pem`")
    } else if has(content, "-----BEGIN TRUSTED CERTIFICATE-----") {
        format!("convert it: `openssl x509 -in {name} -out ca.pem`")
    } else {
        "name a file with `-----BEGIN CERTIFICATE-----` in it: `aicage config set network.ca FILE…`"
            .to_owned()
    }
}

fn has(content: &[u8], text: &str) -> bool {
    content
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Writes a certificate as OpenSSL does.
pub(super) fn written(der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> String {
        written(&[0x30; 100])
    }

    #[test]
    fn certificates_are_found_between_whatever_else_is_there() {
        let one = certificate();
        let text = format!(
            "\u{feff}# The company\r\n{}\r\n\r\nsubject=x\n{one}",
            one.replace('\n', "\r\n")
        );
        let sections = read(text.as_bytes()).unwrap();
        assert_eq!(sections.certificates, [[0x30; 100], [0x30; 100]]);
        assert!(!sections.has_key);
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(read(format!("{one}{key}").as_bytes()).unwrap().has_key);
        let lines = one.lines().map(str::len);
        assert!(lines.max() == Some(64) && one.ends_with("\n-----END CERTIFICATE-----\n"));
    }

    #[test]
    fn what_is_no_pem_is_told_with_the_way_to_it() {
        let path = Path::new("ca.file");
        let key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (content, wrong, way) in [
            (
                &b"\x30\x82\x01\x02"[..],
                "is DER",
                "openssl x509 -inform der -in ca.file",
            ),
            (
                b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n",
                "is PKCS #7",
                "openssl pkcs7",
            ),
            (
                b"-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n",
                "OpenSSL's own",
                "openssl x509 -in ca.file",
            ),
            (
                b"-----BEGIN CERTIFICATE-----\nAAAA",
                "is damaged",
                "-----BEGIN CERTIFICATE-----",
            ),
            (
                b"<html>",
                "holds no certificate",
                "-----BEGIN CERTIFICATE-----",
            ),
            (key, "holds no certificate", "-----BEGIN CERTIFICATE-----"),
            (b"", "holds no certificate", "-----BEGIN CERTIFICATE-----"),
        ] {
            let reason = read(content).unwrap_err();
            assert!(reason.contains(wrong), "{reason}");
            assert!(remedy(path, content).contains(way), "{reason}");
        }
        assert!(remedy(Path::new("a.P12"), b"\x30\x82").contains("openssl pkcs12"));
    }
}
