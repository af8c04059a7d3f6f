//! Options of the container: each reaches it, however it was said; and `--dry-run` prints what is done.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::{
    ground::{BASE, Ground, Said, on_every_engine, on_one_engine, shell},
    session::until,
};

const BUSYBOX: &str = "library/busybox:latest";

/// An agent that runs its arguments.
pub(crate) fn runs_arguments(ground: &Ground) {
    ground.base(BUSYBOX);
    ground.define_program(r#"exec "$@""#);
    ground.start(&["true"], 0);
}

/// A session that runs until it is dropped, and what Docker's own client says of it.
struct Running {
    child: Child,
    inspected: Value,
}

impl Running {
    fn start(ground: &Ground, options: &[&str]) -> Self {
        let line = [&["--base", BASE], options, &[&ground.agent, "cat"]].concat();
        let child = ground
            .aicage(&line)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let label = format!("label=io.github.aicage.agent={}", ground.agent);
        let id = until("running container", || {
            let list = ground.docker(&["ps", "-q", "--no-trunc", "--filter", &label]);
            list.lines().next().map(str::to_owned)
        });
        let inspected: Value = serde_json::from_str(&ground.docker(&["inspect", &id])).unwrap();
        Self {
            child,
            inspected: inspected[0].clone(),
        }
    }

    /// Returns what is at a path such as `HostConfig.Memory`.
    fn at(&self, path: &str) -> Value {
        path.split('.')
            .fold(self.inspected.clone(), |value, key| value[key].clone())
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Options that a text holds, and the values that only the test knows.
pub(crate) fn options<'a>(text: &'a str, values: &[(&str, &'a str)]) -> Vec<&'a str> {
    let value = |word: &&'a str| {
        values
            .iter()
            .find(|(name, _)| name == word)
            .map(|(_, value)| *value)
    };
    text.split_whitespace()
        .map(|word| value(&word).unwrap_or(word))
        .collect()
}

#[test]
fn every_option_reaches_the_container() {
    on_every_engine(|ground| {
        runs_arguments(ground);
        let data = ground.path("data");
        fs_err::create_dir_all(&data).unwrap();
        let volume = format!("{}:/data:ro", data.display());
        let name = format!("options-{}", ground.agent);
        let profile = ground.path("profile.json");
        fs_err::write(&profile, r#"{ "defaultAction": "SCMP_ACT_ALLOW" }"#).unwrap();
        let profile = format!("seccomp={}", profile.display());
        let text = "-p 127.0.0.1::80 -p 81:81/udp -v VOLUME -v /anonymous --tmpfs /memory:size=1m \
            --mount type=tmpfs,target=/more,tmpfs-size=1m --add-host db:10.0.0.7 --dns 9.9.9.9 --dns-search example \
            --cpus 1.5 --cpuset-cpus 0 -m 256m --memory-swap 512m --pids-limit 77 --shm-size 2m --ulimit nofile=100:200 \
            --device /dev/fuse:/dev/other:r --security-opt PROFILE --group-add 1234 --sysctl net.core.somaxconn=17 \
            --name NAME --hostname box -l colour=red --init --runtime runc -w /elsewhere --read-only=false";
        let values = [
            ("VOLUME", volume.as_str()),
            ("PROFILE", &profile),
            ("NAME", &name),
        ];
        let running = Running::start(ground, &options(text, &values));
        let expected = json!({
            "Name": format!("/{name}"),
            "Config.Hostname": "box",
            "Config.Labels.colour": "red",
            "Config.WorkingDir": "/elsewhere",
            "HostConfig.Binds": [volume],
            "HostConfig.Tmpfs": {"/memory": "size=1m"},
            "HostConfig.ExtraHosts": ["db:10.0.0.7"],
            "HostConfig.Dns": ["9.9.9.9"],
            "HostConfig.DnsSearch": ["example"],
            "HostConfig.NanoCpus": 1_500_000_000,
            "HostConfig.CpusetCpus": "0",
            "HostConfig.Memory": 256 << 20,
            "HostConfig.MemorySwap": 512 << 20,
            "HostConfig.PidsLimit": 77,
            "HostConfig.ShmSize": 2 << 20,
            "HostConfig.Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
            "HostConfig.GroupAdd": ["1234"],
            "HostConfig.Sysctls": {"net.core.somaxconn": "17"},
            "HostConfig.Runtime": "runc",
            "HostConfig.ReadonlyRootfs": false,
            "HostConfig.Init": null,
        });
        for (path, value) in expected.as_object().unwrap() {
            assert_eq!(running.at(path), *value, "{path}");
        }
        let device = &running.at("HostConfig.Devices")[0];
        assert_eq!(device["PathInContainer"], "/dev/other");
        assert_eq!(device["CgroupPermissions"], "r");
        let ports = running.at("HostConfig.PortBindings");
        assert_eq!(ports["80/tcp"][0]["HostIp"], "127.0.0.1");
        assert_eq!(ports["81/udp"][0]["HostPort"], "81");
        let security = running.at("HostConfig.SecurityOpt").to_string();
        assert!(security.contains("SCMP_ACT_ALLOW"), "{security}");
        let mounts = running.at("Mounts").to_string();
        for target in ["/data", "/anonymous", "/more"] {
            let target = format!("\"{target}\"");
            assert!(mounts.contains(&target), "{target} is not in {mounts}");
        }
        running.end();
    });
}

#[test]
fn what_was_asked_for_is_seen_from_inside() {
    on_every_engine(|ground| {
        runs_arguments(ground);
        let data = ground.path("da,ta:x");
        fs_err::create_dir_all(&data).unwrap();
        let mount = format!(
            "type=bind,\"source={}\",target=/mounted,readonly",
            data.display()
        );
        let text = "--mount MOUNT --tmpfs /memory --ulimit nofile=100:200 --hostname=box --group-add 1234 \
            --sysctl net.core.somaxconn=17 --add-host=db:10.0.0.7 -w/elsewhere AGENT sh -c SCRIPT";
        let script = "pwd; hostname; touch /mounted/x 2>&1; grep -c ' /memory ' /proc/mounts; ulimit -n; \
            cat /proc/sys/net/core/somaxconn; grep db /etc/hosts; id -G | grep -c 1234; exit 0";
        let values = [
            ("MOUNT", mount.as_str()),
            ("AGENT", &ground.agent),
            ("SCRIPT", script),
        ];
        let said = ground.run(&options(text, &values), 0);
        let inside = "/elsewhere\nbox\ntouch: /mounted/x: Read-only file system\n1\n100\n17\n10.0.0.7\tdb\n1\n";
        assert_eq!(said.stdout, inside);
    });
}

#[test]
fn networks_reach_the_container() {
    on_every_engine(|ground| {
        runs_arguments(ground);
        let network = format!("net-{}", ground.agent);
        ground.docker(&["network", "create", &network]);
        let long = format!("name={network},alias=shop");
        for (option, mode) in [
            ("none", "none"),
            ("host", "host"),
            (&network, &network),
            (&long, &network),
        ] {
            let running = Running::start(ground, &["--network", option]);
            assert_eq!(running.at("HostConfig.NetworkMode"), json!(mode));
            let aliases = &running.at("NetworkSettings.Networks")[&network]["Aliases"];
            assert_eq!(
                aliases.to_string().contains("shop"),
                option == long,
                "{aliases}"
            );
            running.end();
        }
        ground.docker(&["network", "rm", &network]);
    });
}

#[test]
fn what_was_quoted_arrives_whole_whichever_way_it_was_said() {
    on_one_engine(|ground| {
        runs_arguments(ground);
        let value = "b  c \"d\" 'e' $HOME \\ #x \u{fc} *";
        let variable = format!("A={value}");
        let quoted = shell(
            "python3 -c 'import shlex,sys; print(shlex.join(sys.argv[1:]), end=\"\")' -e \"$(cat \"$1\")\" --label 'x=y z'",
            &[&{
                let file = ground.path("value");
                fs_err::write(&file, &variable).unwrap();
                file
            }],
        );
        let quoted = String::from_utf8(quoted).unwrap();
        let print = ["sh", "-c", "printf '%s' \"$A\""];
        let agent = ground.agent.as_str();
        for before in [
            &["-e", &variable][..],
            &["--docker-args", &quoted],
            &["-e", &variable, "--"],
            &["--docker-args", &quoted, "--"],
            // Stored, and used from then on.
            &["--docker-args", &quoted, "--save"],
            &[],
        ] {
            let said = ground.run(&[before, &[agent], &print].concat(), 0);
            assert_eq!(said.stdout, value, "{before:?}");
        }
        let file = project_file(ground);
        let stored = fs_err::read_to_string(&file).unwrap();
        assert!(stored.contains("docker_args"), "{stored}");
        // What the Python program would make of it.
        let read = "python3 -c 'import shlex,sys,yaml
d = yaml.safe_load(open(sys.argv[1]))[\"agents\"]
print(shlex.split(d[sys.argv[2]][\"docker_args\"])[1], end=\"\")' \"$1\" \"$2\" 2>/dev/null || echo none";
        let read = shell(read, &[&file, agent.as_ref()]);
        if read == b"none\n" {
            eprintln!("SKIP: python3 has no yaml");
        } else {
            assert_eq!(String::from_utf8(read).unwrap(), variable);
        }
        // One that is typed wins, and what is stored can be left out.
        let said = ground.run(&[&["-e", "A=mine", agent][..], &print].concat(), 0);
        assert_eq!(said.stdout, "mine");
        let said = ground.run(&[&["--no-stored-options", agent][..], &print].concat(), 0);
        assert_eq!(said.stdout, "");
        ground.run(
            &[&["--no-stored-options", "--save", agent][..], &print].concat(),
            0,
        );
        let stored = fs_err::read_to_string(&file).unwrap();
        assert!(!stored.contains("docker_args"), "{stored}");
    });
}

fn project_file(ground: &Ground) -> std::path::PathBuf {
    let mut files = fs_err::read_dir(ground.aicage_home().join("projects")).unwrap();
    files
        .find_map(|file| {
            Some(file.unwrap().path())
                .filter(|path| path.extension().is_some_and(|suffix| suffix == "yml"))
        })
        .unwrap()
}

#[test]
fn options_that_the_python_program_stored_apply() {
    on_one_engine(|ground| {
        runs_arguments(ground);
        ground.start(&["true"], 0);
        let file = project_file(ground);
        let agent = &ground.agent;
        let text = fs_err::read_to_string(&file).unwrap();
        let entry = format!("  {agent}:\n");
        assert!(text.contains(&entry), "{text}");
        let text = text.replace(
            &entry,
            &format!("{entry}    docker_args: -e PROJECT=1 -e WHERE=project --hostname=near\n"),
        );
        fs_err::write(&file, text).unwrap();
        let config = ground.aicage_home().join("config");
        fs_err::create_dir_all(&config).unwrap();
        let global = format!(
            "path: /\nagents:\n  {agent}:\n    docker_args: \"-e GLOBAL='a b' -e WHERE=global --hostname far --rm -it\"\n"
        );
        fs_err::write(config.join("global.yml"), global).unwrap();
        let said = ground.run(
            &[
                agent,
                "sh",
                "-c",
                "echo $PROJECT $GLOBAL $WHERE $(hostname)",
            ],
            0,
        );
        assert_eq!(said.stdout, "1 a b project near\n");
        let said = ground.run(
            &[
                "--hostname",
                "typed",
                "-e",
                "PROJECT=2",
                agent,
                "sh",
                "-c",
                "echo $PROJECT $(hostname)",
            ],
            0,
        );
        assert_eq!(said.stdout, "2 typed\n");
    });
}

#[test]
fn files_of_variables_are_read_as_dockers_client_reads_them() {
    on_one_engine(|ground| {
        runs_arguments(ground);
        let file = ground.path("vars.env");
        fs_err::write(&file, b"\xef\xbb\xbfA=1\r\n# comment\r\n\n  B= x y \nC=\"quoted\"\nPASSED\nNOT_SET\nWINS=file\n").unwrap();
        let file = file.to_str().unwrap();
        let script = "env | grep -E '^(A|B|C|PASSED|NOT_SET|WINS)=' | sort";
        let said = Said::of(
            ground
                .aicage(&[
                    "-e",
                    "WINS=option",
                    "--env-file",
                    file,
                    &ground.agent,
                    "sh",
                    "-c",
                    script,
                ])
                .env("PASSED", "on"),
            0,
        );
        let mut judge = Command::new("docker");
        let image = ground.image();
        judge
            .args([
                "-H",
                &ground.engine,
                "run",
                "--rm",
                "--entrypoint",
                "sh",
                "-e",
                "WINS=option",
                "--env-file",
                file,
            ])
            .args([image.as_str(), "-c", script])
            .env("PASSED", "on");
        let judged = Said::of(&mut judge, 0);
        assert_eq!(said.stdout, judged.stdout);
        assert_eq!(
            said.stdout,
            "A=1\nB= x y \nC=\"quoted\"\nPASSED=on\nWINS=option\n"
        );
        fs_err::write(file, "A=1\nexport B=2\n").unwrap();
        let said = ground.run(&["--env-file", file, &ground.agent], 2);
        said.tells("line 2: the name `export B` has a space in it");
    });
}

#[test]
fn a_port_that_is_in_use_is_named() {
    on_every_engine(|ground| {
        runs_arguments(ground);
        let name = format!("port-{}", ground.agent);
        let image = ground.image();
        ground.docker(&[
            "run",
            "-d",
            "--name",
            &name,
            "--entrypoint",
            "sleep",
            "-p",
            "127.0.0.1::80",
            &image,
            "600",
        ]);
        let port = ground.docker(&["port", &name, "80/tcp"]);
        let port = port.trim().rsplit(':').next().unwrap().to_owned();
        let said = ground.run(
            &["-p", &format!("127.0.0.1:{port}:80"), &ground.agent, "true"],
            125,
        );
        ground.docker(&["rm", "-f", &name]);
        said.tells(&format!("port {port} of this machine is in use"));
        said.tells("publish another one");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

/// What a container is kept from, seen from inside by root.
const BOUNDS: &str = "grep -E '^(CapBnd|NoNewPrivs)' /proc/1/status; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true";

#[test]
fn a_container_is_kept_from_what_nobody_needs_unless_it_is_said() {
    on_every_engine(|ground| {
        runs_arguments(ground);
        let agent = ground.agent.as_str();
        let bounds = |options: &[&str]| {
            let said = ground.run(&[options, &[agent, "sh", "-c", BOUNDS]].concat(), 0);
            said.stdout
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7.
        let few = "00000000000000eb";
        assert_eq!(bounds(&[]), ["CapBnd:", few, "NoNewPrivs:", "1", "8192"]);
        let usual = bounds(&[
            "--keep-capabilities",
            "--security-opt",
            "no-new-privileges=false",
            "--pids-limit",
            "-1",
        ]);
        let plain = ground.docker(&[
            "run",
            "--rm",
            "--entrypoint",
            "sh",
            &ground.image(),
            "-c",
            BOUNDS,
        ]);
        assert_eq!(
            usual,
            plain.split_whitespace().collect::<Vec<_>>(),
            "with all switched off it is docker's own"
        );
        assert_eq!(bounds(&["--cap-add", "SYS_PTRACE"])[1], "00000000000800eb");
        let config = ground.aicage_home().join("config.yml");
        fs_err::write(
            &config,
            "session: {no_new_privileges: false, drop_capabilities: false, pids_limit: 99}\n",
        )
        .unwrap();
        let configured = bounds(&[]);
        assert_eq!(configured[..4], usual[..4]);
        assert_eq!(configured[4], "99");
        assert_eq!(bounds(&["--pids-limit", "55"])[4], "55");
        fs_err::remove_file(config).unwrap();
    });
}

#[test]
fn an_agent_starts_where_the_images_files_cannot_be_changed() {
    on_every_engine(|ground| {
        runs_arguments(ground);
        let text = "--read-only --tmpfs /tmp -e AICAGE_UID=1234 -e AICAGE_GID=1234 -e AICAGE_HOST_USER=u -e AICAGE_HOME=/home/u \
            AGENT sh -c SCRIPT";
        let script = "id -u; touch /etc/x 2>&1; touch /tmp/x && echo tmp; exit 0";
        let values = [("AGENT", ground.agent.as_str()), ("SCRIPT", script)];
        let said = ground.run(&options(text, &values), 0);
        assert_eq!(
            said.stdout,
            "1234\ntouch: /etc/x: Read-only file system\ntmp\n"
        );
    });
}
