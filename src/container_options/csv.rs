//! One line of comma-separated values, with quotes around those that hold a comma.

use super::ValueError;

/// Splits a line into its fields: `a,"b,c","d""e"`.
pub(super) fn fields(text: &str) -> Result<Vec<String>, ValueError> {
    let wrong = |what: &str| ValueError {
        what: format!("{what} in `{text}`"),
        expected: "values with commas between them, and `\"` around all of one that holds a comma",
    };
    let mut fields = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        let mut field = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next() {
                    Some('"') if characters.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(character) => field.push(character),
                    None => return Err(wrong("a quote is not closed")),
                }
            }
            if characters.peek().is_some_and(|&next| next != ',') {
                return Err(wrong("there is something after a closing quote"));
            }
        } else {
            while let Some(character) = characters.next_if(|&next| next != ',') {
                if character == '"' {
                    return Err(wrong("there is a quote inside a value"));
                }
                field.push(character);
            }
        }
        fields.push(field);
        if characters.next().is_none() {
            return Ok(fields);
        }
    }
}

/// Splits a line of `key=value` fields; keys in lower case, some without a value.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, Option<String>)>, ValueError> {
    let pair = |field: String| match field.split_once('=') {
        Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value.to_owned())),
        None => (field.trim().to_ascii_lowercase(), None),
    };
    Ok(fields(text)?.into_iter().map(pair).collect())
}

/// Writes a field so that [`fields`] reads it.
pub(super) fn quote(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) || field.starts_with(char::is_whitespace) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_quotes_is_part_of_a_value() {
        assert_eq!(
            fields(r#"type=bind,"src=/a,b","dst=/x ""y""",ro"#).unwrap(),
            ["type=bind", "src=/a,b", "dst=/x \"y\"", "ro"]
        );
        assert_eq!(fields("").unwrap(), [""]);
        assert_eq!(fields("a,").unwrap(), ["a", ""]);
        for text in [r#"a"b"#, r#""a"#, r#""a"b"#] {
            assert!(fields(text).is_err(), "{text}");
        }
        for field in ["a,b", "a\"b", "plain", " x"] {
            assert_eq!(fields(&quote(field)).unwrap(), [field]);
        }
    }
}
