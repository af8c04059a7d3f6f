//! Whether what was built on is still what the registry has.

use fixtures::registry::{Fault, Rule};
use registry::{BuiltOn, Freshness};

use crate::setup::{Setup, amd64, layer};

async fn pulled() -> (Setup, BuiltOn) {
    let setup = Setup::new().await;
    let layers = [layer(1, 100), layer(2, 200)];
    let amd = setup.registry.image("a", ("amd", "amd64"), &layers);
    let arm = setup.registry.image("a", ("arm", "arm64"), &[layer(9, 10)]);
    let entries = [(amd, "linux/amd64"), (arm, "linux/arm64")];
    setup.registry.index("a", "latest", &entries);
    setup.pull("a").await.unwrap();
    let record = setup.to.store.remote(&setup.reference("a")).unwrap();
    let built_on = BuiltOn::of(&record.unwrap());
    setup.requests();
    (setup, built_on)
}

async fn freshness(setup: &Setup, built_on: &BuiltOn) -> Freshness {
    let client = setup.client();
    client.freshness(built_on, &amd64(), &setup.to).await
}

#[tokio::test]
async fn nothing_new_is_told_by_one_head() {
    let (setup, built_on) = pulled().await;
    let found = freshness(&setup, &built_on).await;
    assert!(matches!(found, Freshness::Current), "{found:?}");
    assert_eq!(setup.requests(), ["HEAD latest"]);
}

#[tokio::test]
async fn a_new_image_for_another_architecture_changes_nothing() {
    let (setup, built_on) = pulled().await;
    let layers = [layer(1, 100), layer(2, 200)];
    let amd = setup.registry.image("a", ("amd", "amd64"), &layers);
    let arm = setup.registry.image("a", ("arm", "arm64"), &[layer(8, 10)]);
    let entries = [(amd, "linux/amd64"), (arm, "linux/arm64")];
    setup.registry.index("a", "latest", &entries);
    let found = freshness(&setup, &built_on).await;
    assert!(matches!(found, Freshness::Current), "{found:?}");
}

#[tokio::test]
async fn new_layers_are_named_with_the_bytes_they_cost() {
    let (setup, built_on) = pulled().await;
    let layers = [layer(1, 100), layer(2, 200), layer(3, 3000), layer(4, 40)];
    let moved = setup.registry.image("a", ("latest", "amd64"), &layers);
    for _ in 0..2 {
        let found = freshness(&setup, &built_on).await;
        let Freshness::Superseded {
            manifest,
            new_layers,
            bytes,
        } = found
        else {
            panic!("{found:?}");
        };
        assert_eq!(manifest.digest, moved.digest);
        let sizes: Vec<u64> = new_layers.iter().map(|layer| layer.size).collect();
        assert_eq!((sizes, bytes), (vec![3000, 40], 3040));
    }
    let remote = setup.to.store.remote(&built_on.reference).unwrap();
    let remembered = Freshness::remembered(&built_on, remote.as_ref());
    assert!(matches!(
        remembered,
        Freshness::Superseded { bytes: 3040, .. }
    ));
    // What was built on before has not become current by asking.
    setup.pull("a").await.unwrap();
    let found = freshness(&setup, &built_on).await;
    assert!(
        matches!(found, Freshness::Superseded { bytes: 0, .. }),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_tag_that_is_gone_and_a_registry_that_is_are_two_things() {
    let (setup, built_on) = pulled().await;
    setup
        .registry
        .rule(Rule::manifests(Fault::status(500)).times(5));
    let found = freshness(&setup, &built_on).await;
    let Freshness::Unknown { last_seen, reason } = &found else {
        panic!("{found:?}");
    };
    assert_eq!(last_seen.as_deref(), Some("2027-01-15T08:00:00Z"));
    assert!(reason.is_some());
    setup.registry.remove("a", "latest");
    let found = freshness(&setup, &built_on).await;
    assert!(matches!(found, Freshness::Gone), "{found:?}");
    let never = Freshness::remembered(&built_on, None);
    assert!(matches!(
        never,
        Freshness::Unknown {
            last_seen: None,
            reason: None
        }
    ));
}
