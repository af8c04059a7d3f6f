//! Unpacked layers in the store: made whole or not at all, shared, counted, checked and removed.
#![cfg(target_os = "linux")]

use std::{collections::BTreeSet, os::fd::AsFd as _, sync::atomic::AtomicBool, time::SystemTime};

use super::*;
use crate::{
    image::Image,
    store::rootfs::{
        Directly, Lookup, MappingName, Rootfs, RootfsError, RootfsStack, UnpackJob, UnpackedLayer,
        unpack_blob, unpack_layers,
    },
    testing::{RawTar, add_image_of},
};

fn rootfs(store: &BlobStore) -> Rootfs {
    let lock = store.share().unwrap();
    store.rootfs(&lock, &MappingName::of("ours")).unwrap()
}

fn missing(store: &BlobStore, image: &Image) -> Vec<UnpackJob> {
    let lock = store.share().unwrap();
    let found = rootfs(store).look(&lock, image).unwrap();
    let job = |lookup| match lookup {
        Lookup::Missing(job) => Some(job),
        Lookup::There(_) => None,
    };
    found.into_iter().filter_map(job).collect()
}

fn unpack_all(store: &BlobStore, image: &Image) -> Result<Vec<UnpackedLayer>, RootfsError> {
    let rootfs = rootfs(store);
    let work = missing(store, image)
        .into_iter()
        .map(|job| {
            let blob = rootfs.open_blob(&job).unwrap();
            (job, blob)
        })
        .collect();
    let directory = fs::File::open(rootfs.directory()).unwrap();
    unpack_layers(directory.file().as_fd(), work, &AtomicBool::new(false))
}

fn stack(store: &BlobStore, image: &Image) -> Option<RootfsStack> {
    let lock = store.share().unwrap();
    rootfs(store).stack(&lock, image).unwrap()
}

/// Returns the files beside the layers and below `.part-` names.
fn leftovers(store: &BlobStore) -> Vec<String> {
    fs::read_dir(rootfs(store).directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect()
}

fn policy(store: &BlobStore) -> PrunePolicy {
    let lock = fs::metadata(store.path("lock")).unwrap();
    PrunePolicy {
        now: lock.modified().unwrap().max(SystemTime::UNIX_EPOCH) + Duration::from_hours(9999),
        older_than: Duration::from_hours(1),
        keep_layers: Duration::from_hours(1),
        keep: BTreeSet::new(),
    }
}

fn prune(store: &BlobStore, policy: &PrunePolicy) -> Vec<PruneKind> {
    let plan = store.prune_plan(policy).unwrap();
    let lock = store.exclusive(Duration::ZERO).unwrap();
    let done = store.prune_apply(&lock, &plan, &Directly).unwrap();
    done.items.into_iter().map(|item| item.kind).collect()
}

fn base() -> Vec<u8> {
    RawTar::default()
        .directory("etc/")
        .file("etc/old", "1")
        .directory("tmp/")
        .end()
}

#[test]
fn the_layers_of_an_image_are_unpacked_once_and_shared_and_their_indexes_kept() {
    let (_directory, store) = store();
    let upper = || {
        let tar = RawTar::default().directory("etc/").file("etc/new", "2");
        tar.file("etc/.wh.old", "").end()
    };
    let image = add_image_of(&store, &[base(), upper()]);
    assert_eq!(stack(&store, &image), None);
    let done = unpack_all(&store, &image).unwrap();
    assert_eq!(done.len(), 2);
    let found = stack(&store, &image).unwrap();
    let names: Vec<&str> = found
        .lowers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    let expected: Vec<String> = image
        .diff_ids()
        .iter()
        .rev()
        .map(|diff_id| diff_id.to_string().replace(':', "-"))
        .collect();
    assert_eq!(names, expected, "the uppermost first");
    let top = rootfs(&store).directory().join(names[0]);
    assert_eq!(fs::read(top.join("etc/new")).unwrap(), b"2");
    assert_eq!(leftovers(&store), [] as [&str; 0]);
    // The indexes are there, although no layer was read for them.
    for layer in image.layers() {
        assert!(store.tree_path(&layer.diff_id).exists());
        let facts = store.facts(&layer.descriptor.digest).unwrap().unwrap();
        assert_eq!(facts.uncompressed_size, {
            let lock = store.share().unwrap();
            drop(lock);
            std::io::copy(&mut store.layer_tar(layer).unwrap(), &mut std::io::sink()).unwrap()
        });
    }
    let more = RawTar::default().file("x", "3").end();
    let taller = add_image_of(&store, &[base(), upper(), more]);
    assert_eq!(missing(&store, &taller).len(), 1, "the others are shared");
}

#[test]
fn a_layer_that_leaves_directories_out_takes_them_from_below_and_is_one_for_every_stack() {
    let (_directory, store) = store();
    let upper = || {
        let tar = RawTar::default().file("tmp/x", "1");
        tar.file("gone/.wh.nothing", "").end()
    };
    let file = RawTar::default().file("tmp", "a file").end();
    let low = add_image_of(&store, &[base(), upper()]);
    let other = add_image_of(&store, &[file, upper()]);
    unpack_all(&store, &low).unwrap();
    let found = stack(&store, &low).unwrap();
    let layer = &found.lowers[0];
    assert!(layer.name.starts_with("chain-sha256-"), "{}", layer.name);
    let place = rootfs(&store).directory().join(&layer.name);
    assert!(
        !place.join("gone").exists(),
        "there is nothing to white out"
    );
    // What the lower layer says of /tmp is what is seen.
    let below = rootfs(&store).directory().join(&found.lowers[1].name);
    fs::set_permissions(below.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    fs::remove_dir_all(&place).unwrap();
    unpack_all(&store, &low).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&place.join("tmp")), 0o1777);
    assert_eq!(
        missing(&store, &other).len(),
        2,
        "another stack, another layer"
    );
    unpack_all(&store, &other).unwrap();
    let other = stack(&store, &other).unwrap();
    assert_ne!(other.lowers[0].name, layer.name);
    let there = rootfs(&store).directory().join(&other.lowers[0].name);
    assert_eq!(
        mode(&there.join("tmp")),
        0o755,
        "a file below says nothing of it"
    );
}

