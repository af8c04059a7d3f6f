//! Instructions and their mounts on real engines, by both ways into a container.

use std::{collections::BTreeMap, sync::Arc};

use aicage::{
    engine::docker::{DockerSandbox, Network, SandboxSettings},
    init_program::init_for,
};
use assembler::{
    image::Image,
    instruction::{
        Access, Action, Conflict, Destination, Instruction, MountKind, Secret, Sharing, StepMount,
        TarSource,
    },
    sandbox::{Sandbox as _, SandboxError, StepNetwork, StepRequest, Task},
};
use layer::{Entry, LayerItem, LayerPath};
use tokio_util::sync::CancellationToken;

use crate::steps::{Way, both_ways, changes};
use crate::support::{Ground, Recorder, directory, file, is_empty, tar_of};

/// What came of a step.
struct Ran {
    outcome: Result<(), SandboxError>,
    changes: Vec<String>,
    log: String,
}

struct Step<'a> {
    ground: &'a Ground,
    way: Way,
    image: &'a Image,
    instructions: Vec<Instruction>,
    mounts: Vec<StepMount>,
    secrets: BTreeMap<String, Secret>,
    network: Network,
    interrupt: CancellationToken,
}

impl<'a> Step<'a> {
    fn new(ground: &'a Ground, way: Way) -> Self {
        Self {
            ground,
            way,
            image: &ground.image,
            instructions: Vec::new(),
            mounts: Vec::new(),
            secrets: BTreeMap::new(),
            network: Network::None,
            interrupt: CancellationToken::new(),
        }
    }

    fn then(mut self, action: Action) -> Self {
        let label = format!("instruction {}", self.instructions.len() + 1);
        self.instructions.push(Instruction { label, action });
        self
    }

    fn shell(self, script: &str) -> Self {
        self.then(shell(script, None))
    }

    fn mount(mut self, target: &str, kind: MountKind) -> Self {
        let target = target.to_owned();
        self.mounts.push(StepMount { target, kind });
        self
    }

    fn run(&self) -> Ran {
        let settings = SandboxSettings {
            init: init_for("amd64").unwrap(),
            scratch: self.ground.scratch(),
            locks: self.ground.directory.path().join("locks"),
            env: BTreeMap::from([("FROM_SETTINGS".to_owned(), "yes".to_owned())]),
            ca: None,
            network: self.network.clone(),
            interrupt: self.interrupt.clone(),
        };
        let recorder = Recorder::default();
        let sandbox = DockerSandbox::new(
            self.ground.docker.clone(),
            self.ground.runtime.handle().clone(),
            settings,
            &recorder,
        );
        let sandbox = match self.way {
            Way::Mounted => sandbox,
            Way::Uploaded => sandbox.uploading(),
        };
        let request = StepRequest {
            store: &self.ground.store,
            lock: &self.ground.lock,
            image: self.image,
            task: Task::Instructions {
                instructions: &self.instructions,
                mounts: &self.mounts,
                secrets: &self.secrets,
            },
            network: StepNetwork::None,
            env: &BTreeMap::new(),
            source_date: None,
            title: &self.ground.title(),
        };
        let (mut log, mut tar) = (Vec::new(), Vec::new());
        let outcome = sandbox.run(&request, &mut log, &mut |answer| {
            answer.read_to_end(&mut tar)?;
            Ok(())
        });
        self.ground.runtime.block_on(sandbox.clean()).unwrap();
        self.nothing_is_left();
        Ran {
            changes: if outcome.is_ok() {
                changes(&tar)
            } else {
                Vec::new()
            },
            outcome,
            log: String::from_utf8_lossy(&log).into_owned(),
        }
    }

    fn nothing_is_left(&self) {
        const LABEL: &str = "io.github.aicage.title";
        assert_eq!(
            self.ground.leftovers(LABEL),
            Vec::<String>::new(),
            "no container is left ({:?})",
            self.way
        );
        let filter = format!("label={LABEL}={}", self.ground.title());
        let volumes = self
            .ground
            .docker(&["volume", "ls", "-q", "--filter", &filter]);
        assert_eq!(volumes, "", "no volume is left ({:?})", self.way);
        assert!(
            is_empty(&self.ground.scratch()),
            "no file of the step is left"
        );
    }
}

