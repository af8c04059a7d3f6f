//! The second stage: the first process of a cage builds the cage around itself and becomes the program.
//!
//! Its standard input is a channel to the first stage, which sends the job and the program's streams; it closes by itself
//! when this process becomes the program.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd},
        unix::{fs::PermissionsExt as _, process::CommandExt as _},
    },
    path::Path,
    process::ExitCode,
};

use landlock::Scope;
use rustix::{
    event::Timespec,
    fs::{CWD, FileType, Mode, OFlags, fstat, openat},
    io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount_change, mount_remount, unmount,
    },
    process::{Signal, chdir, fchdir, pivot_root, set_parent_process_death_signal, setsid, umask},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    thread::UnshareFlags,
};

use super::{
    StageError, confine, devices, kernel, loopback, mounts,
    place::{Kind, existing, open_or_make},
    program, read_job,
    scratch::NOTHING,
    tried,
};
use crate::engine::native::{
    cage::{Cage, CageMount, CageMountKind, CageNetwork, RootAccess, UPPER},
    channel::{Channel, Message},
    job::Job,
};

/// How much more than their content the small files may come to have: `/etc/hosts` and its like are edited.
const FILES_MORE: usize = 1 << 20;

/// Runs the stage; returns only if it failed.
pub(super) fn run() -> ExitCode {
    let Ok(voice) = Channel::of_stdin() else {
        return ExitCode::from(125);
    };
    let Err(error) = become_program(&voice);
    voice.send(&error.into(), &[]).unwrap_or_default();
    ExitCode::from(125)
}

fn become_program(voice: &Channel) -> Result<std::convert::Infallible, StageError> {
    end_with_outside()?;
    umask(Mode::from_raw_mode(0o022));
    let (cage, streams) = receive(voice)?;
    tried(setsid(), || "leave the terminal".to_owned())?;
    build(&cage, voice, streams)?;
    let program = &cage.program;
    let directory = Path::new(&program.directory);
    tried(fs_err::create_dir_all(directory), || {
        format!("make {}", directory.display())
    })?;
    tried(chdir(directory), || {
        format!("go to {}", directory.display())
    })?;
    confine::limit(&cage.limits)?;
    confine::confine(&cage.confinement, Scope::AbstractUnixSocket | Scope::Signal)?;
    confine::become_user(program)?;
    // Becoming another user takes it away.
    end_with_outside()?;
    if voice.has_something(Timespec::default()).unwrap_or_default() {
        return Err(StageError::new("find the process outside", Errno::PIPE));
    }
    let mut command = program::command(program);
    let error = command.exec();
    let name = command.get_program().display();
    Err(StageError::new(format!("run {name}"), error))
}

/// Has the kernel kill this process when the one outside ends.
fn end_with_outside() -> Result<(), StageError> {
    tried(set_parent_process_death_signal(Some(Signal::KILL)), || {
        "end with the process outside".to_owned()
    })
}

/// Gets the cage, and the program's streams if it has no terminal.
fn receive(voice: &Channel) -> Result<(Box<Cage>, Vec<OwnedFd>), StageError> {
    let what = || "get the job".to_owned();
    let Some((Message::Job, mut with)) = tried(voice.receive(), what)? else {
        return Err(StageError::new(what(), Errno::PIPE));
    };
    if with.is_empty() {
        return Err(StageError::new(what(), Errno::BADF));
    }
    match read_job(with.remove(0))? {
        Job::Cage(cage) => Ok((cage, with)),
        _ => Err(StageError::new(what(), Errno::INVAL)),
    }
}

/// Builds the cage; afterwards nothing else of this machine is to be seen.
fn build(cage: &Cage, voice: &Channel, streams: Vec<OwnedFd>) -> Result<(), StageError> {
    tried(kernel::unshare(UnshareFlags::NEWNS), || {
        "have mounts of its own".to_owned()
    })?;
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    tried(mount_change("/", private), || {
        "keep mounts to itself".to_owned()
    })?;
    let scratch = Path::new(&cage.scratch);
    let (upper, work) = (scratch.join("upper"), scratch.join("work"));
    let top = scratch.join("root");
    // Named before anything of the image is seen.
    let mut sources = sources(cage)?;
    let nothing = [scratch.join(NOTHING).into_os_string()];
    let lowers = if cage.lowers.is_empty() {
        nothing.as_slice()
    } else {
        &cage.lowers
    };
    mounts::overlay(lowers, (&upper, &work), &top)?;
    let root = mounts::open(top.as_os_str(), OFlags::DIRECTORY)?;
    // The image's own, before anything is shown above it.
    for (mount, source) in cage.mounts.iter().zip(&mut sources) {
        if matches!(mount.kind, CageMountKind::Own) {
            *source = existing(root.as_fd(), &mount.target)?.map(|(found, _)| found);
        }
    }
    devices::mount_all(root.as_fd(), (&cage.network, cage.shared_memory))?;
    for (mount, source) in cage.mounts.iter().zip(sources) {
        show(root.as_fd(), &mount.target, (&mount.kind, source))?;
    }
    files(root.as_fd(), cage)?;
    if cage.program.terminal {
        take_terminal(root.as_fd(), voice)?;
    } else {
        take_streams(streams)?;
    }
    if cage.program.sees_changes {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let changes = openat(CWD, &upper, flags, Mode::empty());
        hand_over(&tried(changes, || "open the changes".to_owned())?)?;
    }
    if cage.network == CageNetwork::None {
        tried(loopback::up(), || "switch the loopback on".to_owned())?;
    }
    let named = rustix::system::sethostname(cage.hostname.as_bytes());
    tried(named, || "name the machine".to_owned())?;
    enter(&root, cage.root)
}

