//! Layers: cut, stalled, killed, redirected and wrong.

use std::time::Duration;

use assembler::descriptor::media_type;
use fixtures::registry::{Access, Fault, Registry, Rule, TokenServer};
use registry::RegistryError;
use serde_json::json;

use crate::setup::{Setup, amd64, layer};

const SIZE: usize = 1_000_000;

/// Serves one image of one layer; its config comes unharmed, because rules name the layer.
async fn one_layer() -> (Setup, impl Fn(Fault) -> Rule) {
    let setup = Setup::new().await;
    let layer = layer(1, SIZE);
    let digest = assembler::digest::Digest::of(&layer.blob);
    setup.registry.image("a", ("latest", "amd64"), &[layer]);
    let rule = move |fault| Rule {
        path: format!("/blobs/{digest}"),
        ..Rule::blobs(fault)
    };
    (setup, rule)
}

/// Pulls what recovers, and returns the requests for the layer.
async fn recovers(fault: Fault, rule: impl Fn(Fault) -> Rule, setup: &Setup) -> Vec<String> {
    setup.registry.rule(rule(fault).times(1));
    let image = setup.pull("a").await.unwrap();
    setup.assert_whole(&image);
    assert_eq!(setup.files_in("ingest"), 0, "no part is left");
    setup.requests().split_off(2)
}

#[tokio::test]
async fn a_cut_body_is_resumed_where_it_ended() {
    let (setup, rule) = one_layer().await;
    let requests = recovers(Fault::CutAt(123_457), &rule, &setup).await;
    assert_eq!(requests, ["GET blobs", "GET blobs bytes=123457-"]);
    assert_eq!(
        setup.events.take(),
        ["started at 0", "try 2 after 1ms", "done"]
    );
}

#[tokio::test]
async fn many_cuts_are_survived_as_long_as_each_try_brings_something() {
    let (setup, rule) = one_layer().await;
    setup.registry.rule(rule(Fault::CutAt(100_000)));
    let image = setup.pull("a").await.unwrap();
    setup.assert_whole(&image);
    assert_eq!(setup.requests().len(), 2 + 10);

    let (setup, rule) = one_layer().await;
    setup.registry.rule(rule(Fault::CutAt(10)));
    let error = setup.pull("a").await.unwrap_err();
    assert!(matches!(error, RegistryError::Broken { .. }), "{error}");
    assert_eq!(setup.requests().len(), 2 + 5, "ten bytes are no progress");
    assert_eq!(setup.files_in("ingest"), 1, "the part is kept");
}

#[tokio::test]
async fn a_registry_that_ignores_range_starts_over() {
    let (setup, rule) = one_layer().await;
    setup.registry.rule(rule(Fault::CutAt(5000)).times(1));
    let requests = recovers(Fault::IgnoreRange, &rule, &setup).await;
    assert_eq!(requests, ["GET blobs", "GET blobs bytes=5000-"]);
}

#[tokio::test]
async fn a_range_that_is_refused_or_another_is_asked_for_from_the_beginning() {
    for fault in [Fault::status(416), Fault::ShiftRange] {
        let (setup, rule) = one_layer().await;
        setup.registry.rule(rule(Fault::CutAt(5000)).times(1));
        let requests = recovers(fault, &rule, &setup).await;
        assert_eq!(
            requests,
            ["GET blobs", "GET blobs bytes=5000-", "GET blobs"]
        );
    }
}

