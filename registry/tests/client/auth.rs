//! Who we are: anonymous, with a password, with a token, with what a program keeps.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fixtures::registry::{Access, Fault, Registry, Rule, TokenServer};
use registry::{CredentialError, RegistryError};
use serde_json::json;

use crate::setup::{Setup, layer};

/// A registry with one image of three layers that `access` guards.
async fn guarded(access: Access) -> Setup {
    let setup = Setup::new().await;
    setup.registry.image(
        "org/a",
        ("latest", "amd64"),
        &[layer(1, 1000), layer(2, 1000), layer(3, 1000)],
    );
    setup.registry.access(access);
    setup
}

fn token_server(login: Option<(&str, &str)>) -> TokenServer {
    TokenServer {
        login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
        ..TokenServer::default()
    }
}

/// Writes a file of credentials and lets the client know.
fn log_in(setup: &mut Setup, json: &serde_json::Value) {
    let file = setup.directory.path().join("config.json");
    fs_err::write(&file, json.to_string()).unwrap();
    setup.config.credentials.files = vec![PathBuf::from("/nonexistent/config.json"), file];
}

fn password(setup: &Setup, user_and_password: &str) -> serde_json::Value {
    let auth = STANDARD.encode(user_and_password);
    json!({"auths": {setup.registry.host(): {"auth": auth}}})
}

fn token_requests(setup: &Setup) -> Vec<fixtures::registry::Request> {
    let requests = setup.registry.requests().into_iter();
    requests
        .filter(|request| request.path.starts_with("/token"))
        .collect()
}

#[tokio::test]
async fn one_token_without_credentials_serves_a_whole_pull() {
    let setup = guarded(Access::Bearer(token_server(None))).await;
    let image = setup.pull("org/a").await.unwrap();
    setup.assert_whole(&image);
    let tokens = token_requests(&setup);
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(
        tokens[0].query("scope"),
        Some("repository%3Aorg%2Fa%3Apull")
    );
    assert_eq!(tokens[0].query("service"), Some("fixture"));
    assert_eq!(tokens[0].header("authorization"), None);
}

#[tokio::test]
async fn a_password_is_sent_to_the_token_server_only() {
    let mut setup = guarded(Access::Bearer(token_server(Some(("me", "pw"))))).await;
    let file = password(&setup, "me:pw");
    log_in(&mut setup, &file);
    setup.pull("org/a").await.unwrap();
    let requests = setup.registry.requests();
    let basic = requests.iter().filter(|request| {
        let sent = request.header("authorization");
        sent.is_some_and(|sent| sent.starts_with("Basic"))
    });
    let basic: Vec<_> = basic.map(|request| request.path.as_str()).collect();
    assert_eq!(basic.len(), 1, "{basic:?}");
    assert!(basic[0].starts_with("/token") && basic[0].contains("account=me"));
}

#[tokio::test]
async fn a_wrong_password_is_an_error_and_not_a_reason_to_go_on_as_nobody() {
    for access in [
        Access::Bearer(token_server(Some(("me", "right")))),
        Access::Basic("me".to_owned(), "right".to_owned()),
    ] {
        let mut setup = guarded(access).await;
        let file = password(&setup, "me:wr0ng");
        log_in(&mut setup, &file);
        let error = setup.pull("org/a").await.unwrap_err();
        assert!(
            matches!(
                error,
                RegistryError::Unauthorized {
                    had_credentials: true,
                    ..
                }
            ),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("wr0ng"));
        let requests = setup.registry.requests();
        assert_eq!(requests.len(), 2, "one challenge, one answer: {requests:?}");
        assert!(requests[1].header("authorization").is_some());
    }
}

