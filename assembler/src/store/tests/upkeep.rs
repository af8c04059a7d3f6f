//! Pruning, adding up and verifying.

use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use super::*;
use crate::{
    image::Image,
    provenance::BaseRecord,
    testing::{TestImage, add_image, image_of},
};

const DAY: Duration = Duration::from_hours(24);

/// Ten days from now, by the clock of the file system.
fn later(store: &BlobStore) -> SystemTime {
    fs::metadata(store.root().join("oci-layout"))
        .unwrap()
        .modified()
        .unwrap()
        + 10 * DAY
}

fn policy(store: &BlobStore) -> PrunePolicy {
    PrunePolicy {
        now: later(store),
        older_than: DAY,
        keep_layers: 30 * DAY,
        keep: BTreeSet::new(),
    }
}

fn name(store: &BlobStore, reference: &str, image: &Image, base: Option<&Image>) {
    let lock = store.share().unwrap();
    let record = ImageRecord {
        reference: reference.parse().unwrap(),
        manifest: Descriptor {
            media_type: media_type::OCI_MANIFEST.to_owned(),
            digest: *image.digest(),
            size: image.manifest().size(),
            annotations: std::collections::BTreeMap::new(),
        },
        made_at: "2026-11-21T10:00:00Z".to_owned(),
        base: base.map(|base| BaseRecord {
            reference: "localhost:5000/base:1".to_owned(),
            digest: *base.digest(),
        }),
        layers: Vec::new(),
        reason: None,
        parts: None,
        dockerfiles: Vec::new(),
        source_date: None,
    };
    store.tag(&lock, &record).unwrap();
}

fn pruned(store: &BlobStore, policy: &PrunePolicy) -> Vec<PruneKind> {
    let plan = store.prune_plan(policy).unwrap();
    let lock = store.exclusive(Duration::ZERO).unwrap();
    let done = store
        .prune_apply(&lock, &plan, &crate::store::rootfs::Directly)
        .unwrap();
    assert_eq!(done, plan, "what was planned is what was done");
    done.items.into_iter().map(|item| item.kind).collect()
}

fn whole(store: &BlobStore) -> VerifyReport {
    let lock = store.share().unwrap();
    store.verify(&lock, &|_| {}).unwrap()
}

fn repaired(store: &BlobStore, watch: &(dyn Fn(VerifyProgress) + Sync)) -> VerifyReport {
    let lock = store.share().unwrap();
    let report = store.verify(&lock, watch).unwrap();
    drop(lock);
    let lock = store.exclusive(Duration::ZERO).unwrap();
    store.repair(&lock, &report).unwrap();
    report
}

#[test]
fn a_prune_keeps_images_and_their_bases_and_removes_the_rest_when_old_enough() {
    let TestImage {
        store,
        image: base,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    let image = add_image(&store, &[&[("a", b"1")], &[("b", b"2")]]);
    let stray = add_image(&store, &[&[("c", b"3")]]);
    name(&store, "aicage:codex-debian", &image, Some(&base));
    let lock = store.share().unwrap();
    for image in [&base, &image, &stray] {
        store.image_index(&lock, image).unwrap();
    }
    drop(lock);
    let young = PrunePolicy {
        now: later(&store) - 10 * DAY,
        ..policy(&store)
    };
    assert_eq!(pruned(&store, &young), [], "all of it may be in use soon");
    let keeping = PrunePolicy {
        keep: BTreeSet::from([*stray.digest()]),
        ..policy(&store)
    };
    assert_eq!(
        pruned(&store, &keeping),
        [],
        "the policy keeps the stray one"
    );
    let kinds = pruned(&store, &policy(&store));
    let count = |kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!(count(PruneKind::Blob), 3, "manifest, config and layer");
    assert_eq!(count(PruneKind::Tree), 2, "of the layer and of the stack");
    assert_eq!(count(PruneKind::Facts), 1);
    assert_eq!(store.image(base.digest()).unwrap().layers(), base.layers());
    assert_eq!(whole(&store).problems, []);
    let lock = store.share().unwrap();
    assert!(
        store
            .untag(&lock, &"aicage:codex-debian".parse().unwrap())
            .unwrap()
    );
    drop(lock);
    pruned(&store, &policy(&store));
    assert_eq!(whole(&store).blobs, 0, "nothing needs anything now");
}

#[test]
fn a_steps_layer_outlives_its_image_for_as_long_as_the_policy_says() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    let lock = store.share().unwrap();
    let key = LayerKey::new(Digest::of(b"key"));
    let layer = &image.layers()[0];
    let kept = kept_layer(layer, &key);
    store.keep_layer(&lock, &key, &kept).unwrap();
    drop(lock);
    pruned(&store, &policy(&store));
    assert_eq!(store.kept_layer(&key).unwrap(), Some(kept));
    let strict = PrunePolicy {
        keep_layers: DAY,
        ..policy(&store)
    };
    assert!(pruned(&store, &strict).contains(&PruneKind::KeptLayer));
    assert_eq!(store.kept_layer(&key).unwrap(), None);
    assert_eq!(whole(&store).blobs, 0);
}

