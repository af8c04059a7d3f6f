//! From a name to manifest and config, and what a bad answer leads to.

use assembler::{
    descriptor::{Descriptor, media_type},
    manifest::ManifestError,
};
use fixtures::registry::{Fault, Rule};
use registry::RegistryError;
use serde_json::json;

use crate::setup::{Setup, amd64, layer};

#[tokio::test]
async fn an_open_registry_is_asked_once_for_each_thing_and_never_who_we_are() {
    let setup = Setup::new().await;
    let amd = setup
        .registry
        .image("org/a", ("amd", "amd64"), &[layer(1, 5000), layer(2, 10)]);
    let arm = setup
        .registry
        .image("org/a", ("arm", "arm64"), &[layer(3, 10)]);
    let index = setup.registry.index(
        "org/a",
        "latest",
        &[(arm, "linux/arm64/v8"), (amd.clone(), "linux/amd64")],
    );
    let client = setup.client();
    let reference = setup.reference("org/a");
    let resolved = client.resolve(&reference, &amd64(), &setup.to).await;
    let resolved = resolved.unwrap();
    assert_eq!(
        *resolved.reference.digest(),
        index.digest,
        "pinned to the index"
    );
    assert_eq!(*resolved.manifest.digest(), amd.digest, "ours of the index");
    let image = client.fetch(&resolved, &setup.to).await.unwrap();
    setup.assert_whole(&image);
    let requests = setup.registry.requests();
    assert!(
        requests.iter().all(|request| {
            request.header("accept-encoding") == Some("identity")
                && request.header("authorization").is_none()
                && request.header("user-agent").unwrap().starts_with("aicage/")
        }),
        "{requests:?}"
    );
    assert_eq!(requests.len(), 5, "index, manifest, config, two layers");

    let record = setup.to.store.remote(&reference).unwrap().unwrap();
    assert_eq!(record.digest, index.digest);
    assert_eq!(record.manifest.digest, amd.digest);
    assert_eq!(record.layers.len(), 2);
    assert_eq!(record.checked_at, "2027-01-15T08:00:00Z");

    setup.pull("org/a").await.unwrap();
    assert_eq!(setup.requests(), ["HEAD latest"], "nothing changed");
    setup.pull(&format!("org/a@{}", amd.digest)).await.unwrap();
    assert_eq!(setup.requests(), [""; 0], "the manifest is in the store");
    let pinned = format!("org/a@{}", index.digest);
    setup.pull(&pinned).await.unwrap();
    assert_eq!(setup.requests().len(), 1, "which of the index is ours");
    setup.pull(&pinned).await.unwrap();
    assert_eq!(setup.requests(), [""; 0], "a digest does not change");
}

#[tokio::test]
async fn a_moved_tag_is_resolved_anew_and_shared_layers_are_not_fetched_again() {
    let setup = Setup::new().await;
    setup
        .registry
        .image("a", ("latest", "amd64"), &[layer(1, 100)]);
    setup.pull("a").await.unwrap();
    let moved = setup
        .registry
        .image("a", ("latest", "amd64"), &[layer(1, 100), layer(2, 100)]);
    setup.requests();
    setup.events.take();
    let image = setup.pull("a").await.unwrap();
    assert_eq!(*image.digest(), moved.digest);
    assert_eq!(
        setup.requests(),
        ["HEAD latest", "GET latest", "GET blobs", "GET blobs"],
        "config and one layer"
    );
    let told = setup.events.take();
    assert!(told.contains(&"skipped".to_owned()), "{told:?}");
}

#[tokio::test]
async fn head_falls_back_to_get_where_the_registry_cannot() {
    let setup = Setup::new().await;
    let image = setup
        .registry
        .image("a", ("latest", "amd64"), &[layer(1, 10)]);
    let reference = setup.reference("a");
    let head = |setup: &Setup| {
        let (client, events) = (setup.client(), setup.events.clone());
        let reference = reference.clone();
        async move { client.head(&reference, &*events).await }
    };
    assert_eq!(head(&setup).await.unwrap().digest, image.digest);
    assert_eq!(setup.requests(), ["HEAD latest"]);
    setup.registry.rule(Rule {
        method: "HEAD",
        ..Rule::manifests(Fault::status(405)).times(1)
    });
    assert_eq!(head(&setup).await.unwrap().digest, image.digest);
    assert_eq!(setup.requests(), ["HEAD latest", "GET latest"]);
    setup.registry.rule(Rule::manifests(Fault::NoDigest));
    assert_eq!(head(&setup).await.unwrap().digest, image.digest);
    assert_eq!(setup.requests(), ["HEAD latest", "GET latest"]);
}

