//! Instructions on real engines, by both ways into a container.

use std::{collections::BTreeMap, sync::Arc};

use aicage::engine::{SandboxSettings, session::Network};
use assembler::{
    image::Image,
    instruction::{
        Action, Conflict, Destination, Instruction, MountKind, Secret, StepMount, TarSource,
    },
    sandbox::{Sandbox as _, SandboxError, StepNetwork, StepRequest, Task},
};
use layer::{Entry, LayerItem, LayerPath};
use tokio_util::sync::CancellationToken;

use crate::{
    steps::{Way, both_ways, changes},
    support::{Ground, Log, Recorder, directory, file, is_empty, tar_of},
};

/// What came of a step.
pub(crate) struct Ran {
    pub(crate) outcome: Result<(), SandboxError>,
    pub(crate) changes: Vec<String>,
    pub(crate) log: String,
}

pub(crate) struct Step<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) way: Way,
    pub(crate) image: &'a Image,
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) mounts: Vec<StepMount>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) network: Network,
    pub(crate) interrupt: CancellationToken,
}

impl<'a> Step<'a> {
    pub(crate) fn new(ground: &'a Ground, way: Way) -> Self {
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

    pub(crate) fn then(mut self, action: Action) -> Self {
        let label = format!("instruction {}", self.instructions.len() + 1);
        self.instructions.push(Instruction { label, action });
        self
    }

    pub(crate) fn shell(self, script: &str) -> Self {
        self.then(shell(script, None))
    }

    pub(crate) fn mount(mut self, target: &str, kind: MountKind) -> Self {
        let target = target.to_owned();
        self.mounts.push(StepMount { target, kind });
        self
    }

    pub(crate) fn run(&self) -> Ran {
        let settings = SandboxSettings {
            network: self.network.clone(),
            ..self.ground.settings(&self.interrupt)
        };
        let recorder = Recorder::default();
        let sandbox = self.ground.sandbox(settings, &recorder);
        let sandbox = match self.way {
            Way::Mounted | Way::Native => sandbox,
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
        let (mut log, mut tar) = (Log::new(&self.interrupt), Vec::new());
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
            log: log.text(),
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

pub(crate) fn shell(script: &str, user: Option<&str>) -> Action {
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

pub(crate) fn bytes(items: &[(LayerItem, &[u8])]) -> TarSource {
    TarSource::Bytes(Arc::from(tar_of(items)))
}

pub(crate) fn owned(item: (LayerItem, &[u8]), (uid, gid): (u64, u64)) -> (LayerItem, &[u8]) {
    let (LayerItem::Entry(mut entry), content) = item else {
        return item;
    };
    (entry.uid, entry.gid) = (uid, gid);
    (LayerItem::Entry(entry), content)
}

pub(crate) fn unpack(tar: TarSource, to: &str) -> Action {
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
pub(crate) fn check(ran: &Ran, expected: &[&str]) {
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
