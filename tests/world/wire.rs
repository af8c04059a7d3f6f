//! A wire to the registry: it notes what is asked, and can be cut or go dead.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Stands between the program and the registry: notes each request, and can go away.
pub(crate) struct Wire {
    /// `HOST:PORT` to ask instead of the registry.
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<String>>>,
    cut: Arc<AtomicBool>,
    stalled: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) fn to(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            address: listener.local_addr().unwrap().to_string(),
            requests: Arc::default(),
            cut: Arc::default(),
            stalled: Arc::default(),
        };
        let (registry, requests, cut) = (
            registry.to_owned(),
            Arc::clone(&wire.requests),
            Arc::clone(&wire.cut),
        );
        let stalled = Arc::clone(&wire.stalled);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for client in listener.incoming() {
                let client = client.unwrap();
                requests.lock().unwrap().push("a connection".to_owned());
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                if stalled.load(Ordering::SeqCst) {
                    held.push(client);
                    continue;
                }
                let server = TcpStream::connect(&registry).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let requests = Arc::clone(&requests);
                std::thread::spawn(move || pass(from, to, |bytes| note(bytes, &requests)));
                std::thread::spawn(move || pass(server, client, |_| ()));
            }
        });
        wire
    }

    /// Returns what was asked since the last time, connections included.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// Takes every connection from now on, and never answers.
    pub(crate) fn stall(&self) {
        self.stalled.store(true, Ordering::SeqCst);
    }

    /// Closes every connection from now on.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

fn note(bytes: &[u8], requests: &Mutex<Vec<String>>) {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or_default();
    if line.starts_with("GET ") || line.starts_with("HEAD ") {
        requests.lock().unwrap().push(line.to_owned());
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, look: impl Fn(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        look(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _gone = to.shutdown(Shutdown::Write);
}
