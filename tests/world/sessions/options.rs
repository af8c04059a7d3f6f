//! What a session is given, the same with an engine and without; what it cannot have is refused before anything runs.

use super::{as_root_everywhere, runs_arguments};
use crate::{
    ground::{BASE, Ground, on_each_engine_and_this_machine, on_every_engine, on_this_machine},
    session::until,
};

/// An agent that runs its arguments, on a base whose own entrypoint runs it, with these further lines of a Dockerfile.
fn from_dockerfile(ground: &Ground, lines: &str) {
    ground.base("library/busybox:latest");
    let base = ground.aicage_home().join("custom/image-base").join(BASE);
    let dockerfile = format!(
        r#"ARG FROM_IMAGE
FROM ${{FROM_IMAGE}}
ENV AICAGE_ENTRYPOINT_CMD=sh
RUN printf '#!/bin/sh\nexec "$AICAGE_ENTRYPOINT_CMD" "$@"\n' >/entrypoint.sh && chmod 755 /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
{lines}"#
    );
    fs_err::write(base.join("Dockerfile"), dockerfile).unwrap();
    ground.define_program(r#"exec "$@""#);
}

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

#[test]
fn without_an_engine_what_would_have_no_effect_is_refused_by_name() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let refused = |options: &[&str], words: &str| {
            let more = ["--base", BASE, &ground.agent, "true"];
            ground.run(&[options, &more].concat(), 3).tells(words);
        };
        refused(
            &["--init", "--entrypoint", "sh"],
            "there is no --init where the first program is not aicage's",
        );
        refused(
            &["--network", "none", "-p", "3000:3000"],
            "there is no --publish 3000:3000 with --network none",
        );
        refused(
            &["--read-only", "-v", "/own"],
            "there is no --volume /own with --read-only",
        );
        if ground.caller.is_some() {
            refused(&["--group-add", "70000"], "there is no --group-add 70000");
        }
        ground.start(&["true"], 0);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn memory_is_for_data_unless_it_is_said_and_an_own_directory_is_there() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let script = "grep -E ' /(a|b|c) ' /proc/mounts; test -d /own/directory && echo own";
        let mut options = vec!["--tmpfs", "/a", "--tmpfs", "/b:exec"];
        options.extend(["--mount", "type=tmpfs,target=/c", "-v", "/own/directory"]);
        options.extend(["--base", BASE, &ground.agent, "sh", "-c", script]);
        let said = ground.run(&options, 0);
        let flags = |place: &str| {
            let line = said
                .stdout
                .lines()
                .find(|line| line.contains(place))
                .unwrap();
            ["nosuid", "nodev", "noexec"].map(|flag| line.contains(flag))
        };
        // Podman runs programs there.
        let noexec = !ground.name.contains("PODMAN");
        assert_eq!(flags(" /a "), [true, true, noexec], "{}", said.stdout);
        assert_eq!(flags(" /b "), [true, true, false], "{}", said.stdout);
        assert_eq!(flags(" /c "), [true, true, noexec], "{}", said.stdout);
        assert!(said.stdout.ends_with("own\n"), "{}", said.stdout);
    });
}

#[test]
fn a_directory_of_the_sessions_own_holds_what_the_image_has_there_and_covers_what_is_shown_above_it()
 {
    let test = |ground: &Ground| {
        // Nobody but root may look into it, and the first program is root.
        from_dockerfile(
            ground,
            "RUN mkdir -p /closed/own /shown/own /shown/more && echo image >/closed/own/file \\\n \
             && echo image >/shown/own/file && chmod 700 /closed\n",
        );
        let shown = ground.project().join("shown");
        fs_err::create_dir_all(shown.join("own")).unwrap();
        fs_err::write(shown.join("own/file"), "project\n").unwrap();
        let share = format!("{}:/shown", shown.display());
        let owned = ["-v", "/closed/own", "-v", "/shown/own", "-v", "/shown/new"];
        let script = "cat /closed/own/file /shown/own/file; ls /shown/new; \
                      echo mine | tee /shown/own/file /shown/new/file";
        let command = ["--base", BASE, &ground.agent, "sh", "-c", script];
        let options = [&["-v", &share], &owned[..], &command].concat();
        for _ in 0..2 {
            let said = ground.run(&options, 0);
            assert_eq!(said.stdout, "image\nimage\nmine\n", "{}", said.stderr);
        }
        let kept = fs_err::read_to_string(shown.join("own/file")).unwrap();
        assert_eq!(kept, "project\n", "it is covered");
        assert!(!shown.join("new/file").exists(), "it is not the project's");
    };
    on_every_engine(test);
    on_this_machine(test);
}