#[tokio::test]
async fn a_stalled_body_is_given_up_and_resumed() {
    let (mut setup, rule) = one_layer().await;
    setup.config.idle_timeout = Duration::from_millis(200);
    let requests = recovers(Fault::StallAt(70_000), &rule, &setup).await;
    assert_eq!(requests, ["GET blobs", "GET blobs bytes=70000-"]);
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_and_resumed() {
    let (mut setup, rule) = one_layer().await;
    setup.config.idle_timeout = Duration::from_millis(700);
    let requests = recovers(Fault::DripFrom(70_000), &rule, &setup).await;
    let [first, second] = requests.as_slice() else {
        panic!("one more try is enough: {requests:?}");
    };
    assert_eq!(first, "GET blobs");
    assert!(second.starts_with("GET blobs bytes=70"), "{second}");
}

#[tokio::test]
async fn a_registry_that_only_drips_is_given_up_for_good() {
    let (mut setup, rule) = one_layer().await;
    setup.config.idle_timeout = Duration::from_millis(100);
    setup.registry.rule(rule(Fault::DripFrom(0)));
    let error = setup.pull("a").await.unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error}");

    let (mut setup, _rule) = one_layer().await;
    setup.config.idle_timeout = Duration::from_millis(100);
    setup.registry.rule(Rule::manifests(Fault::DripFrom(0)));
    let error = setup.resolve("a").await.unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn what_a_stopped_pull_left_is_not_fetched_again() {
    let (setup, rule) = one_layer().await;
    setup.registry.rule(rule(Fault::StallAt(200_000)).times(1));
    setup.stop_at("a", 200_000).await;
    setup.requests();
    let image = setup.pull("a").await.unwrap();
    setup.assert_whole(&image);
    let requests = setup.requests();
    assert_eq!(requests, ["HEAD latest", "GET blobs bytes=200000-"]);
    assert!(
        setup
            .events
            .take()
            .contains(&"started at 200000".to_owned())
    );
}

#[tokio::test]
async fn a_part_with_wrong_bytes_is_thrown_away_and_fetched_whole() {
    let (setup, rule) = one_layer().await;
    let wrong = vec![7; SIZE];
    setup.registry.rule(rule(Fault::Replace(wrong)).times(1));
    let error = setup.pull("a").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::WrongDigest { .. }),
        "{error}"
    );
    assert!(!error.is_transient());
    assert_eq!(setup.files_in("ingest"), 0, "nothing wrong is kept");

    // The same, but the wrong bytes are the beginning that an earlier run left.
    let ingest = setup.directory.path().join("store/ingest");
    setup.registry.rule(rule(Fault::StallAt(100_000)).times(1));
    setup.stop_at("a", SIZE as u64 + 100_000).await;
    let part = fs_err::read_dir(&ingest).unwrap().next().unwrap().unwrap();
    fs_err::write(part.path(), vec![7; 100_000]).unwrap();
    setup.requests();
    let image = setup.pull("a").await.unwrap();
    setup.assert_whole(&image);
    assert_eq!(
        setup.requests(),
        ["HEAD latest", "GET blobs bytes=100000-", "GET blobs"]
    );
}

#[tokio::test]
async fn a_layer_longer_or_shorter_than_it_should_be_is_refused() {
    for fault in [
        Fault::Replace(vec![1; SIZE + 1]),
        Fault::Replace(vec![1; SIZE - 1]),
        Fault::Endless,
        Fault::Spaces(100 << 20),
    ] {
        let (setup, rule) = one_layer().await;
        setup.registry.rule(rule(fault));
        let error = setup.pull("a").await.unwrap_err();
        assert!(
            matches!(error, RegistryError::WrongSize { expected, .. } if expected == SIZE as u64),
            "{error}"
        );
        let left = setup.directory.path().join("store/ingest");
        let left = fs_err::read_dir(left).unwrap();
        let bytes: u64 = left.map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert_eq!(bytes, 0, "nothing of it is kept");
    }
}

#[tokio::test]
async fn a_server_error_in_the_middle_is_waited_for() {
    let (setup, rule) = one_layer().await;
    setup.registry.rule(rule(Fault::CutAt(100_000)).times(1));
    setup.registry.rule(rule(Fault::status(502)).times(1));
    setup.registry.rule(rule(Fault::Hangup).times(1));
    let requests = recovers(Fault::retry_after(503, "0"), &rule, &setup).await;
    let range = "GET blobs bytes=100000-";
    assert_eq!(requests, ["GET blobs", range, range, range, range]);
}

