//! The first line of what the program in the container answers.
//!
//! One line of JSON of at most 64 KiB: `{"status":"ok",…}`, `{"status":"failed","script":…,"exit":…}`,
//! `{"status":"refused","message":…}` or `{"status":"error","message":…}`. A script is root there and may try to answer itself, so nothing is believed that
//! is not checked.

use std::io::{BufRead, Read as _};

use serde::Deserialize;

/// Longest first line.
const LINE_LIMIT: u64 = 64 << 10;

/// What came of the scripts.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(crate) enum Answer {
    /// All succeeded; what they changed or printed follows.
    Ok,
    /// One failed.
    Failed { script: String, exit: i32 },
    /// An instruction does not fit what is in the image.
    Refused { message: String },
    /// None could be run.
    Error { message: String },
}

impl Answer {
    /// Reads the line; `None` if there is no answer at all. The error says what is wrong with it.
    pub(crate) fn read(from: &mut impl BufRead) -> Result<Option<Self>, String> {
        let mut line = Vec::new();
        let read = from.take(LINE_LIMIT).read_until(b'\n', &mut line);
        read.map_err(|error| format!("the answer cannot be read: {error}"))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.pop() != Some(b'\n') {
            return Err("the answer broke off".to_owned());
        }
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| format!("the answer is not valid: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Answer>, String> {
        Answer::read(&mut std::io::BufReader::new(bytes))
    }

    #[test]
    fn an_answer_is_one_whole_line_of_a_known_kind() {
        assert_eq!(
            read(b"{\"status\":\"ok\",\"scripts\":[]}\ntar"),
            Ok(Some(Answer::Ok))
        );
        assert_eq!(
            read(b"{\"status\":\"failed\",\"script\":\"a\",\"exit\":3}\n"),
            Ok(Some(Answer::Failed {
                script: "a".to_owned(),
                exit: 3
            }))
        );
        assert_eq!(read(b""), Ok(None), "no answer is no error by itself");
        assert_eq!(
            read(b"{\"status\":\"ok\"}"),
            Err("the answer broke off".to_owned())
        );
        assert!(
            read(b"{\"status\":\"fine\"}\n").is_err(),
            "unknown words are refused"
        );
        assert!(
            read(&vec![b' '; 100_000]).is_err(),
            "an endless line is refused"
        );
    }
}
