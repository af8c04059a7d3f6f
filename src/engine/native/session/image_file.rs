//! A file of an image, out of its unpacked layers as they would be seen together.
//!
//! Invariant: an image is not trusted. Its links lead nowhere but into its own layers, only files are opened, and of those
//! no more is read than is allowed.

use std::{
    ffi::{OsStr, OsString},
    io::Read as _,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, getxattr, open, openat2, readlinkat},
    io::Errno,
};

use assembler::store::BlobStore;

use super::create;
use crate::engine::{
    docker::EngineError,
    native::{Native, error::NativeError, rootfs::lowers},
};

/// How many links are followed, as the kernel has it.
const LINKS: u32 = 40;
/// A directory with this attribute hides those of lower layers.
const OPAQUE: &str = "user.overlay.opaque";
/// A directory's, not a file's: without it nothing can be opened in it.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// The unpacked layers of an image, the topmost first.
pub(super) type Layers = [OsString];

impl Native {
    /// Returns an image's number and entrypoint.
    pub(crate) fn image_facts(&self, image: &str) -> Result<(String, Vec<String>), EngineError> {
        let store = BlobStore::open(&self.store).map_err(NativeError::from)?;
        let image = create::image(&store, image)?;
        let entrypoint = image.config().value().config.entrypoint.clone();
        Ok((image.manifest().digest().to_string(), entrypoint))
    }

    /// Returns the first of these files that an image has, of at most so many bytes. Layers may have to be unpacked first.
    pub(crate) fn file_of_image(
        &self,
        image: &str,
        paths: &[&str],
        limit: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let store = BlobStore::open(&self.store).map_err(NativeError::from)?;
        let lock = store.share().map_err(NativeError::from)?;
        let image = create::image(&store, image)?;
        let lowers = lowers(self, (&store, &lock), &image)?;
        for path in paths {
            if let Some(found) = read(&lowers.directories, path, limit)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Reads a file of at most so many bytes; what is none, or is larger, is not there. What the caller may not look at, being
/// nobody inside who may, is an error: it may be there.
pub(super) fn read(
    layers: &Layers,
    path: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, NativeError> {
    match open_file(layers, path) {
        Ok(Some(file)) => {
            let mut file = fs_err::File::from_parts(file.into(), path).take(limit + 1);
            let mut bytes = Vec::new();
            let is_whole = file.read_to_end(&mut bytes).is_ok() && bytes.len() as u64 <= limit;
            Ok(is_whole.then_some(bytes))
        }
        Err(Errno::ACCESS) => Err(NativeError::Cage {
            what: format!("read {path} of the image from outside"),
            source: Errno::ACCESS.into(),
        }),
        Ok(None) | Err(_) => Ok(None),
    }
}

fn open_file(layers: &Layers, path: &str) -> Result<Option<OwnedFd>, Errno> {
    let Some(found) = find(layers, Path::new(path))? else {
        return Ok(None);
    };
    // A device or a pipe is looked at, and never opened.
    if kind(&found) != Some(FileType::RegularFile) {
        return Ok(None);
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty()).map(Some)
}

fn kind(found: &OwnedFd) -> Option<FileType> {
    let found = fstat(found).ok()?;
    Some(FileType::from_raw_mode(found.st_mode))
}

/// Follows a path from the image's root.
fn find(layers: &Layers, path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let mut links = 0;
    // Names that are to be gone through, the last first.
    let mut rest: Vec<OsString> = names(path);
    let mut at = PathBuf::new();
    let mut found = None;
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            found = None;
            continue;
        }
        let next = at.join(&name);
        let Some(entry) = seen(layers, &next)? else {
            return Ok(None);
        };
        if kind(&entry) == Some(FileType::Symlink) {
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP);
            }
            let target = readlinkat(&entry, "", Vec::new())?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            if target.is_absolute() {
                at = PathBuf::new();
            }
            rest.extend(names(&target));
            found = None;
        } else {
            at = next;
            found = Some(entry);
        }
    }
    match found {
        Some(found) => Ok(Some(found)),
        None => seen(layers, &at),
    }
}

fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

