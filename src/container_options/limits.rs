//! Amounts: sizes of memory, processors, limits of processes.

use std::{fmt, str::FromStr};

use super::ValueError;

/// A number of bytes, as docker reads it: `512m`, `1.5g`, `64KiB`; `-1` where there may be no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    text: String,
    /// How many.
    pub bytes: i64,
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError {
            what: format!("`{text}` is no amount of memory"),
            expected: "a number and `b`, `k`, `m` or `g`, such as `512m` or `1.5g`",
        };
        let end = text.rfind(|character: char| character.is_ascii_digit() || character == '.');
        let (number, unit) = text.split_at(end.ok_or_else(wrong)? + 1);
        let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
        let shift = match unit.as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            "p" | "pb" | "pib" => 50,
            _ => return Err(wrong()),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.is_empty() || part.len() > 9 {
            return Err(wrong());
        }
        let whole: i128 = whole.parse().map_err(|_too_long| wrong())?;
        let scale = 10_i128.pow(u32::try_from(part.len()).unwrap_or(0));
        let part: i128 = if part.is_empty() {
            0
        } else {
            part.parse().map_err(|_too_long| wrong())?
        };
        let bytes = whole
            .checked_mul(scale)
            .and_then(|whole| whole.checked_add(part)?.checked_mul(1 << shift))
            .ok_or_else(wrong)?
            / scale;
        Ok(Self {
            text: text.to_owned(),
            bytes: i64::try_from(bytes).map_err(|_too_much| wrong())?,
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A size, or `-1` for no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapSize(pub Option<Size>);

impl FromStr for SwapSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "-1" {
            return Ok(Self(None));
        }
        text.parse().map(Some).map(Self)
    }
}

impl SwapSize {
    /// How many bytes; -1 for no limit.
    pub fn bytes(&self) -> i64 {
        self.0.as_ref().map_or(-1, |size| size.bytes)
    }
}

impl fmt::Display for SwapSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(size) => size.fmt(f),
            None => f.write_str("-1"),
        }
    }
}

/// A number of processors, such as `1.5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processors {
    text: String,
    /// In billionths of one.
    pub nano: i64,
}

impl FromStr for Processors {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError {
            what: format!("`{text}` is no number of processors"),
            expected: "a number above 0 with at most nine decimals, such as `1.5`",
        };
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 9 || (whole.len() + part.len()) == 0 {
            return Err(wrong());
        }
        let nano: i64 = format!("{whole}{part:0<9}")
            .parse()
            .map_err(|_too_many| wrong())?;
        if nano == 0 {
            return Err(wrong());
        }
        Ok(Self {
            text: text.to_owned(),
            nano,
        })
    }
}

impl fmt::Display for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One of the limits that a process has: `nofile=1024:4096`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// Which.
    pub name: String,
    /// What counts; -1 is no limit.
    pub soft: i64,
    /// Up to where a process may raise it.
    pub hard: i64,
}

const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

impl FromStr for Ulimit {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |what: String| ValueError {
            what,
            expected: "`NAME=SOFT[:HARD]`, such as `nofile=1024:4096`; -1 is no limit",
        };
        let Some((name, limits)) = text.split_once('=') else {
            return Err(wrong(format!("`{text}` has no `=`")));
        };
        if !ULIMITS.contains(&name) {
            let all = ULIMITS.join(", ");
            return Err(wrong(format!("there is no limit `{name}`, only {all}")));
        }
        let number = |text: &str| match text.parse() {
            Ok(number) if number >= -1 => Ok(number),
            Ok(_) | Err(_) => Err(wrong(format!("`{text}` is no limit"))),
        };
        let (soft, hard) = match limits.split_once(':') {
            Some((soft, hard)) => (number(soft)?, number(hard)?),
            None => (number(limits)?, number(limits)?),
        };
        if hard != -1 && (soft == -1 || soft > hard) {
            return Err(wrong(format!(
                "the limit {soft} is above the hard one, {hard}"
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            soft,
            hard,
        })
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, soft, hard } = self;
        write!(f, "{name}={soft}:{hard}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_docker_takes_them_for() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32kb", 32 << 10),
            ("32KiB", 32 << 10),
            ("32 kb", 32 << 10),
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("2T", 2 << 40),
        ] {
            assert_eq!(
                text.parse::<Size>().map(|size| size.bytes),
                Ok(bytes),
                "{text}"
            );
        }
        for text in [
            "",
            "hello",
            "-32",
            "32bb",
            "32km",
            " 32 ",
            "m",
            "1..5m",
            "9999999999p",
            "1e3",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!("-1".parse::<SwapSize>().map(|size| size.bytes()), Ok(-1));
    }

    #[test]
    fn processors_are_billionths() {
        for (text, nano) in [
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            (".5", 500_000_000),
            ("0.000000001", 1),
        ] {
            assert_eq!(
                text.parse::<Processors>().map(|it| it.nano),
                Ok(nano),
                "{text}"
            );
        }
        for text in ["", "0", "-1", "two", "1.0000000001", "99999999999"] {
            assert!(text.parse::<Processors>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_has_two_values_and_the_first_is_no_higher() {
        for (text, shown) in [
            ("nofile=512:1024", "nofile=512:1024"),
            ("nofile=512", "nofile=512:512"),
            ("core=0:-1", "core=0:-1"),
            ("memlock=-1", "memlock=-1:-1"),
        ] {
            assert_eq!(
                text.parse::<Ulimit>().map(|it| it.to_string()),
                Ok(shown.to_owned())
            );
        }
        for text in [
            "nofile",
            "foo=1",
            "nofile=2:1",
            "nofile=-1:1",
            "nofile=a",
            "nofile=1:2:3",
            "nofile=-2",
        ] {
            assert!(text.parse::<Ulimit>().is_err(), "{text}");
        }
    }
}
