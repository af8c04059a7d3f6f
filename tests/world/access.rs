//! What an agent gets of this machine beyond the project: git's configuration, the repository around a worktree, sockets; each
//! at its own place, with the access that was given.

use std::{
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use crate::ground::{BASE, Ground, Said, on_all_engines, on_one_engine, shell};

/// An agent with state that runs its arguments.
fn runs_arguments(ground: &Ground) {
    ground.base("library/busybox:latest");
    ground.define_program(r#"exec "$@""#);
    ground.write_agent(
        "agent.yml",
        "agent_full_name: Agent\nagent_homepage: https://agent.example\nagent_path:\n  \
         directories: [~/.state]\n  files: [~/.agent.json]\n",
    );
    ground.build();
}

fn write(path: PathBuf, text: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

/// Starts a script for the agent's shell in a directory, with these arguments.
#[track_caller]
fn inside(ground: &Ground, directory: &Path, (options, script): (&[&str], &str)) -> Said {
    let words = [
        options,
        &["--base", BASE, &ground.agent, "sh", "-c", script],
    ]
    .concat();
    Said::of(ground.aicage(&words).current_dir(directory), 0)
}

#[test]
fn links_are_seen_by_both_names_and_gits_configuration_cannot_be_changed() {
    on_all_engines(|ground| {
        runs_arguments(ground);
        let home = ground.home();
        fs_err::create_dir_all(ground.path("elsewhere/state")).unwrap();
        write(ground.path("elsewhere/state/kept"), "kept\n");
        symlink("../elsewhere/state", home.join(".state")).unwrap();
        let include = "[user]\n\tname = Ann\n[include]\n\tpath = \"~/more git, really/inc\"\n\
                       [includeIf \"gitdir:/nowhere/\"]\n\tpath = other\n";
        write(home.join("dotfiles/gitconfig"), include);
        symlink("dotfiles/gitconfig", home.join(".gitconfig")).unwrap();
        let signers = home.join("signers");
        write(signers.clone(), "signers\n");
        write(
            home.join("more git, really/inc"),
            &format!(
                "[gpg \"ssh\"]\n\tallowedSignersFile = {}\n",
                signers.display()
            ),
        );
        write(home.join("dotfiles/other"), "[user]\n\tname = Other\n");
        let script = format!(
            "cd {home}; cat .state/kept {state}/kept; echo one >.state/new; echo two >>{state}/new; cat .agent.json; \
             grep -c Ann .gitconfig; grep -c signers 'more git, really/inc'; cat signers; ls dotfiles/other 2>/dev/null; \
             (echo x >>.gitconfig) 2>/dev/null || echo kept as it was",
            home = home.display(),
            state = ground.path("elsewhere/state").display(),
        );
        let said = inside(ground, &ground.project(), (&[], &script));
        assert_eq!(
            said.stdout,
            "kept\nkept\n{}\n1\n1\nsigners\nkept as it was\n"
        );
        let written = fs_err::read_to_string(ground.path("elsewhere/state/new")).unwrap();
        assert_eq!(written, "one\ntwo\n");
        assert_eq!(
            fs_err::read_to_string(home.join(".agent.json")).unwrap(),
            "{}\n"
        );
        let script = format!("ls {}/.gitconfig 2>/dev/null || echo none", home.display());
        for _ in 0..2 {
            let said = inside(
                ground,
                &ground.project(),
                (&["--deny", "gitconfig"], &script),
            );
            assert_eq!(said.stdout, "none\n");
        }
    });
}

#[test]
fn paths_of_any_text_are_mounted_and_what_is_no_text_is_refused_by_name() {
    on_all_engines(|ground| {
        runs_arguments(ground);
        // Podman can be told of a comma or of a colon, not of both.
        let colon = if ground.name.contains("PODMAN") {
            ""
        } else {
            ":"
        };
        let odd = ground.path(&format!("a,b{colon}c \"d\" 'e' $f\\ ü\ng"));
        let share = ground.path(&format!("an,other{colon} share\nof 2 lines"));
        for directory in [&odd, &share] {
            fs_err::create_dir_all(directory).unwrap();
        }
        let shared = format!("{}:ro", share.display());
        let script = "pwd; echo made >made; test -d \"$0\" && echo \"$0\"";
        let words = [
            "--share",
            &shared,
            "--base",
            BASE,
            &ground.agent,
            "sh",
            "-c",
            script,
            share.to_str().unwrap(),
        ];
        let said = Said::of(ground.aicage(&words).current_dir(&odd), 0);
        assert_eq!(
            said.stdout,
            format!("{}\n{}\n", odd.display(), share.display())
        );
        assert_eq!(fs_err::read_to_string(odd.join("made")).unwrap(), "made\n");

        if ground.name.contains("PODMAN") {
            let both = ground.path("a,b:c");
            fs_err::create_dir(&both).unwrap();
            let mut command = ground.aicage(&["--base", BASE, &ground.agent, "true"]);
            let said = Said::of(command.current_dir(&both), 3);
            said.tells("give the directory another name");
        }
        let foreign = ground
            .path("")
            .join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        fs_err::create_dir(&foreign).unwrap();
        let said = Said::of(
            ground
                .aicage(&["--base", BASE, &ground.agent, "true"])
                .current_dir(&foreign),
            2,
        );
        said.tells("cannot be mounted: its name is not UTF-8 text");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn sockets_are_there_only_for_who_was_told_so() {
    on_all_engines(|ground| {
        runs_arguments(ground);
        let home = ground.home();
        for (file, text) in [
            ("known_hosts", "hosts\n"),
            ("config", "Include work.d/*.conf\n"),
            ("work.d/a.conf", "included\n"),
            ("id.pub", "public\n"),
            ("id", "private\n"),
        ] {
            write(home.join(".ssh").join(file), text);
        }
        let socket = ground.path("agent.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let script = format!(
            "cat {}/.ssh/* 2>/dev/null; cat {0}/.ssh/work.d/* 2>/dev/null; test -S \"$SSH_AUTH_SOCK\" && echo agent; \
             test -S /var/run/docker.sock && echo engine; true",
            home.display()
        );
        let run = |options: &[&str]| {
            let words = [
                options,
                &["--base", BASE, &ground.agent, "sh", "-c", &script],
            ]
            .concat();
            let mut command = ground.aicage(&words);
            Said::of(command.env("SSH_AUTH_SOCK", &socket), 0).stdout
        };
        assert_eq!(run(&[]), "");
        let agent = "Include work.d/*.conf\npublic\nhosts\nincluded\nagent\n";
        assert_eq!(run(&["--allow", "ssh-agent"]), agent);
        assert_eq!(run(&[]), agent, "it is remembered");
        let keys = "Include work.d/*.conf\nprivate\npublic\nhosts\nincluded\n";
        assert_eq!(run(&["--deny", "sshagent", "--allow", "ssh"]), keys);
        assert_eq!(run(&["--git", "off", "--docker"]), "engine\n");
        assert_eq!(run(&["--deny=docker"]), "");
    });
}

/// An OpenSSH server of the test's own, which runs as the caller and lets in the holder of one key.
struct Remote {
    server: std::process::Child,
    agent: std::process::Child,
    socket: PathBuf,
    address: String,
}

impl Remote {
    fn new(ground: &Ground) -> Option<Self> {
        use std::{os::unix::process::CommandExt as _, process::Command};
        if !Path::new("/usr/sbin/sshd").exists() {
            eprintln!("SKIP: openssh-server is not installed");
            return None;
        }
        let (uid, gid) = ground.owner();
        let own = ground.path("ssh");
        let script = r#"mkdir -p "$1" && cd "$1" && ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f key
            git init -q --bare remote.git; cp key.pub authorized; chown -R "$2" ."#;
        let owner = PathBuf::from(format!("{uid}:{gid}"));
        shell(script, &[&own, &owner]);
        let addresses = Said::of(Command::new("hostname").arg("-I"), 0).stdout;
        let host = addresses.split_whitespace().next()?.to_owned();
        let port = {
            let free = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let server = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string()])
            .args([
                "-o",
                "UsePAM=no",
                "-o",
                "StrictModes=no",
                "-o",
                "PidFile=none",
            ])
            .arg("-o")
            .arg(format!("HostKey={}/host", own.display()))
            .arg("-o")
            .arg(format!("AuthorizedKeysFile={}/authorized", own.display()))
            .uid(uid)
            .gid(gid)
            .spawn()
            .unwrap();
        let socket = own.join("agent.sock");
        let agent = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(std::process::Stdio::null())
            .uid(uid)
            .gid(gid)
            .spawn()
            .unwrap();
        crate::session::until("agent", || {
            fs_err::metadata(&socket)
                .ok()
                .filter(|there| there.file_type().is_socket())
        });
        let add = r#"SSH_AUTH_SOCK="$1/agent.sock" setpriv --reuid "$2" --clear-groups ssh-add -q "$1/key""#;
        shell(add, &[&own, Path::new(&uid.to_string())]);
        let key = fs_err::read_to_string(own.join("host.pub")).unwrap();
        write(
            ground.home().join(".ssh/known_hosts"),
            &format!("[{host}]:{port} {key}"),
        );
        let name = ground
            .caller
            .as_ref()
            .map_or("root", |caller| caller.name.as_str());
        Some(Self {
            server,
            agent,
            socket,
            address: format!("ssh://{name}@{host}:{port}{}/remote.git", own.display()),
        })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        for process in [&mut self.server, &mut self.agent] {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// A repository with a linked worktree, both of the caller.
fn repository(ground: &Ground, address: &str) -> (PathBuf, PathBuf) {
    let (main, linked) = (ground.path("main"), ground.path("my linked, tree"));
    write(
        ground.home().join(".gitconfig"),
        "[user]\n\tname = Ann\n\temail = ann@example.org\n",
    );
    let (uid, gid) = ground.owner();
    let script = r#"export HOME="$1"; git init -q -b main "$2"; cd "$2"; mkdir sub; echo 1 >sub/file; git add .
        git commit -q -m first; git remote add origin "$4"; git worktree add -q -b linked "$3"; chown -R "$5" "$2" "$3""#;
    let owner = PathBuf::from(format!("{uid}:{gid}"));
    let arguments = [&ground.home(), &main, &linked, Path::new(address), &owner];
    shell(script, &arguments);
    (main, linked)
}

#[test]
fn git_works_in_a_linked_worktree_and_pushes_with_the_keys_of_the_agent() {
    on_all_engines(|ground| {
        // One engine with a caller who is not root tells all; its image has to be made from packages.
        if ground.name != "AICAGE_TEST_DOCKER_OLD" || ground.caller.is_none() {
            return;
        }
        let Some(remote) = Remote::new(ground) else {
            return;
        };
        let (main, linked) = repository(ground, &remote.address);
        ground.base("aicage/aicage-image-base:debian");
        ground.define(&format!(
            "#!/bin/sh\nset -e\napt-get update -qq\napt-get install -qq --no-install-recommends openssh-client >/dev/null\n\
             printf '#!/bin/sh\\nexec \"$@\"\\n' >/usr/local/bin/{0}\nchmod 755 /usr/local/bin/{0}\n",
            ground.agent
        ));
        ground.build();
        let run = |directory: &Path, options: &[&str], script: &str| {
            let words = [
                options,
                &["--base", BASE, &ground.agent, "sh", "-c", script],
            ]
            .concat();
            let mut command = ground.aicage(&words);
            command.env("SSH_AUTH_SOCK", &remote.socket);
            Said::of(command.current_dir(directory), 0).stdout
        };
        let commit = "git commit -q --allow-empty -m second 2>/dev/null && echo committed";
        let look = format!("git status --short; git log --format='%an %s'; {commit}; true");
        assert_eq!(run(&linked, &[], &look), "Ann first\n");
        assert_eq!(run(&main.join("sub"), &[], &look), "Ann first\n");
        let hooks = "echo x >\"$(git rev-parse --git-path hooks)\"/post-commit || echo no hook";
        let work =
            format!("echo 2 >>sub/file; git add .; {commit}; {hooks}; git push -q origin HEAD");
        let given = ["--allow", "gitroot", "--allow", "sshagent"];
        assert_eq!(run(&linked, &given, &work), "committed\nno hook\n");
        assert_eq!(run(&linked, &[], commit), "committed\n", "it is remembered");
        assert_eq!(
            run(
                &main.join("sub"),
                &["--git"],
                &format!("touch new; git add new; {commit}; touch ../no || echo not above")
            ),
            "committed\nnot above\n"
        );
        let log = "git -c safe.directory='*' -C \"$1\" log --all --format='%an %s'";
        let pushed = shell(log, &[&ground.path("ssh/remote.git")]);
        assert_eq!(String::from_utf8_lossy(&pushed), "Ann second\nAnn first\n");
        let (uid, _) = ground.owner();
        for path in [main.join(".git/logs/HEAD"), linked.join("sub/file")] {
            assert_eq!(fs_err::metadata(path).unwrap().uid(), uid);
        }
    });
}

#[test]
fn a_repository_that_is_not_given_is_not_seen_and_a_share_of_it_keeps_its_hooks_read_only() {
    on_one_engine(|ground| {
        runs_arguments(ground);
        let (main, linked) = repository(ground, "https://token@example.org/x");
        let script = format!(
            "cat {0}/.git/config 2>/dev/null; ls {0} || true",
            main.display()
        );
        let said = inside(ground, &linked, (&["--git", "off"], &script));
        assert_eq!(said.stdout, "");
        let script = format!(
            "cd {}; (echo x >>.git/config) 2>/dev/null || echo kept; echo y >sub/file && cat sub/file",
            main.display()
        );
        let share = main.display().to_string();
        let said = inside(ground, &linked, (&["--share", &share], &script));
        assert_eq!(said.stdout, "kept\ny\n");
    });
}

#[test]
fn a_start_tells_all_that_the_agent_sees_and_may() {
    on_one_engine(|ground| {
        runs_arguments(ground);
        let (_, linked) = repository(ground, "https://example.org/x");
        let data = ground.path("data");
        fs_err::create_dir_all(&data).unwrap();
        let data = data.display().to_string();
        let volume = format!("{data}:/in:ro");
        let mount = format!("type=bind,source={data},target={data}");
        let options = [
            "--progress=plain",
            "--allow=githooks",
            "--device=/dev/null",
            "--cap-add=SYS_PTRACE",
            "--docker-args=-v cache-of-a-test:/cache",
            "-v",
            &volume,
            "--mount",
            &mount,
        ];
        let said = inside(ground, &linked, (&options, "true"));
        for line in [
            &format!("{data} at /in (read only)"),
            &format!("{data} (writable)"),
            "cache-of-a-test at /cache (writable)",
            "may --device /dev/null:/dev/null:rwm --cap-add SYS_PTRACE",
            "hooks and config (read only, but with `--allow gitroot`)",
        ] {
            said.tells(line);
        }
        let both = [
            "--progress=plain",
            "--allow=gitroot",
            "-v/var/run/docker.sock:/var/run/docker.sock",
        ];
        let said = inside(ground, &linked, (&both, "true"));
        said.tells("hooks and config (writable, and git on this machine runs them)");
        said.tells("/var/run/docker.sock (writable)");
        ground.docker(&["volume", "rm", "cache-of-a-test"]);
    });
}

#[test]
fn an_engine_without_a_socket_here_gives_none_and_remembers_no_yes_to_it() {
    on_one_engine(|ground| {
        runs_arguments(ground);
        let Some(socket) = ground.engine.strip_prefix("unix://").map(PathBuf::from) else {
            return;
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for outer in listener.incoming().flatten() {
                let inner = std::os::unix::net::UnixStream::connect(&socket).unwrap();
                let (mut from, mut to) = (outer.try_clone().unwrap(), inner.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (mut from, mut to) = (inner, outer);
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        });
        let run = |options: &[&str], code| {
            let words = [options, &["--base", BASE, &ground.agent, "true"]].concat();
            let mut command = ground.aicage(&words);
            Said::of(command.env("DOCKER_HOST", &address), code)
        };
        run(&["--docker"], 3).tells("has no socket on this machine");
        run(&[], 0);
        // A yes of another day, when the engine was here.
        inside(ground, &ground.project(), (&["--docker"], "true"));
        run(&[], 0).tells("it is not mounted, and `--deny docker` has it so without a word");
    });
}

#[test]
fn a_home_a_strangers_repository_and_what_the_image_needs_are_not_given() {
    on_one_engine(|ground| {
        runs_arguments(ground);
        let home = ground.home();
        let said = Said::of(
            ground
                .aicage(&["--base", BASE, &ground.agent, "true"])
                .current_dir(&home),
            3,
        );
        said.tells("all of your home directory");
        ground
            .run(
                &["--share", "/usr:ro", "--base", BASE, &ground.agent, "true"],
                3,
            )
            .tells("would take the place of the image's own");
        // An agent can write a `.git` file that leads to another repository.
        let (main, _) = repository(ground, "https://example.org/x");
        let names = main.join(".git").display().to_string();
        let linked = fs_err::read_dir(main.join(".git/worktrees")).unwrap();
        let linked = linked.map(|entry| entry.unwrap().path()).next().unwrap();
        for text in [
            format!("gitdir: {names}\n"),
            format!("gitdir: {}\n", linked.display()),
        ] {
            fs_err::write(ground.project().join(".git"), text).unwrap();
            let script = format!("ls {names} 2>/dev/null || echo none");
            let said = inside(ground, &ground.project(), (&["--git"], &script));
            assert_eq!(said.stdout, "none\n");
            said.tells("does not know this project; it is not mounted");
        }
    });
}
