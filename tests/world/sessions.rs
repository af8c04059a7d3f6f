//! Sessions are found, joined, looked at, left and ended; however many there are, and whatever happened to whoever
//! started them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::PermissionsExt,
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    ground::{
        BASE, Ground, Said, on_each_engine, on_each_engine_and_this_machine, on_every_engine,
        on_this_machine,
    },
    session::{Tmux, signal, until},
};

/// An agent that runs its arguments.
fn runs_arguments(ground: &Ground) {
    ground.base("library/busybox:latest");
    ground.define_program(r#"exec "$@""#);
    ground.build();
}

/// A test whose terminal is root's.
fn as_root_everywhere(test: impl Fn(&Ground)) {
    on_every_engine(&test);
    on_this_machine(|ground| {
        if ground.caller.is_none() {
            test(ground);
        }
    });
}

/// The sessions of this test's agent, as `ps --json` has them.
fn listed(ground: &Ground) -> Vec<Value> {
    let said = ground.run(&["ps", "--json"], 0);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["schema"], "aicage.ps/1");
    let sessions = report["sessions"].as_array().unwrap();
    let ours = |session: &&Value| session["agent"] == ground.agent.as_str();
    sessions.iter().filter(ours).cloned().collect()
}

/// Starts the agent in the background and returns its session's name.
fn background(ground: &Ground, script: &str) -> String {
    let said = ground.run(
        &["-d", "--base", BASE, &ground.agent, "sh", "-c", script],
        0,
    );
    said.stdout.trim().to_owned()
}