#[test]
fn groups_that_were_added_are_those_of_what_runs_beside_the_agent_too() {
    as_root_everywhere(|ground| {
        runs_arguments(ground);
        let mut start = vec!["-d", "--group-add", "1234", "--base", BASE, &ground.agent];
        start.extend(["sh", "-c", "id -G; while :; do sleep 0.1; done"]);
        ground.run(&start, 0);
        let said = ground.run(&["exec", "--", "id", "-G"], 0).stdout;
        assert!(
            said.split_whitespace().any(|group| group == "1234"),
            "{said}"
        );
        until("agent's groups", || {
            (ground.run(&["logs"], 0).stdout == said).then_some(())
        });
        ground.run(&["stop", "-t", "0"], 0);
    });
}

#[test]
fn an_image_with_a_user_and_an_entrypoint_of_its_own_has_that_users_home() {
    as_root_everywhere(|ground| {
        from_dockerfile(
            ground,
            "RUN echo 'node:x:1234:1235::/home/node:/bin/sh' >>/etc/passwd\nUSER node\n",
        );
        let said = ground.start(&["sh", "-c", "echo $HOME; id -u; id -g"], 0);
        assert_eq!(said.stdout, "/home/node\n1234\n1235\n", "{}", said.stderr);
    });
}

#[test]
fn whoever_an_image_runs_as_is_in_the_groups_that_it_lists_for_that_user() {
    let test = |ground: &Ground| {
        for (user, expected) in [
            ("node", "1235 2001 2002"),
            ("1234", "1235 2001 2002"),
            ("node:only", "2003"),
            ("4321", "0"),
            ("root", "0 2004"),
        ] {
            let lines = format!(
                "RUN echo 'node:x:1234:1235::/home/node:/bin/sh' >>/etc/passwd && sed -i 's/:[a-z,]*$/:/' /etc/group \\\n \
                 && printf 'one:x:2001:node\\ntwo:x:2002:root2,node\\nonly:x:2003:nodes\\nfour:x:2004:root\\n' >>/etc/group \\\n \
                 && printf 'far:x:70000:node\\n' >>/etc/group\nUSER {user}\n"
            );
            from_dockerfile(ground, &lines);
            let said = ground.start(&["id", "-G"], 0);
            let mut groups: Vec<u32> = said
                .stdout
                .split_whitespace()
                .map(|group| group.parse().unwrap())
                .collect();
            groups.sort_unstable();
            groups.dedup();
            // An ordinary user has no subordinate id for it.
            groups.retain(|group| *group != 70_000);
            let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
            assert_eq!(groups.join(" "), expected, "{user}");
        }
    };
    on_every_engine(test);
    on_this_machine(test);
}

#[test]
fn an_image_whose_users_only_its_root_may_list_is_refused_where_that_matters() {
    on_this_machine(|ground| {
        for (user, code) in [("root", 0), ("1234", 125)] {
            from_dockerfile(ground, &format!("RUN chmod 600 /etc/passwd\nUSER {user}\n"));
            // Nobody keeps root from it.
            let code = if ground.caller.is_none() { 0 } else { code };
            let said = ground.start(&["true"], code);
            if code != 0 {
                said.tells("cannot read etc/passwd of the image from outside");
            }
        }
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}