#[tokio::test]
async fn content_that_is_not_what_the_digest_says_is_refused() {
    let setup = Setup::new().await;
    let image = setup
        .registry
        .image("a", ("latest", "amd64"), &[layer(1, 10)]);
    let other = br#"{"schemaVersion":2,"layers":[]}"#.to_vec();
    setup
        .registry
        .rule(Rule::manifests(Fault::Replace(other)).times(2));
    let pinned = format!("a@{}", image.digest);
    let by_tag = setup.resolve("a").await.unwrap_err();
    let by_digest = setup.resolve(&pinned).await.unwrap_err();
    for error in [by_tag, by_digest] {
        let expected = |e: &RegistryError| matches!(e, RegistryError::WrongDigest { expected, .. } if *expected == image.digest);
        assert!(expected(&error), "{error}");
    }
    setup
        .registry
        .rule(Rule::blobs(Fault::Replace(b"{}".to_vec())));
    let error = setup.resolve("a").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::WrongSize { found: 2, .. }),
        "{error}"
    );
    assert!(!error.is_transient());
    let reference = setup.reference("a");
    assert!(setup.to.store.remote(&reference).unwrap().is_none());
}

#[tokio::test]
async fn a_manifest_without_end_or_of_a_hundred_megabytes_is_not_read() {
    for fault in [Fault::Spaces(100 << 20), Fault::Endless] {
        let setup = Setup::new().await;
        setup
            .registry
            .image("a", ("latest", "amd64"), &[layer(1, 10)]);
        setup.registry.rule(Rule {
            method: "GET",
            ..Rule::manifests(fault)
        });
        let error = setup.resolve("a").await.unwrap_err();
        assert!(
            matches!(error, RegistryError::TooLarge { what: "manifest", limit, .. } if limit == 8 << 20),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_index_without_our_platform_says_what_it_has() {
    let setup = Setup::new().await;
    let arm = setup.registry.image("a", ("x", "arm64"), &[layer(1, 10)]);
    setup.registry.index(
        "a",
        "latest",
        &[(arm.clone(), "linux/arm64/v8"), (arm, "unknown/unknown")],
    );
    let error = setup.resolve("a").await.unwrap_err();
    let RegistryError::Manifest { source, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        matches!(source, ManifestError::NoPlatform { .. }),
        "{source}"
    );
    assert!(
        source.to_string().contains("it has linux/arm64/v8"),
        "{source}"
    );
}

#[tokio::test]
async fn an_index_in_an_index_is_followed_but_not_for_ever() {
    let setup = Setup::new().await;
    let image = setup.registry.image("a", ("x", "amd64"), &[layer(1, 10)]);
    let mut inner = image.clone();
    for depth in 1..=4 {
        let tag = format!("depth{depth}");
        inner = setup.registry.index("a", &tag, &[(inner, "linux/amd64")]);
    }
    let resolved = setup.resolve("a:depth3").await.unwrap();
    assert_eq!(*resolved.manifest.digest(), image.digest);
    let error = setup.resolve("a:depth4").await.unwrap_err();
    assert!(matches!(error, RegistryError::Manifest { .. }), "{error}");
}

#[tokio::test]
async fn docker_schema_2_is_read_and_schema_1_is_refused_by_name() {
    let setup = Setup::new().await;
    let registry = &setup.registry;
    let layer = layer(1, 100);
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id.to_string()]}});
    let config = registry.blob(media_type::DOCKER_CONFIG, config.to_string().as_bytes());
    let blob = registry.blob(media_type::DOCKER_LAYER_GZIP, &layer.blob);
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::DOCKER_MANIFEST, "config": config, "layers": [blob]}).to_string();
    let manifest = registry.manifest(
        "a",
        "one",
        (media_type::DOCKER_MANIFEST, manifest.as_bytes()),
    );
    let list = json!({"schemaVersion": 2, "mediaType": media_type::DOCKER_INDEX, "manifests": [{
        "mediaType": manifest.media_type, "digest": manifest.digest.to_string(), "size": manifest.size,
        "platform": {"os": "linux", "architecture": "amd64"}}]})
    .to_string();
    registry.manifest("a", "latest", (media_type::DOCKER_INDEX, list.as_bytes()));
    let image = setup.pull("a").await.unwrap();
    assert_eq!(*image.digest(), manifest.digest);
    setup.assert_whole(&image);

    let old = br#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#;
    let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    setup.registry.manifest("a", "old", (signed, old));
    let error = setup.resolve("a:old").await.unwrap_err();
    assert!(matches!(error, RegistryError::Schema1 { .. }), "{error}");
    assert!(error.to_string().contains("schema 1"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_not_asked_for_again() {
    let setup = Setup::new().await;
    let error = setup.resolve("a:none").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("a:none"), "{error}");
    assert_eq!(setup.requests(), ["GET none"]);
}

#[tokio::test]
async fn a_server_that_recovers_is_waited_for_and_one_that_does_not_is_named() {
    let setup = Setup::new().await;
    setup
        .registry
        .image("a", ("latest", "amd64"), &[layer(1, 10)]);
    setup
        .registry
        .rule(Rule::manifests(Fault::status(503)).times(2));
    setup.registry.rule(Rule::manifests(Fault::Hangup).times(1));
    setup.resolve("a").await.unwrap();
    let told = setup.events.take();
    assert_eq!(
        told,
        ["try 2 after 1ms", "try 3 after 2ms", "try 4 after 4ms"]
    );

    setup.registry.rule(Rule::manifests(Fault::Status(
        500,
        Vec::new(),
        r#"{"errors":[{"code":"UNKNOWN","message":"disk\u0007 full"}]}"#.to_owned(),
    )));
    setup.registry.requests();
    let error = setup.resolve("a:other").await.unwrap_err();
    let RegistryError::Status {
        status, message, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*status, message.as_str()), (500, "disk  full"));
    assert_eq!(setup.requests().len(), 5, "five tries and no more");
}

