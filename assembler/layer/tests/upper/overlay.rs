//! Overlays that are mounted for a test, and both walks of them.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use layer::capture::{Beneath, Extent, Places, Scope, Timestamp, capture};
use layer::tar::LayerWriter;
use layer::{Entry, IndexBuilder, LayerPath, PathIndex};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::layers::{Tree, items, lay, names, without_links};

const INSIDE: &str = "AICAGE_TEST_INSIDE";

/// Mounts that are the test's own, and a try of what it needs.
const TRY: &str = "cd \"$0\" && mount -t tmpfs none . && mkdir l u w m \
    && mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w,userxattr m && mkdir m/d";

/// Where a test may mount, and as whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// Of mounts alone.
    Mounts,
    /// Of users too: overlayfs cannot tell there which file a copy is of.
    Users,
}

impl Namespaces {
    fn unshare(self) -> Command {
        let mut command = Command::new("unshare");
        command.arg("--mount").env(INSIDE, self.name());
        if self == Self::Users {
            command.args(["--user", "--map-root-user"]);
        }
        command
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Users => "users",
        }
    }

    /// Returns those that this process is in on behalf of a test.
    #[expect(
        clippy::disallowed_methods,
        reason = "the process is told by its environment which one it is"
    )]
    fn here() -> Option<Self> {
        let name = std::env::var_os(INSIDE)?;
        [Self::Mounts, Self::Users]
            .into_iter()
            .find(|namespaces| name == namespaces.name())
    }
}

/// Where a test may mount.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) path: &'a Path,
    pub(crate) namespaces: Namespaces,
}

/// Runs a test where it may mount: in a process of its own that runs this test alone.
#[track_caller]
pub(crate) fn inside(name: &str, test: impl FnOnce(Ground<'_>)) {
    let own = if rustix::process::geteuid().is_root() {
        Namespaces::Mounts
    } else {
        Namespaces::Users
    };
    if let Some(said) = run(name, Namespaces::here().unwrap_or(own), test) {
        println!("{said}");
    }
}

/// Runs a test in each kind of namespaces, and expects it to say the same in both.
#[track_caller]
pub(crate) fn inside_both(name: &str, test: impl Fn(Ground<'_>)) {
    if Namespaces::here().is_none() && !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: comparing a user namespace with none needs root");
        return;
    }
    let said =
        [Namespaces::Mounts, Namespaces::Users].map(|namespaces| run(name, namespaces, &test));
    if let [Some(one), Some(other)] = said {
        let facts = |said: String| -> Vec<String> {
            let facts = said.lines().filter(|line| line.starts_with("fact "));
            facts.map(str::to_owned).collect()
        };
        let (one, other) = (facts(one), facts(other));
        assert!(!one.is_empty());
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(other, one);
        }
        assert_eq!(one.len(), other.len());
    }
}