/// Leaves a descriptor to the program, under the number that it knows.
fn hand_over(descriptor: &OwnedFd) -> Result<(), StageError> {
    let what = || "hand the changes over".to_owned();
    let left = tried(fcntl_dupfd_cloexec(descriptor, UPPER), what)?;
    if left.as_raw_fd() != UPPER {
        return Err(StageError::new(what(), Errno::BADF));
    }
    tried(fcntl_setfd(&left, FdFlags::empty()), what)?;
    let _number = left.into_raw_fd();
    Ok(())
}

fn take_streams(streams: Vec<OwnedFd>) -> Result<(), StageError> {
    let what = || "take the program's streams".to_owned();
    let [input, output, errors] = <[OwnedFd; 3]>::try_from(streams)
        .map_err(|_others| StageError::new(what(), Errno::BADF))?;
    tried(dup2_stdin(&input), what)?;
    tried(dup2_stdout(&output), what)?;
    tried(dup2_stderr(&errors), what)
}

fn sources(cage: &Cage) -> Result<Vec<Option<OwnedFd>>, StageError> {
    let source = |mount: &CageMount| match &mount.kind {
        CageMountKind::Bind { source, .. } => mounts::open(source, OFlags::empty()).map(Some),
        CageMountKind::Part {
            directory, path, ..
        } => {
            let whole = mounts::open(directory, OFlags::DIRECTORY)?;
            let part = existing(whole.as_fd(), format!("./{path}"))?;
            let part = part.map(|(part, _)| part).ok_or(Errno::NOENT);
            tried(part, || format!("find {path} among what is shown")).map(Some)
        }
        CageMountKind::Own | CageMountKind::Memory { .. } => Ok(None),
    };
    cage.mounts.iter().map(source).collect()
}

fn show(
    root: BorrowedFd<'_>,
    target: &OsStr,
    (kind, source): (&CageMountKind, Option<OwnedFd>),
) -> Result<(), StageError> {
    match (kind, source) {
        (
            CageMountKind::Bind { read_only, .. } | CageMountKind::Part { read_only, .. },
            Some(source),
        ) => {
            let kind = if is_directory(&source)? {
                Kind::Directory
            } else {
                Kind::File
            };
            let place = open_or_make(root, target, kind)?;
            mounts::bind(&source, &place)?;
            if *read_only {
                let place = open_or_make(root, target, kind)?;
                mounts::read_only(&place)?;
            }
        }
        (CageMountKind::Own, Some(source)) => {
            mounts::bind(&source, &open_or_make(root, target, Kind::Directory)?)?;
        }
        (CageMountKind::Own, None) => memory(root, target, "mode=0755")?,
        (CageMountKind::Memory { options }, _) => memory(root, target, options)?,
        (CageMountKind::Bind { .. } | CageMountKind::Part { .. }, None) => {}
    }
    Ok(())
}

fn memory(root: BorrowedFd<'_>, target: &OsStr, options: &str) -> Result<(), StageError> {
    let place = open_or_make(root, target, Kind::Directory)?;
    let (flags, options) = mounts::memory_options(options);
    mounts::new("tmpfs", &place, (flags, &options))
}

fn is_directory(descriptor: &OwnedFd) -> Result<bool, StageError> {
    let found = tried(fstat(descriptor), || "look at what is shown".to_owned())?;
    Ok(FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

/// Shows the small files; they are in memory that nothing else shows.
fn files(root: BorrowedFd<'_>, cage: &Cage) -> Result<(), StageError> {
    if cage.files.is_empty() {
        return Ok(());
    }
    let memory = Path::new(&cage.scratch).join("files");
    let what = || "keep files in memory".to_owned();
    let place = mounts::open(memory.as_os_str(), OFlags::DIRECTORY)?;
    // Whoever may write to one of the files is not to fill the machine's memory with it.
    let content: usize = cage.files.iter().map(|file| file.content.len()).sum();
    let options = format!("mode=755,size={}", content + FILES_MORE);
    mounts::new(
        "tmpfs",
        &place,
        (MountFlags::NOSUID | MountFlags::NODEV, &options),
    )?;
    for (number, file) in cage.files.iter().enumerate() {
        let path = memory.join(number.to_string());
        tried(fs_err::write(&path, &file.content), what)?;
        let mode = std::fs::Permissions::from_mode(file.mode);
        tried(fs_err::set_permissions(&path, mode), what)?;
        let source = mounts::open(path.as_os_str(), OFlags::empty())?;
        let place = open_or_make(root, &file.target, Kind::File)?;
        mounts::bind(&source, &place)?;
    }
    Ok(())
}

/// Makes a terminal of the cage's own the program's, and hands our end out.
fn take_terminal(root: BorrowedFd<'_>, voice: &Channel) -> Result<(), StageError> {
    let what = || "take the terminal".to_owned();
    let (ours, theirs) = devices::terminal(root)?;
    tried(voice.send(&Message::Terminal, &[ours.as_fd()]), what)?;
    tried(rustix::process::ioctl_tiocsctty(&theirs), what)?;
    tried(dup2_stdin(&theirs), what)?;
    tried(dup2_stdout(&theirs), what)?;
    tried(dup2_stderr(&theirs), what)
}

/// Makes the tree the root, and forgets this machine's.
fn enter(root: &OwnedFd, access: RootAccess) -> Result<(), StageError> {
    let what = || "make the image the root".to_owned();
    tried(fchdir(root), what)?;
    tried(pivot_root(".", "."), what)?;
    tried(unmount(".", UnmountFlags::DETACH), what)?;
    tried(chdir("/"), what)?;
    if access == RootAccess::ReadOnly {
        let flags = MountFlags::BIND | MountFlags::RDONLY;
        tried(mount_remount("/", flags, ""), what)?;
    }
    Ok(())
}
