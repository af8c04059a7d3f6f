//! What a session cannot have is refused before anything runs.

use super::runs_arguments;
use crate::ground::{BASE, on_this_machine};

#[test]
fn without_an_engine_what_only_engines_can_do_is_refused_before_anything_runs() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let said = ground.run(
            &[
                "-m",
                "1g",
                "-v",
                "cache:/cache",
                "--base",
                BASE,
                &ground.agent,
                "true",
            ],
            3,
        );
        said.tells("there is no --memory, no --volume cache:/cache");
        said.tells("--engine docker");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}
