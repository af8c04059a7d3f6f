//! A container made by hand: the embedded program runs in it, and its answer is judged.

use std::{
    io::BufReader,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use aicage::init_program::init_for;
use layer::{
    IndexBuilder, PathIndex,
    tar::{LayerReader, LayerWriter, Limits, recanonicalise},
};

use crate::snapshot::{is_outside, snapshot};

/// A base root with something of everything for scripts to change.
const BASE: &str = r#"
set -e
mkdir -p versions/1/in versions/2/in bin etc/sub etc/attributed usr/lib/deep/er opt/tool/data var/cache home tmp proc dev gone/a/b old
cp "$(command -v busybox)" bin/busybox
for name in sh cat ls mkdir rm mv ln cp chmod chown touch head dd seq sync sleep mknod mkfifo echo printf true env nc; do
  ln -s busybox bin/$name
done
for v in 1 2; do echo $v > versions/$v/in/file; ln -s $v versions/$v/link; done
echo one > etc/one; echo two > etc/two; echo x > etc/sub/x; echo y > etc/sub/y
echo lib > usr/lib/deep/er/lib; echo lib2 > usr/lib/deep/lib2
echo data > opt/tool/data/d1; echo data > opt/tool/data/d2
echo pair > old/pair1; ln old/pair1 old/pair2; echo other > old/linked; ln -s ../etc/one old/link
echo f > etc/attributed/file; echo a > etc/attributed/able; echo deep > gone/a/b/c; echo top > gone/top; echo kept > var/cache/kept
chmod 1777 tmp; chmod 755 .
find . -exec touch -h -d '2020-01-01 00:00:00 UTC' {} +
"#;

/// Namespaces as an engine makes them. Stays outside of the pid namespace to copy what the script left.
pub(crate) const CONTAINER: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$WORK/lower,upperdir=$WORK/upper,workdir=$WORK/work$OPTIONS" "$WORK/root"
mkdir "$WORK/root$DIR"; cp -a "$WORK/step/." "$WORK/root$DIR/"
set +e
unshare --pid --fork --mount sh -c '
  mount -t proc proc "$WORK/root/proc" && mount -t tmpfs tmpfs "$WORK/root/dev" &&
  cp -a /dev/null /dev/zero "$WORK/root/dev/" &&
  { [ -z "$UPPER" ] || exec 5<"$WORK/$UPPER"; } &&
  exec chroot "$WORK/root" "$DIR/init" step "$DIR" "$NONCE"'
code=$?
# No tool can copy what is deeper than a path may be long.
[ -e "$WORK/root/deep" ] || cp -a "$WORK/root" "$WORK/merged"
exit $code
"#;

/// How the container's root is made.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ground<'a> {
    /// More options of its mount.
    pub(crate) options: &'a str,
    /// What the program gets as descriptor 5, if not nothing.
    pub(crate) upper: &'a str,
}

pub(crate) struct Step {
    pub(crate) work: tempfile::TempDir,
    pub(crate) answer: String,
    pub(crate) layer: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
    pub(crate) lower: PathIndex,
}

/// Tells whether the test can run, and says why not.
pub(crate) fn can_make_containers() -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: making namespaces and an overlay needs root");
        return false;
    }
    if Command::new("busybox").arg("true").output().is_err() {
        eprintln!("SKIP: busybox is not installed (package busybox-static)");
        return false;
    }
    true
}

