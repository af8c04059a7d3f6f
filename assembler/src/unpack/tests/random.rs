//! Layers that nobody thought of.

use proptest::prelude::*;

use super::*;

/// One entry of a random tar.
#[derive(Debug, Clone)]
enum Node {
    Directory(u32),
    File(u32, String),
    Symlink(String),
    HardLink(String),
    Pipe,
    Device,
    Whiteout,
    Opaque,
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "A", "long-name", " ", "ä", "-", "*"])
        .prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join("/"))
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => path(),
        1 => path().prop_map(|path| format!("/{path}")),
        1 => path().prop_map(|path| format!("../{path}/..")),
        1 => prop::sample::select(vec!["..", ".", "/", "../outside", "../../canary", "//"]).prop_map(str::to_owned),
    ]
}

fn mode() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0o644, 0o755, 0o700, 0o000, 0o4755, 0o2775, 0o1777])
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        3 => mode().prop_map(Node::Directory),
        4 => (mode(), "[a-z]{0,600}").prop_map(|(mode, content)| Node::File(mode, content)),
        2 => target().prop_map(Node::Symlink),
        1 => path().prop_map(Node::HardLink),
        1 => Just(Node::Pipe),
        1 => Just(Node::Device),
        2 => Just(Node::Whiteout),
        1 => Just(Node::Opaque),
    ]
}

/// Only root can look into what is closed.
fn openable(mode: u32) -> u32 {
    if geteuid().is_root() {
        mode
    } else {
        mode | 0o700
    }
}

type Items = Vec<(String, Node)>;

fn items() -> impl Strategy<Value = Items> {
    prop::collection::vec((path(), node()), 0..25)
}

fn tar_of(items: &Items) -> Vec<u8> {
    let mut tar = Raw::default();
    for (path, node) in items {
        let whiteout = || {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            format!("{directory}/.wh.{name}")
        };
        tar = match node {
            Node::Directory(mode) => tar.mode(path, b'5', openable(*mode)),
            Node::File(mode, content) => {
                let size = content.len() as u64;
                tar.put(
                    (path.as_bytes(), b'0', b""),
                    (openable(*mode), size),
                    content.as_bytes(),
                );
                tar
            }
            Node::Symlink(target) => tar.symlink(path, target),
            Node::HardLink(target) => tar.hard_link(path, target),
            Node::Pipe => tar.mode(path, b'6', 0o600),
            Node::Device => tar.entry(path.as_bytes(), b'3', b""),
            Node::Whiteout => tar.file(&whiteout(), ""),
            Node::Opaque => tar.file(&format!("{path}/.wh..wh..opq"), ""),
        };
    }
    tar.end()
}

