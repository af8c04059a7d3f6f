//! What every program expects to be there: `/proc`, `/sys`, `/dev`, and of each only what is harmless.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::{
    fs::{OFlags, symlinkat},
    io::Errno,
    mount::{MountFlags, mount_bind},
};

use super::{
    StageError, mounts,
    place::{Kind, existing, open_as, open_or_make, path_of},
    program, tried,
};
use crate::engine::native::cage::CageNetwork;

/// Device nodes of this machine that can do no harm.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links that programs expect in `/dev`.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];
/// What tells of this machine or of other programs: seen as empty. Docker's list.
const MASKED: [&str; 19] = [
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/virtual/powercap",
    "sys/firmware",
    "sys/fs/bpf",
    "sys/fs/cgroup",
    "sys/fs/pstore",
    "sys/kernel/config",
    "sys/kernel/debug",
    "sys/kernel/security",
    "sys/kernel/tracing",
];
/// What changes this machine: can only be read. Docker's list.
const READ_ONLY: [&str; 5] = [
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];

const PLAIN: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// Mounts all of it.
pub(super) fn mount_all(
    root: BorrowedFd<'_>,
    (network, shared_memory): (&CageNetwork, u64),
) -> Result<(), StageError> {
    let place = |path: &str| open_or_make(root, path.as_ref(), Kind::Directory);
    mounts::new("proc", &place("proc")?, (PLAIN, ""))?;
    system(root, network)?;
    devices(root, shared_memory)?;
    hide(root)
}

/// Shows the system's devices and drivers, read-only.
fn system(root: BorrowedFd<'_>, network: &CageNetwork) -> Result<(), StageError> {
    let target = open_or_make(root, "sys".as_ref(), Kind::Directory)?;
    let flags = PLAIN | MountFlags::RDONLY;
    // The interfaces in it are those of a network namespace, and only its owner may mount it.
    if *network != CageNetwork::Host && mounts::new("sysfs", &target, (flags, "")).is_ok() {
        return Ok(());
    }
    let source = mounts::open("/sys".as_ref(), OFlags::DIRECTORY)?;
    mounts::bind(&source, &target)?;
    mounts::read_only(&mounted(root, "sys")?)
}

fn devices(root: BorrowedFd<'_>, shared_memory: u64) -> Result<(), StageError> {
    let place = |path: &str| open_or_make(root, path.as_ref(), Kind::Directory);
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mounts::new("tmpfs", &place("dev")?, (flags, "mode=755,size=65536k"))?;
    for name in NODES {
        let target = open_or_make(root, format!("dev/{name}").as_ref(), Kind::File)?;
        let source = mounts::open(format!("/dev/{name}").as_ref(), OFlags::empty())?;
        tried(mount_bind(path_of(&source), path_of(&target)), || {
            format!("show /dev/{name}")
        })?;
        // Root may be the node's owner outside too; it is written to all the same.
        mounts::read_only(&mounted(root, &format!("dev/{name}"))?)?;
    }
    let directory = place("dev")?;
    for (name, target) in LINKS {
        tried(symlinkat(target, directory.as_fd(), name), || {
            format!("make /dev/{name}")
        })?;
    }
    let options = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    let pts = place("dev/pts")?;
    let made = mounts::new("devpts", &pts, (flags, options));
    // A mapping without the group `tty`.
    made.or_else(|_| {
        mounts::new(
            "devpts",
            &pts,
            (flags, "newinstance,ptmxmode=0666,mode=0620"),
        )
    })?;
    let options = format!("mode=1777,size={shared_memory}");
    mounts::new("tmpfs", &place("dev/shm")?, (PLAIN, &options))?;
    match mounts::new("mqueue", &place("dev/mqueue")?, (PLAIN, "")) {
        // A kernel without them.
        Err(error) if error.source.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Ok(()),
        mounted => mounted,
    }
}

/// Takes away what tells too much.
fn hide(root: BorrowedFd<'_>) -> Result<(), StageError> {
    let null = mounts::open("/dev/null".as_ref(), OFlags::empty())?;
    for path in MASKED {
        match existing(root, path)? {
            Some((target, Kind::Directory)) => mounts::new(
                "tmpfs",
                &target,
                (PLAIN | MountFlags::RDONLY, "size=0,mode=555"),
            )?,
            Some((target, Kind::File)) => mounts::bind(&null, &target)?,
            None => {}
        }
    }
    for path in READ_ONLY {
        if let Some((target, _)) = existing(root, path)? {
            mounts::bind(&target, &target)?;
            mounts::read_only(&mounted(root, path)?)?;
        }
    }
    Ok(())
}

/// Opens what was just mounted at a place, which was opened before as what is under it.
fn mounted(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, StageError> {
    let (place, _) = existing(root, path)?
        .ok_or_else(|| StageError::new(format!("find /{path}"), Errno::NOENT))?;
    Ok(place)
}

/// Opens the terminal of the cage: our end, and the program's.
pub(super) fn terminal(root: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd), StageError> {
    let what = || "open a terminal".to_owned();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let ours = tried(open_as(root, "dev/pts/ptmx".as_ref(), flags), what)?;
    let theirs = tried(program::other_end(&ours), what)?;
    let console = open_or_make(root, "dev/console".as_ref(), Kind::File)?;
    tried(mount_bind(path_of(&theirs), path_of(&console)), what)?;
    Ok((ours, theirs))
}
