//! One request and its answer: connection, redirects, bounded bodies, and what failures mean.
//!
//! Invariants: an `Authorization` header never leaves the origin it was made for; TLS is never left for HTTP; no body is
//! read without a bound, an idle limit and a least pace; content is asked for and taken as it is stored (`Accept-Encoding: identity`).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

use crate::{
    ClientConfig, RedactedUrl, RegistryError,
    connection::{connect, failure, proxy_login},
    endpoint::allows_http,
    protocol,
};

const ERROR_LIMIT: u64 = 64 << 10;
const MAX_REDIRECTS: u32 = 5;
/// What a server must send in a second to be worth waiting for; a modem does twice as much.
const LEAST_RATE: u64 = 1 << 10;
/// How many idle limits a body that is read as a whole may take.
const WHOLE: u32 = 4;

/// Sends requests; connections are shared and made when first needed.
pub(crate) struct Transport {
    config: Arc<ClientConfig>,
    http: OnceCell<reqwest::Client>,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) form: Option<String>,
    /// What is uploaded; its type stands in the headers.
    pub(crate) body: Option<Bytes>,
    pub(crate) redirects: Redirects,
}

/// Whether redirects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    Followed,
    /// For requests whose body is a secret.
    Refused,
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Answer {
    response: reqwest::Response,
    url: Url,
    pace: Pace,
    /// Set when the answer comes from another origin than was asked.
    pub(crate) redirected: bool,
}

impl Ask {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            form: None,
            body: None,
            redirects: Redirects::Followed,
        }
    }
}

impl Transport {
    pub(crate) fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            config,
            http: OnceCell::new(),
        }
    }

    /// Sends `ask` and follows redirects.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Answer, RegistryError> {
        let mut url = ask.url.clone();
        let mut authorization = ask.authorization.as_ref();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(ask, &url, authorization).await?;
            let answer = Answer {
                redirected: !same_origin(&ask.url, &url),
                response,
                url,
                pace: Pace::new(self.config.idle_timeout),
            };
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = self.redirect(ask, &answer)?;
            if !same_origin(&answer.url, &next) {
                authorization = None;
            }
            url = next;
        }
        Err(RegistryError::Redirect {
            from: RedactedUrl::new(&ask.url),
            to: RedactedUrl::new(&url),
            reason: "too many redirects",
        })
    }

    async fn send_once(
        &self,
        ask: &Ask,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, RegistryError> {
        let http = self
            .http
            .get_or_try_init(|| async { connect(&self.config) })
            .await?;
        let mut request = http
            .request(ask.method.clone(), url.clone())
            .headers(ask.headers.clone())
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(form) = &ask.form {
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.clone());
        }
        if let Some(body) = &ask.body {
            request = request.body(body.clone());
        }
        let limit = self.config.connect_timeout + self.config.idle_timeout;
        match timeout(limit, request.send()).await {
            Ok(Ok(response)) => {
                let is_login = response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
                let login = is_login.then(|| proxy_login(&self.config, url));
                login.flatten().map_or(Ok(response), Err)
            }
            Ok(Err(error)) => Err(failure(&self.config, error, url)),
            Err(_elapsed) => Err(RegistryError::Timeout {
                url: RedactedUrl::new(url),
                after: limit,
            }),
        }
    }

    fn redirect(&self, ask: &Ask, answer: &Answer) -> Result<Url, RegistryError> {
        let location = answer.header(header::LOCATION).unwrap_or_default();
        let refused = |to: RedactedUrl, reason| RegistryError::Redirect {
            from: answer.shown_url(),
            to,
            reason,
        };
        let Ok(mut next) = answer.url.join(location) else {
            let to = RedactedUrl::of_text(location);
            return Err(refused(to, "that is not a URL"));
        };
        let to = RedactedUrl::new(&next);
        if ask.redirects == Redirects::Refused || location.is_empty() {
            return Err(refused(to, "no redirect is followed here"));
        }
        match (answer.url.scheme(), next.scheme()) {
            (_, "https") => {}
            ("http", "http") if allows_http(&self.config, &next) => {}
            (_, "http") => {
                return Err(refused(to, "it leaves HTTPS, or HTTP is not allowed there"));
            }
            _ => return Err(refused(to, "that is neither HTTPS nor HTTP")),
        }
        // A name and password in the URL would be sent as `Authorization`.
        if next.set_username("").is_err() || next.set_password(None).is_err() {
            return Err(refused(to, "that is not a URL of a server"));
        }
        Ok(next)
    }

    /// Passes a successful answer on and turns any other into an error, for a request about `what` in `repository`.
    pub(crate) async fn check(
        &self,
        answer: Answer,
        asked: &Asked<'_>,
    ) -> Result<Answer, RegistryError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let registry = asked.registry.to_owned();
        let url = answer.shown_url();
        let retry_after = answer
            .header(header::RETRY_AFTER)
            .and_then(|value| parse_retry_after(value, (self.config.clock)()));
        let redirected = answer.redirected;
        let body = answer.bytes_up_to(ERROR_LIMIT).await;
        let message = protocol::error_message(&body);
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS => RegistryError::RateLimited {
                registry,
                retry_after,
                message,
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !redirected => {
                RegistryError::Unauthorized {
                    registry,
                    repository: asked.repository.to_owned(),
                    had_credentials: asked.by == AskedAs::Known,
                    message,
                }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => RegistryError::NotFound {
                registry,
                what: asked.what.to_owned(),
            },
            _ => RegistryError::Status {
                url,
                status: status.as_u16(),
                retry_after,
                message,
            },
        })
    }
}

