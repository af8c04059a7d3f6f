//! An engine goes away for a moment and comes back: what ran on is taken up again, and nothing that runs is ended for it.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    ground::{BASE, Ground, Said, begun, on_every_engine},
    session::Tmux,
};

/// Stands between the program and the engine.
struct Between {
    /// What `DOCKER_HOST` is to be.
    host: String,
    connections: Arc<Mutex<Vec<UnixStream>>>,
    refusals: Arc<AtomicU32>,
}

impl Between {
    fn new(ground: &Ground) -> Self {
        let path = ground.path("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let between = Self {
            host: format!("unix://{}", path.display()),
            connections: Arc::default(),
            refusals: Arc::default(),
        };
        let engine = ground.engine.strip_prefix("unix://").unwrap().to_owned();
        let (connections, refusals) = (
            Arc::clone(&between.connections),
            Arc::clone(&between.refusals),
        );
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&engine).unwrap());
                let ends = [&client, &server].map(|end| end.try_clone().unwrap());
                connections.lock().unwrap().extend(ends);
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let refusals = Arc::clone(&refusals);
                std::thread::spawn(move || pass(from, to, |bytes| !is_refused(bytes, &refusals)));
                std::thread::spawn(move || pass(server, client, |_| true));
            }
        });
        between
    }

    /// Breaks all connections; the next attempts to join a container are refused, as by an engine that is not quite there.
    fn cut(&self, refusals: u32) {
        self.refusals.store(refusals, Ordering::SeqCst);
        for end in self.connections.lock().unwrap().drain(..) {
            let _closed_already = end.shutdown(Shutdown::Both);
        }
    }
}

fn is_refused(bytes: &[u8], refusals: &AtomicU32) -> bool {
    let joins = bytes.windows(8).any(|part| part == b"/attach?");
    let left = |left: u32| left.checked_sub(1);
    joins
        && refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
            .is_ok()
}

fn pass(mut from: UnixStream, mut to: UnixStream, may: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !may(&buffer[..read]) {
            let _closed_already = from.shutdown(Shutdown::Both);
            break;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _closed_already = to.shutdown(Shutdown::Write);
}

#[test]
fn an_agent_is_taken_up_again_however_often_the_engine_refuses_at_first() {
    if Tmux::is_missing() {
        return;
    }
    on_every_engine(|ground| {
        ground.base("library/busybox:latest");
        ground.define_program(r#"exec "$@""#);
        ground.build();
        let script = "echo begun; while read -r line; do echo \"<$line>\"; [ \"$line\" = q ] && exit 6; done";
        fs_err::write(ground.project().join("agent.sh"), script).unwrap();
        let between = Between::new(ground);
        let shell = format!(
            "DOCKER_HOST={} {} --base {BASE} {} sh ./agent.sh; echo code $?; exec sleep 600",
            between.host,
            env!("CARGO_BIN_EXE_aicage"),
            ground.agent
        );
        let mut tmux = Tmux::new(ground);
        tmux.run(&["new-session", "-d", "-x", "100", "-y", "30", &shell]);
        tmux.shows("begun");
        between.cut(3);
        tmux.shows("the container engine is back");
        assert_eq!(between.refusals.load(Ordering::SeqCst), 0);
        tmux.run(&["send-keys", "two", "Enter"]);
        tmux.shows("<two>");
        tmux.run(&["send-keys", "q", "Enter"]);
        tmux.shows("code 6");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn whoever_only_looks_in_is_not_told_that_the_session_ended_and_does_not_end_it() {
    on_every_engine(|ground| {
        ground.base("library/busybox:latest");
        ground.define_program(r#"exec "$@""#);
        ground.build();
        let script = "while :; do echo tick; sleep 0.1; done";
        let start = ["-d", "--base", BASE, &ground.agent, "sh", "-c", script];
        ground.run(&start, 0);
        let between = Between::new(ground);
        let mut command = ground.aicage(&["attach"]);
        let (child, _stdout) = begun(command.env("DOCKER_HOST", &between.host), "tick\n");
        between.cut(0);
        let said = Said::judge(&child.wait_with_output().unwrap(), 125, "attach");
        said.tells("still runs is not known");
        assert_eq!(ground.containers(&[]).len(), 1);
        ground.run(&["stop", "-t", "0"], 0);
    });
}
