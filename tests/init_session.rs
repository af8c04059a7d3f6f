//! The embedded program begins a session as PID 1 of a container made by hand, in an image that has only a shell.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![cfg(target_os = "linux")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aicage::init_program::init_for;

/// A root with a shell and nothing else, the project and one file of the caller's mounted into it.
const CONTAINER: &str = r#"
mount --bind "$ROOT" "$ROOT" && mount -t proc proc "$ROOT/proc" &&
mount --bind "$PROJECT" "$ROOT/home/max/src/project" && mount --bind "$STATE" "$ROOT/home/max/.config/agent/state" &&
cd "$ROOT" && exec env -i $VARIABLES "$(command -v chroot)" "$ROOT" /opt/aicage/init session -- "$@"
"#;

struct Session {
    work: tempfile::TempDir,
    output: String,
    error: String,
    code: Option<i32>,
}

fn can_make_containers() -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: making namespaces needs root");
        return false;
    }
    if Command::new("busybox").arg("true").output().is_err() {
        eprintln!("SKIP: busybox is not installed (package busybox-static)");
        return false;
    }
    true
}

const MAX: &str = "AICAGE_UID=1234 AICAGE_GID=1235 AICAGE_HOST_USER=max AICAGE_HOME=/home/max \
                   AICAGE_WORKSPACE=/home/max/src/project PATH=/bin TZ=Mars/Olympus";

fn session(variables: &str, arguments: &[&str]) -> Session {
    session_in(|_root| {}, variables, arguments)
}

/// The same, in a root that was made ready.
fn session_in(ready: impl Fn(&Path), variables: &str, arguments: &[&str]) -> Session {
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| work.path().join(name);
    let root = [
        "bin",
        "etc/skel/.deep",
        "proc",
        "opt/aicage",
        "home/max/src/project",
        "home/max/.config/agent/state",
    ];
    for name in root
        .map(|name| format!("root/{name}"))
        .iter()
        .map(String::as_str)
        .chain(["project", "state"])
    {
        fs_err::create_dir_all(at(name)).unwrap();
    }
    for name in ["project", "state"] {
        std::os::unix::fs::chown(at(name), Some(1234), Some(1235)).unwrap();
    }
    let busybox = Command::new("sh")
        .args(["-c", "command -v busybox"])
        .output()
        .unwrap()
        .stdout;
    fs_err::copy(
        PathBuf::from(String::from_utf8(busybox).unwrap().trim()),
        at("root/bin/busybox"),
    )
    .unwrap();
    for name in ["sh", "id", "pwd", "touch", "cat", "ls", "kill", "sleep"] {
        symlink("busybox", at("root/bin").join(name)).unwrap();
    }
    fs_err::write(
        at("root/etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nubuntu:x:1234:1234::/home/ubuntu:/bin/sh\n",
    )
    .unwrap();
    // A shell has what it leaves running read from here.
    fs_err::create_dir(at("root/dev")).unwrap();
    fs_err::write(at("root/dev/null"), "").unwrap();
    fs_err::write(at("root/etc/skel/.deep/rc"), "rc").unwrap();
    fs_err::write(at("root/bin/notes"), "no program").unwrap();
    fs_err::write(
        at("root/opt/aicage/init"),
        init_for(std::env::consts::ARCH).unwrap(),
    )
    .unwrap();
    fs_err::set_permissions(at("root/opt/aicage/init"), PermissionsExt::from_mode(0o755)).unwrap();
    ready(&at("root"));
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "sh", "-c", CONTAINER, "sh"])
        .args(arguments)
        .envs([
            ("ROOT", at("root")),
            ("PROJECT", at("project")),
            ("STATE", at("state")),
        ])
        .env("VARIABLES", variables)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Session {
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
        work,
    }
}

