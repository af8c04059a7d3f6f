//! The contract of a sandbox on this machine alone, kept by an ordinary user: the same tests, run again as somebody else.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::support::{PROGRAM, skip};

/// Those that have no part on this machine alone pass without doing anything.
const ROOMS: [&str; 7] = [
    "steps::",
    "step_failures::",
    "instructions::",
    "mounts::",
    "caches::",
    "session::",
    "given_up::",
];

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the world is described by variables"
)]
fn an_ordinary_user_can_do_all_that_root_can() {
    if !rustix::process::getuid().is_root() {
        return skip("only root becomes somebody else");
    }
    let Ok(user) = std::env::var("AICAGE_TEST_USER") else {
        return skip("no ordinary user with subordinate ids (AICAGE_TEST_USER)");
    };
    let home = tempfile::tempdir().unwrap();
    let open = |path: &Path| {
        fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    open(home.path());
    let (tests, program) = (home.path().join("tests"), home.path().join("aicage"));
    fs_err::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    fs_err::copy(env!("CARGO_BIN_EXE_aicage"), &program).unwrap();
    // Beside the tests, as the build has it.
    let session = crate::session::program();
    fs_err::copy(session, home.path().join("session")).unwrap();
    let scratch = home.path().join("scratch");
    fs_err::create_dir(&scratch).unwrap();
    let owned = Command::new("chown").arg(&user).arg(&scratch).status();
    assert!(owned.unwrap().success(), "the user has a place for files");
    let output = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--init-groups"])
        .arg(&tests)
        .args(ROOMS)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", &scratch)
        .env(PROGRAM, &program)
        .current_dir(&scratch)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("caches::a_cache_stays_between_steps_and_knows_its_seed ... ok"),
        "the tests were run: {said}"
    );
    let left: Vec<_> = fs_err::read_dir(&scratch).unwrap().collect();
    assert!(left.is_empty(), "nothing is left: {left:?}");
}