/// As whom a registry was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskedAs {
    /// Without credentials, because none were found.
    Nobody,
    /// With the credentials that are configured.
    Known,
}

/// What a request was about, for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) registry: &'a str,
    pub(crate) repository: &'a str,
    pub(crate) what: &'a str,
    pub(crate) by: AskedAs,
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn shown_url(&self) -> RedactedUrl {
        RedactedUrl::new(&self.url)
    }

    /// Returns a header's value, if it is there and ASCII.
    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Returns all values of a header.
    pub(crate) fn header_values(&self, name: header::HeaderName) -> impl Iterator<Item = &str> {
        let values = self.response.headers().get_all(name);
        values.iter().filter_map(|value| value.to_str().ok())
    }

    /// Returns the announced length of the body.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.parse().ok()
    }

    /// Returns the next piece of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let begun = Instant::now();
        let too_slow = |answer: &Self| RegistryError::Timeout {
            url: answer.shown_url(),
            after: answer.pace.window,
        };
        match timeout(self.pace.window, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                if self.pace.is_too_slow(begun.elapsed(), chunk.len()) {
                    return Err(too_slow(self));
                }
                Ok(Some(chunk))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(RegistryError::Broken {
                url: self.shown_url(),
                source: Some(error.without_url()),
            }),
            Err(_elapsed) => Err(too_slow(self)),
        }
    }

    /// Reads the whole body, refused above `limit`.
    pub(crate) async fn bytes(
        mut self,
        what: &'static str,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let too_large = |answer: &Self| RegistryError::TooLarge {
            url: answer.shown_url(),
            what,
            limit,
        };
        let announced = self.length();
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(&self));
        }
        let mut body = Vec::new();
        let begun = Instant::now();
        let patience = self.pace.window * WHOLE;
        while let Some(chunk) = self.chunk().await? {
            if begun.elapsed() > patience {
                return Err(RegistryError::Timeout {
                    url: self.shown_url(),
                    after: patience,
                });
            }
            if body.len() as u64 + chunk.len() as u64 > limit {
                return Err(too_large(&self));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads the beginning of a body that only adds words to an error.
    async fn bytes_up_to(mut self, limit: u64) -> Vec<u8> {
        let mut body = Vec::new();
        let begun = Instant::now();
        while let Ok(Some(chunk)) = self.chunk().await {
            if begun.elapsed() > self.pace.window {
                break;
            }
            let room = usize::try_from(limit).unwrap_or(usize::MAX) - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() >= room {
                break;
            }
        }
        body
    }
}

/// How fast a body comes: a server that sends a byte now and then is as good as silent. Only the time counts that is spent
/// waiting for the server, not that for our disk.
#[derive(Debug)]
struct Pace {
    window: Duration,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn new(window: Duration) -> Self {
        Self {
            window,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Counts a piece and tells whether too little came in the window that it ends.
    fn is_too_slow(&mut self, waited: Duration, piece: usize) -> bool {
        self.waited += waited;
        self.bytes += piece as u64;
        if self.waited < self.window {
            return false;
        }
        let least = self.waited.as_millis() * u128::from(LEAST_RATE) / 1000;
        let is_too_slow = u128::from(self.bytes) < least;
        self.waited = Duration::ZERO;
        self.bytes = 0;
        is_too_slow
    }
}

/// Reads `Retry-After`: seconds, or a date.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let read = |value| parse_retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:30 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
