//! The contract of a sandbox, on real engines, by both ways into a container.

use std::{collections::BTreeMap, io::Read as _, sync::Arc};

use aicage::engine::{EngineSandbox, SandboxSettings};
use assembler::{
    image::Image,
    recipe::{ScriptFile, ScriptFiles},
    sandbox::{Sandbox as _, SandboxError, StepNetwork, StepRequest, Task},
};
use layer::{
    EntryKind, LayerItem,
    tar::{LayerReader, Limits},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Ground, Log, Recorder, image_of, is_empty, on_each_engine, on_this_machine};

pub(crate) const LABEL: &str = "io.github.aicage.step";

/// How a step's files get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Mounted,
    Uploaded,
    Native,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Result<(), SandboxError>,
    /// The layer's entries as `path kind mode uid:gid content`.
    pub(crate) changes: Vec<String>,
    pub(crate) log: String,
    pub(crate) warnings: Vec<String>,
}

pub(crate) struct Step<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) way: Way,
    pub(crate) image: &'a Image,
    pub(crate) interrupt: CancellationToken,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) ca: Option<Vec<u8>>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(ground: &'a Ground, way: Way) -> Self {
        Self {
            ground,
            way,
            image: &ground.image,
            interrupt: CancellationToken::new(),
            env: BTreeMap::new(),
            ca: None,
        }
    }

    pub(crate) fn with_sandbox<T>(
        &self,
        script: &str,
        recorder: &Recorder,
        work: impl FnOnce(&EngineSandbox<'_>, &StepRequest<'_>) -> T,
    ) -> T {
        let settings = SandboxSettings {
            ca: self.ca.clone(),
            ..self.ground.settings(&self.interrupt)
        };
        let sandbox = self.ground.sandbox(settings, recorder);
        let sandbox = match self.way {
            Way::Mounted | Way::Native => sandbox,
            Way::Uploaded => sandbox.uploading(),
        };
        let file = |content: &str| ScriptFile {
            executable: false,
            content: Arc::from(content.as_bytes()),
        };
        let files = ScriptFiles::new(BTreeMap::from([
            ("install.sh".to_owned(), file(script)),
            ("data/deep/file.txt".to_owned(), file("deep")),
        ]));
        let request = StepRequest {
            store: &self.ground.store,
            lock: &self.ground.lock,
            image: self.image,
            task: Task::Scripts {
                files: &files,
                run: &["install.sh".to_owned()],
            },
            network: StepNetwork::Configured,
            env: &self.env,
            source_date: None,
            title: &self.ground.title(),
        };
        let result = work(&sandbox, &request);
        self.ground.runtime.block_on(sandbox.clean()).unwrap();
        assert_eq!(
            self.ground.leftovers("io.github.aicage.title"),
            Vec::<String>::new(),
            "no container is left ({:?})",
            self.way
        );
        assert!(
            is_empty(&self.ground.scratch()),
            "no file of the step is left"
        );
        result
    }

    pub(crate) fn run(&self, script: &str) -> Ran {
        let recorder = Recorder::default();
        let mut log = Log::new(&self.interrupt);
        let mut tar = Vec::new();
        let outcome = self.with_sandbox(script, &recorder, |sandbox, request| {
            sandbox.run(request, &mut log, &mut |answer| {
                answer.read_to_end(&mut tar)?;
                Ok(())
            })
        });
        let changes = if outcome.is_ok() {
            changes(&tar)
        } else {
            Vec::new()
        };
        Ran {
            outcome,
            changes,
            log: log.text(),
            warnings: recorder.warnings.into_inner().unwrap(),
        }
    }
}

