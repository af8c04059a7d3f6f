//! The engines that tests run on.

use std::path::{Path, PathBuf};

use aicage::engine::native::Native;

use super::ground::Ground;

/// Stands for this machine without any engine.
pub(super) const NATIVE: &str = "native";

/// The engines that the world may have.
const ENGINES: [&str; 5] = [
    "AICAGE_TEST_DOCKER_OLD",
    "AICAGE_TEST_DOCKER_NEW",
    "AICAGE_TEST_DOCKER_ROOTLESS",
    "AICAGE_TEST_PODMAN",
    "AICAGE_TEST_PODMAN_ROOTLESS",
];

/// The engines of the world: name and address. Those of the unprivileged user are used by root here, who may.
#[expect(
    clippy::disallowed_methods,
    reason = "the world is described by variables"
)]
pub(crate) fn engines() -> Vec<(&'static str, String)> {
    ENGINES
        .into_iter()
        .filter_map(|name| Some((name, std::env::var(name).ok()?)))
        .collect()
}

/// Says that a test has nothing to run on.
pub(crate) fn skip(reason: &str) {
    say(&format!("SKIP: {reason}"));
}

#[expect(clippy::print_stderr, reason = "what a failed test was at")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Runs a test in cages of this machine, as whoever runs the tests.
pub(crate) fn on_this_machine(salt: &str, test: impl Fn(&Ground)) {
    let Some(busybox) = busybox() else {
        skip("no static busybox (package busybox-static)");
        return;
    };
    say("on this machine by itself");
    test(&Ground::new(NATIVE, salt, &busybox));
}

/// This machine as the engine, making cages with the program that is tested.
pub(super) fn native(store: &Path) -> Native {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let name = std::process::Command::new("id")
        .arg("-un")
        .output()
        .unwrap();
    let name = String::from_utf8(name.stdout).unwrap();
    let account = (name.trim(), uid.as_raw(), gid.as_raw());
    Native::new(store.to_owned(), account).with_program(program())
}

/// The variable that says where the program is, for tests that run as somebody else.
pub(crate) const PROGRAM: &str = "AICAGE_TEST_PROGRAM";

#[expect(
    clippy::disallowed_methods,
    reason = "set by the test that starts this one"
)]
pub(crate) fn program() -> PathBuf {
    let elsewhere = std::env::var_os(PROGRAM).map(PathBuf::from);
    elsewhere.unwrap_or_else(|| env!("CARGO_BIN_EXE_aicage").into())
}

/// Runs a test on every engine there is. `salt` makes the image another one than that of any other test.
pub(crate) fn on_each_engine(salt: &str, test: impl Fn(&Ground)) {
    let engines = engines();
    if engines.is_empty() {
        skip(&format!("no container engine ({})", ENGINES.join(", ")));
        return;
    }
    let Some(busybox) = busybox() else {
        skip("no static busybox (package busybox-static)");
        return;
    };
    for (name, address) in engines {
        // On which engine it failed is the last that a failed test says.
        say(&format!("on {name}"));
        test(&Ground::new(&address, salt, &busybox));
    }
}

fn busybox() -> Option<Vec<u8>> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| fs_err::read(path).ok())
}
