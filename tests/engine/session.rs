//! Sessions, through the example program: streams, exit status, signals, terminal, nothing left behind.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use aicage::engine::docker::LoadRequest;
use assembler::{image::Image, reporter::Silent};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ground, on_each_engine, on_this_machine};

const LABEL: &str = "io.github.aicage.session";

pub(crate) fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    let beside = path.join("session");
    if beside.exists() {
        return beside;
    }
    path.pop();
    path.join("examples/session")
}

/// Loads the ground's image, where that is needed, and makes the command of a session.
fn session(ground: &Ground, kind: &str, more: &[&str]) -> Command {
    session_of(ground, &ground.image, (kind, more))
}

/// The same with another image.
pub(crate) fn session_of(ground: &Ground, image: &Image, (kind, more): (&str, &[&str])) -> Command {
    let (place, image) = if ground.is_native() {
        let store = ground.directory.path().join("store");
        let program = crate::support::program();
        let place = format!("native:{}:{}", store.display(), program.display());
        (place, image.manifest().digest().to_string())
    } else {
        let reference = format!("aicage-test:session-{}", std::process::id());
        let reference = reference.parse().unwrap();
        let request = LoadRequest {
            store: &ground.store,
            lock: &ground.lock,
            image,
            reference: &reference,
            reporter: &Silent,
        };
        let loading = ground.engine_docker().load(&request);
        let loaded = ground.runtime.block_on(loading).unwrap();
        (ground.address.clone(), loaded.id)
    };
    let mut command = Command::new(program());
    command
        .args([kind, &place, &image, &format!("@{}", ground.title())])
        .args(more)
        .stdin(Stdio::null());
    command
}

/// Runs a test on each engine, and on this machine by itself.
fn on_each(salt: &str, test: impl Fn(&Ground)) {
    on_each_with_a_daemon(salt, &test);
    on_this_machine(salt, |ground| {
        test(ground);
        let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
        let sessions = ground.directory.path().join("store/sessions");
        let left = || {
            let sessions = fs_err::read_dir(&sessions).into_iter().flatten();
            ground.leftovers(LABEL).len() + sessions.count()
        };
        // A cage is taken away when its end was told already.
        while left() > 0 && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(ground.leftovers(LABEL), Vec::<String>::new());
        assert_eq!(left(), 0, "no session is left");
    });
}

