//! The wire types that `oci-client` reads well; the only file that names it.
//!
//! Invariant: bodies come in bounded, words come out cut and printable. Requests are ours (`transport`), because
//! `oci-client` reads bodies without a bound: `doc/decisions/0002-registry-client.md`.

use std::time::Duration;

use oci_client::{errors::OciEnvelope, token_cache::RegistryToken};
use serde::Deserialize;

use crate::redact::printable;

/// What a token server granted.
pub(crate) struct Granted {
    /// The bearer token.
    pub(crate) token: String,
    /// How long it is good for.
    pub(crate) lifetime: Duration,
}

/// Returns what a registry says in the body of an error, fit to be shown.
pub(crate) fn error_message(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<OciEnvelope>(body) {
        Ok(envelope) => {
            let said = envelope.errors.iter().map(|error| error.message.as_str());
            said.filter(|message| !message.is_empty())
                .collect::<Vec<_>>()
                .join("; ")
        }
        Err(_not_an_envelope) => String::from_utf8_lossy(body).into_owned(),
    };
    let text = text.trim();
    if text.starts_with('<') {
        // A proxy's web page says nothing in its first 300 characters.
        return String::new();
    }
    printable(text, 300)
}

/// Reads the answer of a token server; `None` if it holds no token.
pub(crate) fn granted(body: &[u8]) -> Option<Granted> {
    #[derive(Deserialize)]
    struct Lifetime {
        #[serde(default)]
        expires_in: Option<u64>,
    }
    let token: RegistryToken = serde_json::from_slice(body).ok()?;
    let lifetime: Lifetime = serde_json::from_slice(body).ok()?;
    let token = token.token();
    if token.is_empty() {
        return None;
    }
    // 60 s is the token specification's default; a day is longer than anybody grants.
    let seconds = lifetime.expires_in.unwrap_or(60).clamp(1, 24 * 60 * 60);
    Some(Granted {
        token: token.to_owned(),
        lifetime: Duration::from_secs(seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_becomes_one_printable_line() {
        let envelope =
            br#"{"errors":[{"code":"DENIED","message":"no\u001b[1m"},{"code":"X-Y","message":"b"}]}"#;
        assert_eq!(error_message(envelope), "no [1m; b");
        assert_eq!(error_message(b"<html>proxy</html>"), "");
        assert_eq!(error_message(b"go away\n"), "go away");
        assert_eq!(error_message(&[b'x'; 5000]).chars().count(), 301);
    }

    #[test]
    fn both_spellings_of_a_token_are_read() {
        let read = |body: &str| granted(body.as_bytes()).map(|g| (g.token, g.lifetime.as_secs()));
        assert_eq!(read(r#"{"token":"a"}"#), Some(("a".to_owned(), 60)));
        assert_eq!(
            read(r#"{"access_token":"b","expires_in":300}"#),
            Some(("b".to_owned(), 300))
        );
        assert_eq!(read(r#"{"token":""}"#), None);
        assert_eq!(read(r#"{"expires_in":300}"#), None);
        assert_eq!(read("[]"), None);
    }
}
