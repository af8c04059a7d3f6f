//! Sessions of an engine and sessions without one, side by side.

use super::runs_arguments;
use crate::ground::{BASE, on_one_engine};

#[test]
fn a_name_of_both_kinds_is_refused_and_the_engine_says_which_is_meant() {
    on_one_engine(|ground| {
        runs_arguments(ground);
        let name = format!("both-{}", ground.agent);
        let more = ["-d", "--name", &name, "--base", BASE, &ground.agent];
        for engine in ["docker", "native"] {
            let command = [&["--engine", engine], &more[..], &["sleep", "600"]].concat();
            assert_eq!(ground.run(&command, 0).stdout.trim(), name);
        }
        let listed = |options: &[&str]| {
            let said = ground.run(&[options, &["ps", "-q"]].concat(), 0);
            said.stdout.lines().filter(|line| *line == name).count()
        };
        assert_eq!(listed(&[]), 2);
        assert_eq!(listed(&["--engine", "native"]), 1);
        assert_eq!(listed(&["--engine", "docker"]), 1);
        let said = ground.run(&["stop", "-t", "0", &name], 2);
        said.tells(&format!("2 sessions are called `{name}`"));
        said.tells("of docker");
        said.tells("of native");
        ground.run(&["--engine", "native", "exec", &name, "--", "true"], 0);
        ground.run(&["--engine", "docker", "stop", "-t", "0", &name], 0);
        assert_eq!(listed(&["--engine", "native"]), 1, "the other runs on");
        ground.run(&["stop", "-t", "0", &name], 0);
        assert_eq!(listed(&[]), 0);
    });
}