/// Runs a test in namespaces of its own and returns what it said; nothing where it could not run or has run here.
#[track_caller]
fn run(name: &str, namespaces: Namespaces, test: impl FnOnce(Ground<'_>)) -> Option<String> {
    let ground = tempfile::tempdir().unwrap();
    if let Some(here) = Namespaces::here() {
        if here == namespaces {
            mount("none", ground.path(), "tmpfs", MountFlags::empty(), None).unwrap();
            let path = ground.path();
            test(Ground { path, namespaces });
            unmount(path, UnmountFlags::DETACH).unwrap();
        }
        return None;
    }
    let tried = namespaces
        .unshare()
        .args(["sh", "-c", TRY])
        .arg(ground.path())
        .output();
    let refused = match tried {
        Ok(tried) if tried.status.success() => None,
        Ok(tried) => Some(String::from_utf8_lossy(&tried.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(refused) = refused {
        eprintln!("SKIP: no overlay can be mounted here: {}", refused.trim());
        return None;
    }
    let ran = namespaces
        .unshare()
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Some(said)
}

/// What surrounds a step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Steps {
    /// Which of the mountpoints below an engine makes before.
    pub(crate) mounted: Option<usize>,
    /// Whether an instruction puts something below it.
    pub(crate) with_beneath: bool,
    /// Whether the layers below lack entries of directories.
    pub(crate) without_parents: bool,
    /// A file that the index does not know although it is there.
    pub(crate) forgotten: Option<&'static str>,
    /// No mtime is after this.
    pub(crate) latest: Option<i64>,
}

impl Steps {
    /// Tells whether a layer can be judged by what is there.
    pub(crate) fn is_plain(self) -> bool {
        self.mounted.is_none() && !self.without_parents
    }

    fn mountpoint(self) -> Option<LayerPath> {
        let place = *["m", "a/m", "a/b", "b/c/m"].get(self.mounted?).unwrap();
        Some(LayerPath::new(place).unwrap())
    }
}

/// A root filesystem of layers.
pub(crate) struct Overlay {
    /// Where its directories are.
    place: tempfile::TempDir,
    namespaces: Namespaces,
    lowers: Vec<PathBuf>,
}

/// What both walks wrote, or why they did not.
pub(crate) struct Captured {
    pub(crate) guided: Result<Vec<u8>, String>,
    pub(crate) whole: Result<Vec<u8>, String>,
    pub(crate) guided_took: Duration,
    pub(crate) whole_took: Duration,
    pub(crate) places_took: Duration,
    before: Vec<u8>,
    after: Vec<u8>,
    namespaces: Namespaces,
}

impl Captured {
    /// Tells whether both walks wrote the same. The whole walk takes some names of a file for files where the inodes that
    /// overlayfs shows it are not the same.
    pub(crate) fn is_equal(&self) -> bool {
        match (self.namespaces, &self.guided, &self.whole) {
            (Namespaces::Users, Ok(guided), Ok(whole)) => {
                without_links(guided) == without_links(whole)
            }
            (_, guided, whole) => guided == whole,
        }
    }

    /// Checks that the layer, laid over what was there, gives what is there.
    #[track_caller]
    pub(crate) fn judge(&self, layer: &[u8]) {
        let (mut applied, mut there) = (Tree::new(), Tree::new());
        lay(&self.before, &mut applied);
        lay(layer, &mut applied);
        lay(&self.after, &mut there);
        for (path, node) in &there {
            assert_eq!(
                applied.get(path),
                Some(node),
                "at {path} of {:?}",
                names(layer)
            );
        }
        let more: Vec<_> = applied
            .keys()
            .filter(|path| !there.contains_key(path))
            .collect();
        assert!(
            more.is_empty(),
            "{more:?} is gone, but not in {:?}",
            names(layer)
        );
    }
}

impl Overlay {
    /// Begins with a layer.
    pub(crate) fn over(ground: Ground<'_>, make: impl FnOnce(&Path)) -> Self {
        let place = tempfile::tempdir_in(ground.path).unwrap();
        let lower = place.path().join("lower");
        fs_err::create_dir(&lower).unwrap();
        make(&lower);
        Self {
            place,
            namespaces: ground.namespaces,
            lowers: vec![lower],
        }
    }

    /// Adds a layer that was made over those that are there.
    pub(crate) fn add_layer(&mut self, make: impl FnOnce(&Path)) {
        let (upper, root) = self.mount();
        make(&root);
        unmount(&root, UnmountFlags::empty()).unwrap();
        self.lowers.insert(0, upper);
    }

    fn mount(&self) -> (PathBuf, PathBuf) {
        let number = self.lowers.len();
        let at = |name: &str| {
            let path = self.place.path().join(format!("{name}{number}"));
            fs_err::create_dir(&path).unwrap();
            path
        };
        let (upper, work, root) = (at("upper"), at("work"), at("root"));
        let lowers: Vec<_> = self
            .lowers
            .iter()
            .map(|path| path.to_str().unwrap())
            .collect();
        let options = format!(
            "userxattr,lowerdir={},upperdir={},workdir={}\0",
            lowers.join(":"),
            upper.to_str().unwrap(),
            work.to_str().unwrap()
        );
        let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).unwrap();
        mount("none", &root, "overlay", MountFlags::empty(), options).unwrap();
        (upper, root)
    }

    /// Does what a step does, and captures it in both ways.
    pub(crate) fn capture_both(&self, steps: Steps, step: impl FnOnce(&Path)) -> Captured {
        let (upper, root) = self.mount();
        let (opened, upper) = (open(&root), open(&upper));
        let before = everything(&opened, &BTreeSet::new());
        let index = index(&before, steps);
        let ours = LayerPath::new("ours").unwrap();
        let mut skip = BTreeSet::from([ours]);
        fs_err::create_dir(root.join("ours")).unwrap();
        let mut beneath = Beneath::default();
        if let Some(place) = steps.mountpoint() {
            fs_err::create_dir_all(root.join(place.to_string())).unwrap_or_default();
            if steps.with_beneath {
                if index.get(&place).is_none() {
                    let directory = Entry::directory(place.clone(), 0o755);
                    beneath.put(directory, &mut std::io::empty()).unwrap();
                }
                let entry = Entry::file(place.join("beneath").unwrap(), 0o640, 0);
                beneath.put(entry, &mut std::io::empty()).unwrap();
            }
            skip.insert(place);
        }
        let since = a_moment_later(&root.join("ours"));
        let began = Instant::now();
        let places = Places::of(opened.as_fd(), &index);
        let places_took = began.elapsed();
        step(&root);
        let scope = |extent| Scope {
            index: &index,
            extent,
            since,
            skip: skip.clone(),
            beneath: &beneath,
            latest: steps.latest,
        };
        let (guided, guided_took) = walk(&opened, &scope(Extent::Upper(upper.as_fd())));
        let (whole, whole_took) = walk(&opened, &scope(Extent::Anywhere(&places)));
        let after = everything(&opened, &skip);
        drop((opened, upper));
        unmount(&root, UnmountFlags::empty()).unwrap();
        Captured {
            guided,
            whole,
            guided_took,
            whole_took,
            places_took,
            before,
            after,
            namespaces: self.namespaces,
        }
    }
}

fn open(path: &Path) -> OwnedFd {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

fn walk(root: &OwnedFd, scope: &Scope<'_>) -> (Result<Vec<u8>, String>, Duration) {
    let began = Instant::now();
    let mut writer = LayerWriter::new(Vec::new());
    let captured = capture(root.as_fd(), scope, &mut writer, &mut |_warning| {});
    let layer = match captured {
        Ok(()) => Ok(writer.finish().unwrap()),
        Err(error) => Err(error.to_string()),
    };
    (layer, began.elapsed())
}

/// Everything that is there, as a layer.
fn everything(root: &OwnedFd, skip: &BTreeSet<LayerPath>) -> Vec<u8> {
    let scope = Scope {
        index: &PathIndex::default(),
        extent: Extent::Anywhere(&Places::default()),
        since: Timestamp {
            seconds: 0,
            nanoseconds: 0,
        },
        skip: skip.clone(),
        beneath: &Beneath::default(),
        latest: None,
    };
    walk(root, &scope).0.unwrap()
}

fn index(layer: &[u8], steps: Steps) -> PathIndex {
    let items = items(layer);
    let mut builder = IndexBuilder::default();
    for (at, (item, _content)) in items.iter().enumerate() {
        // Then it follows from what is in it.
        let is_way = items.get(at + 1).is_some_and(|(next, _content)| {
            next.path().starts_with(item.path()) && !item.path().is_root()
        });
        let is_left_out =
            steps.without_parents && is_way && item.path().base_name() < b"c".as_slice();
        let is_forgotten = steps
            .forgotten
            .is_some_and(|forgotten| item.path().as_bytes() == forgotten.as_bytes());
        if !is_left_out && !is_forgotten {
            builder.add(item);
        }
    }
    builder.finish()
}

/// Waits until the filesystem's clock shows that time went on, and tells it.
fn a_moment_later(directory: &Path) -> Timestamp {
    let now = || {
        let path = directory.join("now");
        let metadata = fs_err::File::create(&path).unwrap().metadata().unwrap();
        fs_err::remove_file(&path).unwrap();
        Timestamp {
            seconds: metadata.ctime(),
            nanoseconds: u32::try_from(metadata.ctime_nsec()).unwrap(),
        }
    };
    let before = now();
    loop {
        let later = now();
        if later > before {
            return later;
        }
    }
}
