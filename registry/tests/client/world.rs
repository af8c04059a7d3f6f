//! Against a real `docker-registry`, where there is one (`fixtures/world`).
#![expect(
    clippy::disallowed_methods,
    reason = "the world is found by its variables"
)]
#![expect(clippy::print_stderr, reason = "a skip is printed")]

use std::time::SystemTime;

use assembler::{platform::Platform, reference::ImageReference};
use registry::{BuiltOn, Client, Freshness, RegistryError};
use serde_json::json;

use crate::setup::Setup;

/// Returns a variable of the world, or says that the test is skipped.
fn world(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        eprintln!("SKIP: {name} is not set");
    }
    value
}

#[tokio::test]
async fn real_images_of_every_kind_are_pulled_and_stay_current() {
    let Some(host) = world("AICAGE_TEST_REGISTRY") else {
        return;
    };
    let mut setup = Setup::new().await;
    setup.config.clock = SystemTime::now;
    let here = Platform::linux(std::env::consts::ARCH);
    let client = setup.client();
    for name in ["latest", "zstd", "schema2", "multi"] {
        let text = format!("{host}/library/busybox:{name}");
        let reference: ImageReference = text.parse().unwrap();
        let resolved = client.resolve(&reference, &here, &setup.to).await.unwrap();
        let image = client.fetch(&resolved, &setup.to).await.unwrap();
        setup.assert_whole(&image);
        for layer in image.layers() {
            let mut tar = setup.to.store.layer_tar(layer).unwrap();
            std::io::copy(&mut tar, &mut std::io::sink()).unwrap();
        }
        let record = setup.to.store.remote(&reference).unwrap().unwrap();
        let built_on = BuiltOn::of(&record);
        let found = client.freshness(&built_on, &here, &setup.to).await;
        assert!(matches!(found, Freshness::Current), "{name}: {found:?}");
    }
    let none: ImageReference = format!("{host}/library/none").parse().unwrap();
    let error = client.resolve(&none, &here, &setup.to).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_real_registry_with_a_password_wants_the_right_one() {
    let variables = [
        "AICAGE_TEST_REGISTRY_AUTH",
        "AICAGE_TEST_REGISTRY_USER",
        "AICAGE_TEST_REGISTRY_PASSWORD",
    ];
    let [Some(host), Some(user), Some(password)] = variables.map(world) else {
        return;
    };
    let mut setup = Setup::new().await;
    let reference: ImageReference = format!("{host}/private/busybox").parse().unwrap();
    let here = Platform::linux(std::env::consts::ARCH);
    let file = setup.directory.path().join("auth.json");
    setup.config.credentials.files = vec![file.clone()];
    let attempt = async |password: Option<&str>| {
        if let Some(password) = password {
            let entry = json!({"username": user, "password": password});
            let json = json!({"auths": {format!("{host}/private"): entry}});
            fs_err::write(&file, json.to_string()).unwrap();
        }
        let client = Client::new(setup.config.clone());
        let resolved = client.resolve(&reference, &here, &setup.to).await?;
        client.fetch(&resolved, &setup.to).await
    };
    for (given, had) in [(None, false), (Some("wrong"), true)] {
        let error = attempt(given).await.unwrap_err();
        assert!(
            matches!(error, RegistryError::Unauthorized { had_credentials, .. } if had_credentials == had),
            "{error}"
        );
    }
    setup.assert_whole(&attempt(Some(&password)).await.unwrap());
}
