//! Options as one text: split into words and joined again, by the rules of the Python program.
//!
//! Invariant: `split(join(words)) == words`, and Python's `shlex.split` gives the same. Of the crates for it, both take
//! `#` for a comment, which would swallow the rest of `-e COLOUR= #fff`.

use super::ValueError;

/// Splits a text into words: whitespace between them, quotes of both kinds, a backslash before any character.
pub fn split(text: &str) -> Result<Vec<String>, ValueError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' | '"' => {
                let inside = quoted(&mut characters, character)?;
                word.get_or_insert_default().push_str(&inside);
            }
            '\\' => {
                let next = characters.next().ok_or_else(|| ValueError {
                    what: "it ends with a backslash".to_owned(),
                    expected: "a character after it, or two backslashes",
                })?;
                word.get_or_insert_default().push(next);
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Reads up to the quote that ends what `quote` began.
fn quoted(characters: &mut std::str::Chars<'_>, quote: char) -> Result<String, ValueError> {
    let mut inside = String::new();
    loop {
        match characters.next() {
            Some(character) if character == quote => return Ok(inside),
            Some('\\') if quote == '"' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => inside.push(escaped),
                Some(other) => inside.extend(['\\', other]),
                None => break,
            },
            Some(character) => inside.push(character),
            None => break,
        }
    }
    let start: String = inside.chars().take(20).collect();
    Err(ValueError {
        what: format!("the quote before `{start}` is not closed"),
        expected: if quote == '"' {
            "another `\"`"
        } else {
            "another `'`"
        },
    })
}

/// Writes a word so that a shell, and [`split`], reads it as it is.
pub fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Joins words to one text.
pub fn join<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quote(word)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_python_does() {
        for (text, words) in [
            ("", &[][..]),
            (" -e  A=1\t--read-only\n", &["-e", "A=1", "--read-only"]),
            ("-e 'FOO=a b' x", &["-e", "FOO=a b", "x"]),
            (
                r#"-e FOO="a 'b' \" \\ \$ c""#,
                &["-e", "FOO=a 'b' \" \\ \\$ c"],
            ),
            (r"a\ b '' c\'d", &["a b", "", "c'd"]),
            ("-e A=#x #y", &["-e", "A=#x", "#y"]),
            ("'a\nb'", &["a\nb"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_is_an_error_that_shows_where() {
        for (text, says) in [
            ("-e 'FOO=a b", "the quote before `FOO=a b` is not closed"),
            ("-e \"x\\", "the quote before `x` is not closed"),
            ("-e x\\", "it ends with a backslash"),
        ] {
            assert_eq!(split(text).unwrap_err().what, says, "{text}");
        }
    }

    #[test]
    fn what_is_joined_is_split_again_here_in_python_and_in_a_shell() {
        let words = [
            "plain", "", "a b", "it's", "\"", "\\", "$HOME", "#x", "a\nb", "ü", "*", "~/x", "`id`",
        ]
        .map(str::to_owned);
        let text = join(&words);
        assert_eq!(split(&text).unwrap(), words);
        let shell = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s\\0' {text}")])
            .output()
            .unwrap();
        let shell: Vec<&str> = str::from_utf8(&shell.stdout).unwrap().split('\0').collect();
        assert_eq!(shell[..words.len()], words);
        let python = std::process::Command::new("python3")
            .args([
                "-c",
                "import shlex,sys\nfor w in shlex.split(sys.argv[1]): print(w, end='\\0')",
                &text,
            ])
            .output();
        // Where there is no Python, nobody has its files.
        let Ok(python) = python else { return };
        let python: Vec<&str> = str::from_utf8(&python.stdout)
            .unwrap()
            .split('\0')
            .collect();
        assert_eq!(python[..words.len()], words);
    }
}