/// Finds what is seen at a path without links: that of the topmost layer that has it and is not hidden.
fn seen(layers: &Layers, path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let shown = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    for layer in layers {
        let root = open(Path::new(layer), DIRECTORY, Mode::empty())?;
        match openat2(&root, shown, flags, Mode::empty(), resolve) {
            Ok(found) => return Ok((!is_whiteout(&found)).then_some(found)),
            Err(Errno::NOENT) if !is_hidden(&root, path)? => {}
            Err(Errno::ACCESS) => return Err(Errno::ACCESS),
            // What is no directory here hides those below.
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

fn is_whiteout(found: &OwnedFd) -> bool {
    fstat(found).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == 0
    })
}

/// Tells whether a directory above a path hides what lower layers have there.
fn is_hidden(root: &OwnedFd, path: &Path) -> Result<bool, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    for above in path.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() {
            OsStr::from_bytes(b".")
        } else {
            above.as_os_str()
        };
        let Ok(directory) = openat2(root, above, DIRECTORY, Mode::empty(), resolve) else {
            continue;
        };
        let mut mark = [0_u8; 1];
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        match getxattr(path, OPAQUE, &mut mark[..]) {
            Ok(_) if &mark == b"y" => return Ok(true),
            Err(Errno::ACCESS) => return Err(Errno::ACCESS),
            _ => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err::os::unix::fs::symlink;
    use rustix::fs::{XattrFlags, mknodat, setxattr};

    const PATH: &str = "/etc/passwd";

    /// Layers, the topmost first, each with an `etc`.
    struct Image(tempfile::TempDir);

    impl Image {
        fn new(layers: usize) -> Self {
            let image = Self(tempfile::tempdir().unwrap());
            for layer in 0..layers {
                fs_err::create_dir_all(image.at(layer, "etc")).unwrap();
            }
            image
        }

        fn at(&self, layer: usize, path: &str) -> PathBuf {
            self.0.path().join(layer.to_string()).join(path)
        }

        fn write(&self, layer: usize, path: &str, text: &str) {
            let path = self.at(layer, path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }

        fn read(&self) -> Option<String> {
            let layers = (0..3).map(|layer| self.at(layer, ""));
            let layers: Vec<OsString> = layers
                .filter(|path| path.exists())
                .map(Into::into)
                .collect();
            let read = read(&layers, PATH, 10).unwrap();
            read.map(|bytes| String::from_utf8(bytes).unwrap())
        }
    }

    #[test]
    fn the_topmost_layer_that_has_a_file_is_seen_and_links_are_followed_across_layers() {
        let image = Image::new(3);
        image.write(2, "etc/passwd", "old");
        assert_eq!(image.read().as_deref(), Some("old"));
        symlink("../usr/list", image.at(1, "etc/passwd")).unwrap();
        assert_eq!(image.read(), None, "it leads nowhere yet");
        image.write(2, "usr/list", "new");
        assert_eq!(image.read().as_deref(), Some("new"));
        symlink("/usr", image.at(2, "other")).unwrap();
        fs_err::remove_file(image.at(1, "etc/passwd")).unwrap();
        symlink("/other/../../../other/list", image.at(1, "etc/passwd")).unwrap();
        assert_eq!(
            image.read().as_deref(),
            Some("new"),
            "nothing is above the root"
        );
        let etc = image.at(0, "etc");
        // Not every directory for temporary files can have it.
        if setxattr(&etc, OPAQUE, b"y", XattrFlags::empty()).is_ok() {
            assert_eq!(image.read(), None, "the directory is another one");
        }
        fs_err::remove_dir(&etc).unwrap();
        fs_err::write(&etc, "").unwrap();
        assert_eq!(image.read(), None, "the directory is none any more");
    }

    #[test]
    fn no_link_leads_to_this_machine_and_only_files_that_are_small_are_read() {
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("passwd");
        fs_err::write(&secret, "secret").unwrap();
        let image = Image::new(1);
        let list = image.at(0, "etc/passwd");
        let relative = Path::new("../../../../../..").join(secret.strip_prefix("/").unwrap());
        for target in [secret.as_path(), &relative, &list, Path::new("passwd")] {
            symlink(target, &list).unwrap();
            assert_eq!(image.read(), None, "{}", target.display());
            fs_err::remove_file(&list).unwrap();
        }
        mknodat(CWD, &list, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(image.read(), None, "a pipe is not waited for");
        fs_err::remove_file(&list).unwrap();
        fs_err::write(&list, "0123456789").unwrap();
        assert_eq!(image.read().as_deref(), Some("0123456789"));
        fs_err::write(&list, "0123456789a").unwrap();
        assert_eq!(image.read(), None, "it is too large");
    }
}
