//! The store when processes die, disks fill up and directories cannot be written.

use std::process::{Command, Stdio};

use super::*;
use crate::testing::{TestImage, image_of};

/// Set for the process that writes until it is killed.
const VICTIM: &str = "AICAGE_TEST_STORE_VICTIM";

/// Says why a test did not run; the run fails on a skip it does not expect.
#[expect(clippy::print_stderr, reason = "a skip must be seen")]
fn skip(reason: &str) {
    eprintln!("SKIP: {reason}");
}

/// The part of [`writers_killed_at_any_moment_leave_a_whole_store`] that is killed.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the process that is killed is told its store"
)]
fn victim() {
    let Some(root) = std::env::var_os(VICTIM) else {
        return;
    };
    let store = BlobStore::open(Path::new(&root)).unwrap();
    let mut round = 0_u64;
    loop {
        let lock = store.share().unwrap();
        let bytes = round.to_le_bytes().repeat(20_000);
        let config = store.write_bytes(&lock, "text/plain", &bytes).unwrap();
        let other = round.to_be_bytes().repeat(1000);
        let blob = Descriptor::of("text/plain", &other);
        if let Ingest::Part(mut part) = store.ingest(&lock, &blob).unwrap() {
            for piece in other
                .chunks(700)
                .skip(usize::try_from(part.position()).unwrap() / 700)
            {
                let from = usize::try_from(part.position()).unwrap();
                let to = (from + piece.len()).min(other.len());
                part.write(&other[from..to]).unwrap();
            }
            let rest = usize::try_from(part.position()).unwrap();
            part.write(&other[rest..]).unwrap();
            part.commit().unwrap();
        }
        let record = ImageRecord {
            reference: format!("aicage:round-{}", round % 5).parse().unwrap(),
            manifest: config,
            made_at: String::new(),
            base: None,
            layers: Vec::new(),
            reason: None,
            parts: None,
            dockerfiles: Vec::new(),
            source_date: None,
        };
        store.tag(&lock, &record).unwrap();
        store
            .remember_engine(&lock, "engine", &serde_json::json!({ "round": round }))
            .unwrap();
        round += 1;
    }
}

fn victim_in(root: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::faults::victim", "--nocapture"])
        .env(VICTIM, root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn writers_killed_at_any_moment_leave_a_whole_store() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    let mut rounds = 0;
    for delay in 0..12_u64 {
        // Two at once, which write the same things.
        let mut children = [victim_in(&root), victim_in(&root)];
        // Wait for work, not for time: the victims die after they have done this much more than before.
        let target = delay * delay;
        let mut spins = 0_u64;
        while fs::read_dir(root.join("blobs/sha256")).map_or(0, Iterator::count) as u64 <= target {
            for child in &mut children {
                assert_eq!(child.try_wait().unwrap(), None, "the victims work on");
            }
            std::thread::yield_now();
            spins += 1;
            assert!(spins < 50_000_000, "the victims do nothing");
        }
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let store = BlobStore::open(&root).unwrap();
        let lock = store.share().unwrap();
        let problems: Vec<_> = store
            .verify(&lock, &|_| {})
            .unwrap()
            .problems
            .into_iter()
            // The names of this test point at text, and the index may be one name behind: that is made again below.
            .filter(|problem| !matches!(problem, Problem::Image { .. } | Problem::Layout { .. }))
            .collect();
        assert_eq!(problems, [], "after {target} blobs");
        let index = fs::read(root.join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        assert!(index["manifests"].is_array(), "the index is whole");
        rounds += store.tags().unwrap().len();
        drop(lock);
        store.exclusive(Duration::from_secs(5)).unwrap();
    }
    assert!(rounds > 0, "some of the victims did something");
}

#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    if rustix::process::geteuid().is_root() {
        // Root writes anywhere, so the store is mounted read-only.
        let mount = Command::new("mount")
            .args(["--bind", "-o", "ro"])
            .args([store.root(), store.root()])
            .output();
        if !mount.is_ok_and(|output| output.status.success()) {
            return skip("a read-only mount needs more rights");
        }
    } else {
        set_modes(store.root(), 0o555);
    }
    let again = BlobStore::open(store.root());
    let outcome = again.and_then(|store| {
        let lock = store.share()?;
        let read = store.image(image.digest())?.layers().len();
        let written = store.write_bytes(&lock, "", b"new");
        let kept = store.kept_layer(&LayerKey::new(Digest::of(b"")))?;
        let report = store.verify(&lock, &|_| {})?;
        Ok((read, written, kept, report.problems))
    });
    if rustix::process::geteuid().is_root() {
        let unmounted = Command::new("umount").arg(store.root()).status().unwrap();
        assert!(unmounted.success(), "the test cleans up");
    } else {
        set_modes(store.root(), 0o755);
    }
    let (read, written, kept, problems) = outcome.unwrap();
    assert_eq!(read, 1);
    assert_eq!(kept, None);
    assert_eq!(problems, []);
    assert!(matches!(written, Err(StoreError::Io { .. })), "{written:?}");
}

