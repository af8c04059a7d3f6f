//! The way to an engine: one HTTP connection for each request.
//!
//! bollard makes the requests; this carries them, because we need what it keeps to itself: the answer's headers
//! (version negotiation without a call of its own), why a connection failed, and the bare byte stream of an attached
//! terminal, which bollard's own reader takes apart at bytes 0 to 2.

use std::{io, path::PathBuf, time::Duration};

use bollard::BollardRequest;
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, UPGRADE},
    http::uri::PathAndQuery,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::{error::WireError, tls};

/// Longest answer we read into memory.
const ANSWER_LIMIT: usize = 64 << 20;
/// Longest message of an error that we keep.
const MESSAGE_LIMIT: usize = 4096;
/// How long a question may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// `host:port`, without encryption.
    Tcp(String),
    /// `host:port` with encryption.
    Tls {
        /// `host:port`.
        address: String,
        /// Where `ca.pem`, `cert.pem` and `key.pem` are.
        certificates: PathBuf,
    },
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls { address, .. } => write!(f, "tcp://{address} (TLS)"),
        }
    }
}

impl Endpoint {
    /// Tells whether it is a socket that the caller made: then the engine behind it runs as the caller.
    pub(crate) fn is_callers(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let Self::Unix(path) = self else {
            return false;
        };
        fs_err::metadata(path)
            .is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw())
    }

    /// Sends a request and returns the answer, whatever its status.
    pub(crate) async fn send(
        &self,
        request: BollardRequest,
    ) -> Result<Response<Incoming>, WireError> {
        match self {
            Self::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await;
                exchange(stream.map_err(WireError::Connect)?, request).await
            }
            Self::Tcp(address) => {
                let stream = tokio::net::TcpStream::connect(address)
                    .await
                    .map_err(WireError::Connect)?;
                stream.set_nodelay(true).map_err(WireError::Connect)?;
                exchange(stream, request).await
            }
            Self::Tls {
                address,
                certificates,
            } => {
                let stream = tls::connect(address, certificates).await;
                exchange(stream.map_err(WireError::Connect)?, request).await
            }
        }
    }

    /// Asks for `path`; returns the headers and the parsed body.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(hyper::HeaderMap, T), WireError> {
        let ask = async {
            let answer = self.send(bare(&Method::GET, path)).await?;
            let answer = accepted(answer).await?;
            let (head, body) = answer.into_parts();
            let bytes = collect(body, ANSWER_LIMIT).await?;
            let value = serde_json::from_slice(&bytes).map_err(WireError::Json)?;
            Ok((head.headers, value))
        };
        tokio::time::timeout(PATIENCE, ask)
            .await
            .unwrap_or(Err(WireError::Silent {
                seconds: PATIENCE.as_secs(),
            }))
    }

    /// Posts to `path` and returns as soon as the engine has begun to answer.
    pub(crate) async fn post(&self, path: &str) -> Result<Response<Incoming>, WireError> {
        accepted(self.send(bare(&Method::POST, path)).await?).await
    }

    /// Posts to `path` and takes the connection over.
    pub(crate) async fn hijack(&self, path: &str) -> Result<Hijacked, WireError> {
        self.take_over(bare(&Method::POST, path)).await
    }

    /// Posts a JSON object to `path` and takes the connection over.
    pub(crate) async fn hijack_with(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<Hijacked, WireError> {
        self.take_over(with_json(path, body)).await
    }

    /// Posts a JSON object to `path`.
    pub(crate) async fn post_json(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<Response<Incoming>, WireError> {
        accepted(self.send(with_json(path, body)).await?).await
    }

    /// Asks for `path` and returns as soon as the engine has begun to answer.
    pub(crate) async fn open(&self, path: &str) -> Result<Response<Incoming>, WireError> {
        accepted(self.send(bare(&Method::GET, path)).await?).await
    }

    async fn take_over(&self, mut request: BollardRequest) -> Result<Hijacked, WireError> {
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        let answer = accepted(self.send(request).await?).await?;
        let upgraded = hyper::upgrade::on(answer).await.map_err(WireError::Http)?;
        Ok(TokioIo::new(upgraded))
    }
}

/// A connection that carries bare bytes both ways.
pub(crate) type Hijacked = TokioIo<hyper::upgrade::Upgraded>;

/// Reads a body that must not be longer than `limit`.
pub(crate) async fn collect(body: Incoming, limit: usize) -> Result<Bytes, WireError> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => WireError::Http(*error),
            Err(error) => WireError::Connect(io::Error::other(error)),
        }),
    }
}

fn with_json(path: &str, body: &serde_json::Value) -> BollardRequest {
    let mut request = bare(&Method::POST, path);
    let body = Bytes::from(body.to_string());
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *request.body_mut() = bollard::body_full(body);
    request
}

fn bare(method: &Method, path: &str) -> BollardRequest {
    let mut request = Request::new(bollard::body_full(Bytes::new()));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path
        .parse()
        .expect("paths are made of ids, percent-encoded names and our own words");
    request
}

async fn exchange<S>(
    stream: S,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, WireError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(WireError::Http)?;
    // Ends by itself when the answer was read or dropped.
    drop(tokio::spawn(connection.with_upgrades()));
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
        .into();
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("engine"));
    sender.send_request(request).await.map_err(WireError::Http)
}

async fn accepted(answer: Response<Incoming>) -> Result<Response<Incoming>, WireError> {
    let status = answer.status();
    if status.is_success() || status.is_informational() {
        return Ok(answer);
    }
    let body = collect(answer.into_body(), MESSAGE_LIMIT).await?;
    let message = serde_json::from_slice::<Message>(&body).map_or_else(
        |_| String::from_utf8_lossy(&body).trim().to_owned(),
        |parsed| parsed.message,
    );
    Err(WireError::Answer {
        status: status.as_u16(),
        message,
    })
}

#[derive(serde::Deserialize)]
struct Message {
    message: String,
}