fn shell(script: &str, user: Option<&str>) -> Action {
    Action::Run {
        argv: ["sh", "-ec", script].map(str::to_owned).to_vec(),
        env: BTreeMap::from([
            ("PATH".to_owned(), "/bin".to_owned()),
            ("GIVEN".to_owned(), "it is".to_owned()),
        ]),
        user: user.map(str::to_owned),
        directory: "/".to_owned(),
    }
}

fn bytes(items: &[(LayerItem, &[u8])]) -> TarSource {
    TarSource::Bytes(Arc::from(tar_of(items)))
}

fn owned(item: (LayerItem, &[u8]), (uid, gid): (u64, u64)) -> (LayerItem, &[u8]) {
    let (LayerItem::Entry(mut entry), content) = item else {
        return item;
    };
    (entry.uid, entry.gid) = (uid, gid);
    (LayerItem::Entry(entry), content)
}

fn unpack(tar: TarSource, to: &str) -> Action {
    Action::Unpack {
        tar,
        to: to.to_owned(),
        destination: Destination::Directory,
        conflict: Conflict::Refuse,
        owner: None,
        mode: None,
    }
}

#[track_caller]
fn check(ran: &Ran, expected: &[&str]) {
    assert!(ran.outcome.is_ok(), "{:?}: {}", ran.outcome, ran.log);
    assert_eq!(ran.changes, expected, "{}", ran.log);
}

#[test]
fn programs_run_as_their_user_with_only_the_environment_that_is_given() {
    both_ways("users", |ground, way| {
        let step = Step::new(ground, way)
            .shell("mkdir /out; chmod 777 /out; echo 'bob:x:5:6::/home/bob:/bin/sh' >> /etc/passwd; \
                    printf 'bob:x:6:\\nextra:x:77:bob\\n' > /etc/group")
            .then(shell("id > /out/bob; env > /out/env; pwd >> /out/bob; touch /out/mine; echo stdin: $(cat) >> /out/bob", Some("bob")))
            .then(shell("echo $(id -u) $(id -G) $HOME > /out/numbers", Some("1234:5678")));
        let ran = step.run();
        ran.outcome
            .as_ref()
            .unwrap_or_else(|error| panic!("{error:?}: {}", ran.log));
        let line = |path: &str| {
            let found = ran.changes.iter().find(|line| line.starts_with(path));
            found
                .cloned()
                .unwrap_or_else(|| panic!("{path} in {:?}", ran.changes))
        };
        assert_eq!(line("out/mine"), "out/mine file 644 5:6 ");
        assert_eq!(
            line("out/numbers"),
            "out/numbers file 644 1234:5678 1234 5678 /\\n"
        );
        let step = Step::new(ground, way)
            .shell("mkdir /out; chmod 777 /out; tr '\\0' '\\n' < /proc/$$/environ | sort > /out/e; \
                    [ \"$(cat /out/e)\" = \"$(printf 'FROM_SETTINGS=yes\\nGIVEN=it is\\nHOME=/root\\nPATH=/bin')\" ] || { cat /out/e; exit 9; }; rm -r /out");
        check(&step.run(), &[]);
    });
}

#[test]
fn an_instruction_that_fails_is_named() {
    both_ways("instruction-fails", |ground, way| {
        let ran = Step::new(ground, way)
            .shell("true")
            .shell("echo before; exit 42")
            .shell("echo never")
            .run();
        match ran.outcome {
            Err(SandboxError::Script { script, status }) => {
                assert_eq!((script.as_str(), status), ("instruction 2", 42));
            }
            other => panic!("{way:?}: {other:?}"),
        }
        assert_eq!(ran.log, "before\n");
        let ran = Step::new(ground, way)
            .then(shell("true", Some("nobody-here")))
            .run();
        match ran.outcome {
            Err(SandboxError::Instruction { reason }) => {
                assert_eq!(
                    reason,
                    "instruction 1: there is no user nobody-here in /etc/passwd"
                );
            }
            other => panic!("{way:?}: {other:?}"),
        }
    });
}

