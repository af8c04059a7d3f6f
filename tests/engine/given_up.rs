//! Unpacking that nobody waits for any more, because the user interrupted or aicage was killed: it ends, and leaves nothing
//! that is taken for a layer.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use assembler::{image::Image, sandbox::SandboxError};
use serde_json::json;

use crate::{
    session::session_of,
    steps::{Step, Way},
    support::{Ground, directory, file, image_of, on_this_machine, tar_of},
};

/// So many files take a while to unpack.
const FILES: u32 = 60_000;

fn large(ground: &Ground) -> Image {
    let mut items = vec![directory("many", 0o755)];
    let names: Vec<String> = (0..FILES)
        .map(|number| format!("many/{number:08}"))
        .collect();
    items.extend(names.iter().map(|name| file(name, b"content", 0o644)));
    image_of(&ground.store, &ground.lock, &[tar_of(&items)], &json!({}))
}

/// What is among the unpacked layers: what is on its way there, and what is taken for whole.
fn unpacked(ground: &Ground) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let rootfs = ground.directory.path().join("store/rootfs");
    let mappings = fs_err::read_dir(rootfs).into_iter().flatten().flatten();
    let layers = mappings.flat_map(|mapping| fs_err::read_dir(mapping.path()).unwrap());
    let paths = layers.map(|layer| layer.unwrap().path());
    paths
        .filter(|path| {
            !path
                .file_name()
                .unwrap()
                .as_encoded_bytes()
                .starts_with(b".use-")
        })
        .partition(|path| {
            path.file_name()
                .unwrap()
                .as_encoded_bytes()
                .starts_with(b".part-")
        })
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn an_interruption_ends_unpacking_and_leaves_nothing_of_it() {
    on_this_machine("interrupted unpacking", |ground| {
        let image = large(ground);
        let mut step = Step::new(ground, Way::Native);
        step.image = &image;
        let interrupt = step.interrupt.clone();
        let ran = std::thread::scope(|scope| {
            scope.spawn(|| {
                until("it is being unpacked", || !unpacked(ground).0.is_empty());
                interrupt.cancel();
            });
            step.run("#!/bin/sh\n")
        });
        assert!(
            matches!(ran.outcome, Err(SandboxError::Interrupted)),
            "{:?}",
            ran.outcome
        );
        assert_eq!(unpacked(ground), (Vec::new(), Vec::new()));
    });
}

#[test]
fn unpacking_ends_when_aicage_is_killed_and_leaves_nothing_of_it() {
    on_this_machine("killed unpacking", |ground| {
        let image = large(ground);
        let mut command = session_of(ground, &image, ("empty", &["--", "true"]));
        let mut aicage = command.stderr(Stdio::null()).spawn().unwrap();
        until("it is being unpacked", || !unpacked(ground).0.is_empty());
        aicage.kill().unwrap();
        aicage.wait().unwrap();
        until("what was begun is taken away", || {
            unpacked(ground).0.is_empty()
        });
        assert_eq!(unpacked(ground).1, Vec::<PathBuf>::new(), "no whole layer");
    });
}