/// Starts the agent at a pipe and waits for its first line.
fn at_a_pipe(ground: &Ground, script: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = ground
        .aicage(&["--base", BASE, &ground.agent, "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    (child, stdout)
}

#[test]
fn a_session_in_the_background_is_listed_read_joined_and_ended() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        // A socket of a group, as the engine's is one.
        let elsewhere = tempfile::tempdir().unwrap();
        fs_err::set_permissions(elsewhere.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let socket = elsewhere.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::chown(&socket, Some(0), Some(4321)).unwrap();
        fs_err::set_permissions(&socket, PermissionsExt::from_mode(0o660)).unwrap();
        let who = "id -u; id -g; id -un; id -G; pwd; echo $HOME $USER $PATH $AICAGE_WORKSPACE; \
                   echo $TERM $LANG ${LC_TIME-none} ${AICAGE_LOCALE-none}";
        let script =
            format!("{who}; echo aside >&2; trap 'exit 4' TERM; while :; do sleep 0.1; done");
        let share = format!("{}:ro", socket.display());
        let words = [
            "-d",
            "--share",
            &share,
            "--base",
            BASE,
            &ground.agent,
            "sh",
            "-c",
            &script,
        ];
        let mut command = ground.aicage(&words);
        command.env("LANG", "en_GB.UTF-8").env("LC_TIME", "C");
        let name = Said::of(&mut command, 0).stdout.trim().to_owned();
        assert_eq!(name, format!("{}-project", ground.agent));
        let session = until("running session", || {
            let session = listed(ground).remove(0);
            (session["status"] == "running").then_some(session)
        });
        assert_eq!(session["name"], name.as_str());
        assert_eq!(session["attached"], false);
        let project = ground.project().display().to_string();
        assert_eq!(session["project"], project.as_str());
        let log = until("line in the log", || {
            let said = ground.run(&["logs", &name], 0);
            said.stderr.contains("aside").then_some(said)
        });
        // Several commands need no name where one session runs.
        let command = format!("{who}; exit 9");
        let said = ground.run(&["exec", "--", "sh", "-c", &command], 9);
        assert_eq!(
            said.stdout, log.stdout,
            "both are the same user in the same place"
        );
        assert!(said.stdout.contains(&project), "{}", said.stdout);
        assert!(said.stdout.contains(".UTF-8 C none"), "{}", said.stdout);
        if !ground.name.contains("ROOTLESS") && !ground.is_native() && ground.caller.is_some() {
            assert!(said.stdout.contains(" 4321"), "{}", said.stdout);
        }
        let stopped = ground.run(&["stop"], 0);
        assert_eq!(stopped.stdout.trim(), name);
        assert_eq!(listed(ground), Vec::<Value>::new());
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn a_session_in_the_background_that_ended_keeps_its_log_and_exit_code() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let name = background(ground, "echo done; exit 5");
        let session = until("end of the session", || {
            let session = listed(ground).remove(0);
            (session["status"] == "ended").then_some(session)
        });
        assert_eq!(session["exit_code"], 5);
        assert_eq!(ground.run(&["logs", "-n", "1"], 0).stdout, "done\n");
        ground.run(&["attach", &name], 1).tells("has ended");
        ground.run(&["stop", &name], 0);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn ten_sessions_at_once_have_ten_names_and_end_together() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        // All ten find that it is not there.
        ground.write_agent(
            "agent.yml",
            "agent_full_name: Agent\nagent_homepage: https://agent.example\nagent_path: {files: [~/.agent.json]}\n",
        );
        ground.build();
        let mut children: Vec<Child> = (0..10)
            .map(|_| {
                let mut command =
                    ground.aicage(&["--base", BASE, &ground.agent, "sh", "-c", "echo up; cat"]);
                let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        let sessions = until("ten sessions", || {
            let sessions = listed(ground);
            let running = |session: &&Value| session["status"] == "running";
            (sessions.iter().filter(running).count() == 10).then_some(sessions)
        });
        let mut names: Vec<&str> = sessions.iter().filter_map(|s| s["name"].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 10, "{names:?}");
        ground
            .run(&["exec", "--", "true"], 2)
            .tells("10 sessions run in this directory");
        let said = ground.run(&[&["stop", "-t", "0"], &names[..]].concat(), 0);
        assert_eq!(said.stdout.lines().count(), 10);
        for child in &mut children {
            let code = child.wait().unwrap().code();
            assert!(matches!(code, Some(137 | 143)), "stopped at once: {code:?}");
        }
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn names_are_chosen_refused_and_suggested() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let chosen = format!("review-{}", ground.agent);
        let start = ["-d", "--name", &chosen, "--base", BASE, &ground.agent];
        ground.run(&[&start[..], &["sleep", "600"]].concat(), 0);
        ground
            .run(&[&start[..], &["true"]].concat(), 2)
            .tells(&format!("another container has the name `{chosen}`"));
        ground.run(&["--name", "a b", &ground.agent], 2);
        let near = format!("reviev-{}", ground.agent);
        ground
            .run(&["stop", &near], 1)
            .tells(&format!("did you mean `{chosen}`?"));
        ground.run(&["stop", "-t", "0", &chosen], 0);
        ground
            .run(&["attach"], 1)
            .tells("no session of yours runs in");
    });
}

#[test]
fn a_killed_aicage_leaves_a_session_that_is_known() {
    on_each_engine(|ground| {
        runs_arguments(ground);
        let (mut child, _stdout) = at_a_pipe(ground, "echo up; while :; do sleep 0.1; done");
        assert_eq!(listed(ground)[0]["attached"], true);
        child.kill().unwrap();
        child.wait().unwrap();
        let signs = ground.aicage_home().join("state/attached");
        // Whoever killed that one removed its session, too.
        fs_err::write(signs.join("0123456789ab.1"), "").unwrap();
        let session = listed(ground).remove(0);
        assert_eq!(session["status"], "running");
        assert_eq!(session["attached"], false, "whoever was there is dead");
        ground.run(&["exec", "--", "true"], 0);
        ground.run(&["stop", "-t", "0"], 0);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
        let signs = fs_err::read_dir(signs).unwrap();
        assert_eq!(signs.count(), 0, "no sign of the dead is left");
    });
}

#[test]
fn an_agent_that_does_not_listen_is_killed_and_what_it_started_ends_with_it() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let deaf =
            "trap '' TERM HUP; (while :; do sleep 1; done) & echo up; while :; do sleep 1; done";
        let (mut child, _stdout) = at_a_pipe(ground, deaf);
        ground.run(&["stop", "-t", "1"], 0);
        assert_eq!(child.wait().unwrap().code(), Some(137));
        let (mut child, _stdout) = at_a_pipe(ground, deaf);
        let start = std::time::Instant::now();
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(137));
        assert!(
            start.elapsed() > Duration::from_secs(5),
            "it was given time"
        );
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn half_a_connection_carries_what_is_left() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        // The agent answers only after its input has ended.
        let (mut child, mut stdout) =
            at_a_pipe(ground, "echo up; wc -c; head -c 3000000 /dev/zero");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![7; 1_000_000]).unwrap();
        drop(stdin);
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), 3_000_000 + "1000000\n".len());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn a_command_in_a_session_has_bytes_exit_code_and_signals_of_its_own() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let name = background(ground, "while :; do sleep 0.1; done");
        let mut child = ground
            .aicage(&["exec", &name, "--", "sh", "-c", "cat; exit 3"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(2_000_000).collect();
        let (mut stdin, sent) = (child.stdin.take().unwrap(), bytes.clone());
        let writer = std::thread::spawn(move || stdin.write_all(&sent));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout == bytes, "the bytes came back changed");
        let mut child = ground
            .aicage(&[
                "exec",
                "--",
                "sh",
                "-c",
                "trap 'echo heard; exit 7' INT; echo up; while :; do sleep 0.1; done",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        signal(&child, "INT");
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(
            (line.as_str(), child.wait().unwrap().code()),
            ("heard\n", Some(7))
        );
        ground.run(&["stop", "-t", "0"], 0);
    });
}

