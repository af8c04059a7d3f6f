//! A proxy's address as users write it: `[scheme://][user[:password]@]host[:port]`.

use std::{fmt, net::IpAddr, ops::Range};

use registry::RedactedUrl;

/// A proxy's address; shown without user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

/// Schemes that proxies are spoken to by.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

impl Address {
    /// Takes an address as it is written; one without a scheme is spoken to over HTTP.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        Self(if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        })
    }

    /// Says what is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        let scheme = self.0.split("://").next().unwrap_or_default();
        if !SCHEMES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
        {
            return Err(format!(
                "`{self}` begins with none of {}",
                SCHEMES.join(", ")
            ));
        }
        let host = self.host();
        let fits = match self.after_host().strip_prefix(':') {
            Some(port) => port.parse::<u16>().is_ok(),
            None => true,
        };
        if host.is_empty() || host.contains(char::is_whitespace) || !fits {
            return Err(format!("`{self}` is not `http://HOST:PORT`"));
        }
        Ok(())
    }

    /// Returns it whole, for programs.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns it whole, for programs.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Tells whether it has a user name.
    pub fn has_login(&self) -> bool {
        self.login().is_some()
    }

    /// Returns it with a mark in place of user name and password.
    pub fn masked(&self) -> String {
        match self.login() {
            Some(_) => {
                let shown = self.to_string();
                let (scheme, rest) = shown.split_once("://").unwrap_or(("http", &shown));
                format!("{scheme}://*****@{rest}")
            }
            None => self.0.clone(),
        }
    }

    /// Returns the host.
    pub fn host(&self) -> &str {
        self.0.get(self.host_range()).unwrap_or_default()
    }

    /// Returns `host:port`, the port being the scheme's own where none is named; `None` where there is no host or no such port.
    pub fn host_and_port(&self) -> Option<String> {
        self.check().ok()?;
        let port = self.port();
        let usual = || match self.0.split("://").next()?.to_lowercase().as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => Some(1080),
        };
        let port = if port.is_empty() {
            usual()?
        } else {
            port.parse::<u16>().ok()?
        };
        let host = self.host();
        Some(if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        })
    }

    /// Returns the same at another host.
    #[must_use]
    pub fn at(&self, host: &str) -> Self {
        let Range { start, end } = self.host_range();
        let before = self.0.get(..start).unwrap_or_default();
        let after = self.0.get(end..).unwrap_or_default();
        let (before, after) = match before.strip_suffix('[') {
            Some(before) => (before, after.strip_prefix(']').unwrap_or(after)),
            None => (before, after),
        };
        Self(format!("{before}{host}{after}"))
    }

    /// Tells whether it is this machine's loopback.
    pub fn is_on_loopback(&self) -> bool {
        let is_loopback = |address: IpAddr| address.is_loopback();
        let host = self.host();
        host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
    }

    /// Returns user name and password as they are written.
    pub(super) fn login(&self) -> Option<(&str, &str)> {
        let (login, _) = self.0.get(self.authority())?.rsplit_once('@')?;
        Some(login.split_once(':').unwrap_or((login, "")))
    }

    fn port(&self) -> &str {
        let after = self.after_host();
        after.strip_prefix(':').unwrap_or_default()
    }

    /// What stands between the host and the path.
    fn after_host(&self) -> &str {
        let after = self.0.get(self.host_range().end..).unwrap_or_default();
        let after = after.trim_start_matches(']');
        after.split(['/', '?', '#']).next().unwrap_or_default()
    }

    fn authority(&self) -> Range<usize> {
        let start = self.0.find("://").map_or(0, |at| at + 3);
        let rest = self.0.get(start..).unwrap_or_default();
        // A password may have any sign in it but the one that ends it.
        let from = rest.rfind('@').map_or(0, |at| at + 1);
        let tail = rest.get(from..).unwrap_or_default();
        let end = from + tail.find(['/', '?', '#']).unwrap_or(tail.len());
        start..start + end
    }

    fn host_range(&self) -> Range<usize> {
        let Range { start, end } = self.authority();
        let authority = self.0.get(start..end).unwrap_or_default();
        let start = start + authority.rfind('@').map_or(0, |at| at + 1);
        let host = self.0.get(start..end).unwrap_or_default();
        if let Some(six) = host.strip_prefix('[') {
            let length = six.find(']').unwrap_or(six.len());
            return start + 1..start + 1 + length;
        }
        start..start + host.find(':').unwrap_or(host.len())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", RedactedUrl::of_proxy(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_own_addresses_are_out_of_a_containers_reach() {
        for proxy in [
            "http://127.0.0.1:3128",
            "http://me:s3cr3t@localhost:3128/",
            "localhost:3128",
            "http://[::1]:3128",
            "socks5://127.8.8.8",
        ] {
            assert!(Address::new(proxy).is_on_loopback(), "{proxy}");
        }
        for proxy in [
            "http://172.17.0.1:3128",
            "http://proxy.example",
            "http://localhost.example",
            "http://127.0.0.1@proxy.example:3128",
            "",
        ] {
            assert!(!Address::new(proxy).is_on_loopback(), "{proxy}");
        }
    }

    #[test]
    fn another_host_takes_its_place_and_the_rest_stays() {
        for (proxy, moved) in [
            ("127.0.0.1:3128", "http://there:3128"),
            (
                "http://me:p@ss/w:rd@[::1]:3128/x",
                "http://me:p@ss/w:rd@there:3128/x",
            ),
            ("socks5h://localhost", "socks5h://there"),
        ] {
            assert_eq!(Address::new(proxy).at("there").text(), moved);
        }
    }

    #[test]
    fn what_a_proxy_asks_for_is_not_shown() {
        for (proxy, shown) in [
            ("me:s3cr3t@localhost:1", "http://localhost:1"),
            ("http://me:s3cr3t@[bad", "[bad"),
            ("socks5://me:s3cr3t@h:1", "socks5://h:1"),
        ] {
            let address = Address::new(proxy);
            assert_eq!(address.to_string(), shown);
            assert!(!address.masked().contains("s3cr3t"));
            assert!(!format!("{address:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn whether_a_proxy_asks_for_something_is_shown() {
        let masked = |text: &str| Address::new(text).masked();
        assert_eq!(masked("me:s3cr3t@h:1"), "http://*****@h:1");
        assert_eq!(masked("socks5://h:1"), "socks5://h:1");
    }

    #[test]
    fn a_proxy_is_asked_for_by_its_host_and_port_whatever_its_password_is() {
        for (proxy, expected) in [
            (
                "http://me:s3cr3t@proxy.example:3128/",
                Some("proxy.example:3128"),
            ),
            (
                "http://me:s3/cr?3#t@proxy.example:3128",
                Some("proxy.example:3128"),
            ),
            ("proxy.example", Some("proxy.example:80")),
            ("https://proxy.example/", Some("proxy.example:443")),
            ("socks5://proxy.example", Some("proxy.example:1080")),
            ("http://[::1]:8080", Some("[::1]:8080")),
            ("http://[::1]", Some("[::1]:80")),
            ("http://", None),
            ("http://p:port", None),
        ] {
            let found = Address::new(proxy).host_and_port();
            assert_eq!(found.as_deref(), expected, "{proxy}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_one_is_refused() {
        for good in ["http://p:3128", "p.example:80", "socks5h://u:p@[::1]:1/"] {
            assert_eq!(Address::new(good).check(), Ok(()), "{good}");
        }
        for bad in [
            "ftp://p:1",
            "http://",
            "http://p:port",
            "http://p:99999",
            "a b",
        ] {
            assert!(Address::new(bad).check().is_err(), "{bad}");
        }
    }
}