#[tokio::test]
async fn a_redirect_to_another_host_is_followed_without_our_token() {
    let (setup, rule) = one_layer().await;
    setup
        .registry
        .access(Access::Bearer(TokenServer::default()));
    let store = Registry::start().await;
    let blob = layer(1, SIZE).blob;
    let digest = store.blob(media_type::OCI_LAYER_GZIP, &blob).digest;
    let signed = format!(
        "{}/v2/cdn/blobs/{digest}?X-Amz-Signature=s3cr3t",
        store.url()
    );
    store.rule(Rule::blobs(Fault::CutAt(100_000)).times(1));
    setup.registry.rule(rule(Fault::redirect(&signed)));
    let image = setup.pull("a").await.unwrap();
    setup.assert_whole(&image);
    let (asked, stored) = (setup.registry.requests(), store.requests());
    let token = |request: &&fixtures::registry::Request| request.header("authorization").is_some();
    assert_eq!(stored.len(), 2);
    assert_eq!(stored.iter().filter(token).count(), 0, "{stored:?}");
    let layer = asked
        .iter()
        .filter(|r| r.path.contains(&digest.to_string()));
    let layer: Vec<_> = layer.collect();
    assert_eq!(layer.len(), 2, "a resume asks the registry again");
    assert!(layer.iter().all(|r| r.header("authorization").is_some()));
    assert_eq!(stored[1].header("range"), Some("bytes=100000-"));

    // The signed address is a secret for its lifetime.
    let (setup, rule) = one_layer().await;
    store.rule(Rule::blobs(Fault::status(500)));
    setup.registry.rule(rule(Fault::redirect(&signed)));
    let error = setup.pull("a").await.unwrap_err();
    assert!(matches!(error, RegistryError::Status { .. }), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("X-Amz-Signature=…"), "{shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_good_is_refused() {
    for target in [
        "http://registry.example/v2/a/blobs/x",
        "file:///etc/passwd",
        "",
        "http://[",
        "/v2/a/blobs/again",
    ] {
        let (setup, rule) = one_layer().await;
        setup.registry.rule(Rule {
            path: "again".to_owned(),
            ..Rule::blobs(Fault::redirect("/v2/a/blobs/again"))
        });
        setup.registry.rule(rule(Fault::redirect(target)));
        let error = setup.pull("a").await.unwrap_err();
        assert!(
            matches!(error, RegistryError::Redirect { .. }),
            "{target}: {error}"
        );
        assert!(setup.requests().len() < 10, "{target}");
    }
}

#[tokio::test]
async fn a_layer_that_occurs_twice_is_fetched_once_and_many_side_by_side() {
    let setup = Setup::new().await;
    let mut layers: Vec<_> = (0..12).map(|seed| layer(seed, 50_000)).collect();
    layers.push(layers[3].clone());
    setup.registry.image("a", ("latest", "amd64"), &layers);
    let image = setup.pull("a").await.unwrap();
    setup.assert_whole(&image);
    assert_eq!(setup.requests().len(), 2 + 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pulls_of_one_image_at_once_fetch_each_layer_once() {
    let setup = Setup::new().await;
    let layers: Vec<_> = (0..6).map(|seed| layer(seed, 300_000)).collect();
    setup.registry.image("a", ("latest", "amd64"), &layers);
    // On threads of their own, as the program does it.
    let pull = || {
        let (client, to) = (setup.client(), setup.to.clone());
        let reference = setup.reference("a");
        tokio::spawn(async move {
            let resolved = client.resolve(&reference, &amd64(), &to).await?;
            client.fetch(&resolved, &to).await
        })
    };
    let (one, other) = tokio::join!(pull(), pull());
    setup.assert_whole(&one.unwrap().unwrap());
    setup.assert_whole(&other.unwrap().unwrap());
    let requests = setup.registry.requests();
    let mut layers: Vec<_> = requests.iter().map(|request| &request.path).collect();
    layers.retain(|path| path.contains("/blobs/"));
    layers.sort();
    // The config is small and may be fetched by both.
    assert!((7..=8).contains(&layers.len()), "{layers:?}");
}

#[tokio::test]
async fn other_places_that_a_manifest_names_are_never_asked() {
    let setup = Setup::new().await;
    let other = Registry::start().await;
    let registry = &setup.registry;
    let layer = layer(1, 100);
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id.to_string()]}});
    let config = registry.blob(media_type::OCI_CONFIG, config.to_string().as_bytes());
    let foreign = other.blob(media_type::OCI_LAYER_GZIP, &layer.blob);
    let url = format!("{}/v2/a/blobs/{}", other.url(), foreign.digest);
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [{
        "mediaType": foreign.media_type, "digest": foreign.digest.to_string(), "size": foreign.size, "urls": [url]}]});
    let manifest = manifest.to_string();
    registry.manifest(
        "a",
        "latest",
        (media_type::OCI_MANIFEST, manifest.as_bytes()),
    );
    let resolved = setup.resolve("a").await.unwrap();
    let error = setup
        .client()
        .fetch(&resolved, &setup.to)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert_eq!(other.requests(), []);
}
