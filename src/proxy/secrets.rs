//! What must not be shown of proxies, and a writer that takes it out of what scripts print.
//!
//! Invariant: none of the secrets reaches what is behind the writer, however the text is cut into pieces.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Address;

/// Shorter ones are words, and would take them out of every text.
const SHORTEST: usize = 4;
/// What stands in their place.
const MARK: &[u8] = b"*****";

/// Texts that must not be shown, the longest first.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    pub(super) fn of<'a>(addresses: impl Iterator<Item = &'a Address>) -> Self {
        let mut texts = Vec::new();
        for (user, password) in addresses.filter_map(Address::login) {
            let (plain_user, plain) = (decoded(user), decoded(password));
            // As programs that tell what they do show the header.
            let header = [&plain_user[..], b":", &plain].concat();
            texts.push(
                STANDARD
                    .encode(header)
                    .trim_end_matches('=')
                    .as_bytes()
                    .to_vec(),
            );
            texts.push(password.as_bytes().to_vec());
            texts.push(plain);
        }
        texts.retain(|text| text.len() >= SHORTEST);
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts)
    }

    /// Returns a text without them.
    pub fn redact(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.redact_bytes(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn redact_bytes(&self, text: &mut Vec<u8>) {
        for secret in &self.0 {
            let mut from = 0;
            while let Some(at) = position(text.get(from..).unwrap_or_default(), secret) {
                let at = from + at;
                text.splice(at..at + secret.len(), MARK.iter().copied());
                from = at + MARK.len();
            }
        }
    }

    /// Returns how many bytes at the end of a text may be the begin of a secret.
    fn begun(&self, text: &[u8]) -> usize {
        let longest = self.0.iter().map(|secret| {
            let most = text.len().min(secret.len() - 1);
            (1..=most)
                .rev()
                .find(|length| text.ends_with(secret.get(..*length).unwrap_or_default()))
                .unwrap_or(0)
        });
        longest.max().unwrap_or(0)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Takes percent signs for what they stand for.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let digits = more
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let code = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match code {
            Some(code) if *first == b'%' => {
                bytes.push(code);
                rest = more.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

/// Writes on what it is given, without secrets.
#[derive(Debug)]
pub struct Redacting<W: Write> {
    secrets: Secrets,
    inner: W,
    /// What may be the begin of a secret.
    held: Vec<u8>,
}

impl<W: Write> Redacting<W> {
    /// Puts itself before a writer.
    pub fn new(secrets: Secrets, inner: W) -> Self {
        Self {
            secrets,
            inner,
            held: Vec::new(),
        }
    }
}

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.secrets.0.is_empty() {
            return self.inner.write(piece);
        }
        self.held.extend_from_slice(piece);
        self.secrets.redact_bytes(&mut self.held);
        let keep = self.secrets.begun(&self.held);
        let sure = self.held.len() - keep;
        let result = self
            .inner
            .write_all(self.held.get(..sure).unwrap_or_default());
        self.held.drain(..sure);
        result.map(|()| piece.len())
    }

    /// What is held back is the end of the text, and no whole secret.
    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.inner.write_all(&held)?;
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let address = Address::new("http://me:s3cr%40t!@proxy:1");
        Secrets::of([address].iter())
    }

    #[test]
    fn passwords_go_in_every_way_of_writing_them() {
        // `bWU6czNjckB0IQ==` is base64 of `me:s3cr@t!`.
        let text = "http://me:s3cr%40t!@proxy:1 s3cr@t! Basic bWU6czNjckB0IQ== s3cr";
        let shown = secrets().redact(text);
        assert_eq!(shown, "http://me:*****@proxy:1 ***** Basic *****== s3cr");
        assert_eq!(Secrets::default().redact(text), text);
        assert!(!format!("{:?}", secrets()).contains("s3cr"));
    }

    #[test]
    fn a_password_that_comes_in_pieces_goes_too() {
        let text = b"a s3cr%40t! b s3cr@t! s3c";
        for cut in 1..text.len() {
            let mut out = Vec::new();
            let mut writer = Redacting::new(secrets(), &mut out);
            for piece in text.chunks(cut) {
                writer.write_all(piece).unwrap();
            }
            writer.flush().unwrap();
            let shown = String::from_utf8(out).unwrap();
            assert_eq!(shown, "a ***** b ***** s3c", "pieces of {cut}");
        }
    }
}