#[test]
fn a_command_is_waited_for_when_its_output_ends_before_it_does() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        background(ground, "while :; do sleep 0.1; done");
        let quiet = "exec >&- 2>&-; sleep 2; exit 7";
        ground.run(&["exec", "--", "sh", "-c", quiet], 7);
        // Whoever read it went away: it is told, and has time to tidy up.
        let tidy = "trap 'sleep 1; exit 8' TERM; while :; do echo y; sleep 0.1; done";
        let mut child = ground
            .aicage(&["exec", "--", "sh", "-c", tidy])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(8));
        ground.run(&["stop", "-t", "0"], 0);
    });
}

#[test]
fn an_interrupt_at_a_session_without_a_terminal_ends_only_the_visit() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let script = "trap 'echo heard' INT; while :; do echo tick; sleep 0.1; done";
        background(ground, script);
        let mut child = ground
            .aicage(&["attach"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "tick\n");
        signal(&child, "INT");
        let said = Said::judge(&child.wait_with_output().unwrap(), 0, "attach");
        said.tells("comes back");
        assert_eq!(listed(ground)[0]["status"], "running");
        let log = ground.run(&["logs"], 0).stdout;
        assert!(!log.contains("heard"), "{log}");
        ground.run(&["stop", "-t", "0"], 0);
    });
}

#[test]
fn a_shell_joins_the_agents_session_or_has_a_container_of_its_own() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let shell = |options: &[&str], script: &str| {
            let mut child = ground
                .aicage(&[&["shell"], options, &[ground.agent.as_str()]].concat())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(script.as_bytes()).unwrap();
            drop(stdin);
            Said::judge(&child.wait_with_output().unwrap(), 0, "shell").stdout
        };
        let ask = "pwd; hostname\n";
        let alone = shell(&["--base", BASE], ask);
        assert!(alone.starts_with(&format!("{}\n", ground.project().display())));
        let name = background(ground, "while :; do sleep 0.1; done");
        let id: String = listed(ground)[0]["id"]
            .as_str()
            .unwrap()
            .chars()
            .take(12)
            .collect();
        assert!(shell(&[], ask).contains(&id), "the shell is in {name}");
        assert!(
            !shell(&["--new", "--base", BASE], ask).contains(&id),
            "a container of its own"
        );
        for typed in [&["--dry-run", "shell"][..], &["shell", "-p", "3000:3000"]] {
            let typed = [typed, &[ground.agent.as_str()]].concat();
            ground.run(&typed, 2).tells("is for a new container, and");
        }
        ground.run(&["stop", "-t", "0"], 0);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn an_agent_that_was_killed_did_not_run_out_of_memory() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let said = ground.start(&["sh", "-c", "kill -9 $$"], 137);
        assert!(!said.stderr.contains("memory"), "{}", said.stderr);
    });
}

