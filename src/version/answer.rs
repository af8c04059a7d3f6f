//! What a `version.sh` printed: one line of printable text, or no version.

/// The longest version that is believed.
const LIMIT: usize = 100;

/// Reads what was printed; else why it is no version, in words that follow "it failed: ".
pub(super) fn parse(printed: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(printed)
        .map_err(|_not_utf8| "it printed something that is not text".to_owned())?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (None, _) => Err("it printed nothing".to_owned()),
        (Some(_), Some(_)) => Err("it printed more than one line".to_owned()),
        (Some(line), None) if line.len() > LIMIT || line.chars().any(char::is_control) => {
            Err("what it printed is no version".to_owned())
        }
        (Some(line), None) => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_line_of_text_is_a_version() {
        assert_eq!(parse(b"1.2.3\n"), Ok("1.2.3".to_owned()));
        assert_eq!(parse(b"\n 1.2.3 \r\n\n"), Ok("1.2.3".to_owned()));
        for bad in [
            &b""[..],
            b"\n",
            b"1\n2\n",
            b"\xff",
            b"1\x1b[31m",
            &[b'1'; 101],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