#[test]
fn looking_a_layer_up_is_no_use_of_it() {
    let (_directory, store) = super::store();
    let lock = store.share().unwrap();
    let tar = crate::testing::tar_of(&[("a", b"1")]);
    let layer = super::put_layer(&store, &tar, &tar);
    let key = LayerKey::new(Digest::of(b"key"));
    let kept = super::kept_layer(&layer, &key);
    store.keep_layer(&lock, &key, &kept).unwrap();
    let path = store.list("layers").unwrap().remove(0);
    let age = || fs::metadata(&path).unwrap().modified().unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(UNIX_EPOCH)
        .unwrap();
    assert!(store.kept_layer(&key).unwrap().is_some());
    assert_eq!(age(), UNIX_EPOCH);
    store.use_kept_layer(&lock, &key);
    assert!(age() > UNIX_EPOCH);
}

#[test]
fn a_part_and_what_a_killed_process_left_go_with_age() {
    let (_directory, store) = store();
    let lock = store.share().unwrap();
    let blob = Descriptor::of("", b"hello");
    let Ingest::Part(mut part) = store.ingest(&lock, &blob).unwrap() else {
        panic!("it is not there");
    };
    part.write(b"he").unwrap();
    drop(part);
    drop(lock);
    fs::write(store.root().join("ingest/tmp-left"), b"x").unwrap();
    fs::write(store.root().join("images/x.json.damaged"), b"x").unwrap();
    assert_eq!(
        pruned(&store, &policy(&store)),
        [PruneKind::Part, PruneKind::Temporary, PruneKind::Damaged]
    );
}

#[test]
fn what_came_into_use_after_the_plan_is_not_removed() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    let plan = store.prune_plan(&policy(&store)).unwrap();
    assert!(plan.bytes() > 0);
    name(&store, "aicage:x", &image, None);
    let lock = store.exclusive(Duration::ZERO).unwrap();
    let done = store
        .prune_apply(&lock, &plan, &crate::store::rootfs::Directly)
        .unwrap();
    assert_eq!(done.items, []);
    drop(lock);
    assert_eq!(whole(&store).problems, []);
}

#[test]
fn usage_tells_shared_from_unique() {
    let TestImage {
        store,
        image: one,
        _directory,
    } = image_of(&[&[("a", b"1")], &[("b", b"2")]]);
    let two = add_image(&store, &[&[("a", b"1")], &[("c", b"3")]]);
    let stray = add_image(&store, &[&[("d", b"4")]]);
    name(&store, "aicage:one", &one, None);
    name(&store, "aicage:two", &two, None);
    name(&store, "aicage:again", &two, None);
    let usage = store.usage().unwrap();
    let size = |layer: &Layer| layer.descriptor.size;
    let rows: Vec<_> = usage
        .images
        .iter()
        .map(|row| (row.name.as_str(), row.shared))
        .collect();
    let shared = size(&one.layers()[0]);
    assert_eq!(
        rows,
        [
            ("aicage:again", shared),
            ("aicage:one", shared),
            ("aicage:two", shared)
        ],
        "another name of the same image shares nothing more"
    );
    for row in &usage.images {
        assert_eq!(row.bytes, row.shared + row.unique);
    }
    let config = stray.manifest().value().config.size;
    assert_eq!(
        usage.unreferenced,
        stray.manifest().size() + config + size(&stray.layers()[0])
    );
    assert_eq!(
        usage.total,
        usage.kinds.iter().map(|kind| kind.bytes).sum::<u64>()
    );
    let [contributor] = usage.contributors.as_slice() else {
        panic!("nobody is known: {:?}", usage.contributors);
    };
    assert_eq!(contributor.name, "unknown");
}

