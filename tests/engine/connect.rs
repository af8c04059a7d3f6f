//! Finding an engine, and saying what is wrong when there is none to use.

use std::{
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    sync::Arc,
};

use aicage::engine::docker::{EngineError, EngineSettings, EngineStore, connect};

use crate::support::{engines, skip};

fn attempt(address: &str) -> Result<aicage::engine::docker::Docker, EngineError> {
    let settings = EngineSettings {
        host: Some(address.to_owned()),
        ..EngineSettings::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(connect(&settings))
}

#[test]
fn an_engine_says_what_it_is_in_one_call() {
    let engines = engines();
    if engines.is_empty() {
        skip("no container engine (AICAGE_TEST_DOCKER_OLD, AICAGE_TEST_DOCKER_NEW)");
    }
    for (name, address) in engines {
        let docker = attempt(&address).unwrap();
        let info = docker.info();
        let expected = if name.ends_with("NEW") {
            EngineStore::Containerd
        } else {
            EngineStore::GraphDriver
        };
        assert_eq!(info.store, expected, "{info:?}");
        assert_eq!(info.is_podman(), name.contains("PODMAN"), "{info:?}");
        assert_eq!(info.is_rootless(), name.contains("ROOTLESS"), "{info:?}");
        assert!(!info.version.is_empty() && info.api >= (1, 41), "{info:?}");
        assert_eq!(info.platform.os, "linux", "{info:?}");
    }
}

#[test]
fn absent_stopped_forbidden_and_old_engines_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let address = format!("unix://{}", socket.display());
    assert!(
        matches!(attempt(&address), Err(EngineError::Absent { .. })),
        "no socket"
    );

    drop(UnixListener::bind(&socket).unwrap());
    assert!(
        matches!(attempt(&address), Err(EngineError::Stopped { .. })),
        "nobody listens"
    );

    fs_err::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        std::io::Read::read(&mut stream, &mut request).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nApi-Version: 1.40\r\nContent-Length: 2\r\n\r\n{}";
        std::io::Write::write_all(&mut stream, answer).unwrap();
    });
    let error = attempt(&address).unwrap_err();
    answering.join().unwrap();
    assert!(matches!(error, EngineError::TooOld { .. }), "{error}");
    assert!(error.to_string().contains("1.40"), "{error}");

    if rustix::process::geteuid().is_root() {
        skip("root may use every socket");
        return;
    }
    fs_err::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    let error = attempt(&address).unwrap_err();
    assert!(matches!(error, EngineError::NotPermitted { .. }), "{error}");
}

/// Writes a key and a certificate for `name` that the authority signed.
fn certificate(
    authority: &rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
    name: &str,
) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn an_engine_behind_tls_is_asked_with_our_certificate() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (ours, our_key) = certificate(&authority, "client");
    for (name, content) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", ours),
        ("key.pem", our_key),
    ] {
        fs_err::write(directory.path().join(name), content).unwrap();
    }

    let (theirs, their_key) = certificate(&authority, "localhost");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    )
    .build()
    .unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(theirs.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(their_key.as_bytes()).unwrap(),
        )
        .unwrap();

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut request = [0; 1024];
        std::io::Read::read(&mut stream, &mut request).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 24\r\n\r\n{\"ServerVersion\":\"tls\"} ";
        std::io::Write::write_all(&mut stream, answer).unwrap();
    });
    let settings = EngineSettings {
        host: Some(format!("tcp://localhost:{port}")),
        cert_path: Some(directory.path().to_owned()),
        tls_verify: true,
        ..EngineSettings::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let docker = runtime.block_on(connect(&settings)).unwrap();
    serving.join().unwrap();
    assert_eq!(docker.info().version, "tls");
}
