//! Variables of the environment: `NAME=VALUE`, `NAME` to pass one on, and files of them.

use std::{fmt, io::Read as _, path::Path, str::FromStr};

use super::ValueError;

/// The largest file of variables that is read.
const LIMIT: u64 = 1 << 20;

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; that of our own environment if `None`.
    pub value: Option<String>,
}

impl FromStr for Variable {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |what: String| ValueError {
            what,
            expected: "`NAME=VALUE`, or `NAME` to pass a variable on",
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(wrong(format!("`{text}` names no variable")));
        }
        if text.contains('\0') {
            return Err(wrong("there is a NUL in it".to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.value {
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}

/// Why a file of variables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VariableFileError {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] std::io::Error),
    /// It is too large to be one.
    #[error("it is larger than 1 MiB")]
    Large,
    /// A line of it is not right.
    #[error("line {line}: {what}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// Reads a file of variables as docker does: a line each, `#` begins a comment line, quotes are part of the value.
pub fn read_file(path: &Path) -> Result<Vec<Variable>, VariableFileError> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs_err::File::open(path)?;
        file.take(LIMIT + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(VariableFileError::Read)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LIMIT {
        return Err(VariableFileError::Large);
    }
    parse_file(&bytes)
}

fn parse_file(bytes: &[u8]) -> Result<Vec<Variable>, VariableFileError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let wrong = |what: &str| VariableFileError::Line {
            line: number + 1,
            what: what.to_owned(),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = str::from_utf8(line).map_err(|_bytes| wrong("it is not UTF-8 text"))?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.contains('\0') {
            return Err(wrong("there is a NUL in it; is this a file of variables?"));
        }
        let variable: Variable = line
            .parse()
            .map_err(|_nameless| wrong("there is no name before `=`"))?;
        if variable.name.contains(char::is_whitespace) {
            return Err(VariableFileError::Line {
                line: number + 1,
                what: format!("the name `{}` has a space in it", variable.name),
            });
        }
        variables.push(variable);
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &[u8], expected: Result<&[&str], &str>) {
        let found = parse_file(file)
            .map(|variables| {
                variables
                    .iter()
                    .map(Variable::to_string)
                    .collect::<Vec<_>>()
            })
            .map_err(|error| error.to_string());
        let expected = expected
            .map(|all| all.iter().map(|&one| one.to_owned()).collect())
            .map_err(str::to_owned);
        assert_eq!(found, expected);
    }

    #[test]
    fn odd_lines_are_read_as_docker_reads_them() {
        check(b"", Ok(&[]));
        check(
            b"A=1\n\n# comment\n  #another\n  B=2\n",
            Ok(&["A=1", "B=2"]),
        );
        check(b"\xef\xbb\xbfA=1\r\nB=x y \r\n", Ok(&["A=1", "B=x y "]));
        check(
            b"A=\"quoted\"\nB='x'\nC=a#b\nD=\nE",
            Ok(&["A=\"quoted\"", "B='x'", "C=a#b", "D=", "E"]),
        );
        check(b"A=a=b", Ok(&["A=a=b"]));
    }

    #[test]
    fn what_is_no_variable_is_named_with_its_line() {
        check(b"A=1\n=x\n", Err("line 2: there is no name before `=`"));
        check(
            b"\nexport A=1\n",
            Err("line 2: the name `export A` has a space in it"),
        );
        check(b"A =1", Err("line 1: the name `A ` has a space in it"));
        check(
            b"A=1\nB=\0\n",
            Err("line 2: there is a NUL in it; is this a file of variables?"),
        );
        check(b"A=\xff\n", Err("line 1: it is not UTF-8 text"));
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let large = directory.path().join("large");
        fs_err::write(&large, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert!(matches!(read_file(&large), Err(VariableFileError::Large)));
        for path in [directory.path(), &directory.path().join("none")] {
            assert!(matches!(read_file(path), Err(VariableFileError::Read(_))));
        }
    }
}