#[test]
fn whoever_leaves_a_terminal_has_it_as_before_and_comes_back_to_the_same_agent() {
    if std::process::Command::new("tmux")
        .arg("-V")
        .output()
        .is_err()
    {
        eprintln!("SKIP: tmux is not installed");
        return;
    }
    as_root_everywhere(|ground| {
        runs_arguments(ground);
        let script = "printf '\\033[?1000h'; echo begun; while :; do read -r line && echo \"<$line>\"; \
                      [ \"$line\" = q ] && exit 6; done";
        fs_err::write(ground.project().join("agent.sh"), script).unwrap();
        let aicage = env!("CARGO_BIN_EXE_aicage");
        let agent = &ground.agent;
        let shell = format!(
            "stty -g >before; {aicage} --base {BASE} {agent} sh ./agent.sh; echo code $?; stty -g | cmp before && echo same; \
             read -r x; {aicage} attach; echo code $?; stty -g | cmp before && echo same again; exec sleep 600"
        );
        let mut tmux = Tmux::new(ground);
        tmux.run(&["new-session", "-d", "-x", "100", "-y", "30", &shell]);
        tmux.shows("begun");
        let mouse = |tmux: &mut Tmux<'_>| tmux.run(&["display", "-p", "#{mouse_any_flag}"]);
        assert_eq!(mouse(&mut tmux).trim(), "1");
        tmux.run(&["send-keys", "one", "Enter"]);
        tmux.shows("<one>");
        tmux.run(&["send-keys", "C-p", "C-q"]);
        tmux.shows("comes back");
        tmux.shows("code 0");
        tmux.shows("same");
        assert_eq!(
            mouse(&mut tmux).trim(),
            "0",
            "the mouse is the user's again"
        );
        assert_eq!(listed(ground)[0]["attached"], false);
        tmux.run(&["send-keys", "Enter"]);
        until("mouse", || (mouse(&mut tmux).trim() == "1").then_some(()));
        tmux.run(&["send-keys", "two", "Enter"]);
        tmux.shows("<two>");
        tmux.run(&["send-keys", "q", "Enter"]);
        tmux.shows("code 6");
        tmux.shows("same again");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn a_closed_terminal_ends_the_agent() {
    if std::process::Command::new("tmux")
        .arg("-V")
        .output()
        .is_err()
    {
        eprintln!("SKIP: tmux is not installed");
        return;
    }
    as_root_everywhere(|ground| {
        runs_arguments(ground);
        let script =
            "trap 'echo hung up >heard; exit 1' HUP; echo begun; while :; do sleep 0.1; done";
        fs_err::write(ground.project().join("agent.sh"), script).unwrap();
        let mut tmux = Tmux::new(ground);
        let command = format!(
            "{} --base {BASE} {} sh ./agent.sh",
            env!("CARGO_BIN_EXE_aicage"),
            ground.agent
        );
        tmux.run(&["new-session", "-d", "-x", "100", "-y", "30", &command]);
        tmux.shows("begun");
        drop(tmux);
        until("end of the container", || {
            ground.containers(&[]).is_empty().then_some(())
        });
        let heard = fs_err::read_to_string(ground.project().join("heard")).unwrap();
        assert_eq!(heard, "hung up\n");
    });
}

#[test]
fn without_an_engine_a_session_ends_with_whoever_started_it_and_leaves_nothing() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let (mut child, mut stdout) = at_a_pipe(
            ground,
            "trap '' TERM HUP; (while :; do sleep 1; done) & echo up; while :; do sleep 1; done",
        );
        assert_eq!(listed(ground)[0]["attached"], true);
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody is left who could print anything.
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
        assert_eq!(listed(ground), Vec::<Value>::new());
    });
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
