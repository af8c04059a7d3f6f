//! Ports that are reachable from outside: `[ADDRESS:][PORT:]PORT[/udp]`, with ranges.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use super::{ValueError, csv};

/// What one `--publish` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// On which address of the machine; all if `None`.
    pub address: Option<IpAddr>,
    /// On which of its ports; any that is free if `None`.
    pub host: Option<Ports>,
    /// The container's.
    pub container: Ports,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

const EXPECTED: &str = "`[ADDRESS:][PORT OF THE MACHINE:]PORT[/udp]`, such as `8080:80`, `127.0.0.1:5353:53/udp` or `8000-8010:8000-8010`";

fn wrong(what: String) -> ValueError {
    ValueError {
        what,
        expected: EXPECTED,
    }
}

impl Ports {
    fn len(self) -> u32 {
        u32::from(self.last) - u32::from(self.first)
    }

    fn each(self) -> std::ops::RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl FromStr for Ports {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let port = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse::<u16>().ok().filter(|_| is_number);
            number.ok_or_else(|| wrong(format!("`{text}` is no port")))
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first > last {
            return Err(wrong(format!("the range `{text}` ends before it begins")));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for Publish {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.contains('=') {
            return long(text);
        }
        let (ports, protocol) = match text.split_once('/') {
            Some((ports, protocol)) => (ports, protocol),
            None => (text, "tcp"),
        };
        let (rest, container) = match ports.rsplit_once(':') {
            Some((rest, container)) => (Some(rest), container),
            None => (None, ports),
        };
        let (address, host) = match rest.map(|rest| rest.rsplit_once(':').ok_or(rest)) {
            Some(Ok((address, host))) => (address, host),
            Some(Err(host)) => ("", host),
            None => ("", ""),
        };
        together(address, host, (container, protocol))
    }
}

/// Reads `target=80,published=8080,protocol=udp`.
fn long(text: &str) -> Result<Publish, ValueError> {
    let fields: BTreeMap<String, String> = csv::pairs(text)?
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .collect();
    let known = ["target", "published", "protocol", "mode"];
    if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(wrong(format!("`{key}` is not known")));
    }
    let field = |key: &str| fields.get(key).map_or("", String::as_str);
    let protocol = Some(field("protocol")).filter(|text| !text.is_empty());
    together(
        "",
        field("published"),
        (field("target"), protocol.unwrap_or("tcp")),
    )
}

fn together(
    address: &str,
    host: &str,
    (container, protocol): (&str, &str),
) -> Result<Publish, ValueError> {
    let plain = address
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'))
        .unwrap_or(address);
    let address = (!plain.is_empty())
        .then(|| plain.parse())
        .transpose()
        .map_err(|_not| wrong(format!("`{plain}` is no address")))?;
    let container: Ports = container.parse()?;
    if container.first == 0 {
        return Err(wrong("a container has no port 0".to_owned()));
    }
    let host: Option<Ports> = (!host.is_empty()).then(|| host.parse()).transpose()?;
    if let Some(host) = host
        && host.len() != container.len()
        && container.len() != 0
    {
        return Err(wrong(format!(
            "the ranges `{host}` and `{container}` are not equally long"
        )));
    }
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(wrong(format!("`{protocol}` is none of tcp, udp and sctp"))),
    };
    Ok(Publish {
        address,
        host,
        container,
        protocol,
    })
}

impl Publish {
    /// Returns for each port of the container, as `80/tcp`, the port or range of the machine.
    pub fn bindings(&self) -> Vec<(String, String)> {
        let binding = |port: u16| {
            let host = match self.host {
                // One port of the container, and any of a range.
                Some(host) if self.container.len() == 0 => host.to_string(),
                Some(host) => (host.first + (port - self.container.first)).to_string(),
                None => String::new(),
            };
            (format!("{port}/{}", self.protocol), host)
        };
        self.container.each().map(binding).collect()
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            None => {}
        }
        match self.host {
            Some(host) => write!(f, "{host}:")?,
            None if self.address.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}", self.container)?;
        if self.protocol == "tcp" {
            return Ok(());
        }
        write!(f, "/{}", self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_docker_reads_them() {
        for (text, shown, bindings) in [
            ("80", "80", "80/tcp="),
            ("8080:80", "8080:80", "80/tcp=8080"),
            ("8080:80/udp", "8080:80/udp", "80/udp=8080"),
            ("8080:80/TCP", "8080:80", "80/tcp=8080"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80", "80/tcp=8080"),
            ("127.0.0.1::80", "127.0.0.1::80", "80/tcp="),
            ("[::1]:8080:80", "[::1]:8080:80", "80/tcp=8080"),
            ("::1:8080:80", "[::1]:8080:80", "80/tcp=8080"),
            (
                "8000-8001:80-81",
                "8000-8001:80-81",
                "80/tcp=8000 81/tcp=8001",
            ),
            ("8000-8009:80", "8000-8009:80", "80/tcp=8000-8009"),
            ("80-81", "80-81", "80/tcp= 81/tcp="),
            (
                "target=80,published=8080,protocol=udp",
                "8080:80/udp",
                "80/udp=8080",
            ),
        ] {
            let publish: Publish = text.parse().unwrap();
            assert_eq!(publish.to_string(), shown, "{text}");
            let found: Vec<String> = publish
                .bindings()
                .into_iter()
                .map(|(port, host)| format!("{port}={host}"))
                .collect();
            assert_eq!(found.join(" "), bindings, "{text}");
        }
        for text in [
            "",
            ":",
            "8080:",
            "80/xyz",
            "80/",
            "a:80",
            "80:b",
            "70000:80",
            "-1:80",
            "+8:80",
            "300.0.0.1:80:80",
            "localhost:80:80",
            "8000-8002:80-81",
            "81-80",
            "0",
            "target=80,colour=red",
            "1:2:3:4",
        ] {
            assert!(text.parse::<Publish>().is_err(), "{text}");
        }
    }
}