#[test]
fn verifying_finds_any_flipped_bit_and_repairing_makes_the_blob_fetchable_again() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    name(&store, "aicage:x", &image, None);
    assert_eq!(whole(&store).problems, []);
    let blobs = store.list("blobs/sha256").unwrap();
    assert_eq!(blobs.len(), 3);
    for path in blobs {
        let right = fs::read(&path).unwrap();
        for bit in [0, right.len() * 4, right.len() * 8 - 1] {
            let mut wrong = right.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            overwrite(&path, &wrong);
            let problems = whole(&store).problems;
            assert!(
                problems.iter().any(|problem| matches!(
                    problem,
                    Problem::Corrupt { digest, .. } if path.ends_with(digest.hex())
                )),
                "bit {bit} of {}: {problems:?}",
                path.display()
            );
        }
        overwrite(&path, &right);
    }
    let layer = &image.layers()[0].descriptor;
    overwrite(&store.blob_path(&layer.digest), b"x");
    let report = repaired(&store, &|_| {});
    let lock = store.share().unwrap();
    let [Problem::Corrupt { images, .. }] = report.problems.as_slice() else {
        panic!("one blob is corrupt: {:?}", report.problems);
    };
    assert_eq!(images.as_slice(), ["aicage:x"]);
    assert!(matches!(
        store.ingest(&lock, layer).unwrap(),
        Ingest::Part(_)
    ));
    assert_eq!(
        whole(&store).problems,
        [Problem::Missing {
            digest: layer.digest,
            images: vec!["aicage:x".to_owned()]
        }]
    );
}

#[test]
fn verifying_finds_damaged_records_indexes_and_strays_and_counts_to_the_end() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    name(&store, "aicage:x", &image, None);
    let lock = store.share().unwrap();
    store.image_index(&lock, &image).unwrap();
    for tree in store.list("trees").unwrap() {
        fs::write(tree, b"x").unwrap();
    }
    for record in store.list("facts").unwrap() {
        fs::write(record, b"x").unwrap();
    }
    fs::write(store.root().join("index.json"), b"{}").unwrap();
    fs::write(store.root().join("blobs/sha256/x"), b"").unwrap();
    let last = Mutex::new(None);
    let watch = |progress: VerifyProgress| {
        let mut last = last.lock().unwrap();
        *last = (*last).max(Some((progress.done, progress.total)));
    };
    drop(lock);
    let report = repaired(&store, &watch);
    assert_eq!(*last.lock().unwrap(), Some((report.bytes, report.bytes)));
    let kinds: Vec<_> = report
        .problems
        .iter()
        .map(|problem| serde_json::to_value(problem).unwrap()["problem"].clone())
        .collect();
    assert_eq!(
        kinds,
        ["stray", "record", "tree", "tree", "layout"],
        "{:?}",
        report.problems
    );
    assert!(
        matches!(whole(&store).problems.as_slice(), [Problem::Stray { .. }]),
        "what was put right, or set aside, is told of once"
    );
    assert_eq!(store.tags().unwrap().len(), 1);
}

#[test]
fn what_came_right_before_the_repair_is_left_alone() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    name(&store, "aicage:x", &image, None);
    let path = store.blob_path(&image.layers()[0].descriptor.digest);
    let right = fs::read(&path).unwrap();
    overwrite(&path, b"x");
    let report = whole(&store);
    assert_eq!(report.problems.len(), 1);
    overwrite(&path, &right);
    let lock = store.exclusive(Duration::ZERO).unwrap();
    store.repair(&lock, &report).unwrap();
    drop(lock);
    assert_eq!(whole(&store).problems, []);
}

#[test]
fn a_name_that_is_lost_is_told_once_with_its_file_and_the_rest_goes_on() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    name(&store, "aicage:x", &image, None);
    name(&store, "aicage:y", &image, None);
    let lost = store.image_path(&"aicage:x".parse().unwrap());
    fs::write(&lost, b"{").unwrap();
    let (tell, heard) = std::sync::mpsc::channel();
    let store = store.telling(std::sync::Arc::new(move |notice| {
        tell.send(notice.clone()).unwrap();
    }));
    assert_eq!(
        whole(&store).problems,
        [
            Problem::Record { path: lost.clone() },
            Problem::Layout {
                path: store.root().join("index.json")
            },
        ],
        "verifying changes nothing"
    );
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), []);
    for _ in 0..2 {
        let names: Vec<_> = store.tags().unwrap();
        assert_eq!(names.len(), 1);
        assert_eq!(store.tagged(&"aicage:x".parse().unwrap()).unwrap(), None);
    }
    let kept = lost.with_extension("json.damaged");
    assert!(kept.exists());
    assert_eq!(
        heard.try_iter().collect::<Vec<_>>(),
        [Notice::NameLost { record: lost, kept }]
    );
}

#[test]
fn a_record_from_the_future_does_not_age() {
    let (_directory, store) = store();
    let past = PrunePolicy {
        now: UNIX_EPOCH,
        older_than: Duration::ZERO,
        ..policy(&store)
    };
    fs::write(store.root().join("ingest/x.part"), b"x").unwrap();
    assert_eq!(store.prune_plan(&past).unwrap().items, []);
}
