//! Loading images: whole, thin, again, and when the engine has lost what we remember.

use aicage::engine::docker::{LoadRequest, Loaded};
use assembler::{image::Image, provenance::PROVENANCE_LABEL, reference::ImageReference};
use serde_json::json;

use crate::support::{Ground, Recorder, directory, file, image_of, on_each_engine, tar_of};

fn load(ground: &Ground, image: &Image, name: &str) -> Loaded {
    let reference: ImageReference = name.parse().unwrap();
    let reporter = Recorder::default();
    let request = LoadRequest {
        store: &ground.store,
        lock: &ground.lock,
        image,
        reference: &reference,
        reporter: &reporter,
    };
    let loaded = ground
        .runtime
        .block_on(ground.engine_docker().load(&request))
        .unwrap();
    let sent = reporter.sent.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        sent, loaded.bytes_sent,
        "the reporter is told of every byte that is sent"
    );
    loaded
}

fn name(salt: &str) -> String {
    format!("aicage-test:{salt}-{}", std::process::id())
}

/// The ground's image with one more small layer.
fn taller(ground: &Ground, content: &[u8]) -> Image {
    let mut layers: Vec<Vec<u8>> = ground
        .image
        .layers()
        .iter()
        .map(|layer| {
            let mut tar = Vec::new();
            std::io::Read::read_to_end(&mut ground.store.layer_tar(layer).unwrap(), &mut tar)
                .unwrap();
            tar
        })
        .collect();
    layers.push(tar_of(&[
        directory("etc", 0o755),
        file("etc/third", content, 0o644),
    ]));
    image_of(
        &ground.store,
        &ground.lock,
        &layers,
        &json!({"Labels": {PROVENANCE_LABEL: "{}"}}),
    )
}

#[test]
fn an_image_is_sent_whole_once_and_then_only_what_is_new() {
    on_each_engine("thin", |ground| {
        let (first, second) = (name("whole"), name("taller"));
        let whole = load(ground, &ground.image, &first);
        assert!(!whole.thin && whole.bytes_sent > 500_000, "{whole:?}");
        let ran = ground.docker(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-w",
            "/",
            &first,
            "cat",
            "/etc/second",
        ]);
        assert_eq!(ran, "2", "what was sent runs");

        let again = load(ground, &ground.image, &first);
        assert_eq!(again.bytes_sent, 0, "what is there is not sent again");

        let image = taller(ground, b"three");
        let thin = load(ground, &image, &second);
        // Podman takes whole images only.
        let whole = ground.info().is_podman();
        assert!(
            whole != (thin.thin && thin.bytes_sent < 20_000),
            "only the new layer is sent: {thin:?}"
        );
        let ran = ground.docker(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-w",
            "/",
            &second,
            "cat",
            "/etc/third",
            "/etc/second",
        ]);
        assert_eq!(ran, "three2", "a thin image runs");

        let other = name("other");
        let tagged = load(ground, &image, &other);
        assert_eq!(
            tagged.bytes_sent, 0,
            "another name of the same image is only a tag"
        );
        assert!(
            ground.docker(&["images", "-q", &other]).len() > 1,
            "the tag is there"
        );
        ground.docker(&["rmi", "-f", &first, &second, &other]);
    });
}

#[test]
fn what_was_remembered_of_an_engine_is_not_believed_when_it_is_gone() {
    on_each_engine("gone", |ground| {
        let (first, second) = (name("gone"), name("back"));
        load(ground, &ground.image, &first);
        ground.docker(&["rmi", "-f", &first]);
        let image = taller(ground, b"3");
        let whole = load(ground, &image, &second);
        assert!(
            whole.bytes_sent > 500_000,
            "the layers are gone, so they are sent: {whole:?}"
        );
        let ran = ground.docker(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-w",
            "/",
            &second,
            "cat",
            "/etc/second",
        ]);
        assert_eq!(ran, "2", "the image is whole");
        ground.docker(&["rmi", "-f", &second]);
    });
}

#[test]
fn layers_that_another_store_has_loaded_are_found_in_the_engine() {
    on_each_engine("found", |ground| {
        let (first, second) = (name("found"), name("found-taller"));
        load(ground, &ground.image, &first);
        let memory = json!({"v": 1, "images": []});
        let engine = &ground.info().id;
        ground
            .store
            .remember_engine(&ground.lock, engine, &memory)
            .unwrap();
        let thin = load(ground, &taller(ground, b"3"), &second);
        let whole = ground.info().is_podman();
        assert!(
            whole != (thin.thin && thin.bytes_sent < 20_000),
            "the engine itself was asked: {thin:?}"
        );
        ground.docker(&["rmi", "-f", &first, &second]);
    });
}

#[test]
fn an_image_of_ours_that_lost_its_name_to_a_new_one_is_removed() {
    on_each_engine("old", |ground| {
        let tag = name("replaced");
        let old = load(ground, &taller(ground, b"old"), &tag);
        let new = load(ground, &taller(ground, b"new"), &tag);
        assert_ne!(old.id, new.id);
        let there = ground
            .runtime
            .block_on(ground.engine_docker().image(&old.id))
            .unwrap();
        assert!(there.is_none(), "nothing names the old image any more");
        ground.docker(&["rmi", "-f", &tag]);
    });
}

#[test]
fn a_thin_image_whose_layers_vanish_meanwhile_is_sent_whole() {
    on_each_engine("liar", |ground| {
        // The record names an image that the engine has, but says of it what is not so.
        let (small, tag) = (name("small"), name("liar"));
        let decoy = image_of(
            &ground.store,
            &ground.lock,
            &[tar_of(&[file("x", small.as_bytes(), 0o644)])],
            &json!({}),
        );
        let decoy_id = load(ground, &decoy, &small).id;
        let blobs: Vec<_> = ground
            .image
            .layers()
            .iter()
            .map(|layer| layer.descriptor.digest)
            .collect();
        let memory = json!({"v": 1, "images": [
            {"id": decoy_id, "diff_ids": decoy.diff_ids(), "blobs": blobs}
        ]});
        ground
            .store
            .remember_engine(&ground.lock, &ground.info().id, &memory)
            .unwrap();
        let loaded = load(ground, &ground.image, &tag);
        assert!(loaded.bytes_sent > 500_000, "{loaded:?}");
        let ran = ground.docker(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-w",
            "/",
            &tag,
            "cat",
            "/etc/second",
        ]);
        assert_eq!(ran, "2", "the image is whole in the end");
        ground.docker(&["rmi", "-f", &tag, &small]);
    });
}
