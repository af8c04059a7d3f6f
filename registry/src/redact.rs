//! URLs fit to be shown: without user names, passwords, fragments and signed query values.
//!
//! Invariant: only the query keys of an allow list keep their value; a CDN's signed URL is a password for its lifetime.

use std::fmt;

use reqwest::Url;

/// A URL from which everything that could be a secret was taken out.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedUrl(String);

/// Query keys that say what was asked for and grant nothing.
const SHOWN: &[&str] = &["service", "scope", "ns", "n", "last", "digest"];

impl RedactedUrl {
    /// Redacts `url`.
    pub fn new(url: &Url) -> Self {
        let mut shown = url.clone();
        // Both setters fail only for URLs that cannot have a user, which then have none.
        if shown.set_username("").is_err() || shown.set_password(None).is_err() {
            return Self(format!("{}:…", url.scheme()));
        }
        shown.set_fragment(None);
        shown.set_query(None);
        let mut text = shown.to_string();
        let pairs = url.query_pairs().map(|(key, value)| {
            if SHOWN.contains(&key.as_ref()) {
                format!("{key}={value}")
            } else {
                format!("{key}=…")
            }
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        if !query.is_empty() {
            text.push('?');
            text.push_str(&query);
        }
        Self(printable(&text, 300))
    }

    /// Redacts a proxy's address, which may be written without its scheme.
    pub fn of_proxy(text: &str) -> Self {
        let shown = if text.contains("://") {
            Self::of_text(text)
        } else {
            Self::of_text(&format!("http://{text}"))
        };
        Self(shown.0.trim_end_matches('/').to_owned())
    }

    /// Redacts a text that should be a URL but need not be one.
    pub fn of_text(text: &str) -> Self {
        Url::parse(text).map_or_else(
            |_not_a_url| {
                let shown = text.split(['?', '#']).next().unwrap_or_default();
                let shown = shown.rsplit('@').next().unwrap_or_default();
                Self(printable(shown, 100))
            },
            |url| Self::new(&url),
        )
    }
}

/// Cuts a text from the network to `limit` characters and takes control characters out, so that it can be shown.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(limit)
        .collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, shown: &str) {
        assert_eq!(RedactedUrl::of_text(url).to_string(), shown);
    }

    #[test]
    fn what_grants_access_is_not_shown() {
        check(
            "https://user:secret@host/v2/a?X-Amz-Signature=abc&service=x#frag",
            "https://host/v2/a?X-Amz-Signature=…&service=x",
        );
        check("https://host/v2/", "https://host/v2/");
        check("not a url?token=abc", "not a url");
        check("http://user:secret@[bad", "[bad");
        check("data:secret", "data:…");
        assert_eq!(printable("a\u{1b}[31mb\nc", 5), "a [31…");
    }
}
