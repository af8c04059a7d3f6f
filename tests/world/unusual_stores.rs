//! A store on a filesystem that is not as most are: without an engine it is used, or refused with what helps.

use std::{path::PathBuf, process::Command};

use crate::ground::{BASE, Ground, Said, on_this_machine};

/// Something mounted where aicage keeps all that it has.
struct Mounted(PathBuf);

impl Mounted {
    fn new(ground: &Ground, arguments: &[&str]) -> Self {
        let at = ground.aicage_home();
        let mut mount = Command::new("mount");
        Said::of(mount.args(arguments).arg("none").arg(&at), 0);
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _status = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_store_in_memory_or_where_nothing_may_be_run_is_one_like_others() {
    for options in ["size=1g", "size=1g,noexec", "size=1g,nosuid"] {
        on_this_machine(|ground| {
            eprintln!("{options}");
            let _mounted = Mounted::new(ground, &["-t", "tmpfs", "-o", options]);
            ground.base("library/debian:latest");
            ground.define_program("echo it runs");
            let said = ground.start(&[], 0);
            assert_eq!(said.stdout, "it runs\n", "{}", said.stderr);
            ground.run(&["cache", "prune", "--all", "--yes"], 0);
        });
    }
}

#[test]
fn a_store_over_which_nothing_can_be_laid_is_refused_with_what_helps() {
    on_this_machine(|ground| {
        // Not among what is given to who runs the program.
        let below = tempfile::tempdir().unwrap();
        let below = below.path();
        for name in ["lower", "upper", "work"] {
            fs_err::create_dir_all(below.join(name)).unwrap();
        }
        let of = |name: &str| below.join(name).display().to_string();
        let (lower, upper, work) = (of("lower"), of("upper"), of("work"));
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let _mounted = Mounted::new(ground, &["-t", "overlay", "-o", &options]);
        ground.base("library/debian:latest");
        ground.define_program("echo it runs");
        let said = ground.run(&["build", &ground.agent, "--base", BASE], 125);
        assert!(said.stderr.contains("is on overlay"), "{}", said.stderr);
        assert!(said.stderr.contains("AICAGE_HOME"), "{}", said.stderr);
    });
}

#[test]
fn a_full_disk_is_named_and_the_store_stays_whole() {
    on_this_machine(|ground| {
        let _mounted = Mounted::new(ground, &["-t", "tmpfs", "-o", "size=100m"]);
        ground.base("library/debian:latest");
        ground.define_program("echo it runs");
        let said = ground.run(&["build", &ground.agent, "--base", BASE], 1);
        let stderr = &said.stderr;
        assert!(stderr.contains("there is no space left"), "{stderr}");
        assert!(stderr.contains("aicage cache prune"), "{stderr}");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
        ground.run(&["cache", "verify"], 0);
        ground.run(&["cache", "prune", "--all", "--yes"], 0);
        ground.base("library/busybox:latest");
        assert_eq!(ground.start(&[], 0).stdout, "it runs\n");
    });
}
