//! What a start pays for definitions that did not change: 20 extensions with 1,000 files each, of scripts and of
//! Dockerfiles.
//!
//! `cargo bench --bench definitions` prints the time of listing, of the first digest, which reads everything, and of
//! one that is remembered, which reads nothing. The aim is 60 ms for the last.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up its world has failed; what it prints is its result"
)]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aicage::{
    definition::{
        Source,
        catalogue::{Catalogue, CustomRoots, Published},
    },
    dockerfiles,
};

const EXTENSIONS: usize = 20;
const FILES: usize = 1000;

fn main() {
    for kind in [Kind::Scripts, Kind::Dockerfiles] {
        measure(kind);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Scripts,
    Dockerfiles,
}

fn measure(kind: Kind) {
    let home = tempfile::tempdir().unwrap();
    let roots = CustomRoots {
        custom: home.path().join("custom"),
        older: home.path().join("older"),
        state: Some(home.path().join("state")),
    };
    for extension in 0..EXTENSIONS {
        write(
            &roots.custom.join(format!("extension/e{extension:02}")),
            kind,
        );
    }
    // Files that were just written are not remembered, because another edit might not show.
    std::thread::sleep(Duration::from_millis(2500));
    let first = once(&roots, kind);
    let mut times: Vec<Duration> = (0..21).map(|_| once(&roots, kind)).collect();
    times.sort_unstable();
    println!(
        "{kind:?}: {EXTENSIONS} extensions with {FILES} files each: read {:.1} ms, unchanged {:.1} ms (best {:.1}, worst {:.1})",
        milliseconds(first),
        milliseconds(times[10]),
        milliseconds(times[0]),
        milliseconds(times[20]),
    );
}

fn once(roots: &CustomRoots, kind: Kind) -> Duration {
    let begun = Instant::now();
    let catalogue = Catalogue::read(&Published::BuiltIn, roots);
    for extension in catalogue.extensions.values() {
        let files = extension
            .files
            .without(&["extension.yml", "extension.yaml"]);
        match (kind, &extension.source, &roots.state) {
            (Kind::Dockerfiles, Source::Custom(directory), Some(state)) => {
                assert!(extension.has_dockerfile());
                dockerfiles::known_in(state, directory, &directory.join("Dockerfile")).unwrap();
            }
            _ => {
                files.digest().unwrap();
            }
        }
    }
    assert_eq!(catalogue.extensions.len(), EXTENSIONS);
    begun.elapsed()
}

fn write(directory: &Path, kind: Kind) {
    fs_err::create_dir_all(directory.join("scripts")).unwrap();
    fs_err::create_dir_all(directory.join("files")).unwrap();
    fs_err::write(
        directory.join("extension.yml"),
        "name: Bench\ndescription: Many files.\n",
    )
    .unwrap();
    match kind {
        Kind::Scripts => fs_err::write(directory.join("scripts/10-do.sh"), "#!/bin/sh\ntrue\n"),
        Kind::Dockerfiles => fs_err::write(
            directory.join("Dockerfile"),
            "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY files /files\n",
        ),
    }
    .unwrap();
    for number in 0..FILES - 2 {
        let path = directory.join(format!("files/file-{number:04}"));
        fs_err::write(path, vec![b'x'; 500 + number]).unwrap();
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
