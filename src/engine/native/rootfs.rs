//! An image's layers as directories: unpacked once for each mapping of ids, by a process inside it.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use assembler::{
    image::Image,
    store::{
        BlobStore, SharedLock,
        rootfs::{Directly, InMapping, Lookup, MappingName, UnpackJob},
    },
};

use super::{
    Native,
    channel::{MOST, Message, in_memory},
    error::NativeError,
    ground,
    job::Job,
    launch::FirstStage,
};

/// What a cage's root is made of.
#[derive(Debug)]
pub(crate) struct Lowers {
    /// Directories, the topmost first.
    pub(crate) directories: Vec<OsString>,
    /// Which of them says how the root itself looks.
    pub(crate) root: Option<OsString>,
    /// As long as this is open, none of them is removed.
    pub(crate) held: OwnedFd,
}

/// Returns the directories of an image's layers; what is not unpacked yet is unpacked now.
pub(crate) fn lowers(
    native: &Native,
    (store, lock): (&BlobStore, &SharedLock),
    image: &Image,
) -> Result<Lowers, NativeError> {
    ground::check(&native.store)?;
    let rootfs = store.rootfs(lock, &native.maps()?.mapping())?;
    let missing: Vec<UnpackJob> = rootfs
        .look(lock, image)?
        .into_iter()
        .filter_map(|layer| match layer {
            Lookup::Missing(job) => Some(job),
            Lookup::There(_) => None,
        })
        .collect();
    // The lowest first, as many at once as a message has room for.
    for jobs in missing.chunks(MOST - 2) {
        let directory = fs_err::File::open(rootfs.directory())
            .map_err(NativeError::host("open the unpacked layers"))?;
        let blobs = jobs
            .iter()
            .map(|job| rootfs.open_blob(job))
            .collect::<Result<Vec<_>, _>>()?;
        let mut with = vec![directory.as_fd()];
        with.extend(blobs.iter().map(|blob| blob.as_fd()));
        FirstStage::carry_out(native, &Job::Unpack(jobs.to_vec()), &with)?;
    }
    let Some(stack) = rootfs.stack(lock, image)? else {
        return Err(NativeError::Vanished);
    };
    let held = rootfs.hold(lock, &stack)?.into_file();
    let directories: Vec<OsString> = stack
        .lowers
        .iter()
        .map(|layer| rootfs.directory().join(&layer.name).into_os_string())
        .collect();
    Ok(Lowers {
        root: stack.root.and_then(|root| directories.get(root).cloned()),
        directories,
        held: held.into_parts().0.into(),
    })
}

/// Removes and checks unpacked layers from inside the caller's mapping.
#[derive(Debug)]
pub struct Upkeep<'a> {
    native: &'a Native,
}

impl<'a> Upkeep<'a> {
    /// Nothing is started until there is something to do.
    pub fn new(native: &'a Native) -> Self {
        Self { native }
    }

    /// Tells whether it takes a process of the mapping: not where the caller is root, nor where there is no mapping.
    fn is_ours(&self, mapping: &MappingName) -> io::Result<bool> {
        if self.native.uid == 0 {
            return Ok(false);
        }
        match self.native.maps() {
            Ok(maps) if maps.mapping() == *mapping => Ok(true),
            // Whose ids they were is not to be had any more.
            Ok(_) => Err(io::ErrorKind::PermissionDenied.into()),
            Err(_) => Ok(false),
        }
    }
}

impl InMapping for Upkeep<'_> {
    fn remove(&self, mapping: &MappingName, directory: &Path, name: &str) -> io::Result<()> {
        if !self.is_ours(mapping)? {
            return Directly.remove(mapping, directory, name);
        }
        let paths = vec![directory.join(name).into_os_string()];
        let done = FirstStage::carry_out(self.native, &Job::Remove { paths }, &[]);
        done.map(drop).map_err(failed)
    }

    fn check(
        &self,
        mapping: &MappingName,
        (directory, name): (&Path, &str),
        tree: &[u8],
    ) -> io::Result<Vec<String>> {
        if !self.is_ours(mapping)? {
            return Directly.check(mapping, (directory, name), tree);
        }
        let directory = fs_err::File::open(directory)?;
        let tree = in_memory(tree)?;
        let job = Job::Check {
            name: name.to_owned(),
        };
        let stage = FirstStage::start(self.native).map_err(failed)?;
        stage
            .give(&job, &[directory.as_fd(), tree.as_fd()])
            .map_err(failed)?;
        match stage.hear_unless(&self.native.interrupt).map_err(failed)? {
            (Message::Differences { found }, _) => Ok(found),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn failed(error: NativeError) -> io::Error {
    match error {
        NativeError::Cage { source, .. } | NativeError::Host { source, .. } => source,
        NativeError::Interrupted => io::ErrorKind::Interrupted.into(),
        other => io::Error::other(other),
    }
}
