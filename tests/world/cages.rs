//! What a cage is made of on this machine alone, where the machine has something unusual.

use std::{
    io::{ErrorKind, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    container_options::runs_arguments,
    ground::{BASE, Said, on_this_machine},
    session::until,
};

/// Memory that is mounted somewhere, for root alone.
struct Closed(PathBuf);

impl Closed {
    fn new(at: &Path) -> Self {
        fs_err::create_dir(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "mode=700,size=1m", "none"]);
        Said::of(mount.arg(at), 0);
        Self(at.to_owned())
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let _status = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn what_is_mounted_where_nobody_inside_may_go_is_read_only_and_keeps_no_cage_from_being_made() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let shared = tempfile::tempdir().unwrap();
        fs_err::set_permissions(shared.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let _outer = Closed::new(&shared.path().join("closed"));
        let _inner = Closed::new(&shared.path().join("closed/inner"));
        let share = format!("{}:ro", shared.path().display());
        let script = "grep -F \" $0\" /proc/mounts | cut -d' ' -f4 | cut -d, -f1";
        let place = shared.path().to_str().unwrap();
        let words = ["--share", &share, "--base", BASE, &ground.agent, "sh", "-c"];
        let said = ground.run(&[&words[..], &[script, place]].concat(), 0);
        assert_eq!(said.stdout, "ro\nro\nro\n", "the share and what is in it");
    });
}

#[test]
fn a_limit_that_cannot_be_had_is_named_by_its_number() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let words = ["--ulimit", "nofile=9000000000", "--base", BASE];
        let said = ground.run(&[&words[..], &[&ground.agent, "true"]].concat(), 125);
        said.tells("limit nofile to 9000000000");
    });
}

/// Tries to write to every program that runs inside.
const OVERWRITE: &str =
    "for program in /proc/[0-9]*/exe; do (: >>$program) 2>&- && echo $program; done; true";

#[test]
fn an_image_whose_program_is_the_one_that_starts_it_cannot_write_to_it() {
    on_this_machine(|ground| {
        // Our own program may need the libraries of such an image.
        ground.base("library/debian:latest");
        let base = ground.aicage_home().join("custom/image-base").join(BASE);
        let dockerfile = "ARG FROM_IMAGE\nFROM ${FROM_IMAGE}\nRUN mkfifo /wait\n";
        fs_err::write(base.join("Dockerfile"), dockerfile).unwrap();
        ground.define_program("true");
        let mut options = vec!["-d", "--entrypoint", "sh", "-e", "AICAGE_HOME=/tmp/own"];
        options.extend(["--base", BASE, &ground.agent]);
        ground.run(&[&options[..], &["-c", "sleep 100"]].concat(), 0);
        // It waits for somebody to write there.
        let words = ["base", "import", &ground.agent, "/wait"];
        let mut own = ground.aicage(&["exec", "--", "/proc/self/exe"]);
        let mut own = own.args(words).spawn().unwrap();
        let line = ["/proc/self/exe", &words.join("\0"), ""].join("\0");
        let process = until("our own program inside", || running(&line));

        // Somebody outside who may do all gets no further than somebody inside.
        let program = process.join("exe");
        let held = fs_err::File::open(&program).unwrap();
        let ours = fs_err::metadata(env!("CARGO_BIN_EXE_aicage")).unwrap();
        let found = held.metadata().unwrap();
        assert_ne!((found.dev(), found.ino()), (ours.dev(), ours.ino()));
        // Most kernels let nobody write to what runs, and some do; it is sealed, too.
        let refused = write(&program).unwrap_err().kind();
        let refusals = [ErrorKind::ExecutableFileBusy, ErrorKind::PermissionDenied];
        assert!(refusals.contains(&refused), "{refused}");
        let said = ground.run(&["exec", "--", "sh", "-c", OVERWRITE], 0);
        assert_eq!(said.stdout, "", "programs that were written to");
        own.kill().unwrap();
        own.wait().unwrap();
        until("its end", || (!process.exists()).then_some(()));
        let held = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        let refused = write(&held).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "it is sealed");
        ground.run(&["stop", "-t", "0"], 0);
    });
}

/// Finds the process with this command line.
fn running(line: &str) -> Option<PathBuf> {
    let processes = fs_err::read_dir("/proc").unwrap().flatten();
    let mut processes = processes.map(|entry| entry.path());
    processes.find(|process| {
        std::fs::read(process.join("cmdline")).is_ok_and(|found| found == line.as_bytes())
    })
}

fn write(program: &Path) -> std::io::Result<()> {
    let mut file = fs_err::OpenOptions::new().write(true).open(program)?;
    file.write_all(b"#!/bin/sh\n")
}
