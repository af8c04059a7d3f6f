//! Nothing is made again because less is known than before, or because the caller's environment is another one.

use serde_json::Value;

use crate::ground::{BASE, Ground, on_one_engine};

fn built(ground: &Ground) {
    ground.base("library/busybox:latest");
    let scripts = ground
        .aicage_home()
        .join(format!("custom/image-base/{BASE}/scripts"));
    fs_err::create_dir_all(&scripts).unwrap();
    fs_err::write(scripts.join("1.sh"), "#!/bin/sh\necho base >/etc/base\n").unwrap();
    ground.define_program("echo plain");
    ground.build();
}

#[test]
fn a_version_that_is_not_known_any_more_is_no_reason() {
    on_one_engine(|ground| {
        built(ground);
        fs_err::remove_dir_all(ground.aicage_home().join("state/version")).unwrap();
        let planned = ground.run(&["plan", "--json", "--base", BASE, &ground.agent], 0);
        let planned: Value = serde_json::from_str(&planned.stdout).unwrap();
        assert_eq!(planned["action"], "nothing", "{planned}");
        ground.run(&["config", "set", "update.policy", "auto"], 0);
        ground.run(&["config", "set", "update.check_interval", "0s"], 0);
        let said = ground.start(&[], 0);
        assert_eq!(said.stdout, "plain\n");
        for word in ["building", "running", "replaces"] {
            assert!(!said.stderr.contains(word), "{}", said.stderr);
        }
        ground.run(&["--offline", "update", "--check"], 0);
        // An image whose definition is gone is warned of by whoever asks for it.
        let definition = format!("custom/agents/{}", ground.agent);
        fs_err::remove_dir_all(ground.aicage_home().join(definition)).unwrap();
        let gone = "cannot be updated";
        let said = ground.run(&["--offline", "update", "--check"], 0);
        assert!(said.stderr.contains(gone), "{}", said.stderr);
        let said = ground.run(&["--offline", "update", "--check", "codex"], 0);
        assert!(!said.stderr.contains(gone), "{}", said.stderr);
    });
}

#[test]
fn source_date_epoch_counts_for_what_is_made_and_makes_nothing() {
    on_one_engine(|ground| {
        built(ground);
        let clamped = |arguments: &[&str]| {
            let mut command = ground.aicage(arguments);
            command.env("SOURCE_DATE_EPOCH", "1000000000");
            crate::ground::Said::of(&mut command, 0)
        };
        let plan = |clamp: bool| {
            let words = ["plan", "--json", "--base", BASE, &ground.agent];
            let said = if clamp {
                clamped(&words)
            } else {
                ground.run(&words, 0)
            };
            serde_json::from_str::<Value>(&said.stdout).unwrap()
        };
        assert_eq!(plan(true)["action"], "nothing");
        let logs = ground.logs();
        let said = clamped(&["--base", BASE, &ground.agent]);
        assert_eq!(said.stderr, "");
        assert_eq!(ground.logs(), logs, "a script ran");

        // Something is to be made: it is made with the clamp, and that is said.
        ground.define_program("stat -c %Y \"$0\"");
        let planned = plan(true);
        let reasons = planned["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 2, "{planned}");
        assert_eq!(reasons[1], "`SOURCE_DATE_EPOCH` is 1000000000 now");
        assert_eq!(plan(false)["reasons"].as_array().unwrap().len(), 1);
        let said = clamped(&["--base", BASE, &ground.agent]);
        assert_eq!(
            said.stdout, "1000000000\n",
            "what the script made is clamped"
        );
        let logs = ground.logs();
        let said = ground.start(&[], 0);
        assert_eq!(
            said.stderr, "",
            "without the variable the image is the same"
        );
        assert_eq!(ground.logs(), logs, "a script ran");
    });
}
