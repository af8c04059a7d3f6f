//! Layers that were made to get out, or to use the machine up. [`Place`] sees what happens outside.

use super::*;

/// Unpacks whatever it is, and removes what there is of it.
#[track_caller]
fn survive(tar: Raw) -> (Result<Unpacked, UnpackError>, Vec<String>) {
    let place = Place::new();
    let result = place.unpack(&tar.end());
    let tree = place.tree();
    place.remove();
    (result, tree)
}

#[track_caller]
fn refused(tar: Raw, word: &str) {
    let (result, _) = survive(tar);
    let mut text = String::new();
    let mut error: Option<&dyn std::error::Error> = Some(result.as_ref().unwrap_err());
    while let Some(cause) = error {
        text = format!("{text}{cause}: ");
        error = cause.source();
    }
    assert!(text.contains(word), "{text}");
}

#[test]
fn paths_that_leave_the_layer_are_refused() {
    for name in ["../canary", "a/../../canary", "..", "a/..", "/../canary"] {
        refused(Raw::default().file(name, "dead"), "..");
        refused(Raw::default().directory(name), "..");
        refused(Raw::default().symlink(name, "x"), "..");
    }
    refused(Raw::default().file("../.wh.canary", ""), "..");
    refused(Raw::default().file(".wh...", ""), "whiteout of nothing");
    refused(Raw::default().file(".wh.", ""), "whiteout of nothing");
    refused(Raw::default().file("a/.wh..", ""), "whiteout of nothing");
    refused(Raw::default().file("../.wh..wh..opq", ""), "..");
}

#[test]
fn absolute_paths_are_below_the_root() {
    let place = Place::new();
    let outside = place.outside().join("canary");
    let name = outside.to_str().unwrap();
    let mut tar = Raw::default().pax(&[("path", name.as_bytes())]);
    tar.put((b"x", b'0', b""), (0o644, 4), b"dead");
    place.unpack(&tar.end()).unwrap();
    let below = place.root().join(name.trim_start_matches('/'));
    assert_eq!(fs::read(below).unwrap(), b"dead");
}

#[test]
fn nothing_is_written_through_a_link_that_leads_out() {
    let place = Place::new();
    let outside = place.outside();
    let outside = outside.to_str().unwrap();
    let (canary, deep) = (format!("{outside}/canary"), format!("{outside}/deep"));
    for target in [
        outside,
        "../outside",
        "../../../../../../tmp",
        "/",
        "..",
        ".",
    ] {
        let tar = Raw::default()
            .pax(&[("linkpath", target.as_bytes())])
            .symlink("l", target)
            .file("l/canary", "dead")
            .directory("l/deep/")
            .file("l/deep/canary", "dead")
            .file("l/.wh.canary", "")
            .file("l/deep/.wh..wh..opq", "");
        place.unpack(&tar.end()).unwrap();
        place.remove();
    }
    // A file over a link takes the link's place.
    for target in [&canary, "../outside/canary", "../canary"] {
        let tar = Raw::default()
            .pax(&[("linkpath", target.as_bytes())])
            .symlink("l", target)
            .file("l", "dead");
        place.unpack(&tar.end()).unwrap();
        assert_eq!(place.tree(), ["d 755 ", "f 644 l \"dead\""]);
        place.remove();
    }
    // So does a directory, whose mode and time are its own.
    let tar = Raw::default()
        .pax(&[("linkpath", deep.as_bytes())])
        .symlink("l", &deep)
        .mode("l/", b'5', 0o777);
    place.unpack(&tar.end()).unwrap();
    assert_eq!(place.tree(), ["d 755 ", "d 777 l"]);
    place.remove();
}

#[test]
fn hard_links_reach_nothing_but_files_of_the_layer() {
    let place = Place::new();
    let canary = place.outside().join("canary");
    let canary = canary.to_str().unwrap();
    for target in ["../canary", "../outside/canary", "a/../../canary"] {
        refused(Raw::default().hard_link("h", target), "..");
    }
    refused(
        Raw::default()
            .pax(&[("linkpath", canary.as_bytes())])
            .hard_link("h", "x"),
        "hard link",
    );
    refused(Raw::default().hard_link("h", "h"), "hard link");
    refused(Raw::default().hard_link("h", "nothing"), "hard link");
    refused(
        Raw::default().directory("d/").hard_link("h", "d"),
        "hard link",
    );
    refused(Raw::default().hard_link("h", ""), "hard link to nothing");
    refused(
        Raw::default().file("h", "1").hard_link("h", "h"),
        "hard link",
    );
    // One to a link is another link, and one through it goes nowhere else.
    let tar = Raw::default()
        .pax(&[("linkpath", canary.as_bytes())])
        .symlink("l", "x")
        .hard_link("h", "l")
        .file("h", "dead");
    let (result, tree) = survive(tar);
    result.unwrap();
    assert!(tree.contains(&"f 644 h \"dead\"".to_owned()), "{tree:?}");
    let through = Raw::default()
        .pax(&[("linkpath", place.outside().to_str().unwrap().as_bytes())])
        .symlink("l", "x")
        .hard_link("h", "l/canary");
    refused(through, "hard link");
}