#[tokio::test]
async fn a_private_image_without_credentials_says_so() {
    for access in [
        Access::Bearer(token_server(Some(("me", "pw")))),
        Access::Basic("me".to_owned(), "pw".to_owned()),
    ] {
        let setup = guarded(access).await;
        let error = setup.pull("org/a").await.unwrap_err();
        assert!(
            matches!(
                error,
                RegistryError::Unauthorized {
                    had_credentials: false,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().ends_with("no credentials are configured"));
    }
}

#[tokio::test]
async fn basic_access_is_asked_for_once_and_then_kept() {
    let mut setup = guarded(Access::Basic("me".to_owned(), "p:w".to_owned())).await;
    let file = password(&setup, "me:p:w");
    log_in(&mut setup, &file);
    let image = setup.pull("org/a").await.unwrap();
    setup.assert_whole(&image);
    let requests = setup.registry.requests();
    let without = requests
        .iter()
        .filter(|request| request.header("authorization").is_none());
    assert_eq!(without.count(), 1);
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let mut server = token_server(Some(("nobody", "nothing")));
    server.identity = Some("refresh-me".to_owned());
    let mut setup = guarded(Access::Bearer(server)).await;
    let host = setup.registry.host();
    log_in(
        &mut setup,
        &json!({"auths": {host: {"identitytoken": "refresh-me"}}}),
    );
    setup.pull("org/a").await.unwrap();
    let tokens = token_requests(&setup);
    assert_eq!(tokens.len(), 1);
    assert_eq!(
        (tokens[0].method.as_str(), tokens[0].path.as_str()),
        ("POST", "/token")
    );
    assert!(tokens[0].body.contains("grant_type=refresh_token"));

    setup.registry.rule(Rule {
        method: "POST",
        path: "/token".to_owned(),
        times: 1,
        fault: Fault::redirect("https://elsewhere.example/"),
    });
    let error = setup.resolve("org/a:x").await.unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
}

#[tokio::test]
async fn a_token_on_disk_spares_the_challenge_until_it_ends() {
    static LATER: AtomicU64 = AtomicU64::new(0);
    let mut setup = guarded(Access::Bearer(token_server(Some(("me", "pw"))))).await;
    let file = password(&setup, "me:pw");
    log_in(&mut setup, &file);
    let cache = setup.directory.path().join("tokens");
    setup.config.token_cache = Some(cache.clone());
    setup.config.clock = || {
        let later = LATER.load(Ordering::SeqCst);
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + later)
    };
    setup.pull("org/a").await.unwrap();
    let kept = files(&cache);
    assert_eq!(kept.len(), 1);
    let mode = fs_err::metadata(&kept[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs_err::read_to_string(&kept[0]).unwrap();
    assert!(!text.contains("pw"), "{text}");
    setup.requests();

    setup.pull("org/a").await.unwrap();
    assert_eq!(setup.requests(), ["HEAD latest"], "one round trip");

    setup.registry.revoke();
    setup.pull("org/a").await.unwrap();
    assert_eq!(
        setup.requests(),
        ["HEAD latest", "GET token", "HEAD latest"]
    );

    fs_err::write(&files(&cache)[0], "{damaged").unwrap();
    setup.pull("org/a").await.unwrap();
    assert_eq!(
        setup.requests(),
        ["HEAD latest", "GET token", "HEAD latest"]
    );

    LATER.store(295, Ordering::SeqCst);
    setup.pull("org/a").await.unwrap();
    assert_eq!(
        setup.requests(),
        ["HEAD latest", "GET token", "HEAD latest"],
        "not used in its last moments"
    );

    let other = password(&setup, "other:pw2");
    log_in(&mut setup, &other);
    let error = setup.resolve("org/a:x").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Unauthorized { .. }),
        "somebody else's token is not used: {error}"
    );
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_token_that_ends_during_a_pull_is_renewed() {
    let setup = guarded(Access::Bearer(token_server(None))).await;
    let client = setup.client();
    let reference = setup.reference("org/a");
    let platform = crate::setup::amd64();
    let resolved = client.resolve(&reference, &platform, &setup.to).await;
    setup.registry.revoke();
    let image = client.fetch(&resolved.unwrap(), &setup.to).await.unwrap();
    setup.assert_whole(&image);
    assert_eq!(token_requests(&setup).len(), 2, "one more, for all layers");
}

#[tokio::test]
async fn credentials_are_not_sent_to_a_token_server_that_may_be_anybodys() {
    let mut server = token_server(Some(("me", "pw")));
    server.realm = Some("http://tokens.example/token".to_owned());
    let mut setup = guarded(Access::Bearer(server)).await;
    let file = password(&setup, "me:pw");
    log_in(&mut setup, &file);
    // Whatever is not loopback would come here.
    let proxy = Registry::start().await;
    setup.config.proxies.all = Some(proxy.url());
    let error = setup.resolve("org/a").await.unwrap_err();
    assert!(matches!(error, RegistryError::Realm { .. }), "{error}");
    assert_eq!(proxy.requests(), []);
}

#[tokio::test]
async fn a_token_server_that_fails_is_asked_again_and_nonsense_is_refused() {
    let setup = guarded(Access::Bearer(token_server(None))).await;
    let at_token = |fault| Rule {
        path: "/token".to_owned(),
        ..Rule::blobs(fault)
    };
    setup.registry.rule(at_token(Fault::status(503)).times(2));
    setup.resolve("org/a").await.unwrap();
    for fault in [
        Fault::Replace(b"{}".to_vec()),
        Fault::Replace(br#"{"token":"a\nb"}"#.to_vec()),
        Fault::status(404),
    ] {
        setup.registry.rule(at_token(fault).times(1));
        let error = setup.resolve("org/a:x").await.unwrap_err();
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    }
    setup.registry.rule(at_token(Fault::Endless).times(1));
    let error = setup.resolve("org/a:x").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::TooLarge { what: "token", .. }),
        "{error}"
    );
}

/// Installs a program that keeps credentials.
fn install(setup: &mut Setup, name: &str, script: &str) {
    let directory = setup.directory.path().join("bin");
    fs_err::create_dir_all(&directory).unwrap();
    let file = directory.join(format!("docker-credential-{name}"));
    fs_err::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(&file, mode).unwrap();
    setup.config.credentials.helper_path = vec![PathBuf::from("/nonexistent"), directory];
}

#[tokio::test]
async fn a_program_is_asked_for_the_registry_and_believed() {
    let mut setup = guarded(Access::Basic("me".to_owned(), "pw".to_owned())).await;
    let host = setup.registry.host();
    let script = format!(
        r#"test "$1 $(cat)" = "get {host}" && printf '{{"ServerURL":"x","Username":"me","Secret":"pw"}}'"#
    );
    install(&mut setup, "keeper", &script);
    log_in(&mut setup, &json!({"credHelpers": {host: "keeper"}}));
    setup.pull("org/a").await.unwrap();
    log_in(&mut setup, &json!({"credsStore": "keeper"}));
    setup.resolve("org/a").await.unwrap();

    let token = r#"cat >/dev/null; printf '{"Username":"<token>","Secret":"refresh-me"}'"#;
    install(&mut setup, "keeper", token);
    let mut server = token_server(None);
    server.identity = Some("refresh-me".to_owned());
    setup.registry.access(Access::Bearer(server));
    setup.registry.requests();
    setup.resolve("org/a").await.unwrap();
    assert_eq!(token_requests(&setup)[0].method, "POST");
}

#[tokio::test]
async fn a_program_that_is_missing_or_fails_is_named() {
    let mut setup = guarded(Access::Bearer(token_server(None))).await;
    let host = setup.registry.host();
    log_in(&mut setup, &json!({"credHelpers": {host: "absent"}}));
    let credential_error = |error: RegistryError| match error {
        RegistryError::Credentials { source, .. } => source,
        other => panic!("{other}"),
    };
    let error = credential_error(setup.resolve("org/a").await.unwrap_err());
    let text = error.to_string();
    assert!(matches!(error, CredentialError::NoHelper { .. }), "{text}");
    assert!(text.contains("docker-credential-absent") && text.contains("config.json"));

    for (script, expected) in [
        (
            "echo 'keychain is locked' >&2; exit 1",
            "keychain is locked",
        ),
        ("cat >/dev/null; echo '[\"s3cr3t\"]'", "did not answer with"),
    ] {
        install(&mut setup, "absent", script);
        let text = credential_error(setup.resolve("org/a").await.unwrap_err()).to_string();
        assert!(
            text.contains(expected) && !text.contains("s3cr3t"),
            "{text}"
        );
    }
    let unknown = "echo 'credentials not found in native keychain'; exit 1";
    install(&mut setup, "absent", unknown);
    setup.resolve("org/a").await.unwrap();

    // Docker Desktop names one for all registries; a public image needs none.
    log_in(&mut setup, &json!({"credsStore": "desktop"}));
    setup.events.take();
    setup.resolve("org/a").await.unwrap();
    let warnings = setup.events.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("docker-credential-desktop"));
}

#[tokio::test]
async fn a_damaged_file_of_credentials_is_named_once_they_are_needed() {
    let mut setup = guarded(Access::Open).await;
    let file = setup.directory.path().join("auth.json");
    fs_err::write(&file, "{damaged").unwrap();
    setup.config.credentials.files = vec![file.clone()];
    setup.config.token_cache = Some(setup.directory.path().join("tokens"));
    setup.resolve("org/a").await.unwrap();
    setup.registry.access(Access::Bearer(token_server(None)));
    let error = setup.resolve("org/a").await.unwrap_err();
    let RegistryError::Credentials { source, .. } = error else {
        panic!("{error}");
    };
    assert!(source.to_string().contains("auth.json"), "{source}");
}
