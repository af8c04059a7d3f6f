//! A session is the agent's: its exit code, its bytes, its signals and its terminal are passed on, and it is the
//! caller who runs inside.

use std::{
    io::{Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::ground::{BASE, Ground, Said, begun, on_all_engines, on_every_engine, shell};

const BUSYBOX: &str = "library/busybox:latest";

/// An agent that runs its arguments.
fn runs_arguments(ground: &Ground) {
    ground.base(BUSYBOX);
    ground.define_program(r#"exec "$@""#);
    ground.build();
}

/// Waits until something is there, for a minute at most.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "no {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(child: &Child, name: &str) {
    let process = child.id().to_string();
    Said::of(Command::new("kill").args(["-s", name, &process]), 0);
}

#[test]
fn exit_codes_are_the_agents_and_no_container_is_left() {
    on_all_engines(|ground| {
        runs_arguments(ground);
        for code in [0, 1, 42, 137, 255] {
            ground.start(&["sh", "-c", &format!("exit {code}")], code);
        }
        ground.start(&["sh", "-c", "kill -TERM $$"], 143);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn an_agent_that_is_not_in_the_image_is_named() {
    on_all_engines(|ground| {
        ground.base(BUSYBOX);
        ground.define("#!/bin/sh\necho nothing is installed\n");
        let said = ground.start(&[], 127);
        said.tells(&ground.agent);
        ground.run(
            &[
                "-e",
                "AICAGE_ENTRYPOINT_CMD=/etc/passwd",
                "--base",
                BASE,
                &ground.agent,
            ],
            126,
        );
    });
}

#[test]
fn pipes_carry_every_byte() {
    on_all_engines(|ground| {
        runs_arguments(ground);
        // Every byte value, over and over: 10 MB.
        let bytes: Vec<u8> = (0..10_000_000_u32)
            .flat_map(|n| {
                (n.wrapping_mul(2_654_435_761) >> 24)
                    .to_le_bytes()
                    .into_iter()
                    .take(1)
            })
            .collect();
        let mut child = ground
            .aicage(&[
                "--base",
                BASE,
                &ground.agent,
                "sh",
                "-c",
                "echo aside >&2; cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&sent));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout.len(), bytes.len());
        assert!(output.stdout == bytes, "the bytes came back changed");
        assert!(String::from_utf8_lossy(&output.stderr).contains("aside"));
    });
}

#[test]
fn a_reader_that_leaves_and_an_input_that_ends_are_no_trouble() {
    on_all_engines(|ground| {
        runs_arguments(ground);
        // No input at all: `cat` sees its end.
        let said = ground.start(&["cat"], 0);
        assert_eq!(said.stdout, "");
        let mut child = ground
            .aicage(&["--base", BASE, &ground.agent, "yes"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut some = [0; 1000];
        stdout.read_exact(&mut some).unwrap();
        drop(stdout);
        let status = child.wait().unwrap();
        assert!(!status.success() || status.signal().is_none());
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn a_signal_ends_the_agent_and_its_code_is_passed_on() {
    on_all_engines(|ground| {
        runs_arguments(ground);
        for (name, code) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
            let script = format!(
                "trap 'echo heard; exit {code}' {name}; echo ready; while :; do sleep 0.1; done"
            );
            let start = ["--base", BASE, &ground.agent, "sh", "-c", &script];
            // Before its first byte arrives, a signal may still be ours.
            let (child, mut stdout) = begun(&mut ground.aicage(&start), "ready\n");
            signal(&child, name);
            let output = child.wait_with_output().unwrap();
            let said = Said::judge(&output, code, name);
            let mut rest = String::new();
            stdout.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "heard\n", "{}", said.stderr);
            assert_eq!(ground.containers(&[]), Vec::<String>::new());
        }
    });
}

/// The caller: a number that no account has.
const CALLER: u32 = 54_321;

#[test]
fn inside_is_the_caller_with_home_name_directory_and_state() {
    on_every_engine(|ground| {
        runs_arguments(ground);
        ground.write_agent(
            "agent.yml",
            "agent_full_name: Agent\nagent_homepage: https://agent.example\nagent_path:\n  \
             directories: [~/.state/agent]\n  files: [~/.agent.json]\n",
        );
        let socket = ground.engine.strip_prefix("unix://").unwrap();
        let group = fs_err::metadata(socket).unwrap().gid().to_string();
        fs_err::write(ground.home().join("secret"), "not the agent's").unwrap();
        // The program must be where the caller may go.
        let program = ground.path("aicage");
        fs_err::copy(env!("CARGO_BIN_EXE_aicage"), &program).unwrap();
        shell(
            r#"chmod 755 "$1" && chown -R 54321:54321 "$1""#,
            &[&ground.path("")],
        );
        let caller = CALLER.to_string();
        let aicage = ground.aicage(&[]);
        let run = |script: &str| {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", &caller, "--regid", &caller, "--groups", &group])
                .arg(&program)
                .args(["--base", BASE, &ground.agent, "sh", "-c", script])
                .current_dir(ground.project())
                .env_clear()
                .envs(
                    aicage
                        .get_envs()
                        .filter_map(|(name, value)| Some((name, value?))),
                )
                .env("USER", "carla")
                .env("TZ", "Asia/Tokyo")
                .stdin(Stdio::null());
            Said::of(&mut command, 0).stdout
        };
        let said = run(
            "id -u; id -g; id -un; echo $HOME; pwd; echo $TZ; ls $HOME; \
             mkdir made && echo text >made/file && chmod 640 made/file; \
             echo one >>~/.state/agent/kept; echo two >>~/.agent.json",
        );
        let expected = format!(
            "{CALLER}\n{CALLER}\ncarla\n{}\n{}\nAsia/Tokyo\n",
            ground.home().display(),
            ground.project().display()
        );
        assert_eq!(said, expected);
        run("echo one >>~/.state/agent/kept; rm -r made/../made2 2>/dev/null; true");
        let owned = |path: &std::path::Path| {
            let there = fs_err::symlink_metadata(path).unwrap();
            (there.uid(), there.gid())
        };
        let home = ground.home();
        for path in [
            ground.project().join("made"),
            ground.project().join("made/file"),
            home.join(".state"),
            home.join(".state/agent"),
            home.join(".state/agent/kept"),
            home.join(".agent.json"),
        ] {
            assert_eq!(owned(&path), (CALLER, CALLER), "{}", path.display());
        }
        let kept = fs_err::read_to_string(home.join(".state/agent/kept")).unwrap();
        assert_eq!(kept, "one\none\n");
        assert_eq!(
            fs_err::read_to_string(home.join(".agent.json")).unwrap(),
            "{}\ntwo\n",
            "a file of JSON is valid before the agent first writes to it"
        );
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn a_terminal_has_its_size_follows_it_and_passes_ctrl_c() {
    if Tmux::is_missing() {
        return;
    }
    on_every_engine(|ground| {
        runs_arguments(ground);
        let script = "trap 'echo caught; exit 9' INT; echo start $(stty size); \
                      while :; do s=$(stty size); [ \"$s\" = \"$o\" ] || echo size $s; o=$s; sleep 0.1; done";
        let agent = ground.project().join("agent.sh");
        fs_err::write(&agent, script).unwrap();
        let mut tmux = Tmux::new(ground);
        tmux.run(&[
            "new-session",
            "-d",
            "-x",
            "90",
            "-y",
            "20",
            &format!(
                "{} --base {BASE} {} sh ./agent.sh; echo code $?; exec sleep 600",
                env!("CARGO_BIN_EXE_aicage"),
                ground.agent
            ),
        ]);
        tmux.shows("size 20 90");
        tmux.run(&["resize-window", "-x", "70", "-y", "15"]);
        tmux.shows("size 15 70");
        tmux.run(&["send-keys", "C-c"]);
        tmux.shows("caught");
        tmux.shows("code 9");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

/// A terminal of its own, ended with the test.
pub(crate) struct Tmux<'a> {
    ground: &'a Ground,
    socket: String,
}

impl<'a> Tmux<'a> {
    /// Tells whether there is none here, and says then that the test is skipped.
    pub(crate) fn is_missing() -> bool {
        let is_missing = Command::new("tmux").arg("-V").output().is_err();
        if is_missing {
            eprintln!("SKIP: tmux is not installed");
        }
        is_missing
    }

    pub(crate) fn new(ground: &'a Ground) -> Self {
        let socket = ground.path("tmux").display().to_string();
        Self { ground, socket }
    }

    pub(crate) fn run(&mut self, arguments: &[&str]) -> String {
        let aicage = self.ground.aicage(&[]);
        let mut command = Command::new("tmux");
        command
            .args(["-f", "/dev/null", "-S", &self.socket])
            .args(arguments)
            .current_dir(self.ground.project())
            .env_clear()
            .envs(
                aicage
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm");
        Said::of(&mut command, 0).stdout
    }

    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        until(text, || {
            let shown = self.run(&["capture-pane", "-p", "-S", "-200"]);
            shown.contains(text).then_some(())
        });
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _said = Command::new("tmux")
            .args(["-S", &self.socket, "kill-server"])
            .output();
    }
}