#[test]
fn the_agent_is_the_caller_at_home_and_in_its_project() {
    if !can_make_containers() {
        return;
    }
    let script = "id; pwd; echo $HOME $USER $LOGNAME $PATH; touch made; touch ~/own; echo again > /proc/self/fd/1; exit 42";
    let session = session(&format!("{MAX} AICAGE_ENTRYPOINT_CMD=sh"), &["-c", script]);
    assert_eq!(
        session.output,
        "uid=1234(max) gid=1235(max)\n/home/max/src/project\n/home/max max max /home/max/.local/bin:/bin\nagain\n",
        "{}",
        session.error
    );
    assert_eq!(session.code, Some(42));
    let owner = |name: &str| {
        fs_err::metadata(session.work.path().join(name))
            .unwrap()
            .uid()
    };
    for name in [
        "project/made",
        "root/home/max",
        "root/home/max/.config/agent",
        "root/home/max/.deep/rc",
        "root/home/max/own",
    ] {
        assert_eq!(owner(name), 1234, "of {name}");
    }
    assert_eq!(owner("root/home"), 0);
    let users = fs_err::read_to_string(session.work.path().join("root/etc/passwd")).unwrap();
    assert_eq!(
        users,
        "root:x:0:0:root:/root:/bin/sh\nmax:x:1234:1235:max:/home/max:/bin/sh\n"
    );
}

#[test]
fn without_a_user_the_agent_is_root_and_a_shell() {
    if !can_make_containers() {
        return;
    }
    let session = session("PATH=/bin", &["-c", "id -u; pwd; echo $HOME"]);
    assert_eq!(
        session.output, "0\n/workspace\n/root\n",
        "{}",
        session.error
    );
}

#[test]
fn an_agent_that_cannot_run_is_named() {
    if !can_make_containers() {
        return;
    }
    for (name, code) in [("codex", 127), ("notes", 126), ("/bin/nothing", 127)] {
        let session = session(&format!("{MAX} AICAGE_ENTRYPOINT_CMD={name}"), &[]);
        assert_eq!(session.code, Some(code), "{name}");
        assert!(session.error.contains(name), "{}", session.error);
    }
}

#[test]
fn a_signal_ends_the_session_with_the_shells_code() {
    if !can_make_containers() {
        return;
    }
    let session = session("PATH=/bin", &["-c", "(sleep 1000 &); kill -9 $$"]);
    assert_eq!(session.code, Some(137), "{}", session.error);
}

#[test]
fn what_the_agent_left_running_is_asked_to_end() {
    if !can_make_containers() {
        return;
    }
    let left = "trap 'echo bye >bye; exit' TERM; echo >up; while :; do sleep 0.05; done";
    let script = format!("sh -c \"{left}\" & while [ ! -e up ]; do sleep 0.05; done; exit 5");
    let session = session(MAX, &["-c", &script]);
    assert_eq!(session.code, Some(5), "{}", session.error);
    let said = fs_err::read_to_string(session.work.path().join("project/bye"));
    assert_eq!(said.unwrap(), "bye\n", "{}", session.error);
}

#[test]
fn a_locale_that_the_image_has_not_is_replaced_by_one_that_every_image_has() {
    if !can_make_containers() {
        return;
    }
    let variables = format!("{MAX} AICAGE_LOCALE=LANG=de_DE.UTF-8;LC_TIME=C TERM=xterm-kitty");
    let session = session(
        &variables,
        &["-c", "echo $LANG $LC_TIME $TERM [$AICAGE_LOCALE]"],
    );
    assert_eq!(
        session.output, "C.UTF-8 C xterm-kitty []\n",
        "without a list of terminals nothing is known of any: {}",
        session.error
    );
}

#[test]
fn an_agent_that_suspends_itself_goes_on() {
    if !can_make_containers() {
        return;
    }
    let script = "kill -TSTP $$; echo went on; exit 5";
    let session = session(&format!("{MAX} AICAGE_ENTRYPOINT_CMD=sh"), &["-c", script]);
    assert_eq!(
        (session.output.as_str(), session.code),
        ("went on\n", Some(5)),
        "{}",
        session.error
    );
}

#[test]
fn a_mounted_home_is_refused() {
    if !can_make_containers() {
        return;
    }
    let session = session(
        &MAX.replace("AICAGE_HOME=/home/max", "AICAGE_HOME=/home/max/src/project"),
        &[],
    );
    assert_eq!(session.code, Some(1));
    assert!(
        session.error.contains("/home/max/src/project"),
        "{}",
        session.error
    );
}

const OWN: &str = "-----BEGIN CERTIFICATE-----\nOWN=\n-----END CERTIFICATE-----\n";
const COMPANY: &str = "-----BEGIN CERTIFICATE-----\nCOMPANY=\n-----END CERTIFICATE-----\n";
const OTHER: &str = "-----BEGIN CERTIFICATE-----\nOTHER=\n-----END CERTIFICATE-----\n";
const BUNDLE: &str = "/run/aicage/ca-bundle.pem";