fn set_modes(root: &Path, mode: u32) {
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
        fs::set_permissions(&directory, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn a_full_disk_is_an_error_that_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return skip("a small file system cannot be mounted without root");
    }
    let outcome = fill(&directory.path().join("store"));
    let unmounted = Command::new("umount").arg(directory.path()).status();
    assert!(unmounted.unwrap().success(), "the test cleans up");
    outcome.unwrap();
}

/// Fills a small store in each way there is, and checks it after each.
fn fill(root: &Path) -> Result<(), StoreError> {
    let store = BlobStore::open(root)?;
    let lock = store.share()?;
    let small = store.write_bytes(&lock, "text/plain", b"small")?;
    let big = vec![7; 1 << 20];
    let error = store.write_bytes(&lock, "text/plain", &big).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    let blob = Descriptor::of("text/plain", &big);
    let Ingest::Part(mut part) = store.ingest(&lock, &blob)? else {
        panic!("it did not fit");
    };
    let error = big
        .chunks(10_000)
        .find_map(|piece| part.write(piece).err())
        .expect("the disk is smaller than the blob");
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    let position = part.position();
    drop(part);
    let Ingest::Part(part) = store.ingest(&lock, &blob)? else {
        panic!("it is not whole");
    };
    assert_eq!(part.position(), position, "what fitted is kept");
    drop(part);
    let record = serde_json::json!({ "text": "x".repeat(100_000) });
    store
        .remember_engine(&lock, "engine", &serde_json::json!(1))
        .or_else(|error| match error {
            StoreError::Full { .. } => Ok(()),
            other => Err(other),
        })?;
    let before = store.engine_memory("engine")?;
    let error = store.remember_engine(&lock, "engine", &record);
    assert!(matches!(error, Err(StoreError::Full { .. })), "{error:?}");
    assert_eq!(store.engine_memory("engine")?, before);
    assert_eq!(store.read_bytes(&small, 10)?, b"small");
    let report = store.verify(&lock, &|_| {})?;
    assert_eq!(report.problems, []);
    Ok(())
}

#[test]
fn many_at_once_name_images_and_none_is_lost() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (store, image) = (&store, &image);
            scope.spawn(move || {
                for round in 0..5 {
                    let lock = store.share().unwrap();
                    let record = ImageRecord {
                        reference: format!("aicage:w{writer}-r{round}").parse().unwrap(),
                        manifest: Descriptor::of(
                            media_type::OCI_MANIFEST,
                            image.manifest().bytes(),
                        ),
                        made_at: String::new(),
                        base: None,
                        layers: Vec::new(),
                        reason: None,
                        parts: None,
                        dockerfiles: Vec::new(),
                        source_date: None,
                    };
                    store.tag(&lock, &record).unwrap();
                    let index = fs::read_to_string(store.root().join("index.json")).unwrap();
                    let name = format!("\"{}\"", record.reference.familiar());
                    assert!(index.contains(&name), "{name} is in the index at once");
                }
            });
        }
    });
    let index = fs::read(store.root().join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 40);
}

#[test]
fn skopeo_reads_the_store_as_an_oci_layout() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")]]);
    let lock = store.share().unwrap();
    let record = ImageRecord {
        reference: "aicage:codex-debian".parse().unwrap(),
        manifest: Descriptor::of(media_type::OCI_MANIFEST, image.manifest().bytes()),
        made_at: String::new(),
        base: None,
        layers: Vec::new(),
        reason: None,
        parts: None,
        dockerfiles: Vec::new(),
        source_date: None,
    };
    store.tag(&lock, &record).unwrap();
    let name = format!("oci:{}:aicage:codex-debian", store.root().display());
    let Ok(output) = Command::new("skopeo").args(["inspect", &name]).output() else {
        return skip("skopeo is not installed");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let inspected: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(inspected["Digest"], image.digest().to_string());
}
