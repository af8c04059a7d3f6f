//! The home directory, the directories that lead to mounts in it, and the workspace.

use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Mounted;
use super::contract::Contract;

/// What new homes are filled from.
const SKELETON: &str = "/etc/skel";

/// Makes the user's home and gives it what the engine made on the way to a mount.
pub(super) fn prepare(contract: &Contract, mounted: &Mounted) -> io::Result<()> {
    create(&contract.home, contract)?;
    if Path::new(SKELETON).is_dir() {
        copy_missing(Path::new(SKELETON), &contract.home, contract)?;
    }
    create(&contract.mount_home, contract)?;
    for mount in mounted.tops_below(&contract.mount_home) {
        let between = mount
            .ancestors()
            .skip(1)
            .take_while(|place| *place != contract.mount_home);
        for directory in between {
            own(directory, contract)?;
        }
    }
    Ok(())
}

/// Root's home is not where the caller's files are mounted: links lead from the one to the other.
pub(super) fn link_mounts(contract: &Contract, mounted: &Mounted) -> io::Result<()> {
    if contract.home == contract.mount_home {
        return Ok(());
    }
    for mount in mounted.tops_below(&contract.mount_home) {
        let Ok(relative) = mount.strip_prefix(&contract.mount_home) else {
            continue;
        };
        let link = contract.home.join(relative);
        if fs::read_link(&link).is_ok_and(|target| target == mount) {
            continue;
        }
        if let Some(directory) = link.parent() {
            fs::create_dir_all(directory)?;
        }
        if link.symlink_metadata().is_ok() {
            fs::rename(&link, unused(&link))?;
        }
        symlink(mount, &link)?;
    }
    Ok(())
}

/// Makes the workspace, and the user's own if it is not mounted.
pub(super) fn workspace(contract: &Contract, mounted: &Mounted) -> io::Result<()> {
    fs::create_dir_all(&contract.workspace)?;
    if mounted.contains(&contract.workspace) || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    own(&contract.workspace, contract)
}

fn create(directory: &Path, contract: &Contract) -> io::Result<()> {
    if !directory.is_dir() {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, PermissionsExt::from_mode(0o755))?;
    }
    own(directory, contract)
}

/// Changes a node's owner, never that of what it points to.
fn own(path: &Path, contract: &Contract) -> io::Result<()> {
    lchown(path, Some(contract.uid), Some(contract.gid))
}

fn copy_missing(from: &Path, to: &Path, contract: &Contract) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if target.symlink_metadata().is_ok() {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir(&target)?;
            own(&target, contract)?;
            copy_missing(&source, &target, contract)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
            own(&target, contract)?;
        } else if source.is_file() {
            fs::copy(&source, &target)?;
            own(&target, contract)?;
        }
    }
    Ok(())
}

/// Returns a free name for what is in the way.
fn unused(path: &Path) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let free = PathBuf::from(name);
        if free.symlink_metadata().is_err() {
            return free;
        }
        number += 1;
    }
}