#[test]
fn files_are_unpacked_as_copies_go() {
    both_ways("unpack", |ground, way| {
        let tree = bytes(&[
            owned(directory("sub", 0o750), (3, 4)),
            owned(file("sub/run", b"run", 0o4711), (3, 4)),
        ]);
        let one = || bytes(&[file("name", b"one", 0o640)]);
        let auto = |to: &str, owner: Option<&str>, mode| Action::Unpack {
            tar: one(),
            to: to.to_owned(),
            destination: Destination::Auto,
            conflict: Conflict::Refuse,
            owner: owner.map(str::to_owned),
            mode,
        };
        let step = Step::new(ground, way)
            .shell("ln -s old /link")
            .then(unpack(tree, "/new/er"))
            .then(auto("/link", None, None))
            .then(auto("/link/other", Some("5"), None))
            .then(auto("/made/", Some("7:8"), Some(0o604)))
            .then(Action::Directory {
                path: "/link/a/b".to_owned(),
                owner: Some("9".to_owned()),
            });
        check(
            &step.run(),
            &[
                "link link 777 0:0 old",
                "made dir 604 7:8 ",
                "made/name file 604 7:8 one",
                "new dir 755 0:0 ",
                "new/er dir 755 0:0 ",
                "new/er/sub dir 750 3:4 ",
                "new/er/sub/run file 4711 3:4 run",
                "old dir 755 0:0 ",
                "old/a dir 755 9:9 ",
                "old/a/b dir 755 9:9 ",
                "old/name file 640 0:0 one",
                "old/other file 640 5:5 one",
            ],
        );
        let step = Step::new(ground, way).then(unpack(bytes(&[file("old", b"x", 0o644)]), "/"));
        match step.run().outcome {
            Err(SandboxError::Instruction { reason }) => {
                assert_eq!(
                    reason,
                    "instruction 1: /old is a directory, which no file replaces"
                );
            }
            other => panic!("{way:?}: {other:?}"),
        }
    });
}

#[test]
fn an_archive_replaces_what_is_in_its_way_but_not_the_directories_it_only_implies() {
    both_ways("archive", |ground, way| {
        let implied = |path: &str| {
            let mut entry = Entry::directory(LayerPath::new(path).unwrap(), 0o755);
            entry.xattrs.insert(layer::IMPLIED.to_vec(), b"1".to_vec());
            (LayerItem::Entry(entry), &b""[..])
        };
        let tar = bytes(&[
            directory("dir", 0o700),
            implied("link"),
            file("link/x", b"x", 0o644),
            implied("new"),
            file("new/y", b"y", 0o644),
            file("was-dir", b"z", 0o644),
        ]);
        let step = Step::new(ground, way)
            .shell("mkdir -p /a/target /a/was-dir/deep; ln -s target /a/link; touch /a/dir")
            .then(Action::Unpack {
                tar,
                to: "/a".to_owned(),
                destination: Destination::Directory,
                conflict: Conflict::Replace,
                owner: Some("7:8".to_owned()),
                mode: None,
            });
        check(
            &step.run(),
            &[
                "a dir 755 0:0 ",
                "a/dir dir 700 7:8 ",
                "a/link link 777 0:0 target",
                "a/new dir 755 0:0 ",
                "a/new/y file 644 7:8 y",
                "a/target dir 755 0:0 ",
                "a/target/x file 644 7:8 x",
                "a/was-dir file 644 7:8 z",
            ],
        );
    });
}

