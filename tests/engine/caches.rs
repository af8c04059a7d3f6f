//! Caches of instructions on real engines: kept between steps, filled once, made anew where filling failed.

use assembler::{
    instruction::{Access, MountKind, Sharing},
    sandbox::SandboxError,
};

use crate::{
    instructions::{Step, bytes, check},
    steps::both_ways,
    support::{Ground, file},
};

#[test]
fn a_cache_stays_between_steps_and_knows_its_seed() {
    both_ways("cache", |ground, way| {
        let id = format!("{} {way:?}", ground.title());
        let cache = |sharing| MountKind::Cache {
            id: id.clone(),
            sharing,
            access: Access::ReadWrite,
            mode: 0o700,
            uid: 3,
            gid: 4,
            seed: Some(bytes(&[file("seed", b"seed", 0o644)])),
        };
        let first = Step::new(ground, way)
            .mount("/cache", cache(Sharing::Locked))
            .shell(
                "[ \"$(stat -c '%u:%g' /cache)\" = 3:4 ]; cat /cache/seed; echo kept > /cache/kept",
            );
        check(&first.run(), &[]);
        let second = Step::new(ground, way)
            .mount("/elsewhere", cache(Sharing::Private))
            .shell("[ $(cat /elsewhere/kept) = kept ]");
        check(&second.run(), &[]);
        let mine = remove_caches(ground, &id);
        assert_eq!(mine.len(), 1, "one cache that says whose it is: {mine:?}");
    });
}

/// Removes the caches that are called `id`; returns their names.
fn remove_caches(ground: &Ground, id: &str) -> Vec<String> {
    let mine = ground.caches(id);
    for volume in &mine {
        ground.remove_cache(volume);
    }
    mine
}

#[test]
fn a_cache_that_was_not_filled_is_made_anew() {
    both_ways("unfilled", |ground, way| {
        let id = format!("{} {way:?}", ground.title());
        let cache = |seed: &str| MountKind::Cache {
            id: id.clone(),
            sharing: Sharing::Shared,
            access: Access::ReadWrite,
            mode: 0o700,
            uid: 3,
            gid: 4,
            seed: Some(bytes(&[file(seed, b"seed", 0o644)])),
        };
        // No filesystem takes such a name, so the engine refuses it after the volume was made.
        let broken = Step::new(ground, way)
            .mount("/cache", cache(&"x".repeat(300)))
            .shell("true")
            .run();
        assert!(
            matches!(broken.outcome, Err(SandboxError::Engine { .. })),
            "{:?}",
            broken.outcome
        );
        assert_eq!(
            remove_caches(ground, &id),
            Vec::<String>::new(),
            "a cache that could not be filled does not stay"
        );
        let good = Step::new(ground, way).mount("/cache", cache("seed")).shell(
            "[ \"$(stat -c '%a %u:%g' /cache)\" = '700 3:4' ]; cat /cache/seed; touch /cache/kept",
        );
        check(&good.run(), &[]);
        // What a run leaves that was killed while it filled the cache.
        let names = remove_caches(ground, &id);
        let [volume] = names.as_slice() else {
            panic!("one volume: {names:?}")
        };
        ground.make_cache(volume, &id);
        let engine = assembler::digest::Digest::of(ground.info().id.as_bytes());
        let mark = format!("{volume}.{}", engine.short());
        fs_err::write(ground.directory.path().join("locks").join(&mark), "").unwrap();
        check(&good.run(), &[]);
        let again = Step::new(ground, way)
            .mount("/cache", cache("seed"))
            .shell("[ -e /cache/kept ]");
        check(&again.run(), &[]);
        remove_caches(ground, &id);
    });
}

#[test]
fn a_cache_that_a_step_has_twice_is_one_and_does_not_wait_for_itself() {
    both_ways("twice", |ground, way| {
        let id = format!("{} {way:?}", ground.title());
        let cache = |sharing| MountKind::Cache {
            id: id.clone(),
            sharing,
            access: Access::ReadWrite,
            mode: 0o755,
            uid: 0,
            gid: 0,
            seed: None,
        };
        let step = Step::new(ground, way)
            .mount("/one", cache(Sharing::Locked))
            .mount("/two", cache(Sharing::Locked))
            .mount("/three", cache(Sharing::Shared))
            .shell("echo same > /one/file; [ $(cat /two/file /three/file | wc -l) = 2 ]");
        check(&step.run(), &[]);
        assert_eq!(remove_caches(ground, &id).len(), 1, "one volume is made");
    });
}
