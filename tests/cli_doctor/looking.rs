//! Each finding, provoked.

use std::{
    os::unix::{fs::PermissionsExt, net::UnixListener, process::CommandExt as _},
    process::Command,
};

use fixtures::registry::{Access, Authority, Fault, Registry, Rule, TokenServer};

use crate::ground::Ground;

/// Settings under which only one registry is asked.
fn only(host: &str) -> String {
    format!(
        "registry:\n  final_repository: {host}/aicage/final\n  base_repository: {host}/aicage/base\n"
    )
}

/// A set of definitions whose base comes from that registry, too.
fn definitions(ground: &Ground, host: &str) -> String {
    ground.write(
        "set/bases/ubuntu/base.yml",
        &format!(
            "from_image: {host}/root\nbase_image_distro: Ubuntu\nbase_image_description: x\narchitectures: [amd64, arm64]\n"
        ),
    );
    ground.write("set/bases/ubuntu/scripts/1.sh", "true\n");
    format!("definitions: {}\n", ground.path("set").display())
}

#[test]
fn no_engine_a_stopped_one_and_one_without_permission_are_told_with_what_to_type() {
    let ground = Ground::new();
    let look = || ground.findings(ground.aicage(&["doctor", "--offline"]));
    let next = look().tells(("engine", "problem"), "there is no container engine");
    assert!(next.contains("install"), "{next}");

    let socket = ground.path("none.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let next = look().tells(("engine", "problem"), "is not running");
    assert!(next.contains("start docker"), "{next}");

    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: only root may become somebody without permission");
        return;
    }
    fs_err::remove_file(&socket).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    fs_err::set_permissions(&socket, PermissionsExt::from_mode(0o600)).unwrap();
    let nobody = 65_534;
    for place in ["", "project"] {
        fs_err::set_permissions(ground.path(place), PermissionsExt::from_mode(0o755)).unwrap();
    }
    // The program may be where only root can go.
    let program = ground.path("aicage-itself");
    fs_err::copy(env!("CARGO_BIN_EXE_aicage"), &program).unwrap();
    let mut command = Command::new(program);
    command
        .args(["doctor", "--offline"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .current_dir("/tmp")
        .uid(nobody)
        .gid(nobody);
    let next = ground
        .findings(command)
        .tells(("engine", "problem"), "you may not use the engine");
    assert!(next.starts_with("sudo usermod -aG root "), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_that_answer_are_down_or_lie_about_the_time_are_told_apart() {
    let ground = Ground::new();
    let registry = Registry::start().await;
    let host = registry.host();
    let config = only(&host) + &definitions(&ground, &host);
    ground.write(".aicage/config.yml", &config);
    let wrong = |date: &str| Rule {
        method: "GET",
        path: "/v2/".to_owned(),
        times: 1,
        fault: Fault::Status(
            200,
            vec![("Date".to_owned(), date.to_owned())],
            String::new(),
        ),
    };
    registry.rule(wrong("Sun, 06 Nov 1994 08:49:37 GMT"));
    let found = ground.findings(ground.aicage(&["doctor"]));
    found.tells(("registry", "ok"), "answers with status 200");
    let next = found.tells(("clock", "problem"), "ahead");
    assert!(next.contains("timedatectl"), "{next}");
    found.tells(("access", "note"), "has no");

    registry.rule(Rule {
        times: u32::MAX,
        path: "/v2/".to_owned(),
        method: "GET",
        fault: Fault::status(503),
    });
    let found = ground.findings(ground.aicage(&["doctor"]));
    let next = found.tells(("registry", "problem"), "status 503");
    assert!(next.starts_with("curl"), "{next}");

    registry.access(Access::Bearer(TokenServer {
        realm: None,
        login: None,
        identity: None,
        expires_in: 300,
    }));
    let found = ground.findings(ground.aicage(&["doctor"]));
    found.tells(("access", "note"), "has no");
    let asked = registry.requests();
    assert!(
        asked.iter().any(|one| one.path.starts_with("/token")),
        "{asked:?}"
    );
    assert!(
        !ground.path(".aicage/state/tokens").exists(),
        "looking keeps nothing"
    );

    drop(registry);
    let found = ground.findings(ground.aicage(&["doctor"]));
    found.tells(("registry", "problem"), "cannot reach");
    let found = ground.findings(ground.aicage(&["doctor", "--offline"]));
    found.tells(("registry", "skipped"), "--offline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_companys_authority_is_told_until_its_file_is_given() {
    let ground = Ground::new();
    let authority = Authority::new();
    let registry = Registry::start_tls(&authority, "registry.test").await;
    let config = only("registry.test") + &definitions(&ground, "registry.test");
    ground.write(".aicage/config.yml", &config);
    let look = |arguments: &[&str]| {
        let mut command = ground.aicage(arguments);
        command.env("HTTPS_PROXY", registry.url());
        ground.findings(command)
    };
    let found = look(&["doctor"]);
    let next = found.tells(("certificate", "problem"), "fixture authority");
    assert!(next.starts_with("aicage config set network.ca"), "{next}");
    found.tells(("proxy", "problem"), "HTTPS_PROXY is http://127.0.0.1");

    let file = ground.path("company.pem");
    fs_err::write(&file, authority.pem()).unwrap();
    let shown = file.display().to_string();
    let set = ground
        .aicage(&["config", "set", "network.ca", &shown])
        .output()
        .unwrap();
    assert!(set.status.success(), "{set:?}");
    let found = look(&["doctor"]);
    found.tells(("certificate", "ok"), "company.pem");
    found.tells(("network-ca", "ok"), "SHA-256");

    fs_err::write(&file, "no certificate").unwrap();
    look(&["doctor", "--offline"]).tells(("network-ca", "problem"), "holds no certificate");
    fs_err::remove_file(&file).unwrap();
    look(&["doctor", "--offline"]).tells(("network-ca", "problem"), "company.pem");
}

#[test]
fn what_is_wrong_in_the_home_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let ground = Ground::new();
    ground.write(".docker/config.json", r#"{"credsStore":"desktop"}"#);
    ground.write(".aicage/custom/agents/broken/agent.yml", "misspelt: 1\n");
    ground.write(".aicage/config/global.yml", "agents: {}\n");
    ground.write(".aicage/logs/aicage.log", "x\n");
    ground.write("project/.git", "gitdir: /nonexistent/worktrees/x\n");
    let look = || ground.findings(ground.aicage(&["doctor", "--offline", "brokn"]));
    let found = look();
    found.tells(("credentials", "problem"), "docker-credential-desktop");
    let next = found.tells(("definitions", "problem"), "misspelt");
    assert_eq!(next, "aicage agent check broken");
    found.tells(("older-program", "ok"), "global.yml");
    found.tells(("older-program", "note"), "aicage.log");
    let next = found.tells(("git", "problem"), "/nonexistent");
    assert_eq!(next, "git worktree repair");
    found.tells(("agent", "problem"), "there is no agent `brokn`");
    found.tells(("home", "ok"), ".aicage");

    let custom = ground.path(".aicage/custom");
    fs_err::set_permissions(&custom, PermissionsExt::from_mode(0o777)).unwrap();
    let next = look().tells(("home", "problem"), "everybody may write");
    assert!(next.starts_with("chmod -R o-w"), "{next}");

    ground.write(".aicage/config.yml", "misspelt: 1\n");
    look().tells(("settings", "problem"), "misspelt");
}

#[test]
fn a_repository_outside_the_project_is_told_as_a_start_finds_it() {
    let ground = Ground::new();
    let git = |arguments: &[&str]| {
        let output = ground
            .command("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    let look = || ground.findings(ground.aicage(&["doctor", "--offline"]));
    look().tells(("git", "ok"), "no git repository");

    git(&["init", "-q", "../main"]);
    git(&["-C", "../main", "commit", "-q", "--allow-empty", "-m", "a"]);
    git(&["-C", "../main", "worktree", "add", "-q", "../project"]);
    let next = look().tells(("git", "note"), "a linked worktree; its repository is ");
    assert_eq!(next, "aicage --allow gitroot AGENT");

    let file = ground.path("project/.git");
    fs_err::write(
        &file,
        format!("gitdir: {}\n", ground.path("main/.git").display()),
    )
    .unwrap();
    let next = look().tells(("git", "problem"), "does not know this project");
    assert_eq!(next, "git worktree repair");
    fs_err::remove_dir_all(ground.path("main")).unwrap();
    look().tells(("git", "problem"), "which is not there");
    fs_err::write(&file, "gitdir: ../main/.git/modules/x\n").unwrap();
    let next = look().tells(("git", "problem"), "which is not there");
    assert_eq!(next, "git submodule update --init");

    fs_err::remove_file(&file).unwrap();
    git(&["init", "-q"]);
    look().tells(("git", "ok"), "a repository of its own");
}

#[test]
fn a_disk_without_room_is_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: only root may mount a small disk");
        return;
    }
    let ground = Ground::new();
    let home = ground.path(".aicage");
    fs_err::create_dir(&home).unwrap();
    // In a mount namespace of its own, so that nothing is left whatever happens.
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs '{home}' && {{ head -c 2000000 /dev/zero > '{home}/full'; exec \"$@\"; }}",
        home = home.display()
    );
    let aicage = ground.aicage(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script, "sh"])
        .args([env!("CARGO_BIN_EXE_aicage"), "doctor", "--offline"])
        .current_dir(ground.path("project"))
        .env_clear()
        .envs(
            aicage
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    if !Command::new("unshare")
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("SKIP: nobody may make mount namespaces here");
        return;
    }
    let found = ground.findings(command);
    let next = found.tells(("disk", "problem"), "0 B of 1.0 MB left");
    assert_eq!(next, "aicage cache prune");
}

#[test]
fn the_report_for_people_keeps_to_its_columns_and_sums_up() {
    let ground = Ground::new();
    let output = ground.aicage(&["doctor", "--offline"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "there is no engine");
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        let can_be_wrapped = line.trim_start().contains(' ') && !line.contains("next:");
        assert!(
            line.chars().count() <= 80 || !can_be_wrapped || line.contains('/'),
            "too long: {line}"
        );
    }
    assert!(text.starts_with("Engine\n  problem  engine: "), "{text}");
    assert!(text.contains("\n\nNetwork\n"), "{text}");
    assert!(text.contains("next: sudo apt-get install"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("1 problem, "), "{last}");
    assert!(!text.contains('\u{1b}'), "no colours without a terminal");
}