pub(crate) fn changes(tar: &[u8]) -> Vec<String> {
    let mut reader = LayerReader::new(tar, Limits::default());
    let mut found = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            LayerItem::Entry(entry) => {
                let path = String::from_utf8_lossy(entry.path.as_bytes())
                    .escape_debug()
                    .to_string();
                let mut content = Vec::new();
                let kind = match &entry.kind {
                    EntryKind::File { .. } => {
                        reader.read_to_end(&mut content).unwrap();
                        content.truncate(20);
                        "file"
                    }
                    EntryKind::Directory => "dir",
                    EntryKind::Symlink { target } => {
                        content.clone_from(target);
                        "link"
                    }
                    EntryKind::HardLink { .. } => "hardlink",
                    EntryKind::Fifo => "fifo",
                    EntryKind::CharDevice { .. } => "char",
                    EntryKind::BlockDevice { .. } => "block",
                };
                let content = String::from_utf8_lossy(&content).escape_debug().to_string();
                found.push(format!(
                    "{path} {kind} {:o} {}:{} {content}",
                    entry.mode, entry.uid, entry.gid
                ));
            }
            LayerItem::Whiteout(path) => {
                found.push(format!("{} gone", String::from_utf8_lossy(path.as_bytes())));
            }
            LayerItem::Opaque(path) => {
                found.push(format!(
                    "{} opaque",
                    String::from_utf8_lossy(path.as_bytes())
                ));
            }
        }
    }
    found
}

pub(crate) fn both_ways(salt: &str, test: impl Fn(&Ground, Way)) {
    on_each_engine(salt, |ground| {
        for way in [Way::Mounted, Way::Uploaded] {
            test(ground, way);
        }
    });
    on_this_machine(salt, |ground| test(ground, Way::Native));
}

#[test]
fn what_a_script_changes_comes_back_and_nothing_else() {
    both_ways("changes", |ground, way| {
        let mut step = Step::new(ground, way);
        step.env
            .insert("FROM_STEP".to_owned(), "with, comma: and colon".to_owned());
        let ran = step.run(
            "#!/bin/sh\r\nset -e\r\nmkdir /opt\r\necho $FROM_IMAGE $FROM_SETTINGS $FROM_STEP > /opt/env\r\ncat data/deep/file.txt > /opt/deep\r\nrm -r /old\r\nchmod 4755 /etc/second\r\necho said\r\necho complained >&2\r\n",
        );
        ran.outcome.unwrap();
        let expected = [
            "etc dir 755 0:0 ",
            "old gone",
            "etc/second file 4755 0:0 2",
            "opt dir 755 0:0 ",
            "opt/deep file 644 0:0 deep",
            "opt/env file 644 0:0 yes yes with, comma:",
        ];
        let mut found = ran.changes.clone();
        found.sort();
        let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        expected.sort();
        assert_eq!(found, expected, "{way:?}: {}", ran.log);
        assert!(
            ran.log.contains("said") && ran.log.contains("complained"),
            "{}",
            ran.log
        );
        assert_eq!(ran.warnings, Vec::<String>::new());
    });
}

#[test]
fn a_script_that_leaves_processes_and_deletes_everything_it_can_changes_nothing_for_us() {
    both_ways("nasty", |ground, way| {
        let ran = Step::new(ground, way).run(
            "#!/bin/sh\nsleep 1000 &\necho '#!/bin/sh' > /tmp/init; chmod 755 /tmp/init\nfor d in /.aicage-*; do cp /tmp/init $d/init; rm -rf $d; done 2>/dev/null\nrm /tmp/init\necho x > /made\nkill -9 1\nexec /bin/rm -rf /bin\n",
        );
        ran.outcome.unwrap();
        assert!(
            ran.changes.contains(&"bin gone".to_owned()),
            "{way:?}: {:?}",
            ran.changes
        );
        assert!(
            ran.changes.iter().any(|line| line.starts_with("made file")),
            "{:?}",
            ran.changes
        );
        assert!(
            !ran.changes.iter().any(|line| line.contains(".aicage")),
            "nothing of ours is captured: {:?}",
            ran.changes
        );
    });
}

