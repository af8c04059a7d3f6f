//! `aicage config` from outside: what is set is there, and nothing else changes.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

use std::{
    path::Path,
    process::{Command, Output},
};

fn aicage(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aicage"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("AICAGE_HOME", home)
        .current_dir(home)
        .output()
        .unwrap()
}

#[track_caller]
fn set(home: &Path, arguments: &[&str]) {
    let output = aicage(home, &[&["config", "set"], arguments].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
}

#[test]
fn what_many_set_at_once_is_all_there_and_so_are_the_comments() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.yml");
    fs_err::write(
        &file,
        "# mine\nregistry:\n# in the first column\n  plain_http: [a.example]\n",
    )
    .unwrap();
    let settings: [&[&str]; 6] = [
        &["default_base", "debian"],
        &["update.check_interval", "2h"],
        &["network.ca", "/a.pem", "/b.pem"],
        &["registry.mirrors", "docker.io=http://127.0.0.1:1"],
        &["registry.final_repository", "x.example/y"],
        &["registry.base_repository", "x.example/z"],
    ];
    std::thread::scope(|scope| {
        for setting in settings {
            scope.spawn(|| set(home.path(), setting));
        }
    });
    let text = fs_err::read_to_string(&file).unwrap();
    for expected in [
        "# mine\n",
        "# in the first column\n",
        "plain_http: [a.example]\n",
        "default_base: debian\n",
        "check_interval: 2h\n",
        "- /b.pem\n",
        "- http://127.0.0.1:1\n",
        "final_repository: x.example/y\n",
        "base_repository: x.example/z\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    set(home.path(), &["default_base"]);
    let text = fs_err::read_to_string(&file).unwrap();
    assert!(!text.contains("default_base"), "{text}");
}

#[test]
fn a_file_in_another_style_is_not_touched() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.yml");
    let text = "{default_base: debian, update: {check_interval: 1h}}\n";
    fs_err::write(&file, text).unwrap();
    let output = aicage(home.path(), &["config", "set", "default_base", "fedora"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs_err::read_to_string(&file).unwrap(), text);
}
