//! Words for the errors of `registry`.

use registry::{CredentialError, ProxyFault, RegistryError, TlsFault};

use super::verdict::{Explain, Verdict};

/// What helps when a server or what stands before it misbehaves.
const SERVER: &str =
    "try again later; if it stays, a proxy or a mirror in between may be changing what is sent";
/// What helps when content does not arrive as it was announced.
const CONTENT: &str =
    "nothing of it was kept; try again, and if it stays look at the mirror or proxy in between";

impl Explain for CredentialError {
    fn verdict(&self) -> Verdict {
        const FILE: &str =
            "repair that file, or write it anew with `docker logout` and `docker login`";
        match self {
            Self::Read { source } => Verdict::system("credentials-read", source),
            Self::Json { .. } => Verdict::usage("credentials-file").hint(FILE),
            Self::TooLarge { .. } => Verdict::usage("credentials-too-large").hint(FILE),
            Self::Entry { .. } => Verdict::usage("credentials-entry").hint(FILE),
            Self::NoHelper { .. } => Verdict::failed("credential-helper-absent")
                .hint("install that program, or remove its line from the file"),
            Self::Spawn { source, .. } => Verdict::system("credential-helper-start", source),
            Self::HelperTimeout { .. } => Verdict::failed("credential-helper-timeout")
                .hint("it may be waiting for a password: unlock the key ring, and try again"),
            Self::HelperFailed { .. } => {
                Verdict::failed("credential-helper-failed").hint("log in anew with `docker login`")
            }
            Self::HelperAnswer { .. } => {
                Verdict::failed("credential-helper-answer").hint("reinstall or update that program")
            }
        }
    }
}

impl Explain for RegistryError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Unauthorized {
                registry,
                had_credentials: false,
                ..
            } => Verdict::failed("unauthorized").hint(format!(
                "check the name, and if the repository is private run `docker login {registry}` first"
            )),
            Self::Unauthorized { registry, .. } => Verdict::failed("unauthorized").hint(format!(
                "check the name and what these credentials may read; `docker login {registry}` replaces them"
            )),
            Self::Credentials { source, .. } => source.verdict(),
            Self::Realm { .. } => Verdict::failed("token-server-refused")
                .hint("whoever runs the registry has to offer its token server over HTTPS"),
            Self::Protocol { .. } => Verdict::failed("registry-protocol").hint(SERVER),
            Self::NotFound { .. } => Verdict::failed("not-found")
                .hint("check the spelling of the name and the tag; a private repository may look as if it did not exist"),
            Self::RateLimited { registry, .. } => Verdict::failed("rate-limited").hint(format!(
                "wait, log in with `docker login {registry}` for a higher limit, or set a mirror in `registry.mirrors`"
            )),
            Self::Status { .. } => Verdict::failed("registry-status").hint(SERVER),
            Self::Tls { fault, .. } => tls(*fault),
            Self::Connect { .. } => Verdict::failed("unreachable").hint(
                "check the network, and behind a proxy `HTTPS_PROXY` or `network.proxy`; with `--offline` aicage uses what is in the store",
            ),
            Self::Proxy { fault, .. } => proxy(*fault),
            Self::Timeout { .. } => Verdict::failed("registry-timeout")
                .hint("try again: what arrived is kept and the download goes on where it stopped"),
            Self::Broken { .. } => Verdict::failed("connection-broken")
                .hint("try again: what arrived is kept and the download goes on where it stopped"),
            Self::WrongDigest { .. } => Verdict::failed("wrong-digest").hint(CONTENT),
            Self::WrongSize { .. } => Verdict::failed("wrong-size").hint(CONTENT),
            Self::TooLarge { .. } => Verdict::failed("answer-too-large")
                .hint("no honest registry sends so much; check the reference and the mirror"),
            Self::Redirect { .. } => Verdict::failed("redirect-refused")
                .hint("whoever runs the registry has to repair where it sends its clients"),
            Self::Schema1 { .. } => Verdict::failed("schema1")
                .hint("ask for a newer tag, or push the image again with a current tool"),
            Self::Manifest { source, .. } => source.verdict(),
            Self::Store { source } => source.verdict(),
            Self::Setting { .. } => {
                Verdict::usage("network-setting").hint(
                    "correct `HTTPS_PROXY` and its like, or what `aicage config show --origin` says of `network` and `registry`",
                )
            }
        }
    }
}

fn proxy(fault: ProxyFault) -> Verdict {
    match fault {
        ProxyFault::Login => Verdict::failed("proxy-login").hint(
            "name them in `HTTPS_PROXY`, or with `aicage config set network.proxy http://USER:PASSWORD@HOST:PORT`, signs such \
             as `@` as `%40` (doc/company-networks.md)",
        ),
        ProxyFault::Refusal => Verdict::failed("proxy-refusal").hint(
            "ask who runs the proxy, name a mirror with `aicage config set registry.mirrors HOST=URL`, or add the host to \
             `NO_PROXY` or `network.no_proxy` (doc/company-networks.md)",
        ),
        ProxyFault::Absent => Verdict::failed("proxy-absent").hint(
            "check `HTTPS_PROXY` and its like, and `network.proxy`; with `--offline` aicage uses what is in the store \
             (doc/company-networks.md)",
        ),
    }
}

fn tls(fault: TlsFault) -> Verdict {
    match fault {
        TlsFault::UnknownAuthority => Verdict::failed("tls-unknown-authority").hint(
            "if your network inspects TLS, name its CA file: `aicage config set network.ca /path/to/ca.pem` (doc/company-networks.md)",
        ),
        TlsFault::WrongName => Verdict::failed("tls-wrong-name")
            .hint("check the registry's name; a login page of the network may be answering in its place"),
        TlsFault::Expired => {
            Verdict::failed("tls-expired").hint("check this machine's clock; else the server has to renew it")
        }
        TlsFault::Certificate => Verdict::failed("tls-certificate").hint(SERVER),
        TlsFault::Handshake => Verdict::failed("tls-handshake").hint(
            "if the server speaks plain HTTP, name it in `registry.plain_http`; else a proxy may be in between",
        ),
    }
}
