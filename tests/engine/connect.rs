//! Finding an engine, and saying what is wrong when there is none to use.

use std::os::unix::{fs::PermissionsExt as _, net::UnixListener};

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
        let expected = if name.ends_with("OLD") {
            EngineStore::GraphDriver
        } else {
            EngineStore::Containerd
        };
        assert_eq!(info.store, expected, "{info:?}");
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