#[test]
fn a_directory_that_becomes_a_link_takes_nothing_out_with_it() {
    let place = Place::new();
    let outside = place.outside();
    let outside = outside.to_str().unwrap();
    let tar = Raw::default()
        .directory("d/")
        .file("d/a", "1")
        .pax(&[("linkpath", outside.as_bytes())])
        .symlink("d", "x")
        .file("d/canary", "dead")
        .hard_link("d/h", "d/canary")
        .file("d/deep", "dead");
    place.unpack(&tar.end()).unwrap();
    place.remove();
}

#[test]
fn links_in_circles_are_refused() {
    refused(
        Raw::default()
            .symlink("a", "b")
            .symlink("b", "a")
            .file("a/x", ""),
        "too many symbolic links",
    );
    refused(
        Raw::default().symlink("a", "a/a/a/a").file("a/x", ""),
        "too many symbolic links",
    );
    let mut tar = Raw::default().symlink("l0", "d");
    for at in 1..60 {
        tar = tar.symlink(&format!("l{at}"), &format!("l{0}/l{0}", at - 1));
    }
    refused(tar.file("l59/x", ""), "too many symbolic links");
}

#[test]
fn what_is_no_directory_has_nothing_below_it() {
    refused(
        Raw::default().file("a", "1").file("a/b", "2"),
        "a is not a directory",
    );
    refused(
        Raw::default().mode("a", b'6', 0o644).file("a/b", "2"),
        "a is not a directory",
    );
    refused(
        Raw::default()
            .directory("d/")
            .file("d/f", "")
            .directory("d/f/g/h/"),
        "is not a directory",
    );
    let (result, tree) = survive(Raw::default().file("a", "1").file("a/.wh.b", ""));
    result.unwrap();
    assert_eq!(
        tree,
        ["d 755 ", "f 644 a \"1\""],
        "it hides all that the whiteout could"
    );
}

#[test]
fn a_pipe_in_the_place_of_a_file_or_a_directory_stops_nobody() {
    let (result, tree) = survive(
        Raw::default()
            .mode("f", b'6', 0o644)
            .file("f", "content")
            .directory("d/")
            .mode("d", b'6', 0o644),
    );
    result.unwrap();
    assert_eq!(tree, ["d 755 ", "p 644 d", "f 644 f \"content\""]);
}

#[test]
fn names_of_255_bytes_are_unpacked_and_longer_ones_are_named_in_the_error() {
    let name = |length: usize| "n".repeat(length);
    let (result, tree) = survive(
        Raw::default()
            .pax(&[("path", name(255).as_bytes())])
            .file("x", "1"),
    );
    result.unwrap();
    assert_eq!(tree[1], format!("f 644 {} \"1\"", name(255)));
    refused(
        Raw::default()
            .pax(&[("path", name(256).as_bytes())])
            .file("x", "1"),
        &name(100),
    );
    refused(
        Raw::default()
            .pax(&[("path", "d/".repeat(2500).as_bytes())])
            .directory("x/"),
        "over the limit",
    );
    refused(
        Raw::default()
            .pax(&[("path", "d/".repeat(1100).as_bytes())])
            .directory("x/"),
        "its depth",
    );
}

#[test]
fn headers_and_attributes_beyond_all_measure_are_refused() {
    let huge = vec![b'x'; 2 << 20];
    refused(
        Raw::default().pax(&[("comment", &huge)]).file("x", "1"),
        "an extended header",
    );
    let value = vec![b'x'; 900 << 10];
    let (result, _) = survive(
        Raw::default()
            .pax(&[("SCHILY.xattr.user.big", &value)])
            .file("x", "1"),
    );
    assert!(result.is_err(), "no filesystem takes that");
    let names: Vec<String> = (0..20_000)
        .map(|at| format!("SCHILY.xattr.user.a{at}"))
        .collect();
    let flood: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), &b"v"[..]))
        .collect();
    let (result, _) = survive(Raw::default().pax(&flood).file("x", "1"));
    // Filesystems in memory take them all, which the bound of the header keeps from being much.
    if let Err(error) = result {
        assert!(error.to_string().contains("an attribute of x"), "{error}");
    }
}

#[test]
fn owners_that_are_none_are_refused_by_name_and_number() {
    for (key, id, word) in [
        ("uid", "4294967295", "user 4294967295"),
        ("gid", "99999999999", "group 99999999999"),
    ] {
        refused(
            Raw::default().pax(&[(key, id.as_bytes())]).file("who", "1"),
            &format!("who belongs to {word}"),
        );
    }
}

