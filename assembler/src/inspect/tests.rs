//! Reports: every claim has a source, and what nobody knows is said to be unknown.

use layer::LayerPath;
use serde_json::{Value, json};

use super::{
    Cause::{Added, Changed, Removed},
    *,
};
use crate::{
    descriptor::Descriptor,
    provenance::Kind,
    store::BlobStore,
    testing::{TestImage, add_image, image_of},
};

const NOW: &str = "2026-11-21T10:00:00Z";

fn record_of(reference: &str, image: &Image) -> ImageRecord {
    ImageRecord {
        reference: reference.parse().unwrap(),
        manifest: Descriptor {
            media_type: crate::archive::manifest_type(image),
            digest: *image.digest(),
            size: image.manifest().size(),
            annotations: std::collections::BTreeMap::new(),
        },
        made_at: NOW.to_owned(),
        base: None,
        layers: Vec::new(),
        reason: None,
        parts: None,
        dockerfiles: Vec::new(),
        source_date: None,
    }
}

fn layer_record(kind: Kind, id: &str, how: How) -> LayerRecord {
    LayerRecord {
        origin: Origin {
            kind,
            id: id.to_owned(),
            version: None,
        },
        script: (how == How::Executed).then(|| Digest::of(b"script")),
        key: None,
        how,
        made_at: NOW.to_owned(),
    }
}

fn remote_of(reference: &str, layers: &[Descriptor]) -> RemoteRecord {
    RemoteRecord {
        reference: reference.parse().unwrap(),
        digest: Digest::of(b"index"),
        manifest: Descriptor::of("", b"manifest"),
        layers: layers.to_vec(),
        checked_at: NOW.to_owned(),
        gone_at: None,
    }
}

fn upstreams(report: &InspectReport) -> Vec<Upstream> {
    report.layers.iter().map(|layer| layer.upstream).collect()
}

#[test]
fn the_json_of_a_report_has_exactly_the_promised_fields() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")], &[("b", b"2")]]);
    let mut record = record_of("aicage:codex-debian", &image);
    record.base = Some(BaseRecord {
        reference: "localhost:5000/base:1".to_owned(),
        digest: Digest::of(b"base"),
    });
    record.layers = vec![
        layer_record(Kind::Root, "debian", How::Pulled),
        layer_record(Kind::Agent, "codex", How::Executed),
    ];
    let lock = store.share().unwrap();
    let base = remote_of(
        "localhost:5000/base:1",
        &[image.layers()[0].descriptor.clone()],
    );
    store.remember_remote(&lock, &base).unwrap();
    let report = inspect(&store, "aicage:codex-debian", &image, Some(&record)).unwrap();
    let [bottom, top] = image.layers() else {
        panic!("two layers")
    };
    let expected = json!({
        "schema": "aicage.image.inspect/1",
        "reference": "aicage:codex-debian",
        "digest": image.digest(),
        "platform": {"os": "linux", "architecture": "amd64"},
        "base": {"reference": "localhost:5000/base:1", "digest": Digest::of(b"base"), "checked_at": NOW},
        "layers": [
            {
                "index": 0, "digest": bottom.descriptor.digest, "diff_id": bottom.diff_id,
                "size": bottom.descriptor.size, "media_type": bottom.descriptor.media_type,
                "origin": {"kind": "root", "id": "debian", "version": null},
                "script": null, "made_at": NOW, "how": "pulled", "upstream": "current",
            },
            {
                "index": 1, "digest": top.descriptor.digest, "diff_id": top.diff_id,
                "size": top.descriptor.size, "media_type": top.descriptor.media_type,
                "origin": {"kind": "agent", "id": "codex", "version": null},
                "script": {"sha256": Digest::of(b"script").hex()},
                "made_at": NOW, "how": "executed", "upstream": "local",
            },
        ],
    });
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    let text = serde_json::to_string(&report).unwrap();
    let order: Vec<_> = [
        "schema",
        "reference",
        "digest",
        "platform",
        "base",
        "layers",
    ]
    .iter()
    .map(|field| text.find(&format!("\"{field}\":")).unwrap())
    .collect();
    assert!(order.is_sorted(), "fields come in the documented order");
}

#[test]
fn an_image_of_which_nothing_is_known_is_unknown_throughout() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")], &[("b", b"2")]]);
    let report = inspect(&store, "oci:somewhere", &image, None).unwrap();
    assert_eq!(report.base, None);
    for layer in report.layers {
        assert_eq!(layer.origin.kind, Kind::Unknown);
        assert_eq!(layer.upstream, Upstream::Unknown);
        assert_eq!(layer.history.as_deref(), Some("test"), "the hint is there");
    }
}

