//! The embedded program runs a step as PID 1 of a container made by hand, and GNU tar judges the layer it sends.
//!
//! The container is an overlay over a small busybox root in namespaces of its own. The tree that the script left is
//! compared with the lower tree after the layer was applied to it: names, kinds, modes, owners, mtimes, link targets,
//! hard links, devices, attributes and content.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aicage::init_program::init_for;
use layer::tar::{LayerReader, LayerWriter, Limits, recanonicalise};
use layer::{IndexBuilder, LayerPath, PathIndex};

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
const CONTAINER: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$WORK/lower,upperdir=$WORK/upper,workdir=$WORK/work$OPTIONS" "$WORK/root"
mkdir "$WORK/root$DIR"; cp -a "$WORK/step/." "$WORK/root$DIR/"
set +e
unshare --pid --fork --mount sh -c '
  mount -t proc proc "$WORK/root/proc" && mount -t tmpfs tmpfs "$WORK/root/dev" &&
  cp -a /dev/null /dev/zero "$WORK/root/dev/" &&
  exec chroot "$WORK/root" "$DIR/init" step "$DIR" "$NONCE"'
code=$?
# No tool can copy what is deeper than a path may be long.
[ -e "$WORK/root/deep" ] || cp -a "$WORK/root" "$WORK/merged"
exit $code
"#;

struct Step {
    work: tempfile::TempDir,
    answer: String,
    layer: Vec<u8>,
    stderr: String,
    code: Option<i32>,
    lower: PathIndex,
}

