//! A walk along the upper directory of an overlay filesystem writes byte for byte what a walk of the whole root does.
//!
//! Held on real overlays, mounted with `userxattr` in namespaces of their own: this program starts itself once more in
//! them. As root or as anybody; what only root may do is left out for others, in both walks alike.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![expect(clippy::print_stdout, reason = "numbers are for whoever asks for them")]

mod changes;
mod corners;
mod layers;
mod overlay;
mod tree;

use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::changes::{Change, age, apply, changes};
use crate::layers::names;
use crate::overlay::{Namespaces, Overlay, Steps, inside, inside_both};

/// A case: what makes two layers below, what an engine does, and what a step does.
#[derive(Debug, Clone)]
struct Case {
    first: Vec<Change>,
    second: Vec<Change>,
    step: Vec<Change>,
    steps: Steps,
}

fn cases() -> impl Strategy<Value = Case> {
    let steps = (
        prop::option::of(0..4_usize),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
    );
    let steps = steps.prop_map(|(mounted, with_beneath, without_parents)| Steps {
        mounted,
        with_beneath,
        without_parents,
        ..Steps::default()
    });
    (changes(4..40), changes(0..16), changes(0..24), steps).prop_map(
        |(first, second, step, steps)| Case {
            first,
            second,
            step,
            steps,
        },
    )
}

#[test]
fn both_walks_write_the_same_bytes() {
    inside("both_walks_write_the_same_bytes", |ground| {
        let config = ProptestConfig {
            cases: 600,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let written = std::cell::Cell::new(0);
        TestRunner::new(config)
            .run(&cases(), |case| {
                let mut overlay = Overlay::over(ground, |root| apply(&case.first, root));
                overlay.add_layer(|root| apply(&case.second, root));
                let captured = overlay.capture_both(case.steps, |root| apply(&case.step, root));
                prop_assert!(
                    captured.is_equal(),
                    "guided wrote {:?} and whole {:?}",
                    captured.guided.as_deref().map(names),
                    captured.whole.as_deref().map(names)
                );
                if let (Ok(layer), true) = (&captured.guided, case.steps.is_plain()) {
                    captured.judge(layer);
                    written.set(written.get() + 1);
                }
                Ok(())
            })
            .unwrap();
        assert!(
            written.get() > 100,
            "only {} layers were judged",
            written.get()
        );
    });
}

/// There a name of a file that was copied up has another inode than the others of that file.
#[test]
fn a_user_namespace_gives_the_same_bytes() {
    inside_both("a_user_namespace_gives_the_same_bytes", |ground| {
        let mut runner = TestRunner::deterministic();
        let mut with_links = 0;
        for number in 0..300 {
            let case = cases().new_tree(&mut runner).unwrap().current();
            let make = |changes: &[Change], root: &Path| {
                let changes = changes.iter().filter(|change| change.is_for_anybody());
                apply(&changes.cloned().collect::<Vec<_>>(), root);
            };
            let overlay = Overlay::over(ground, |root| {
                make(&case.first, root);
                make(&case.second, root);
                age(root);
            });
            let steps = Steps {
                latest: Some(0),
                ..case.steps
            };
            let captured = overlay.capture_both(steps, |root| make(&case.step, root));
            let layer = match ground.namespaces {
                Namespaces::Mounts => captured.whole,
                Namespaces::Users => captured.guided,
            };
            let said = layer.as_deref().map(names);
            with_links += usize::from(format!("{said:?}").contains('='));
            let mut hasher = std::hash::DefaultHasher::new();
            std::hash::Hash::hash(&layer, &mut hasher);
            let hash = std::hash::Hasher::finish(&hasher);
            println!("fact {number} {hash:x} {said:?}");
        }
        assert!(with_links > 20, "only {with_links} layers have links");
    });
}

/// What nobody could have written, a file that was there and that the index does not know, tells the walks apart.
#[test]
fn what_did_not_change_is_not_even_looked_at() {
    inside("what_did_not_change_is_not_even_looked_at", |ground| {
        let overlay = Overlay::over(ground, |root| {
            for directory in 0..300 {
                let directory = root.join(format!("d{}/e{directory}", directory % 10));
                fs_err::create_dir_all(&directory).unwrap();
                for file in 0..20 {
                    fs_err::write(directory.join(format!("f{file}")), b"x").unwrap();
                }
            }
        });
        let steps = Steps {
            forgotten: Some("d7/e17/f3"),
            ..Steps::default()
        };
        let captured = overlay.capture_both(steps, |root| {
            fs_err::write(root.join("d3/e13/f4"), b"changed").unwrap();
            fs_err::write(root.join("d7/f"), b"new").unwrap();
            fs_err::remove_dir_all(root.join("d5")).unwrap();
        });
        println!(
            "whole walk {:?} after {:?}, guided walk {:?}",
            captured.whole_took, captured.places_took, captured.guided_took
        );
        let changed = ["-d5", "d3/", "d3/e13/", "d3/e13/f4", "d7/"];
        let found = ["d7/e17/", "d7/e17/f3"];
        assert_eq!(
            names(&captured.guided.unwrap()),
            [&changed[..], &["d7/f"]].concat()
        );
        assert_eq!(
            names(&captured.whole.unwrap()),
            [&changed[..], &found, &["d7/f"]].concat()
        );
    });
}