#[tokio::test]
async fn too_many_requests_are_waited_for_only_so_long() {
    let setup = Setup::new().await;
    setup
        .registry
        .image("a", ("latest", "amd64"), &[layer(1, 10)]);
    setup
        .registry
        .rule(Rule::manifests(Fault::retry_after(429, "1")).times(1));
    setup.resolve("a").await.unwrap();
    assert_eq!(setup.events.take(), ["try 2 after 1s"]);

    // An hour after the client's time.
    let late = "Fri, 15 Jan 2027 09:00:00 GMT";
    setup
        .registry
        .rule(Rule::manifests(Fault::retry_after(429, late)));
    let error = setup.resolve("a:other").await.unwrap_err();
    let RegistryError::RateLimited { retry_after, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(retry_after.unwrap().as_secs(), 3600);
    assert_eq!(setup.events.take(), [""; 0], "a person should know instead");
}

#[tokio::test]
async fn an_unreachable_registry_is_said_at_once() {
    let setup = Setup::new().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = closed.local_addr().unwrap();
    drop(closed);
    let reference = format!("{host}/a").parse().unwrap();
    let error = setup.pull_reference(&reference).await.unwrap_err();
    assert!(error.is_offline(), "{error}");
    assert_eq!(error.to_string(), format!("cannot reach {host}"));
    assert_eq!(setup.events.take(), [""; 0], "no second try");
}

#[tokio::test]
async fn an_image_whose_layers_and_diff_ids_differ_in_number_is_refused() {
    let setup = Setup::new().await;
    let registry = &setup.registry;
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let config: Descriptor = registry.blob(media_type::OCI_CONFIG, config.to_string().as_bytes());
    let blob = registry.blob(media_type::OCI_LAYER_GZIP, b"x");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [blob]}).to_string();
    registry.manifest(
        "a",
        "latest",
        (media_type::OCI_MANIFEST, manifest.as_bytes()),
    );
    let error = setup.pull("a").await.unwrap_err();
    assert!(matches!(error, RegistryError::Manifest { .. }), "{error}");
}
