//! Mounts of instructions on real engines: binds, secrets, mountpoints and the network, by both ways into a container.

use aicage::engine::session::Network;
use assembler::{
    instruction::{Access, Action, Conflict, Destination, MountKind, Secret},
    sandbox::SandboxError,
};
use layer::{Entry, LayerItem, LayerPath};

use crate::{
    instructions::{Step, bytes, check, owned, unpack},
    steps::both_ways,
    support::{INTERRUPT_ME, directory, file},
};

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
            .shell(&format!("echo {INTERRUPT_ME}; sleep 1000"));
        let ran = step.run();
        assert!(
            matches!(ran.outcome, Err(SandboxError::Interrupted)),
            "{:?}",
            ran.outcome
        );
    });
}