fn on_each_with_a_daemon(salt: &str, test: &impl Fn(&Ground)) {
    on_each_engine(salt, |ground| {
        test(ground);
        assert_eq!(
            ground.leftovers(LABEL),
            Vec::<String>::new(),
            "no container is left"
        );
        ground.docker(&[
            "rmi",
            "-f",
            &format!("aicage-test:session-{}", std::process::id()),
        ]);
    });
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn check(output: &Output, status: i32, stdout: &str, stderr: &str) {
    assert_eq!(
        (
            output.status.code(),
            text(&output.stdout).as_str(),
            text(&output.stderr).as_str()
        ),
        (Some(status), stdout, stderr)
    );
}

#[test]
fn streams_stay_apart_and_the_exit_status_comes_through() {
    on_each("streams", |ground| {
        let output = session(
            ground,
            "empty",
            &["A=b, c", "--", "sh", "-c", "echo $A; echo no >&2; exit 7"],
        )
        .output()
        .unwrap();
        check(&output, 7, "b, c\n", "no\n");
    });
}

#[test]
fn a_session_that_was_killed_before_it_started_is_removed_by_the_next_one() {
    on_each_with_a_daemon("unstarted", &|ground: &Ground| {
        let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let boot = boot.split('-').next().unwrap();
        let namespace = fs_err::read_link("/proc/self/ns/pid").unwrap();
        let namespace = namespace.to_string_lossy();
        let namespace = namespace.trim_start_matches("pid:[").trim_end_matches(']');
        // Loads the image.
        let mut next = session(ground, "pipe", &["--", "cat"]);
        let image = ground.engine_docker().id_of(&ground.image);
        let label = format!("{LABEL}={}", ground.title());
        let create = |owner: &str, verb: &[&str], command: &[&str]| {
            let owner = format!("io.github.aicage.owner={boot}-{namespace}-{owner}");
            let labels = ["--label", &label, "--label", &owner, &image];
            let id = ground.docker(&[verb, &labels, command].concat());
            id.trim().to_owned()
        };
        let dead = create("1-1", &["create"], &["true"]);
        // Its owner lives until it runs, or another test would take it for one that was never started.
        let mut owner = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let stat = fs_err::read_to_string(format!("/proc/{}/stat", owner.id())).unwrap();
        let start = stat
            .rsplit(") ")
            .next()
            .unwrap()
            .split(' ')
            .nth(19)
            .unwrap();
        let alive = format!("{}-{start}", owner.id());
        let running = create(&alive, &["run", "-d"], &["sleep", "1000"]);
        owner.kill().unwrap();
        owner.wait().unwrap();
        let mut next = next
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let is_there = |id: &str| {
            let left = ground.leftovers(LABEL);
            left.iter().any(|short| id.starts_with(short.as_str()))
        };
        let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while is_there(&dead) && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let (dead, agent) = (is_there(&dead), is_there(&running));
        drop(next.stdin.take());
        assert!(next.wait().unwrap().success());
        ground.docker(&["rm", "-f", &running]);
        assert!(!dead, "nobody would ever have started it");
        assert!(agent, "an agent that runs is left alone");
    });
}

#[test]
fn what_cannot_be_started_gives_the_status_of_a_shell() {
    on_each("status", |ground| {
        for (command, status) in [("nothere", 127), ("/etc", 126), ("/etc/second", 126)] {
            let output = session(ground, "empty", &["--", command]).output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(status),
                "{command}: {}",
                text(&output.stderr)
            );
        }
        let output = session(ground, "empty", &["/not/here=>/mnt", "--", "true"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    });
}

#[test]
fn stdin_reaches_the_container_byte_for_byte_and_ends_there() {
    on_each("stdin", |ground| {
        let mut bytes = vec![0; 5_000_000];
        fs_err::File::open("/dev/urandom")
            .unwrap()
            .read_exact(&mut bytes)
            .unwrap();
        let mut child = session(ground, "pipe", &["--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(
            output.stdout == bytes,
            "{} bytes came back",
            output.stdout.len()
        );
        assert_eq!(output.status.code(), Some(0));
    });
}

#[test]
fn a_session_ends_with_its_container_even_if_stdin_stays_open() {
    on_each("open", |ground| {
        let mut child = session(ground, "pipe", &["--", "true"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        drop(stdin);
    });
}

/// Starts a session whose script first says `up`, and waits for that.
fn running(ground: &Ground, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = session(ground, "empty", &["--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    (child, stdout)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn signals_are_passed_on() {
    on_each("signals", |ground| {
        let loops = "echo up; while :; do sleep 0.1; done";
        let (mut child, _stdout) = running(ground, &format!("trap 'exit 9' TERM; {loops}"));
        signal(&child, Signal::TERM);
        assert_eq!(
            child.wait().unwrap().code(),
            Some(9),
            "the container handled the signal itself"
        );

        let (mut child, mut stdout) = running(ground, &format!("trap 'echo no' INT; {loops}"));
        let mut line = String::new();
        for _ in 0..2 {
            signal(&child, Signal::INT);
            line.clear();
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line, "no\n");
        }
        signal(&child, Signal::INT);
        assert_eq!(
            child.wait().unwrap().code(),
            Some(137),
            "the third interrupt kills"
        );
    });
}

#[test]
fn a_reader_that_goes_away_ends_the_session() {
    on_each("reader", |ground| {
        let (mut child, stdout) = running(
            ground,
            "trap 'exit 3' TERM; echo up; while :; do echo more; done",
        );
        drop(stdout);
        assert_eq!(child.wait().unwrap().code(), Some(3));
    });
}

#[test]
fn a_mount_may_have_any_name() {
    on_each("mounts", |ground| {
        // Podman has no words for both a comma and a colon.
        let name = if ground.info().is_podman() {
            "a b, c=d"
        } else {
            "a:b, c=d"
        };
        let odd = ground.directory.path().join(name);
        fs_err::create_dir(&odd).unwrap();
        fs_err::write(odd.join("file"), "seen").unwrap();
        let mount = format!("{}=>/mnt", odd.display());
        let output = session(ground, "empty", &[&mount, "--", "cat", "/mnt/file"])
            .output()
            .unwrap();
        check(&output, 0, "seen", "");
    });
}

#[test]
fn a_terminal_has_our_size_passes_bytes_and_is_restored() {
    on_each("terminal", |ground| {
        let session = session(ground, "terminal", &["--", "sh", "-c", "SCRIPT"]);
        // The size is told after the start, so the script waits for it. `printf` sends what looks like a frame's header.
        let script = "while [ \"$(stty size)\" != '33 77' ]; do sleep 0.1; done; stty size; printf '\\001\\002z'; read line; echo \"got $line\"; exit 5";
        let mut words: Vec<String> = vec![session.get_program().to_string_lossy().into_owned()];
        words.extend(
            session
                .get_args()
                .map(|word| word.to_string_lossy().into_owned()),
        );
        *words.last_mut().unwrap() = script.to_owned();
        let quoted: Vec<String> = words
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
            .collect();
        let line = format!(
            "stty rows 33 cols 77; before=$(stty -g); {}; echo status $?; [ \"$before\" = \"$(stty -g)\" ] && echo restored",
            quoted.join(" ")
        );
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut seen = Vec::new();
        let mut byte = [0; 256];
        while !text(&seen).contains('z') {
            let read = stdout.read(&mut byte).unwrap();
            assert!(read > 0, "it ended with {}", text(&seen));
            seen.extend_from_slice(&byte[..read]);
        }
        stdin.write_all(b"typed\r").unwrap();
        stdout.read_to_end(&mut seen).unwrap();
        child.wait().unwrap();
        let seen = text(&seen);
        for expected in ["33 77", "\u{1}\u{2}z", "got typed", "status 5", "restored"] {
            assert!(
                seen.contains(expected),
                "`{expected}` is missing in {seen:?}"
            );
        }
    });
}
