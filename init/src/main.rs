//! The program that runs inside a container: a step, or a session.
//!
//! It is static and needs nothing of the image, not even a shell. Its doors: `init step DIR NONCE` runs scripts or
//! carries out instructions and answers with what they changed, `init session [--] [arguments]` prepares the user and runs the agent, `init probe HOST:PORT…` tells what
//! the network reaches. The first two are PID 1 of their container: they reap what others leave.
//!
//! **Invariants.** It knows nothing outside its container. Nothing is read from the image after a script has run,
//! but what the walk captures.

#![cfg_attr(
    not(target_os = "linux"),
    expect(unused, reason = "containers are Linux")
)]

#[cfg(target_os = "linux")]
mod certificates;
#[cfg(target_os = "linux")]
mod children;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod session;
#[cfg(target_os = "linux")]
mod step;

use std::process::ExitCode;

/// Says something to whoever watches; nobody may be there.
#[cfg(target_os = "linux")]
fn say(message: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "aicage: {message}").unwrap_or_default();
}

/// Says an error with its causes.
#[cfg(target_os = "linux")]
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(verb) if verb == "step" => {
            match (arguments.next(), arguments.next(), arguments.next()) {
                (Some(directory), Some(nonce), None) => step::run(directory.as_ref(), &nonce),
                _ => usage(),
            }
        }
        Some(verb) if verb == "session" => {
            let mut rest: Vec<_> = arguments.collect();
            if rest.first().is_some_and(|first| first == "--") {
                rest.remove(0);
            }
            session::run(&rest)
        }
        Some(verb) if verb == "probe" => probe::run(&arguments.collect::<Vec<_>>()),
        Some(verb) if verb == launch::LAUNCH => launch::launch(&arguments.collect::<Vec<_>>()),
        _ => usage(),
    }
}

#[cfg(target_os = "linux")]
fn usage() -> ExitCode {
    say("usage: init step DIR NONCE, init session [--] [ARGUMENTS], or init probe HOST:PORT…");
    ExitCode::from(2)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::from(2)
}