#[test]
fn layers_of_an_image_in_the_store_are_recognised_in_images_built_on_it() {
    let TestImage {
        store,
        image: base,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    let lock = store.share().unwrap();
    store
        .tag(&lock, &record_of("localhost:5000/root:1", &base))
        .unwrap();
    let image = add_image(&store, &[&[("a", b"1")], &[("b", b"2")]]);
    let report = inspect(&store, "docker-daemon:x", &image, None).unwrap();
    let found = report.base.unwrap();
    assert_eq!(found.reference, "localhost:5000/root:1");
    assert_eq!(found.digest, Some(*base.digest()));
    assert_eq!(report.layers[0].origin.id, "localhost:5000/root:1");
    assert_eq!(report.layers[0].origin.kind, Kind::Base);
    assert_eq!(report.layers[1].origin.kind, Kind::Unknown);
}

#[test]
fn a_layer_is_superseded_only_where_the_registry_offers_another_in_its_place() {
    let TestImage {
        image, _directory, ..
    } = image_of(&[&[("a", b"1")], &[("b", b"2")]]);
    let record = record_of("localhost:5000/base:1", &image);
    let mut layers: Vec<_> = image
        .layers()
        .iter()
        .map(|layer| layer.descriptor.clone())
        .collect();
    let judged = |upstream, record| {
        upstreams(&report(&InspectInput {
            reference: "x",
            image: &image,
            record,
            upstream,
            known: &[],
        }))
    };
    let remote = remote_of("localhost:5000/base:1", &layers);
    assert_eq!(
        judged(BaseState::Offered(&remote), Some(&record)),
        [Upstream::Current, Upstream::Current]
    );
    layers[1] = Descriptor::of("", b"newer");
    let remote = remote_of("localhost:5000/base:1", &layers);
    assert_eq!(
        judged(BaseState::Offered(&remote), Some(&record)),
        [Upstream::Current, Upstream::Superseded]
    );
    let other = remote_of("localhost:5000/base:1", &layers[1..]);
    assert_eq!(
        judged(BaseState::Offered(&other), None),
        [Upstream::Unknown, Upstream::Unknown],
        "an engine may have compressed the layers anew"
    );
    let gone = BaseState::Gone { checked_at: NOW };
    assert_eq!(
        judged(gone, Some(&record)),
        [Upstream::Gone, Upstream::Gone]
    );
}

fn causes(store: &BlobStore, image: &Image, path: &str) -> Vec<(usize, Cause, Option<String>)> {
    let lock = store.share().unwrap();
    why(store, &lock, image, &LayerPath::new(path).unwrap())
        .unwrap()
        .into_iter()
        .map(|row| (row.index, row.cause, row.through))
        .collect()
}

#[test]
fn why_names_every_layer_that_touches_a_path() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[
        &[("d/", b""), ("d/x", b"1"), ("e", b"")],
        &[("d/", b""), ("d/x", b"22")],
        &[("!d", b"")],
        &[("d/", b""), ("d/x", b"333")],
        &[("d/", b""), ("!d/x", b"")],
    ]);
    assert_eq!(
        causes(&store, &image, "d/x"),
        [
            (0, Added, None),
            (1, Changed, None),
            (2, Removed, Some("d".to_owned())),
            (3, Added, None),
            (4, Removed, None),
        ]
    );
    assert_eq!(causes(&store, &image, "e"), [(0, Added, None)]);
    assert_eq!(causes(&store, &image, "nowhere"), []);
    let lock = store.share().unwrap();
    let listed: Vec<_> = files(&store, &lock, &image)
        .unwrap()
        .into_iter()
        .map(|row| row.path)
        .collect();
    assert_eq!(listed, ["d", "e"]);
}

#[test]
fn two_images_differ_in_what_the_second_adds_changes_and_removes() {
    let TestImage {
        store,
        image: before,
        _directory,
    } = image_of(&[&[("a", b"1"), ("b", b"2")]]);
    let after = add_image(
        &store,
        &[
            &[("a", b"1"), ("b", b"2")],
            &[("!a", b""), ("b", b"22"), ("c", b"")],
        ],
    );
    let lock = store.share().unwrap();
    let rows = diff(&store, &lock, &before, &after).unwrap();
    let rows: Value = rows
        .iter()
        .map(|row| json!([row.cause, row.path]))
        .collect();
    assert_eq!(
        rows,
        json!([["removed", "a"], ["changed", "b"], ["added", "c"]])
    );
}

#[test]
fn a_merged_index_is_kept_and_made_again_when_damaged() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")], &[("b", b"2")]]);
    let lock = store.share().unwrap();
    let first = files(&store, &lock, &image).unwrap();
    let trees = store.root().join("trees");
    for entry in fs_err::read_dir(&trees).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs_err::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs_err::write(&path, bytes).unwrap();
    }
    assert_eq!(files(&store, &lock, &image).unwrap(), first);
}