#[track_caller]
fn shell(script: &str, directory: &Path, variables: &[(&str, &str)]) -> Output {
    Command::new("sh")
        .args(["-c", script])
        .current_dir(directory)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[track_caller]
fn sure(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Step {
    #[track_caller]
    pub(crate) fn run(script: &[u8], settings: &str) -> Self {
        Self::run_on(Ground::default(), script, settings)
    }

    /// Runs a script on an overlay that is mounted in another way.
    #[track_caller]
    pub(crate) fn run_on(ground: Ground<'_>, script: &[u8], settings: &str) -> Self {
        let work = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| work.path().join(name);
        for name in ["lower", "upper", "work", "root", "step/scripts"] {
            fs_err::create_dir_all(at(name)).unwrap();
        }
        sure(&shell(BASE, &at("lower"), &[]));
        let able: [u8; 20] = [
            1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let attributed: [(&str, &str, &[u8]); 4] = [
            ("", "user.d", b"d"),
            ("/file", "user.a", &[0, 255, 10]),
            ("/file", "user.empty", b""),
            ("/able", "security.capability", &able),
        ];
        for (name, attribute, value) in attributed {
            let path = at("lower/etc/attributed").join(name.trim_start_matches('/'));
            rustix::fs::lsetxattr(&path, attribute, value, rustix::fs::XattrFlags::empty())
                .unwrap();
        }
        let archive = shell(
            "tar -cf - --xattrs --xattrs-include='*' --numeric-owner .",
            &at("lower"),
            &[],
        );
        let lower = index(&archive.stdout);
        fs_err::write(at("step/index"), lower.to_bytes()).unwrap();
        fs_err::write(at("step/init"), init_for(std::env::consts::ARCH).unwrap()).unwrap();
        fs_err::set_permissions(at("step/init"), PermissionsExt::from_mode(0o755)).unwrap();
        fs_err::write(at("step/scripts/install.sh"), script).unwrap();
        let spec =
            format!(r#"{{"nonce":"n1","scripts":["install.sh"],"output":"stdout",{settings}}}"#);
        fs_err::write(at("step/step.json"), spec).unwrap();
        let variables = [
            ("WORK", work.path().to_str().unwrap()),
            ("DIR", "/.aicage-n1"),
            ("NONCE", "n1"),
            ("OPTIONS", ground.options),
            ("UPPER", ground.upper),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ];
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", CONTAINER])
            .env_clear()
            .envs(variables)
            .output()
            .unwrap();
        let end = output
            .stdout
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let (answer, layer) = output.stdout.split_at(end);
        Self {
            answer: String::from_utf8_lossy(answer).into_owned(),
            layer: layer.to_vec(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
            lower,
            work,
        }
    }

    #[track_caller]
    pub(crate) fn captured(script: &str) -> Self {
        Self::captured_on(Ground::default(), script)
    }

    #[track_caller]
    pub(crate) fn captured_on(ground: Ground<'_>, script: &str) -> Self {
        let step = Self::run_on(ground, script.as_bytes(), r#""mode":"capture""#);
        step.sure_captured();
        step
    }

    #[track_caller]
    pub(crate) fn sure_captured(&self) {
        let step = self;
        assert!(
            step.answer.starts_with(r#"{"status":"ok""#),
            "answered {} and said {}",
            step.answer,
            step.stderr
        );
        assert_eq!(step.code, Some(0), "{}", step.stderr);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// The names in the layer, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut reader = LayerReader::new(self.layer.as_slice(), Limits::default());
        let mut names = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            names.push(match item {
                layer::LayerItem::Entry(entry) => entry.path.to_string(),
                layer::LayerItem::Whiteout(path) => format!("-{path}"),
                layer::LayerItem::Opaque(path) => format!("!{path}"),
            });
        }
        names
    }

    /// Applies the layer to the lower tree with GNU tar and compares with what the script left.
    #[track_caller]
    pub(crate) fn judge(&self) {
        let reader = LayerReader::new(
            self.layer.as_slice(),
            Limits {
                path_bytes: 1 << 20,
                ..Limits::default()
            },
        );
        let (copy, upper) = recanonicalise(reader, LayerWriter::new(Vec::new())).unwrap();
        assert!(copy == self.layer, "the layer is not canonical");
        fs_err::write(self.path("layer.tar"), &self.layer).unwrap();
        sure(&shell("cp -a lower applied", self.work.path(), &[]));
        let mut reader = LayerReader::new(
            self.layer.as_slice(),
            Limits {
                path_bytes: 1 << 20,
                ..Limits::default()
            },
        );
        while let Some(item) = reader.next_item().unwrap() {
            use std::os::unix::ffi::OsStrExt as _;
            let place = self
                .path("applied")
                .join(std::ffi::OsStr::from_bytes(item.path().as_bytes()));
            let Ok(there) = fs_err::symlink_metadata(&place) else {
                continue;
            };
            let is_directory = matches!(&item, layer::LayerItem::Entry(entry) if entry.kind == layer::EntryKind::Directory);
            if there.is_dir() && !is_directory {
                fs_err::remove_dir_all(&place).unwrap();
            } else if !there.is_dir() {
                fs_err::remove_file(&place).unwrap();
            }
        }
        let extract = "tar -xpf ../layer.tar --xattrs --xattrs-include='*' --numeric-owner --same-owner --exclude='.wh.*'";
        sure(&shell(extract, &self.path("applied"), &[]));
        let (applied, left) = (
            snapshot(&self.path("applied")),
            snapshot(&self.path("merged")),
        );
        for (path, node) in &left {
            assert_eq!(applied.get(path), Some(node), "at {}", path.display());
        }
        for path in applied.keys() {
            assert!(
                left.contains_key(path),
                "{} is in the layer but was gone",
                path.display()
            );
        }
        let merged = self.lower.merge(&upper);
        for entry in merged.iter() {
            use std::os::unix::ffi::OsStrExt as _;
            let path = entry.path();
            let found = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
            assert!(
                path.is_root() || left.contains_key(found) || is_outside(found),
                "the merged index has {path}"
            );
        }
    }
}

fn index(archive: &[u8]) -> PathIndex {
    let mut reader = LayerReader::new(BufReader::new(archive), Limits::default());
    let mut builder = IndexBuilder::default();
    while let Some(item) = reader.next_item().unwrap() {
        builder.add(&item);
    }
    builder.finish()
}
