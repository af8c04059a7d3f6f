//! What the store keeps besides layers on this machine alone, whoever owns it: counted, and removed when nobody uses it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::ground::{BASE, Ground, Said, on_this_machine};

/// A megabyte that only its owner sees, who is not the caller.
const RUN: &str = "RUN --mount=type=cache,target=/kept,uid=5,gid=5,mode=0700 mkdir -p -m 0700 /kept/d && \
    head -c 1048576 /dev/urandom > /kept/d/f && chown -R 5:5 /kept/d";

#[test]
fn caches_of_steps_and_cages_of_killed_runs_are_counted_and_pruned_unless_they_are_in_use() {
    on_this_machine(|ground| {
        ground.base("library/busybox:latest");
        let base = ground.aicage_home().join("custom/image-base").join(BASE);
        let dockerfile = format!("ARG FROM_IMAGE\nFROM ${{FROM_IMAGE}}\n{RUN}\n");
        fs_err::write(base.join("Dockerfile"), dockerfile).unwrap();
        ground.define_program("true");
        ground.build();
        let store = ground.aicage_home().join("store");
        let (caches, cages) = (store.join("caches"), store.join("cages"));
        let cache = match &entries(&caches)[..] {
            [cache] => cache.clone(),
            other => panic!("one cache: {other:?}"),
        };
        let (nodes, bytes) = room(ground, "caches");
        assert_eq!(nodes, 3, "the cache, a directory and a file");
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes} bytes");
        assert_eq!(removed(ground, &[]), [""; 0], "it was used just now");

        // Whoever uses it holds its lock, which has the time of the last use.
        let lock = ground.aicage_home().join("state/caches");
        let lock = lock.join(cache.file_name().unwrap());
        let lock = fs_err::OpenOptions::new().append(true).open(lock).unwrap();
        lock.set_modified(std::time::UNIX_EPOCH).unwrap();
        lock.lock_shared().unwrap();
        assert_eq!(removed(ground, &[]), [""; 0], "it is in use");
        lock.unlock().unwrap();
        let again = format!("ARG FROM_IMAGE\nFROM ${{FROM_IMAGE}}\n{RUN} && true\n");
        fs_err::write(base.join("Dockerfile"), again).unwrap();
        ground.build();
        assert_eq!(removed(ground, &[]), [""; 0], "a step has used it again");
        lock.set_modified(std::time::UNIX_EPOCH).unwrap();

        // As a killed run leaves its cage: its files are of the same owners.
        let cage = cages.join("left");
        Said::of(Command::new("cp").arg("-a").args([&cache, &cage]), 0);
        let cage_lock = fs_err::File::create(cages.join("left.lock")).unwrap();
        cage_lock.lock_shared().unwrap();
        assert!(room(ground, "cages").1 > 1 << 20, "it is counted");
        assert_eq!(removed(ground, &[]), ["cache"], "old, and nobody uses it");
        assert!(entries(&caches).is_empty(), "{:?}", entries(&caches));
        assert!(cage.join("d/f").exists(), "somebody is in it");
        cage_lock.unlock().unwrap();
        assert_eq!(removed(ground, &[]), ["cage"]);
        assert!(entries(&cages).is_empty(), "{:?}", entries(&cages));

        // What a killed prune had begun with has no name any more that a step knows.
        let begun = caches.join(".gone-0-x");
        fs_err::create_dir(&begun).unwrap();
        assert_eq!(removed(ground, &["--all"]), ["cache"]);
        assert!(!begun.exists());

        // Whoever only looks makes no lock, and what has none is nobody's.
        let locks = ground.aicage_home().join("state/caches");
        fs_err::remove_dir_all(&locks).unwrap();
        fs_err::create_dir(caches.join("without-a-lock")).unwrap();
        assert_eq!(removed(ground, &["--all"]), ["cache"]);
        assert!(!locks.exists());
    });
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Prunes, as a dry run first; returns the kinds of what is gone that is no layer.
fn removed(ground: &Ground, options: &[&str]) -> Vec<String> {
    let prune = |more: &[&str]| {
        let mut arguments = vec!["cache", "prune", "--json"];
        arguments.extend(options);
        arguments.extend(more);
        let said = ground.run(&arguments, 0);
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        let kinds = report["items"].as_array().unwrap().iter();
        let kinds = kinds.map(|item| item["kind"].as_str().unwrap().to_owned());
        let kept = kinds.filter(|kind| matches!(kind.as_str(), "cache" | "cage"));
        kept.collect::<Vec<_>>()
    };
    let planned = prune(&["--dry-run"]);
    let gone = prune(&["--yes"]);
    assert_eq!(gone, planned, "what was told is what is done");
    gone
}

/// Counts what is of a kind: nodes and bytes.
fn room(ground: &Ground, kind: &str) -> (u64, u64) {
    let said = ground.run(&["cache", "du", "--json"], 0);
    let du: Value = serde_json::from_str(&said.stdout).unwrap();
    let kinds = du["kinds"].as_array().unwrap();
    let kind = kinds.iter().find(|found| found["kind"] == kind).unwrap();
    (
        kind["files"].as_u64().unwrap(),
        kind["bytes"].as_u64().unwrap(),
    )
}
