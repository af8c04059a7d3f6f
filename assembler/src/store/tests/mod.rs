//! The store through its public door: writing, reading, resuming, naming, and what damage does.

mod faults;
mod unpacked;
mod upkeep;

use std::{
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use super::*;
use crate::{
    descriptor::media_type,
    digest::{DiffId, LayerKey},
    image::Layer,
    provenance::{How, Kind, LayerRecord, Origin},
    testing::{gzip_of as gzip, tar_of as tar},
};

fn store() -> (tempfile::TempDir, BlobStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(&directory.path().join("store")).unwrap();
    (directory, store)
}

fn put_layer(store: &BlobStore, tar: &[u8], blob: &[u8]) -> Layer {
    let lock = store.share().unwrap();
    Layer {
        descriptor: store
            .write_bytes(&lock, media_type::OCI_LAYER_GZIP, blob)
            .unwrap(),
        diff_id: DiffId::new(Digest::of(tar)),
    }
}

fn kept_layer(layer: &Layer, key: &LayerKey) -> KeptLayer {
    KeptLayer {
        layer: layer.descriptor.clone(),
        diff_id: layer.diff_id,
        uncompressed_size: 2048,
        record: LayerRecord {
            origin: Origin {
                kind: Kind::Agent,
                id: "codex".to_owned(),
                version: None,
            },
            script: None,
            key: Some(*key),
            how: How::Executed,
            made_at: "2026-11-21T10:00:00Z".to_owned(),
        },
    }
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn read_all(store: &BlobStore, layer: &Layer) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    match store.layer_tar(layer)?.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(StoreError::from_io(error).unwrap()),
    }
}

#[test]
fn a_blob_reads_back_is_read_only_and_a_second_copy_is_the_same_blob() {
    let (_directory, store) = store();
    let lock = store.share().unwrap();
    let blob = store.write_bytes(&lock, "text/plain", b"hello").unwrap();
    assert_eq!(store.read_bytes(&blob, 5).unwrap(), b"hello");
    assert_eq!(
        store.write_bytes(&lock, "text/plain", b"hello").unwrap(),
        blob
    );
    let mode = fs::metadata(store.blob_path(&blob.digest))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o444);
    assert!(matches!(
        store.read_bytes(&blob, 4),
        Err(StoreError::TooLarge { size: 5, .. })
    ));
    assert_eq!(
        store.list("ingest").unwrap(),
        Vec::<PathBuf>::new(),
        "no temporary file stays"
    );
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let (_directory, store) = store();
    let lock = store.share().unwrap();
    let mut writer = store.writer(&lock).unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    assert!(store.list("ingest").unwrap().is_empty());
    assert!(store.list("blobs/sha256").unwrap().is_empty());
}

#[test]
fn a_flipped_bit_a_cut_and_an_appended_byte_are_errors_of_the_reader() {
    let (_directory, store) = store();
    let lock = store.share().unwrap();
    let blob = store
        .write_bytes(&lock, "text/plain", &vec![7; 100_000])
        .unwrap();
    let path = store.blob_path(&blob.digest);
    let mut bytes = vec![7; 100_000];
    bytes[99_999] ^= 1;
    overwrite(&path, &bytes);
    let mut given = Vec::new();
    let error = store
        .read(&blob)
        .unwrap()
        .read_to_end(&mut given)
        .unwrap_err();
    assert!(matches!(
        StoreError::from_io(error),
        Ok(StoreError::Corrupt { .. })
    ));
    assert!(
        given.len() < bytes.len(),
        "the last bytes are kept back from a consumer that counts them"
    );
    overwrite(&path, &bytes[..50]);
    assert!(matches!(
        store.read(&blob),
        Err(StoreError::WrongSize { found: 50, .. })
    ));
    bytes.push(0);
    overwrite(&path, &bytes);
    assert!(matches!(
        store.read(&blob),
        Err(StoreError::WrongSize { found: 100_001, .. })
    ));
}