/// Tells whether the test can run, and says why not.
fn can_make_containers() -> bool {
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
    fn run(script: &[u8], settings: &str) -> Self {
        Self::run_on("", script, settings)
    }

    /// Runs a script on an overlay that is mounted with more options.
    #[track_caller]
    fn run_on(options: &str, script: &[u8], settings: &str) -> Self {
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
            ("OPTIONS", options),
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
    fn captured(script: &str) -> Self {
        Self::captured_on("", script)
    }

    #[track_caller]
    fn captured_on(options: &str, script: &str) -> Self {
        let step = Self::run_on(options, script.as_bytes(), r#""mode":"capture""#);
        assert!(
            step.answer.starts_with(r#"{"status":"ok""#),
            "answered {} and said {}",
            step.answer,
            step.stderr
        );
        assert_eq!(step.code, Some(0), "{}", step.stderr);
        step
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// The names in the layer, in order.
    fn names(&self) -> Vec<String> {
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
    fn judge(&self) {
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

fn is_outside(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.is_empty() || name.starts_with(".aicage-n1") || name == "dev" || name == "proc"
}

/// All that a layer says about each path below a directory.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut nodes = BTreeMap::new();
    let mut groups: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs_err::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_owned();
            if is_outside(&relative) {
                continue;
            }
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            let kind = metadata.file_type();
            if kind.is_dir() {
                ahead.push(path.clone());
            }
            let content = if kind.is_symlink() {
                format!("-> {}", fs_err::read_link(&path).unwrap().display())
            } else if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() {
                format!("{kind:?} {}", metadata.rdev())
            } else if kind.is_dir() {
                "directory".to_owned()
            } else {
                if metadata.nlink() > 1 {
                    groups
                        .entry(metadata.ino())
                        .or_default()
                        .push(relative.clone());
                }
                let mut content = Vec::new();
                fs_err::File::open(&path)
                    .unwrap()
                    .read_to_end(&mut content)
                    .unwrap();
                format!("{} {:x?}", content.len(), checksum(&content))
            };
            let node = format!(
                "{content} {:o} {}:{} {} {}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                metadata.mtime(),
                attributes(&path)
            );
            nodes.insert(relative, node);
        }
    }
    for mut group in groups.into_values().filter(|group| group.len() > 1) {
        group.sort();
        for path in &group {
            let node = nodes.get_mut(path).unwrap();
            *node = format!("{node} linked {group:?}");
        }
    }
    nodes
}

fn checksum(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn attributes(path: &Path) -> String {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let mut found = Vec::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        found.push(format!(
            "{}={:?}",
            String::from_utf8_lossy(name),
            &value[..length]
        ));
    }
    found.sort();
    found.join(" ")
}

#[test]
fn every_kind_of_change_is_captured() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured(
        r#"#!/bin/sh
set -e
cd /
chmod 4711 etc/one
chown 1234:5678 etc/two
echo changed > etc/sub/x; touch -d '2020-01-01 00:00:00' etc/sub/x
mv usr/lib/deep usr/lib/moved
ln etc/sub/y etc/sub/y2
echo more >> old/pair1; touch -d '2020-01-01 00:00:00' old/pair1
rm -r opt/tool/data; mkdir opt/tool/data; echo new > opt/tool/data/d2
rm old/linked; echo again > old/linked; touch -d '2001-01-01 00:00:00' old/linked
rm -r gone
rm old/link; mkdir old/link; echo in > old/link/in
rm -r var/cache; echo file > var/cache
mkdir -p new/empty new/sub; echo 1 > new/sub/1; ln new/sub/1 new/first; ln new/sub/1 new/sub/z
ln -s nowhere new/dangling; mkfifo -m 640 new/pipe; mknod new/null c 1 3; mknod new/disk b 7 9
printf 'x' > "new/line
break"; printf 'y' > "$(printf 'new/\377\376')"; echo u > 'new/ünï'
long=$(printf '%0200d' 0); mkdir -p new/$long/$long; echo long > new/$long/$long/f
dd if=/dev/zero of=new/sparse bs=1 count=1 seek=3000000 2>/dev/null
: > new/zero; chmod 0 new/zero; mkdir -m 2770 new/setgid; touch -d '1960-01-01 00:00:00' new/old
"#,
    );
    step.judge();
    let names = step.names();
    for name in [
        "-gone",
        "-usr/lib/deep",
        "-opt/tool/data/d1",
        "etc/one",
        "etc/two",
        "etc/sub/x",
        "etc/sub/y",
        "old/linked",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} is missing in {names:?}"
        );
    }
    for name in [
        "-gone/a",
        "gone",
        "-var/cache/kept",
        "bin",
        "bin/busybox",
        ".",
        "old/pair2",
        "tmp",
        "home",
    ] {
        assert!(
            !names.iter().any(|found| found == name),
            "{name} should not be in {names:?}"
        );
    }
}

#[test]
fn a_directory_that_takes_anothers_place_brings_its_files_whatever_their_times() {
    if !can_make_containers() {
        return;
    }
    let script = "#!/bin/sh
set -e
rm -r /versions/1; mv /versions/2 /versions/1
chmod 700 /etc/sub; mv /usr/lib/deep /usr/lib/moved; mv /usr/lib/moved /usr/lib/deep
";
    // With the first, files keep their ctimes; with the second, `mv` copies.
    for options in [",redirect_dir=on", ",redirect_dir=off"] {
        let step = Step::captured_on(options, script);
        step.judge();
        let names = step.names();
        for name in ["versions/1/in/file", "versions/1/link", "-versions/2"] {
            assert!(
                names.iter().any(|found| found == name),
                "{options}: {name} is missing in {names:?}"
            );
        }
        assert!(
            !names.iter().any(|found| found.starts_with("etc/sub/")),
            "{options}: a directory that only has another mode is the same one: {names:?}"
        );
    }
}

#[test]
fn attributes_are_captured() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured(
        "#!/bin/sh\ncd /; chmod 700 etc/attributed/file; chmod 4755 etc/attributed/able\n",
    );
    step.judge();
    assert_eq!(
        step.names(),
        [
            "etc",
            "etc/attributed",
            "etc/attributed/able",
            "etc/attributed/file"
        ]
    );
    let left = attributes(&step.path("merged/etc/attributed/able"));
    assert!(
        left.starts_with("security.capability="),
        "the judge saw no attribute: {left:?}"
    );
    assert_eq!(
        attributes(&step.path("applied/etc/attributed/file")),
        "user.a=[0, 255, 10] user.empty=[]"
    );
    assert_eq!(
        attributes(&step.path("applied/etc/attributed")),
        "user.d=[100]"
    );
}

#[test]
fn a_script_that_changes_nothing_gives_an_empty_layer() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured("#!/bin/sh\ncat /etc/one\n");
    assert_eq!(step.names(), Vec::<String>::new());
    assert_eq!(step.layer, vec![0; 1024]);
    assert!(
        step.stderr.contains("one"),
        "the script's output is gone: {}",
        step.stderr
    );
}

#[test]
fn a_script_that_destroys_its_container_is_captured_all_the_same() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured(
        "#!/bin/sh\ncd /\n(sleep 1000 &) \nexec 3>&- 1>&- 2>&-\ncp bin/busybox /busybox\n/busybox rm -rf /.aicage-n1 /bin /etc /usr\n/busybox true\n",
    );
    step.judge();
    let names = step.names();
    assert_eq!(names, ["-bin", "-etc", "-usr", "busybox"]);
}

#[test]
fn a_windows_script_and_one_without_an_interpreter_run() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured("#!/bin/sh\r\necho a > /made\r\n");
    assert_eq!(step.names(), ["made"]);
    let step = Step::captured("echo a > /made\n");
    assert_eq!(step.names(), ["made"]);
}

