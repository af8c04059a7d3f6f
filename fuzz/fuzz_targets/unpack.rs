//! Unpacks whatever it is given, and looks whether anything outside of the directory was touched.
//!
//! `cargo +nightly fuzz run unpack`, best with `TMPDIR` in memory.
#![no_main]

use std::{fs, os::fd::AsFd as _, os::unix::fs::MetadataExt as _, path::Path};

use assembler::unpack::{UnpackLimits, check_tree, remove_tree, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|tar: &[u8]| {
    let place = tempfile::tempdir().expect("there is room for a directory");
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("root")).expect("it is new");
    fs::create_dir(at("outside")).expect("it is new");
    for canary in ["canary", "outside/canary"] {
        fs::write(at(canary), "alive").expect("there is room for a file");
    }
    let before = [signs(place.path()), signs(&at("outside"))];
    let root = fs::File::open(at("root")).expect("it is there");
    let mut limits = UnpackLimits {
        content: 1 << 20,
        ..UnpackLimits::default()
    };
    limits.tar.total_bytes = 1 << 24;
    let mut tar = tar;
    if let Ok(unpacked) = unpack(&mut tar, root.as_fd(), &limits) {
        check_tree(root.as_fd(), &unpacked.index).expect("what was unpacked can be looked at");
    }
    let directory = fs::File::open(place.path()).expect("it is there");
    remove_tree(directory.as_fd(), b"root").expect("whatever was unpacked can be removed");
    assert_eq!([signs(place.path()), signs(&at("outside"))], before);
});

/// Says what a touch of the files in a directory would change.
fn signs(directory: &Path) -> Vec<String> {
    let mut signs: Vec<String> = fs::read_dir(directory)
        .expect("it is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.file_name() != Some("root".as_ref()))
        .map(|path| {
            let metadata = path.symlink_metadata().expect("it was listed");
            let content = fs::read(&path).unwrap_or_default();
            format!(
                "{} {:o} {} {} {} {content:?}",
                path.display(),
                metadata.mode(),
                metadata.uid(),
                metadata.nlink(),
                metadata.ctime_nsec(),
            )
        })
        .collect();
    signs.sort();
    signs
}