#[test]
fn mounts_are_there_with_their_owners_and_nothing_of_them_is_in_the_layer() {
    both_ways("mounts", |ground, way| {
        let root = Entry::directory(LayerPath::root(), 0o711);
        let bind = |access| MountKind::Bind {
            tar: bytes(&[
                owned((LayerItem::Entry(root.clone()), b""), (1, 2)),
                owned(file("mine", b"mine", 0o600), (1, 2)),
            ]),
            file: None,
            access,
        };
        let single = MountKind::Bind {
            tar: bytes(&[file("x", b"single", 0o644)]),
            file: Some("x".to_owned()),
            access: Access::ReadOnly,
        };
        let step = Step::new(ground, way)
            .mount("/deep/er/read", bind(Access::ReadOnly))
            .mount("/old", bind(Access::ReadWrite))
            .mount("/etc/single", single.clone())
            .mount("/etc/second", single)
            .mount(
                "/mem",
                MountKind::Tmpfs {
                    size: Some(1 << 20),
                },
            )
            .shell(
                "
                [ \"$(stat -c '%a %u:%g' /deep/er/read)\" = '711 1:2' ]
                [ \"$(stat -c '%a %u:%g' /old/mine)\" = '600 1:2' ]
                ! touch /deep/er/read/no
                touch /old/yes; rm /old/mine
                [ \"$(cat /etc/single /etc/second)\" = singlesingle ]
                echo '#!/bin/sh' > /mem/x; chmod +x /mem/x; /mem/x
                ! dd if=/dev/zero of=/mem/full bs=1M count=2
                touch /result",
            );
        check(&step.run(), &["result file 644 0:0 "]);
    });
}

#[test]
fn what_is_copied_onto_a_mountpoint_or_below_one_is_the_images() {
    both_ways("beneath", |ground, way| {
        let tree = bytes(&[
            owned(directory("dev", 0o711), (1, 2)),
            owned(file("dev/a", b"a", 0o600), (1, 2)),
            owned(directory("dev/b", 0o755), (0, 0)),
            owned(directory("proc", 0o555), (0, 0)),
            owned(file("proc/c", b"c", 0o604), (0, 0)),
        ]);
        let one = |to: &str, conflict| Action::Unpack {
            tar: bytes(&[file("one", b"one", 0o640)]),
            to: to.to_owned(),
            destination: Destination::Auto,
            conflict,
            owner: Some("5:6".to_owned()),
            mode: None,
        };
        let step = Step::new(ground, way)
            .mount("/mem", MountKind::Tmpfs { size: None })
            .shell("ln -s /mem/deep /link; grep -q /mem /proc/mounts; echo lost > /mem/lost")
            .then(unpack(tree, "/"))
            .then(one("/dev/b", Conflict::Refuse))
            .then(one("/etc/hosts", Conflict::Refuse))
            .then(one("/link/er/", Conflict::Refuse))
            .then(Action::Directory {
                path: "/link/made".to_owned(),
                owner: None,
            })
            .shell("test ! -e /dev/b -a ! -e /mem/deep; ! grep -q one /etc/hosts; grep -q . /proc/mounts");
        check(
            &step.run(),
            &[
                "dev dir 711 1:2 ",
                "dev/a file 600 1:2 a",
                "dev/b dir 755 0:0 ",
                "dev/b/one file 640 5:6 one",
                "etc dir 755 0:0 ",
                "etc/hosts file 640 5:6 one",
                "link link 777 0:0 /mem/deep",
                "mem dir 755 5:6 ",
                "mem/deep dir 755 5:6 ",
                "mem/deep/er dir 755 5:6 ",
                "mem/deep/er/one file 640 5:6 one",
                "mem/deep/made dir 755 0:0 ",
                "proc dir 555 0:0 ",
                "proc/c file 604 0:0 c",
            ],
        );
        let step = Step::new(ground, way)
            .mount("/old/mem", MountKind::Tmpfs { size: None })
            .then(Action::Unpack {
                tar: bytes(&[file("old", b"x", 0o644)]),
                to: "/".to_owned(),
                destination: Destination::Directory,
                conflict: Conflict::Replace,
                owner: None,
                mode: None,
            });
        match step.run().outcome {
            Err(SandboxError::Instruction { reason }) => assert_eq!(
                reason,
                "instruction 1: /old cannot be replaced: something is mounted in it"
            ),
            other => panic!("{way:?}: {other:?}"),
        }
    });
}

#[test]
fn what_a_program_leaves_running_ends_before_the_next_instruction() {
    both_ways("left-running", |ground, way| {
        let step = Step::new(ground, way)
            .shell("(sleep 600; echo late > /late) & setsid sleep 601 & mkdir -p /dev/shm/left/x; touch /dev/shm/too")
            .then(Action::Directory {
                path: "/made".to_owned(),
                owner: None,
            })
            .shell("! ps | grep -q '[s]leep 60'; [ -z \"$(ls /dev/shm)\" ]");
        check(&step.run(), &["made dir 755 0:0 "]);
    });
}

#[test]
fn more_tars_than_files_may_be_open_are_unpacked_one_after_the_other() {
    both_ways("many-tars", |ground, way| {
        let tar = bytes(&[file("one", b"one", 0o640)]);
        let mut step =
            Step::new(ground, way).shell("ulimit -n > /limit; rm -r /.aicage-*/tars || true");
        for number in 0..1500 {
            step = step.then(unpack(tar.clone(), &format!("/many/{}", number % 7)));
        }
        let step = step.shell("[ \"$(ulimit -n)\" = \"$(cat /limit)\" ]; rm /limit; [ $(ls /many | wc -l) = 7 ]; rm -r /many");
        check(&step.run(), &[]);
    });
}

#[test]
fn what_is_put_beside_a_mount_stays_and_its_way_there_too() {
    both_ways("beside", |ground, way| {
        let step = Step::new(ground, way)
            .mount("/deep/er/mem", MountKind::Tmpfs { size: None })
            .shell("echo kept > /deep/kept");
        check(
            &step.run(),
            &["deep dir 755 0:0 ", "deep/kept file 644 0:0 kept\\n"],
        );
    });
}

#[test]
fn a_secret_is_in_memory_only_and_leaves_no_trace() {
    both_ways("secrets", |ground, way| {
        let secret = |uid| MountKind::Secret {
            content: Secret::new(b"hush\n".to_vec()),
            mode: 0o400,
            uid,
            gid: 0,
        };
        let step = Step::new(ground, way)
            .mount("/run/secrets/token", secret(0))
            .mount("/root/new/.npmrc", secret(1000))
            .mount("/etc/second", secret(0))
            .shell("
                [ \"$(cat /run/secrets/token)\" = hush ]
                [ \"$(cat /root/new/.npmrc)\" = hush ]
                [ \"$(cat /etc/second)\" = hush ]
                [ \"$(stat -c '%a %u:%g %F' /run/secrets/token)\" = '400 0:0 regular file' ]
                [ \"$(stat -Lc '%a %u:%g' /root/new/.npmrc)\" = '400 1000:0' ]
                [ \"$(stat -Lfc %T /root/new/.npmrc)\" = tmpfs ] && [ \"$(stat -fc %T /run/secrets/token)\" = tmpfs ]");
        let ran = step.run();
        ran.outcome
            .as_ref()
            .unwrap_or_else(|error| panic!("{error:?}: {}", ran.log));
        check(&ran, &[]);
        assert!(
            !format!("{:?}", step.mounts).contains("hush"),
            "a secret is never printed"
        );
    });
}

#[test]
fn a_secret_that_is_a_variable_is_in_no_file_either() {
    both_ways("secret-variables", |ground, way| {
        let mut step = Step::new(ground, way).shell(
            "word=hu; word=${word}sh; [ \"$ONE\" = $word ] && [ \"$TWO\" = 'b c' ] && ! grep -q $word /.aicage-*/step.json",
        );
        let secret = |text: &str| Secret::new(text.as_bytes());
        step.secrets.insert("ONE".to_owned(), secret("hush"));
        step.secrets.insert("TWO".to_owned(), secret("b c"));
        check(&step.run(), &[]);
        let kind = MountKind::Secret {
            content: secret("file"),
            mode: 0o400,
            uid: 0,
            gid: 0,
        };
        let step = step
            .mount("/run/secrets/token", kind)
            .shell("[ \"$(cat /run/secrets/token) $TWO\" = 'file b c' ]");
        check(&step.run(), &[]);
    });
}

#[test]
fn a_cache_stays_between_steps_and_knows_its_seed() {
    both_ways("cache", |ground, way| {
        let id = format!("{} {way:?}", ground.title());
        let cache = |sharing| MountKind::Cache {
            id: id.clone(),
            sharing,
            access: Access::ReadWrite,
            mode: 0o700,
            uid: 3,
            gid: 4,
            seed: Some(bytes(&[file("seed", b"seed", 0o644)])),
        };
        let first = Step::new(ground, way)
            .mount("/cache", cache(Sharing::Locked))
            .shell(
                "[ \"$(stat -c '%u:%g' /cache)\" = 3:4 ]; cat /cache/seed; echo kept > /cache/kept",
            );
        check(&first.run(), &[]);
        let second = Step::new(ground, way)
            .mount("/elsewhere", cache(Sharing::Private))
            .shell("[ $(cat /elsewhere/kept) = kept ]");
        check(&second.run(), &[]);
        let caches = ground.runtime.block_on(ground.docker.caches()).unwrap();
        let mine: Vec<_> = caches
            .into_iter()
            .filter(|(_, label)| *label == id)
            .collect();
        assert_eq!(mine.len(), 1, "one volume that says whose it is: {mine:?}");
        for (volume, _) in mine {
            assert!(
                ground
                    .runtime
                    .block_on(ground.docker.remove_cache(&volume))
                    .unwrap()
            );
        }
    });
}

/// Removes the caches that are called `id`; returns their names.
fn remove_caches(ground: &Ground, id: &str) -> Vec<String> {
    let caches = ground.runtime.block_on(ground.docker.caches()).unwrap();
    let mine = caches.into_iter().filter(|(_, label)| *label == id);
    mine.map(|(volume, _)| {
        let removed = ground.runtime.block_on(ground.docker.remove_cache(&volume));
        assert!(removed.unwrap(), "{volume} is in use");
        volume
    })
    .collect()
}

#[test]
fn a_cache_that_was_not_filled_is_made_anew() {
    both_ways("unfilled", |ground, way| {
        let id = format!("{} {way:?}", ground.title());
        let cache = |seed: &str| MountKind::Cache {
            id: id.clone(),
            sharing: Sharing::Shared,
            access: Access::ReadWrite,
            mode: 0o700,
            uid: 3,
            gid: 4,
            seed: Some(bytes(&[file(seed, b"seed", 0o644)])),
        };
        // No filesystem takes such a name, so the engine refuses it after the volume was made.
        let broken = Step::new(ground, way)
            .mount("/cache", cache(&"x".repeat(300)))
            .shell("true")
            .run();
        assert!(
            matches!(broken.outcome, Err(SandboxError::Engine { .. })),
            "{:?}",
            broken.outcome
        );
        assert_eq!(
            remove_caches(ground, &id),
            Vec::<String>::new(),
            "a cache that could not be filled does not stay"
        );
        let good = Step::new(ground, way).mount("/cache", cache("seed")).shell(
            "[ \"$(stat -c '%a %u:%g' /cache)\" = '700 3:4' ]; cat /cache/seed; touch /cache/kept",
        );
        check(&good.run(), &[]);
        // What a run leaves that was killed while it filled the cache.
        let names = remove_caches(ground, &id);
        let [volume] = names.as_slice() else {
            panic!("one volume: {names:?}")
        };
        let label = format!("io.github.aicage.cache={id}");
        ground.docker(&["volume", "create", "--label", &label, volume]);
        let engine = assembler::digest::Digest::of(ground.docker.info().id.as_bytes());
        let mark = format!("{volume}.{}", engine.short());
        fs_err::write(ground.directory.path().join("locks").join(&mark), "").unwrap();
        check(&good.run(), &[]);
        let again = Step::new(ground, way)
            .mount("/cache", cache("seed"))
            .shell("[ -e /cache/kept ]");
        check(&again.run(), &[]);
        remove_caches(ground, &id);
    });
}

#[test]
fn a_cache_that_a_step_has_twice_is_one_and_does_not_wait_for_itself() {
    both_ways("twice", |ground, way| {
        let id = format!("{} {way:?}", ground.title());
        let cache = |sharing| MountKind::Cache {
            id: id.clone(),
            sharing,
            access: Access::ReadWrite,
            mode: 0o755,
            uid: 0,
            gid: 0,
            seed: None,
        };
        let step = Step::new(ground, way)
            .mount("/one", cache(Sharing::Locked))
            .mount("/two", cache(Sharing::Locked))
            .mount("/three", cache(Sharing::Shared))
            .shell("echo same > /one/file; [ $(cat /two/file /three/file | wc -l) = 2 ]");
        check(&step.run(), &[]);
        assert_eq!(remove_caches(ground, &id).len(), 1, "one volume is made");
    });
}

#[test]
fn without_network_there_is_only_the_loopback() {
    both_ways("no-network", |ground, way| {
        let mut step = Step::new(ground, way).shell("[ \"$(ls /sys/class/net)\" = lo ]");
        step.network = Network::Bridge;
        check(&step.run(), &[]);
    });
}

#[test]
fn an_interrupt_leaves_no_volume() {
    both_ways("interrupted-mounts", |ground, way| {
        let step = Step::new(ground, way)
            .mount(
                "/mnt",
                MountKind::Bind {
                    tar: bytes(&[file("x", b"x", 0o644)]),
                    file: None,
                    access: Access::ReadOnly,
                },
            )
            .shell("sleep 1000");
        let interrupt = step.interrupt.clone();
        let timer = std::thread::spawn(move || {
            std::thread::park_timeout(std::time::Duration::from_secs(3));
            interrupt.cancel();
        });
        let ran = step.run();
        timer.join().unwrap();
        assert!(
            matches!(ran.outcome, Err(SandboxError::Interrupted)),
            "{:?}",
            ran.outcome
        );
    });
}