#[test]
fn a_failing_script_is_named_with_its_code() {
    if !can_make_containers() {
        return;
    }
    for (script, exit) in [
        ("#!/bin/sh\nexit 7\n", 7),
        ("#!/bin/sh\nkill -9 $$\n", 137),
        ("#!/bin/nowhere\n", 127),
    ] {
        let step = Step::run(script.as_bytes(), r#""mode":"capture""#);
        assert_eq!(
            step.answer,
            format!("{{\"status\":\"failed\",\"script\":\"install.sh\",\"exit\":{exit}}}\n")
        );
        assert_eq!((step.layer.len(), step.code), (0, Some(0)));
    }
}

#[test]
fn a_query_answers_with_what_was_printed() {
    if !can_make_containers() {
        return;
    }
    let step = Step::run(b"#!/bin/sh\necho out; echo err >&2\n", r#""mode":"query""#);
    assert!(
        step.answer.starts_with(r#"{"status":"ok""#),
        "{}",
        step.answer
    );
    assert_eq!(step.layer, b"out\n");
    assert!(
        step.stderr.contains("err") && !step.stderr.contains("out"),
        "{}",
        step.stderr
    );
    let step = Step::run(
        b"#!/bin/sh\ndd if=/dev/zero bs=1000000 count=3\n",
        r#""mode":"query""#,
    );
    assert_eq!(step.layer.len(), 1 << 20, "an answer is bounded");
}

#[test]
fn a_whiteout_name_is_refused_and_named() {
    if !can_make_containers() {
        return;
    }
    let step = Step::run(b"#!/bin/sh\necho a > /etc/.wh.x\n", r#""mode":"capture""#);
    assert_eq!(step.code, Some(99));
    assert!(step.stderr.contains("etc/.wh.x"), "{}", step.stderr);
}

#[test]
fn a_late_mtime_is_clamped_and_excluded_paths_are_left_out() {
    if !can_make_containers() {
        return;
    }
    let step = Step::run(
        b"#!/bin/sh\nmkdir /x; echo a > /x/a; echo b > /x/b\n",
        r#""mode":"capture","source_date_epoch":1000,"exclude":["/x/b"]"#,
    );
    let mut reader = LayerReader::new(step.layer.as_slice(), Limits::default());
    while let Some(item) = reader.next_item().unwrap() {
        let layer::LayerItem::Entry(entry) = item else {
            panic!("{item:?}")
        };
        assert_eq!(entry.mtime, 1000, "{:?}", entry.path);
    }
    assert_eq!(step.names(), ["x", "x/a"]);
}

#[test]
fn a_hundred_thousand_files_and_a_deep_tree_are_captured() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured(
        r"#!/bin/sh
mkdir /many; cd /many
i=0; while [ $i -lt 1000 ]; do d=$i; mkdir $d; i=$((i+1)); done
for d in *; do (cd $d; j=0; while [ $j -lt 100 ]; do : > f$j; j=$((j+1)); done); done
mkdir /deep; cd /deep
chain() { i=0; while [ $i -lt 700 ]; do mkdir d$i; cd d$i; i=$((i+1)); done; }
mkdir a b; cd a; chain
(cd /deep/b; chain; echo bottom > f)
mv /deep/b .
",
    );
    let mut reader = LayerReader::new(
        step.layer.as_slice(),
        Limits {
            path_bytes: 1 << 20,
            ..Limits::default()
        },
    );
    let (mut count, mut deepest) = (0, LayerPath::root());
    while let Some(item) = reader.next_item().unwrap() {
        count += 1;
        if item.path().as_bytes().len() > deepest.as_bytes().len() {
            deepest = item.path().clone();
        }
    }
    assert_eq!(count, 1 + 1000 + 100_000 + 1 + 2 + 1400 + 1);
    assert!(deepest.to_string().ends_with("/d699/f"), "{deepest}");
}

#[test]
fn another_nonce_ends_at_once() {
    if !can_make_containers() {
        return;
    }
    let script = CONTAINER.replace("\"$NONCE\"'", "other'");
    assert_ne!(script, CONTAINER);
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    for name in ["lower/proc", "lower/dev", "upper", "work", "root", "step"] {
        fs_err::create_dir_all(work.path().join(name)).unwrap();
    }
    fs_err::write(
        work.path().join("step/init"),
        init_for(std::env::consts::ARCH).unwrap(),
    )
    .unwrap();
    fs_err::set_permissions(
        work.path().join("step/init"),
        PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let spec = r#"{"nonce":"n1","scripts":[],"mode":"capture","output":"stdout"}"#;
    fs_err::write(work.path().join("step/step.json"), spec).unwrap();
    let run = |script: &str| {
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .envs([
                ("WORK", work.path().to_str().unwrap()),
                ("DIR", "/.aicage-n1"),
                ("NONCE", "n1"),
            ])
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!(run(&script), Some(97));
}