#[test]
fn a_download_resumes_where_it_was_and_refuses_what_is_too_much_or_wrong() {
    let (_directory, store) = store();
    let lock = store.share().unwrap();
    let blob = Descriptor::of("text/plain", b"hello world");
    let Ingest::Part(mut part) = store.ingest(&lock, &blob).unwrap() else {
        panic!("an empty store has no blob");
    };
    part.write(b"hello ").unwrap();
    assert!(matches!(
        part.commit(),
        Err(StoreError::WrongSize { found: 6, .. })
    ));
    let Ingest::Part(mut part) = store.ingest(&lock, &blob).unwrap() else {
        panic!("half a blob is no blob");
    };
    assert_eq!(part.position(), 6, "what arrived earlier is kept");
    assert!(matches!(
        part.write(b"world!"),
        Err(StoreError::WrongSize { found: 12, .. })
    ));
    part.write(b"world").unwrap();
    part.commit().unwrap();
    assert!(matches!(
        store.ingest(&lock, &blob).unwrap(),
        Ingest::Present
    ));
    assert_eq!(store.read_bytes(&blob, 11).unwrap(), b"hello world");

    let other = Descriptor::of("text/plain", b"other");
    let Ingest::Part(mut part) = store.ingest(&lock, &other).unwrap() else {
        panic!("it is not there");
    };
    part.write(b"wrong").unwrap();
    assert!(matches!(part.commit(), Err(StoreError::Corrupt { .. })));
    let Ingest::Part(part) = store.ingest(&lock, &other).unwrap() else {
        panic!("it is not there");
    };
    assert_eq!(part.position(), 0, "wrong bytes are not resumed");
}

#[test]
fn two_who_fetch_the_same_blob_fetch_it_once() {
    let (_directory, store) = store();
    let blob = Descriptor::of("text/plain", b"hello");
    let fetched = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let lock = store.share().unwrap();
                if let Ingest::Part(mut part) = store.ingest(&lock, &blob).unwrap() {
                    fetched.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    for byte in b"hello" {
                        part.write(&[*byte]).unwrap();
                        std::thread::yield_now();
                    }
                    part.commit().unwrap();
                }
            });
        }
    });
    assert_eq!(fetched.into_inner(), 1);
    assert_eq!(store.read_bytes(&blob, 5).unwrap(), b"hello");
}

#[test]
fn a_layer_is_decompressed_by_its_content_whatever_its_media_type_says() {
    let (_directory, store) = store();
    let tar = tar(&[("a", b"hello")]);
    let mut members = gzip(&tar[..700]);
    members.extend(gzip(&tar[700..]));
    for blob in [
        tar.clone(),
        gzip(&tar),
        members,
        zstd::encode_all(tar.as_slice(), 3).unwrap(),
    ] {
        let layer = put_layer(&store, &tar, &blob);
        assert_eq!(read_all(&store, &layer).unwrap(), tar);
    }
}

#[test]
fn a_layer_that_is_cut_or_not_what_the_config_says_is_named() {
    let (_directory, store) = store();
    let tar = tar(&[("a", &[b'x'; 5000])]);
    let blob = gzip(&tar);
    let cut = put_layer(&store, &tar, &blob[..blob.len() - 9]);
    let error = read_all(&store, &cut).unwrap_err();
    assert!(
        matches!(error, StoreError::Decompress { layer, .. } if layer == cut.descriptor.digest),
        "{error:?}"
    );
    let other = put_layer(&store, b"something else", &blob);
    assert!(matches!(
        read_all(&store, &other),
        Err(StoreError::DiffId { .. })
    ));
    let xz = put_layer(&store, b"", b"\xfd7zXZ\0\0\x04");
    let StoreError::Decompress { source, .. } = read_all(&store, &xz).unwrap_err() else {
        panic!("xz was taken");
    };
    assert!(source.to_string().contains("xz"));
}

#[test]
fn a_layer_that_grows_beyond_its_limit_is_stopped() {
    let (_directory, store) = store();
    let tar = tar(&[("a", &[b'x'; 5000])]);
    let layer = put_layer(&store, &tar, &gzip(&tar));
    let size = tar.len() as u64;
    let mut bytes = Vec::new();
    let mut right = store.layer_tar_within(&layer, size).unwrap();
    right.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, tar);
    let mut reader = store.layer_tar_within(&layer, size - 1).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    let error = StoreError::from_io(error).unwrap();
    assert!(
        matches!(error, StoreError::Bomb { limit, .. } if limit == size - 1),
        "{error:?}"
    );
    let gib = 1 << 30;
    for (blob, limit) in [
        (0, 16 * gib),
        (gib, 1024 * gib),
        (gib / 32, 1100 * gib / 32),
    ] {
        assert_eq!(super::tar::limit_of(blob), limit, "of {blob}");
    }
}