#[test]
fn a_layer_whose_tar_is_not_the_one_that_was_named_leaves_nothing() {
    let (_directory, store) = store();
    let right = tar(&[("a", b"1")]);
    let mut layer = put_layer(&store, &right, &gzip(&right));
    layer.diff_id = DiffId::new(Digest::of(b"another"));
    let rootfs = rootfs(&store);
    let directory = fs::File::open(rootfs.directory()).unwrap();
    let refused = |layer: Layer| {
        let job = UnpackJob {
            layer,
            below: Vec::new(),
        };
        let blob = rootfs.open_blob(&job).unwrap();
        let error = unpack_blob(
            directory.file().as_fd(),
            &job,
            (blob, &AtomicBool::new(false)),
        )
        .unwrap_err();
        assert_eq!(fs::read_dir(rootfs.directory()).unwrap().count(), 0);
        error
    };
    let error = refused(layer.clone());
    assert!(
        matches!(error, RootfsError::Store(StoreError::DiffId { .. })),
        "{error}"
    );
    let cut = gzip(&right);
    let cut = put_layer(&store, &right, &cut[..cut.len() / 2]);
    let error = refused(cut);
    assert!(matches!(error, RootfsError::Store(_)), "{error}");
    let noise = put_layer(&store, b"noise", b"noise");
    let error = refused(noise);
    assert!(
        matches!(error, RootfsError::Store(StoreError::Tar { .. })),
        "{error}"
    );
    let good = put_layer(&store, &right, &gzip(&right));
    overwrite(
        &store.blob_path(&good.descriptor.digest),
        &vec![0; gzip(&right).len()],
    );
    let error = refused(good);
    assert!(matches!(error, RootfsError::Store(_)), "{error}");
}

#[test]
fn two_processes_may_unpack_the_same_layer() {
    let (_directory, store) = store();
    let image = add_image_of(&store, &[base()]);
    let jobs = missing(&store, &image);
    let rootfs = rootfs(&store);
    let directory = fs::File::open(rootfs.directory()).unwrap();
    let part = || {
        let blob = rootfs.open_blob(&jobs[0]).unwrap();
        unpack_blob(
            directory.file().as_fd(),
            &jobs[0],
            (blob, &AtomicBool::new(false)),
        )
        .unwrap()
    };
    let (first, second, third) = (part(), part(), part());
    drop(third);
    let first = first.commit().unwrap();
    assert_eq!(second.commit().unwrap(), first);
    assert_eq!(leftovers(&store), [] as [&str; 0]);
    assert!(stack(&store, &image).is_some());
}

