//! Connections to engines that want TLS: `ca.pem` tells whom we trust, `cert.pem` and `key.pem` who we are.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Connects to `host:port` with the certificates of a directory.
pub(crate) async fn connect(
    address: &str,
    certificates: &Path,
) -> io::Result<TlsStream<TcpStream>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(configuration(certificates)?));
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    connector.connect(name, stream).await
}

fn configuration(certificates: &Path) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(&certificates.join("ca.pem"))? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let ours = certificates.join("cert.pem");
    if !ours.exists() {
        return Ok(builder.with_no_client_auth());
    }
    let key = fs_err::read(certificates.join("key.pem"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(io::Error::other)?;
    builder
        .with_client_auth_cert(chain(&ours)?, key)
        .map_err(io::Error::other)
}

fn chain(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = fs_err::read(path)?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}