#[test]
fn records_read_back_and_a_damaged_one_is_absent_and_set_aside() {
    let (_directory, store) = store();
    let lock = store.share().unwrap();
    let tar = tar(&[("a", b"1")]);
    let layer = put_layer(&store, &tar, &gzip(&tar));
    let key = LayerKey::new(Digest::of(b"key"));
    let kept = kept_layer(&layer, &key);
    store.keep_layer(&lock, &key, &kept).unwrap();
    assert_eq!(store.kept_layer(&key).unwrap(), Some(kept.clone()));
    assert_eq!(
        store.uncompressed_size(&layer).unwrap(),
        2048,
        "known without reading the layer"
    );
    let [path] = store.list("layers").unwrap().try_into().unwrap();
    for damage in [&b""[..], b"{", b"[]", b"{\"version\":1}", b"\xff"] {
        fs::write(&path, damage).unwrap();
        assert_eq!(store.kept_layer(&key).unwrap(), None, "{damage:?}");
        assert!(!path.exists());
    }
    store.keep_layer(&lock, &key, &kept).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let other = whole.replacen("\"codex\"", "\"coded\"", 1);
    assert_ne!(other, whole);
    fs::write(&path, other).unwrap();
    assert_eq!(
        store.kept_layer(&key).unwrap(),
        None,
        "a flipped bit that leaves it JSON is damage"
    );
    fs::write(&path, b"{\"version\":3}").unwrap();
    assert!(matches!(
        store.kept_layer(&key),
        Err(StoreError::Newer {
            version: 3,
            known: 2,
            ..
        })
    ));
}

#[test]
fn a_record_of_the_first_version_is_still_read() {
    let (_directory, store) = store();
    let blob = Digest::of(b"blob");
    let old = format!(
        "{{\"version\":1,\"diff_id\":\"{blob}\",\"uncompressed_size\":7,\"media_type\":\"x\"}}"
    );
    let name = format!("facts/{}.json", blob.to_string().replace(':', "-"));
    fs::write(store.root().join(name), old).unwrap();
    assert_eq!(store.facts(&blob).unwrap().unwrap().uncompressed_size, 7);
}

#[test]
fn what_is_written_again_takes_the_place_of_what_was_damaged_in_between() {
    let (_directory, store) = store();
    let lock = store.share().unwrap();
    let layer = store.write_bytes(&lock, "text/plain", b"hello").unwrap();
    let path = store.blob_path(&layer.digest);
    overwrite(&path, b"hullo");
    store.write_bytes(&lock, "text/plain", b"hello").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"hello");
    overwrite(&path, b"hullo");
    let mut writer = store.writer(&lock).unwrap();
    writer.write_all(b"hello").unwrap();
    writer.commit("text/plain").unwrap();
    assert_eq!(store.read_bytes(&layer, 5).unwrap(), b"hello");
}

#[test]
fn a_wait_for_a_lock_is_told_of_after_a_second_and_a_short_one_is_not() {
    let (_directory, store) = store();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let ear = std::sync::Arc::clone(&told);
    let (tell, heard) = std::sync::mpsc::channel();
    let listening = store.clone().telling(std::sync::Arc::new(move |notice| {
        ear.lock().unwrap().push(notice.clone());
        tell.send(()).unwrap();
    }));
    drop(listening.share().unwrap());
    assert_eq!(told.lock().unwrap().as_slice(), []);
    let exclusive = store.exclusive(Duration::ZERO).unwrap();
    let waiting = std::thread::spawn(move || listening.share().map(drop));
    heard.recv_timeout(Duration::from_secs(30)).unwrap();
    drop(exclusive);
    waiting.join().unwrap().unwrap();
    let told = told.lock().unwrap();
    let [Notice::Waiting { what }] = told.as_slice() else {
        panic!("one notice, once: {told:?}");
    };
    assert!(what.contains("removes things"), "{what}");
}

#[test]
fn an_engines_memory_is_its_own_whatever_its_name() {
    let (_directory, store) = store();
    let lock = store.share().unwrap();
    let memory = serde_json::json!({"version": 7, "images": ["x"]});
    for engine in ["docker 28", "../../x", "a/b", ""] {
        store.remember_engine(&lock, engine, &memory).unwrap();
        assert_eq!(
            store.engine_memory(engine).unwrap().as_ref(),
            Some(&memory),
            "{engine}"
        );
    }
    assert_eq!(store.list("engines").unwrap().len(), 4);
}

#[test]
fn prunings_lock_waits_for_users_and_says_when_they_stay() {
    let (_directory, store) = store();
    let shared = store.share().unwrap();
    let also = store.share().unwrap();
    assert!(matches!(
        store.exclusive(Duration::ZERO),
        Err(StoreError::Busy { .. })
    ));
    drop(shared);
    drop(also);
    store.exclusive(Duration::ZERO).unwrap();
}

#[test]
fn a_directory_that_is_not_ours_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("oci-layout"), LAYOUT).unwrap();
    fs::write(
        directory.path().join("index.json"),
        "{\"schemaVersion\":2,\"manifests\":[]}",
    )
    .unwrap();
    assert!(matches!(
        BlobStore::open(directory.path()),
        Err(StoreError::Layout { .. })
    ));
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("oci-layout"),
        "{\"imageLayoutVersion\":\"2.0.0\"}",
    )
    .unwrap();
    assert!(matches!(
        BlobStore::open(directory.path()),
        Err(StoreError::Layout { .. })
    ));
}