#[test]
fn what_unpacked_layers_take_is_counted_and_what_nothing_needs_goes_unless_somebody_lives_in_it() {
    let (_directory, store) = store();
    let big = RawTar::default().file("big", &"7".repeat(100_000)).end();
    let image = add_image_of(&store, &[big]);
    unpack_all(&store, &image).unwrap();
    let usage = store.usage().unwrap();
    let kind = usage
        .kinds
        .iter()
        .find(|kind| kind.kind == "rootfs")
        .unwrap();
    assert!(kind.bytes >= 100_000, "{kind:?}");
    let found = stack(&store, &image).unwrap();
    let lock = store.share().unwrap();
    let held = rootfs(&store).hold(&lock, &found).unwrap();
    drop(lock);
    // What a killed process left behind goes at once.
    fs::create_dir(rootfs(&store).directory().join(".part-1-1")).unwrap();
    let kinds = prune(&store, &policy(&store));
    let unpacked = |kinds: &[PruneKind]| {
        kinds
            .iter()
            .filter(|kind| **kind == PruneKind::Unpacked)
            .count()
    };
    assert_eq!(unpacked(&kinds), 1, "only what was left behind: {kinds:?}");
    assert_eq!(
        leftovers(&store).len(),
        1,
        "and the sign that somebody lives there"
    );
    let lock = store.share().unwrap();
    let again = rootfs(&store).hold(&lock, &found).unwrap();
    assert_eq!(leftovers(&store).len(), 2, "each has a sign of its own");
    drop((again, held.into_file()));
    drop(rootfs(&store).hold(&lock, &found).unwrap());
    assert_eq!(leftovers(&store).len(), 1, "who is gone is swept away");
    drop(lock);
    let kinds = prune(&store, &policy(&store));
    assert_eq!(unpacked(&kinds), 1, "{kinds:?}");
    assert_eq!(fs::read_dir(rootfs(&store).directory()).unwrap().count(), 0);
}

#[test]
fn unpacked_layers_of_named_images_stay() {
    let (_directory, store) = store();
    let upper = RawTar::default().file("tmp/x", "1").end();
    let image = add_image_of(&store, &[base(), upper]);
    unpack_all(&store, &image).unwrap();
    let keeping = PrunePolicy {
        keep: BTreeSet::from([*image.digest()]),
        ..policy(&store)
    };
    assert_eq!(prune(&store, &keeping), []);
    assert!(stack(&store, &image).is_some());
}

#[test]
fn a_damaged_layer_is_found_and_unpacked_again() {
    let (_directory, store) = store();
    let image = add_image_of(&store, &[base()]);
    unpack_all(&store, &image).unwrap();
    let lock = store.share().unwrap();
    assert_eq!(store.verify_rootfs(&lock, &Directly).unwrap(), []);
    let place = rootfs(&store)
        .directory()
        .join(&stack(&store, &image).unwrap().lowers[0].name);
    fs::write(place.join("etc/old"), "").unwrap();
    let problems = store.verify_rootfs(&lock, &Directly).unwrap();
    let [Problem::Unpacked { path, differences }] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert_eq!(*path, place);
    assert!(
        differences[0].contains("has another size"),
        "{differences:?}"
    );
    drop(lock);
    let lock = store.exclusive(Duration::ZERO).unwrap();
    store.repair_rootfs(&lock, &problems, &Directly).unwrap();
    drop(lock);
    assert!(!place.exists());
    unpack_all(&store, &image).unwrap();
    assert_eq!(fs::read(place.join("etc/old")).unwrap(), b"1");
    // A record that is lost costs unpacking once more, and nothing else.
    fs::remove_file(place.with_file_name(format!(
        "{}.json",
        place.file_name().unwrap().to_str().unwrap()
    )))
    .unwrap();
    assert_eq!(missing(&store, &image).len(), 1);
    unpack_all(&store, &image).unwrap();
    assert!(stack(&store, &image).is_some());
    assert_eq!(leftovers(&store), [] as [&str; 0]);
}

#[test]
fn an_opaque_root_cuts_the_stack() {
    let (_directory, store) = store();
    let hiding = RawTar::default()
        .mode("./", b'5', 0o711)
        .file(".wh..wh..opq", "")
        .end();
    let above = RawTar::default().file("x", "1").end();
    let image = add_image_of(&store, &[base(), hiding, above]);
    unpack_all(&store, &image).unwrap();
    let found = stack(&store, &image).unwrap();
    assert_eq!(found.lowers.len(), 2, "the lowest is hidden");
    assert_eq!(
        found.root,
        Some(1),
        "and the one above says nothing of the root"
    );
}

#[test]
fn the_place_of_unpacked_layers_is_closed_to_others_and_mappings_have_names_of_one_form() {
    let (_directory, store) = store();
    let rootfs = rootfs(&store);
    for path in [store.path("rootfs"), rootfs.directory().to_owned()] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    assert_eq!(rootfs.mapping().as_str().len(), 12);
    for wrong in ["", "..", "0123456789ag", "0123456789abc", "0123456789AB"] {
        assert!(wrong.parse::<MappingName>().is_err(), "{wrong}");
    }
}