/// Keeps what a builder could have written: no name twice, nothing below what is no directory, links to what is there.
fn honest(items: &Items) -> Items {
    let mut kept: Items = Vec::new();
    for (path, node) in items {
        let stands = |other: &str| kept.iter().any(|(there, _)| there == other);
        let is_file = |path: &str| {
            kept.iter()
                .any(|(there, node)| there == path && matches!(node, Node::File(..)))
        };
        let above = path
            .match_indices('/')
            .map(|(at, _)| path.get(..at).unwrap_or_default());
        let mut blocked = above.clone().any(|above| {
            kept.iter()
                .any(|(there, node)| there == above && !matches!(node, Node::Directory(_)))
        });
        blocked |= kept.iter().any(|(there, _)| {
            there
                .strip_prefix(path.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        });
        let fits = match node {
            Node::HardLink(target) => is_file(target),
            Node::Device => false,
            _ => true,
        };
        if !stands(path) && !blocked && fits {
            kept.push((path.clone(), node.clone()));
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_an_honest_layer_says_is_what_is_there(items in items()) {
        let items = honest(&items);
        let place = Place::new();
        let unpacked = place.unpack(&tar_of(&items)).unwrap();
        prop_assert_eq!(place.check(&unpacked.index), [] as [&str; 0]);
        for (path, node) in &items {
            let there = place.root().join(path);
            match node {
                Node::File(_, content) => prop_assert_eq!(fs::read_to_string(there).unwrap(), content.as_str()),
                Node::Symlink(target) => prop_assert_eq!(fs::read_link(there).unwrap(), Path::new(target)),
                Node::HardLink(target) => {
                    let inode = |path: &Path| fs::symlink_metadata(path).unwrap().ino();
                    prop_assert_eq!(inode(&there), inode(&place.root().join(target)));
                }
                Node::Opaque => {
                    let mut value = [0; 8];
                    prop_assert_eq!(rustix::fs::lgetxattr(&there, OPAQUE, &mut value[..]), Ok(1));
                }
                _ => {}
            }
        }
        let again = Place::new();
        again.unpack(&tar_of(&items)).unwrap();
        prop_assert_eq!(again.tree(), place.tree());
        place.remove();
    }

    #[test]
    fn whatever_a_layer_says_nothing_happens_elsewhere(items in items()) {
        let place = Place::new();
        match place.unpack(&tar_of(&items)) {
            // It is comparable with what it said, whatever that was.
            Ok(unpacked) => drop(place.check(&unpacked.index)),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        place.remove();
    }
}

/// A tar of every kind of entry, to be damaged.
fn seed() -> Vec<u8> {
    let value = vec![b'v'; 300];
    Raw::default()
        .mode("./", b'5', 0o755)
        .directory("d/")
        .pax(&[
            ("path", "d/ä long name".as_bytes()),
            ("SCHILY.xattr.user.x", &value),
            ("mtime", b"1600000000.5"),
        ])
        .file("x", "content")
        .symlink("l", "d")
        .file("l/through", "2")
        .hard_link("h", "l/through")
        .pax(&[
            ("GNU.sparse.major", b"0"),
            ("GNU.sparse.size", b"100000"),
            ("GNU.sparse.map", b"50000,0"),
        ])
        .file("sparse", "")
        .mode("pipe", b'6', 0o600)
        .entry(b"device", b'3', b"")
        .file("d/.wh.gone", "")
        .file("o/.wh..wh..opq", "")
        .file("d", "not a directory any more")
        .end()
}

/// What the fuzz target starts from.
fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/unpack");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 10, "the corpus is gone");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The fuzz target's corpus and ten thousand mutations of it, the same each time.
#[test]
fn ten_thousand_damaged_tars_touch_nothing_outside() {
    let place = Place::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut seeds = corpus();
    seeds.push(seed());
    let limits = UnpackLimits {
        content: 1 << 20,
        tar: Limits {
            total_bytes: 1 << 24,
            ..Limits::default()
        },
        ..UnpackLimits::default()
    };
    let (mut whole, mut refused) = (0, 0);
    for round in 0..10_000 {
        let mut tar = seeds[round % seeds.len()].clone();
        // The first round of each is the seed itself.
        let changes = if round < seeds.len() {
            0
        } else {
            random(4) + 1
        };
        for _ in 0..changes {
            change(&mut tar, &mut random);
        }
        mend(&mut tar);
        let root = fs::File::open(place.root()).unwrap();
        let result = unpack(&mut tar.as_slice(), root.file().as_fd(), &limits);
        drop(root);
        match result {
            Ok(_) => whole += 1,
            Err(_) => refused += 1,
        }
        let directory = fs::File::open(place.directory.path()).unwrap();
        remove_tree(directory.file().as_fd(), b"root").unwrap();
        fs::create_dir(place.root()).unwrap();
        // Looking around costs more than unpacking.
        if round % 50 == 0 {
            assert_eq!(
                snapshot(place.directory.path()),
                place.before,
                "round {round}"
            );
        }
    }
    assert_eq!(snapshot(place.directory.path()), place.before);
    assert!(
        whole > 100 && refused > 100,
        "{whole} were whole, {refused} refused"
    );
}

/// Damages a tar in one place.
fn change(tar: &mut Vec<u8>, random: &mut dyn FnMut(usize) -> usize) {
    let words: [&[u8]; 12] = [
        b"../",
        b"/",
        b"..",
        b".wh.",
        b".wh..wh..opq",
        b"d",
        b"l",
        b"\0",
        b"1",
        b"2",
        b"5",
        b"7777777",
    ];
    let block = random(tar.len() / 512) * 512;
    match random(4) {
        0 => {
            let at = random(tar.len());
            tar[at] ^= 1 << random(8);
        }
        1 => {
            let word = words[random(words.len())];
            let at = block + [0, 100, 124, 156, 157][random(5)];
            let length = word.len().min(tar.len() - at);
            tar[at..at + length].copy_from_slice(&word[..length]);
        }
        2 => {
            let other = random(tar.len() / 512) * 512;
            tar.copy_within(other..other + 512, block);
        }
        _ => {
            let piece = tar[block..block + 512].to_vec();
            tar.splice(block..block, piece);
        }
    }
}

/// Gives headers a right sum again, as an attacker would.
fn mend(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