/// Has the company's authorities where the caller mounts them.
fn given(root: &Path) {
    fs_err::create_dir_all(root.join("run/aicage")).unwrap();
    fs_err::write(root.join("run/aicage/ca.pem"), format!("{COMPANY}{OTHER}")).unwrap();
}

#[test]
fn the_companys_authorities_join_the_images_own_in_its_store_and_in_one_bundle() {
    if !can_make_containers() {
        return;
    }
    let ready = |root: &Path| {
        given(root);
        // As Fedora has it: one file that may not be written, and links; Debian's without its last line end.
        let store = root.join("etc/pki/ca-trust/extracted/pem");
        for directory in [
            &store,
            &root.join("etc/ssl/certs"),
            &root.join("etc/pki/ca-trust/source/anchors"),
        ] {
            fs_err::create_dir_all(directory).unwrap();
        }
        let file = store.join("tls-ca-bundle.pem");
        fs_err::write(&file, format!("{OWN}{OTHER}")).unwrap();
        fs_err::set_permissions(&file, PermissionsExt::from_mode(0o444)).unwrap();
        symlink(
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            root.join("etc/ssl/cert.pem"),
        )
        .unwrap();
        fs_err::write(
            root.join("etc/ssl/certs/ca-certificates.crt"),
            OWN.trim_end(),
        )
        .unwrap();
    };
    let variables =
        format!("{MAX} AICAGE_ENTRYPOINT_CMD=sh SSL_CERT_FILE={BUNDLE} PIP_CERT=/mine.pem");
    let session = session_in(
        ready,
        &variables,
        &["-c", "cat $SSL_CERT_FILE; echo $SSL_CERT_FILE $PIP_CERT"],
    );
    assert_eq!(
        session.output,
        format!("{OWN}{COMPANY}{OTHER}{BUNDLE} /mine.pem\n"),
        "{}",
        session.error
    );
    let read =
        |name: &str| fs_err::read_to_string(session.work.path().join("root").join(name)).unwrap();
    let mode = |name: &str| {
        fs_err::metadata(session.work.path().join("root").join(name))
            .unwrap()
            .mode()
    };
    assert_eq!(
        read("etc/ssl/certs/ca-certificates.crt"),
        format!("{OWN}{COMPANY}{OTHER}")
    );
    let fedora = "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
    assert_eq!(
        read(fedora),
        format!("{OWN}{OTHER}{COMPANY}"),
        "nothing comes twice"
    );
    assert_eq!(mode(fedora) & 0o777, 0o444);
    assert_eq!(read("usr/local/share/ca-certificates/aicage-1.crt"), OTHER);
    assert_eq!(
        read("etc/pki/ca-trust/source/anchors/aicage.pem"),
        format!("{COMPANY}{OTHER}")
    );
}

#[test]
fn an_image_without_authorities_and_one_that_cannot_be_written_have_the_companys() {
    if !can_make_containers() {
        return;
    }
    let variables = format!("{MAX} AICAGE_ENTRYPOINT_CMD=sh SSL_CERT_FILE={BUNDLE}");
    let session = session_in(given, &variables, &["-c", "cat /etc/ssl/cert.pem"]);
    assert_eq!(
        session.output,
        format!("{COMPANY}{OTHER}"),
        "{}",
        session.error
    );

    // Where the bundle should be is a directory: what cannot be removed is as good as read-only.
    let ready = |root: &Path| {
        given(root);
        fs_err::create_dir_all(root.join("run/aicage/ca-bundle.pem/full")).unwrap();
        fs_err::create_dir_all(root.join("tmp")).unwrap();
    };
    let session = session_in(
        ready,
        &variables,
        &["-c", "echo $SSL_CERT_FILE; cat $SSL_CERT_FILE"],
    );
    let elsewhere = format!("/tmp/aicage-ca-bundle.pem\n{COMPANY}{OTHER}");
    assert_eq!(session.output, elsewhere, "{}", session.error);

    let session = self::session(&variables, &["-c", "echo $SSL_CERT_FILE; ls /etc"]);
    assert!(
        session.output.starts_with(BUNDLE),
        "without a file of authorities nothing is done"
    );
    assert!(!session.output.contains("ssl"), "{}", session.output);
}