#[test]
fn odd_names_devices_links_and_sparse_files_come_back() {
    both_ways("odd", |ground, way| {
        // Where the container's root is nobody's root, the kernel makes no devices.
        let device = if ground.makes_no_devices() {
            "zero p"
        } else {
            "zero c 1 5"
        };
        let script = "set -e\nmkdir /odd; cd /odd\ntouch \"$(printf 'new\\nline')\" \"$(printf 'latin\\351')\" ' space '\nmknod DEVICE\nmknod pipe p\necho a > one; ln one two; ln -s one sym\ntruncate -s 1000000 sparse\nchown 1234:5678 one\nchmod 2755 .\n";
        let ran = Step::new(ground, way).run(&script.replace("DEVICE", device));
        ran.outcome.unwrap();
        let has = |start: &str| {
            assert!(
                ran.changes.iter().any(|line| line.starts_with(start)),
                "{way:?}: `{start}` is missing in {:?}",
                ran.changes
            );
        };
        has("odd dir 2755 0:0");
        has("odd/new\\nline file 644");
        has("odd/ space  file 644");
        has(if ground.makes_no_devices() {
            "odd/zero fifo"
        } else {
            "odd/zero char"
        });
        has("odd/pipe fifo");
        has("odd/one file 644 1234:5678 a");
        has("odd/two hardlink");
        has("odd/sym link 777 0:0 one");
        has("odd/sparse file 644");
    });
}

#[test]
fn a_hundred_thousand_files_come_back() {
    on_each_engine("many", |ground| {
        // It is the same program on all; both Dockers and the strangest of the others are enough for so many.
        let engine = ground.info();
        if engine.is_podman() != engine.is_rootless() {
            return;
        }
        let ran = Step::new(ground, Way::Mounted).run(
            "mkdir /many\nfor d in $(seq 100); do mkdir /many/$d; cd /many/$d; touch $(seq 1000); done\n",
        );
        ran.outcome.unwrap();
        assert_eq!(
            ran.changes.len(),
            100_101,
            "the files and their directories"
        );
    });
}

#[test]
fn a_flood_of_output_is_cut_and_stops_nobody() {
    both_ways("flood", |ground, way| {
        let ran = Step::new(ground, way)
            .run("yes 0123456789abcdef | head -c 80000000\necho done > /done\n");
        ran.outcome.unwrap();
        assert_eq!(ran.changes, ["done file 644 0:0 done\\n"], "{way:?}");
        assert!(
            ran.log.len() < 70_000_000,
            "{} bytes were kept",
            ran.log.len()
        );
        assert!(ran.log.ends_with("and are not kept]\n"), "the log says so");
    });
}

#[test]
fn a_query_returns_what_scripts_print_and_keeps_no_change() {
    both_ways("query", |ground, way| {
        let recorder = Recorder::default();
        let mut log = Vec::new();
        let said = Step::new(ground, way).with_sandbox(
            "echo 1.2.3; echo talk >&2; touch /x",
            &recorder,
            |sandbox, request| sandbox.query(request, &mut log, std::time::Duration::from_mins(1)),
        );
        assert_eq!(said.unwrap(), b"1.2.3\n", "{way:?}");
        assert_eq!(log, b"talk\n", "{way:?}");
    });
}

#[test]
fn certificates_are_trusted_inside_and_leave_no_trace() {
    both_ways("certificates", |ground, way| {
        let mut step = Step::new(ground, way);
        step.ca = Some(b"-----BEGIN CERTIFICATE-----\nours\n".to_vec());
        let ran = step.run("cat \"$SSL_CERT_FILE\"\n");
        ran.outcome.unwrap();
        assert!(ran.log.contains("ours"), "{way:?}: {}", ran.log);
        assert_eq!(ran.changes, Vec::<String>::new(), "{way:?}");
    });
}

#[test]
fn an_image_with_volumes_is_warned_of() {
    on_each_engine("volumes", |ground| {
        let mut layers = Vec::new();
        for layer in ground.image.layers() {
            let mut tar = Vec::new();
            ground
                .store
                .layer_tar(layer)
                .unwrap()
                .read_to_end(&mut tar)
                .unwrap();
            layers.push(tar);
        }
        let volumes = json!({"Volumes": {"/data": {}}});
        let image = image_of(&ground.store, &ground.lock, &layers, &volumes);
        let mut step = Step::new(ground, Way::Mounted);
        step.image = &image;
        let ran = step.run("mkdir -p /data; touch /data/lost /kept");
        ran.outcome.unwrap();
        assert!(
            ran.warnings.len() == 1 && ran.warnings[0].contains("/data"),
            "{:?}",
            ran.warnings
        );
        assert!(
            ran.changes.iter().any(|line| line.starts_with("kept")),
            "{:?}",
            ran.changes
        );
    });
}
