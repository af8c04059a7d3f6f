//! Whether this machine can make a cage at all: by making one, the smallest there is.
//!
//! Invariant: what is made for it is one directory beside the store, and it is gone at the end.

use std::{
    io,
    os::{fd::AsFd as _, unix::fs::PermissionsExt},
    path::Path,
};

use super::{
    Native,
    cage::{Cage, CageNetwork, Confinement, Program, RootAccess, Whose},
    error::NativeError,
    job::Job,
    launch::FirstStage,
};

/// The name of the one program there is.
const PROGRAM: &str = "init";

/// Runs `program`, which is static and ends at once, in a cage on the store's filesystem.
pub(crate) fn probe(native: &Native, program: &[u8]) -> Result<(), NativeError> {
    let host = || NativeError::host("try a cage");
    let place = native.store.ancestors().find(|path| path.is_dir());
    let directory = tempfile::Builder::new()
        .prefix(".aicage-probe-")
        .tempdir_in(place.unwrap_or(Path::new("/")))
        .map_err(host())?;
    let (lower, scratch) = (
        directory.path().join("lower"),
        directory.path().join("upper"),
    );
    let made = || -> io::Result<fs_err::File> {
        fs_err::create_dir(&lower)?;
        fs_err::create_dir(&scratch)?;
        fs_err::write(lower.join(PROGRAM), program)?;
        fs_err::set_permissions(lower.join(PROGRAM), PermissionsExt::from_mode(0o755))?;
        fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
    };
    let nothing = made().map_err(host())?;
    let cage = Cage {
        lowers: vec![lower.into_os_string()],
        like: None,
        scratch: scratch.into_os_string(),
        hostname: "probe".to_owned(),
        mounts: Vec::new(),
        files: Vec::new(),
        network: CageNetwork::None,
        root: RootAccess::ReadWrite,
        confinement: Confinement::default(),
        limits: Vec::new(),
        shared_memory: 1 << 20,
        program: Program {
            command: vec![format!("/{PROGRAM}").into(), "probe".into()],
            environment: Vec::new(),
            directory: "/".into(),
            user: (0, 0),
            groups: Vec::new(),
            terminal: false,
            sees_changes: false,
            whose: Whose::Image,
        },
    };
    let nothing = nothing.file().as_fd();
    let streams = [nothing, nothing, nothing, nothing];
    let status = FirstStage::carry_out(native, &Job::Cage(Box::new(cage)), &streams)?;
    if status == 0 {
        return Ok(());
    }
    let error = io::Error::other(format!("its program ended with status {status}"));
    Err(host()(error))
}
