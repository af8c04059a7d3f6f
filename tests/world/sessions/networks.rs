//! A network of a session's own, which `pasta` connects without an engine.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use super::runs_arguments;
use crate::{
    ground::{BASE, Ground, Said, on_this_machine},
    session::until,
};

/// An address of this machine that is on its loopback interface, and not a loopback address: the world's proxy has it.
const ADDRESS: &str = "198.18.200.1";

/// Answers whoever asks by HTTP, at any of this machine's addresses; returns the port.
fn server() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
            let is_more =
                |line: &io::Result<String>| line.as_ref().is_ok_and(|line| !line.is_empty());
            lines.by_ref().take_while(is_more).for_each(drop);
            let answer = "HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\nfrom outside\n";
            client.write_all(answer.as_bytes()).unwrap_or_default();
            // The other side closes first.
            drop(lines.last());
        }
    });
    port
}

/// Asks for a file by HTTP; `None` if nobody answers.
fn asked(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /answer HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// A port of this machine that nobody has.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The processes that forward a port of this machine.
fn forwarding(port: u16) -> Vec<String> {
    let said = Command::new("pgrep")
        .args(["-f", &format!("^[^ ]*pasta .*127.0.0.1/{port}:")])
        .output()
        .unwrap();
    let numbers = String::from_utf8(said.stdout).unwrap();
    numbers.split_whitespace().map(str::to_owned).collect()
}

/// Starts a session that serves a port in its own network, and waits until it is reached from here.
fn serves(ground: &Ground) -> (String, u16) {
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:8080");
    let script = "mkdir /tmp/shown; echo from inside >/tmp/shown/answer; exec httpd -f -p 8080 -h /tmp/shown";
    let mut start = vec!["-d", "--network", "pasta", "-p", &publish, "--base", BASE];
    start.extend([&ground.agent, "sh", "-c", script]);
    let name = ground.run(&start, 0).stdout.trim().to_owned();
    until("answer from inside", || {
        asked(port)?.ends_with("from inside\n").then_some(())
    });
    assert!(!forwarding(port).is_empty(), "nobody forwards {port}");
    (name, port)
}

#[test]
fn a_network_of_its_own_reaches_other_addresses_and_nothing_of_this_machines_loopback() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let port = server();
        // Both sides stay until the answer is there: `pasta` of 2023 repeats what is sent to half a connection.
        let listen = format!(
            "ask() {{ (printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 2) | timeout 5 nc $1 {port} 2>/dev/null | grep -m 1 from; }}; \
             ask {ADDRESS}; ask 127.0.0.1 || echo nobody there; \
             grep -c : /proc/net/dev"
        );
        let mut start = vec!["--network", "pasta", "--base", BASE];
        start.extend([&ground.agent, "sh", "-c", &listen]);
        let said = ground.run(&start, 0);
        assert_eq!(
            said.stdout, "from outside\nnobody there\n2\n",
            "{}",
            said.stderr
        );
    });
}

#[test]
fn published_ports_lead_into_a_network_of_its_own_as_long_as_the_session_runs() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let (name, port) = serves(ground);
        let own = "grep -qi :1F90 /proc/net/tcp /proc/net/tcp6 && echo it listens here";
        let said = ground.run(&["exec", &name, "--", "sh", "-c", own], 0);
        assert_eq!(said.stdout, "it listens here\n");
        ground.run(&["stop", "-t", "0", &name], 0);
        until("end of the forwarding", || {
            forwarding(port).is_empty().then_some(())
        });
    });
}

#[test]
fn whoever_connects_a_network_ends_with_a_session_whose_keeper_or_cage_was_killed() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        // Two look after it, the next one has the cage, and that one's parent is the keeper.
        for (generations, stage) in [(3, "enter"), (4, "keep")] {
            let (_name, port) = serves(ground);
            let mut process = forwarding(port).pop().unwrap();
            for _ in 0..generations {
                let parent = Said::of(Command::new("ps").args(["-o", "ppid=", "-p", &process]), 0);
                process = parent.stdout.trim().to_owned();
            }
            let command = Said::of(Command::new("ps").args(["-o", "args=", "-p", &process]), 0);
            assert!(command.stdout.contains(stage), "{}", command.stdout);
            Said::of(Command::new("kill").args(["-KILL", &process]), 0);
            until("end of the forwarding", || {
                forwarding(port).is_empty().then_some(())
            });
        }
    });
}

#[test]
fn ports_that_cannot_be_connected_are_refused() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let publish = format!("127.0.0.1:{port}:8080");
        let mut start = vec!["--network", "pasta", "-p", &publish, "--base", BASE];
        start.extend([&ground.agent, "true"]);
        let said = ground.run(&start, 125);
        said.tells("cannot connect the network with `pasta`");
        let free = ["--network", "pasta", "-p", "8080", "--base", BASE];
        let said = ground.run(&[&free[..], &[&ground.agent, "true"]].concat(), 3);
        said.tells("there is no --publish 8080");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}
