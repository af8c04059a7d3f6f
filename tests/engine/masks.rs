//! The caller's umask, which is of no account.

use std::cell::RefCell;

use assembler::{digest::Digest, sandbox::Sandbox as _};
use rustix::{fs::Mode, process::umask};
use tokio_util::sync::CancellationToken;

use crate::{
    steps::{Step, Way, changes},
    support::{Log, Recorder, on_this_machine},
};

/// A whole second, so that the time of the root is none of the run's.
const STEP: &str = "#!/bin/sh\nset -e\nmkdir /new\necho x >/new/file\ntouch -d '2010-01-02 00:00:00' /new/file /new /\n";

#[test]
fn a_layer_over_an_image_that_says_nothing_of_the_root_is_the_same_under_every_umask() {
    let tars = RefCell::new(Vec::new());
    for mask in [0o077, 0o022] {
        on_this_machine("masks", |ground| {
            let before = umask(Mode::from_raw_mode(mask));
            let recorder = Recorder::default();
            let mut log = Log::new(&CancellationToken::new());
            let mut tar = Vec::new();
            let step = Step::new(ground, Way::Native);
            let ran = step.with_sandbox(STEP, &recorder, |sandbox, request| {
                sandbox.run(request, &mut log, &mut |answer| {
                    answer.read_to_end(&mut tar)?;
                    Ok(())
                })
            });
            umask(before);
            ran.unwrap();
            tars.borrow_mut().push(tar);
        });
    }
    let tars = tars.into_inner();
    let diff_ids: Vec<_> = tars.iter().map(|tar| Digest::of(tar)).collect();
    if let [one, other] = diff_ids.as_slice() {
        let [first, second] = [0, 1].map(|number| changes(&tars[number]));
        assert_eq!(first, second);
        assert_eq!(one, other, "{first:?}");
        let names = first.iter().filter_map(|entry| entry.split(' ').next());
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["new", "new/file"],
            "as the image"
        );
    }
}