#[test]
fn more_than_is_accepted_is_refused_early() {
    let place = Place::new();
    let limits = UnpackLimits {
        tar: Limits {
            entries: 10,
            ..Limits::default()
        },
        content: 1000,
        depth: 3,
    };
    let many = (0..11).fold(Raw::default(), |tar, at| tar.file(&format!("f{at}"), ""));
    let error = place.unpack_within(&many.end(), &limits).unwrap_err();
    assert!(
        error.to_string().contains("the number of entries"),
        "{error}"
    );
    place.remove();
    let large = Raw::default()
        .file("a", &"x".repeat(600))
        .file("b", &"x".repeat(600));
    let error = place.unpack_within(&large.end(), &limits).unwrap_err();
    assert_eq!(
        error.to_string().replace("/b", "b"),
        "b is refused: the size of all files is over the limit of 1000"
    );
    place.remove();
    let deep = Raw::default().file("a/b/c/d", "");
    let error = place.unpack_within(&deep.end(), &limits).unwrap_err();
    assert!(error.to_string().contains("its depth"), "{error}");
}

#[test]
fn a_sparse_bomb_takes_no_room() {
    let size = (1_u64 << 39).to_string();
    let tar = Raw::default()
        .pax(&[
            ("GNU.sparse.major", b"0"),
            ("GNU.sparse.size", size.as_bytes()),
            ("GNU.sparse.map", b""),
        ])
        .file("bomb", "");
    let place = Place::new();
    // Some filesystems have no files as large as that.
    if place.unpack(&tar.end()).is_ok() {
        let metadata = fs::metadata(place.root().join("bomb")).unwrap();
        assert!(metadata.blocks() < 1000);
    }
    place.remove();
}

#[test]
fn a_place_with_something_in_it_is_not_unpacked_into() {
    let place = Place::new();
    fs::write(place.root().join("there"), "1").unwrap();
    let error = place.unpack(&Raw::default().end()).unwrap_err();
    assert!(matches!(error, UnpackError::NotEmpty), "{error}");
}

#[test]
fn a_layer_that_is_cut_off_is_an_error_wherever_it_is_cut() {
    let tar = Raw::default()
        .directory("d/")
        .file("d/a", &"x".repeat(2000))
        .symlink("l", "d")
        .end();
    let place = Place::new();
    for length in (0..tar.len() - 1024)
        .step_by(97)
        .filter(|length| length % 512 != 0)
    {
        assert!(place.unpack(&tar[..length]).is_err(), "{length}");
        place.remove();
    }
}

#[test]
fn entries_beyond_number_cost_no_more_than_their_number() {
    let mut tar = Raw::default();
    for at in 0..30_000_u32 {
        tar.put(
            (format!("f{}", at % 7).as_bytes(), b'2', b"x"),
            (0o777, 0),
            b"",
        );
    }
    for at in 0..2000_u32 {
        tar = tar.file(&format!("d{at}/.wh.w"), "");
    }
    let place = Place::new();
    let unpacked = place.unpack(&tar.end()).unwrap();
    assert_eq!(place.tree().len(), 1 + 7 + 4000);
    assert_eq!(unpacked.implied.len(), 2000);
    place.remove();
}

/// A tar without end.
#[derive(Default)]
struct Endless {
    at: u64,
    block: std::io::Cursor<Vec<u8>>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.block.read(buffer)?;
        if got > 0 {
            return Ok(got);
        }
        self.at += 1;
        let tar = Raw::default().file(&format!("o/.wh.{}", self.at), "");
        self.block = std::io::Cursor::new(tar.open());
        self.block.read(buffer)
    }
}

#[test]
fn a_layer_without_end_ends_at_a_bound() {
    let place = Place::new();
    let root = fs::File::open(place.root()).unwrap();
    let mut limits = UnpackLimits::default();
    limits.tar.entries = 50_000;
    let error = unpack(&mut Endless::default(), root.file().as_fd(), &limits).unwrap_err();
    assert!(
        error.to_string().contains("the number of entries"),
        "{error}"
    );
    limits.tar.names_bytes = 100_000;
    let error = unpack(&mut Endless::default(), root.file().as_fd(), &limits).unwrap_err();
    assert!(
        error.to_string().contains("the length of all names"),
        "{error}"
    );
    assert_eq!(place.tree(), ["d 700 "]);
}

/// A small blob that becomes a large layer, in both ways in which layers are compressed.
#[test]
fn what_grows_beyond_the_bound_when_it_is_decompressed_is_refused() {
    let tar = Raw::default().file("zeros", &"\0".repeat(4 << 20)).end();
    let gzip = crate::testing::gzip_of(&tar);
    let zstd = zstd::encode_all(tar.as_slice(), 3).unwrap();
    let limits = UnpackLimits {
        content: 1 << 20,
        ..UnpackLimits::default()
    };
    for blob in [gzip, zstd] {
        assert!(blob.len() < 100_000, "{} bytes", blob.len());
        let place = Place::new();
        let root = fs::File::open(place.root()).unwrap();
        let mut tar = crate::compression::Decoder::new(blob.as_slice()).unwrap();
        let error = unpack(&mut tar, root.file().as_fd(), &limits).unwrap_err();
        assert!(
            error.to_string().contains("the size of all files"),
            "{error}"
        );
        let written = fs::metadata(place.root().join("zeros")).unwrap().len();
        assert!(written <= 1 << 20, "{written}");
        place.remove();
    }
}
