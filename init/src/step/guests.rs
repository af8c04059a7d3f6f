//! What is in the container while a step runs and belongs to no layer: files that are placed where nothing can be
//! mounted, and the directories that were made only to mount something in them.
//!
//! Invariant: afterwards the tree is as if they had never been there. What a program made beside them stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use layer::{IndexKind, LayerPath, PathIndex};

use super::ground::layer_path;
use super::place::{Given, make_directories, mtime, resolve, set_mtime};
use super::spec::{Placed, SecretFile, SecretVariable};

/// Reads the secrets from our standard input, in their order, and writes them to memory.
pub(super) fn receive(secrets: &[SecretFile]) -> io::Result<()> {
    let mut input = io::stdin().lock();
    for secret in secrets {
        let mut options = fs::OpenOptions::new();
        options.options_mut().mode(0o600);
        let mut file = options.write(true).create_new(true).open(&secret.path)?;
        let copied = io::copy(&mut input.by_ref().take(secret.size), &mut file)?;
        if copied != secret.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.flush()?;
        fs::os::unix::fs::lchown(&secret.path, Some(secret.uid), Some(secret.gid))?;
        fs::set_permissions(
            &secret.path,
            std::fs::Permissions::from_mode(secret.mode & 0o7777),
        )?;
    }
    Ok(())
}

/// Reads the secrets that programs get as variables, which come behind those.
pub(super) fn receive_variables(
    variables: &[SecretVariable],
) -> io::Result<BTreeMap<String, String>> {
    let mut input = io::stdin().lock();
    let mut received = BTreeMap::new();
    for variable in variables {
        let mut text = String::new();
        input
            .by_ref()
            .take(variable.size)
            .read_to_string(&mut text)?;
        if text.len() as u64 != variable.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received.insert(variable.name.clone(), text);
    }
    Ok(received)
}

/// A file that is placed, and what it takes to be as before.
struct Guest {
    place: PathBuf,
    /// Where what was there waits.
    aside: Option<PathBuf>,
    /// The directory that was there before, its time before and with the guest in or below it.
    ground: PathBuf,
    before: (i64, i64),
    with: (i64, i64),
    /// Directories that were made for it, the lowest first.
    made: Vec<PathBuf>,
}

/// All files that are placed.
#[derive(Default)]
pub(super) struct Guests(Vec<Guest>);

impl Guests {
    /// Places the files; `private` is where what they replace waits.
    pub(super) fn place(placed: &[Placed], private: &Path, index: &PathIndex) -> io::Result<Self> {
        let mut guests = Self::default();
        for (number, wanted) in placed.iter().enumerate() {
            let guest = Guest::place(wanted, &private.join(format!("aside-{number}")), index)?;
            guests.0.push(guest);
        }
        Ok(guests)
    }

    /// Returns where they are.
    pub(super) fn places(&self) -> impl Iterator<Item = LayerPath> + '_ {
        self.0.iter().filter_map(|guest| layer_path(&guest.place))
    }

    /// Takes them away again; a program may have done so before. Returns the places where what was there is back: to a
    /// walk they look changed, but are not.
    pub(super) fn leave(self) -> io::Result<Vec<LayerPath>> {
        let mut back = Vec::new();
        for guest in self.0.into_iter().rev() {
            if guest.aside.is_some() {
                back.extend(layer_path(&guest.place));
            }
            guest.leave()?;
        }
        Ok(back)
    }
}

impl Guest {
    fn place(wanted: &Placed, aside: &Path, index: &PathIndex) -> io::Result<Self> {
        let place = resolve(&wanted.target)?;
        let parent = place.parent().unwrap_or(Path::new("/")).to_owned();
        let made: Vec<PathBuf> = parent
            .ancestors()
            .take_while(|directory| fs::symlink_metadata(directory).is_err())
            .map(Path::to_owned)
            .collect();
        let ground = made.last().and_then(|top| top.parent());
        let ground = ground.unwrap_or(&parent).to_owned();
        let before = original_mtime(&ground, index)?;
        make_directories(
            &parent,
            Given {
                owner: None,
                mode: None,
            },
        )?;
        let aside = match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(io::Error::new(
                    io::ErrorKind::IsADirectory,
                    format!(
                        "{} is a directory, where a file is to be mounted",
                        place.display()
                    ),
                ));
            }
            Ok(_) => {
                fs::rename(&place, aside)?;
                Some(aside.to_owned())
            }
            Err(_) => None,
        };
        if wanted.copy {
            fs::copy(&wanted.from, &place)?;
            let metadata = fs::metadata(&wanted.from)?;
            fs::os::unix::fs::lchown(&place, Some(metadata.uid()), Some(metadata.gid()))?;
            fs::set_permissions(&place, metadata.permissions())?;
        } else {
            symlink(&wanted.from, &place)?;
        }
        let with = mtime(&ground)?;
        Ok(Self {
            place,
            aside,
            ground,
            before,
            with,
            made,
        })
    }

    fn leave(self) -> io::Result<()> {
        let now = mtime(&self.ground);
        // A program may have put a directory of its own there; then that is what stays.
        if !self.place.is_dir() || self.place.is_symlink() {
            match fs::remove_file(&self.place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        if let Some(aside) = &self.aside {
            fs::rename(aside, &self.place)?;
        }
        for directory in &self.made {
            // Not empty: a program put something there.
            if std::fs::remove_dir(directory).is_err() {
                break;
            }
        }
        if let Ok(now) = now {
            let (seconds, nanoseconds) = if now == self.with { self.before } else { now };
            set_mtime(&self.ground, seconds, nanoseconds)?;
        }
        Ok(())
    }
}

/// Returns the time that a directory had in the image; the engine may have changed it by making a mountpoint.
fn original_mtime(directory: &Path, index: &PathIndex) -> io::Result<(i64, i64)> {
    let known = layer_path(directory).and_then(|path| {
        let entry = index.get(&path)?;
        (entry.kind == IndexKind::Directory).then_some((entry.mtime, 0))
    });
    known.map_or_else(|| mtime(directory), Ok)
}

/// Adds to what is skipped the directories that only lead to something skipped and are `not_ours`: neither in the image,
/// nor on the way to what was put into it.
pub(super) fn skip_stubs(skip: &mut BTreeSet<LayerPath>, not_ours: impl Fn(&LayerPath) -> bool) {
    let mut candidates = BTreeSet::new();
    for path in skip.iter() {
        let above = std::iter::successors(path.parent(), LayerPath::parent);
        candidates.extend(above.filter(|path| !path.is_root() && not_ours(path)));
    }
    // A directory comes before what is in it, so backwards what is in it has been decided.
    for candidate in candidates.into_iter().rev() {
        use std::os::unix::ffi::OsStrExt as _;
        let place = Path::new("/").join(std::ffi::OsStr::from_bytes(candidate.as_bytes()));
        let Ok(entries) = std::fs::read_dir(&place) else {
            continue;
        };
        let only_skipped = entries.into_iter().all(|entry| {
            entry.is_ok_and(|entry| {
                candidate
                    .join(entry.file_name().as_bytes())
                    .is_ok_and(|path| skip.contains(&path))
            })
        });
        if only_skipped && !place.is_symlink() {
            skip.insert(candidate);
        }
    }
}
