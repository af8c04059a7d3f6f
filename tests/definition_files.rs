//! The files of definitions: what counts, what is remembered of them, what is refused, and edits at a bad moment.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
};

use aicage::{definition::bundle, dockerfiles};
use assembler::{
    definition_files::FilesError,
    digest::Digest,
    dockerfile::ContextError,
    recipe::{ScriptFile, ScriptFiles},
};

type Edit = fn(&Directory);

struct Directory(tempfile::TempDir);

impl Directory {
    fn with(files: &[(&str, &str)]) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        for (path, content) in files {
            directory.write(path, content);
        }
        directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    fn paths(&self) -> Result<Vec<String>, FilesError> {
        bundle::directory(self.0.path(), None).paths()
    }

    fn refusal(&self) -> String {
        bundle::directory(self.0.path(), None)
            .digest()
            .unwrap_err()
            .to_string()
    }
}

fn in_memory(files: &[(&str, &str)]) -> ScriptFiles {
    let files = files.iter().map(|(path, content)| {
        let file = ScriptFile {
            executable: false,
            content: content.as_bytes().into(),
        };
        ((*path).to_owned(), file)
    });
    ScriptFiles::new(files.collect::<BTreeMap<_, _>>())
}

#[test]
fn the_digest_of_a_directory_is_that_of_the_same_files_in_memory() {
    let files = [("a/b", "1"), ("a.sh", "2"), ("z", "3")];
    let directory = Directory::with(&files);
    let there = bundle::directory(directory.0.path(), None);
    assert_eq!(there.digest().unwrap(), in_memory(&files).digest());
    let fewer = there.without(&["z"]);
    assert_eq!(
        fewer.digest().unwrap(),
        in_memory(&files[..2]).digest(),
        "what is left out does not count"
    );
    assert_eq!(fewer.load().unwrap(), in_memory(&files[..2]));
    assert_eq!(fewer.read("z").unwrap(), None);
}

#[test]
fn nothing_is_read_when_no_metadata_changed_and_a_wrong_memory_is_noticed_before_anything_runs() {
    let state = tempfile::tempdir().unwrap();
    // Its files are older than any clock's grain.
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions/agents/codex");
    let open = || bundle::directory(&old, Some(state.path()));
    let digest = open().digest().unwrap();
    let records: Vec<_> = fs_err::read_dir(state.path().join("definitions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(
        records.len(),
        1,
        "one record, no temporary file: {records:?}"
    );
    let text = fs_err::read_to_string(&records[0]).unwrap();
    let forged = Digest::of(b"forged");
    let other = text.replace(&digest.to_string(), &forged.to_string());
    fs_err::write(&records[0], &other).unwrap();
    assert_eq!(open().digest().unwrap(), forged, "the files were read");
    let refused = open().load().unwrap_err();
    assert!(matches!(refused, FilesError::Changed { .. }), "{refused}");
    assert_eq!(open().digest().unwrap(), digest, "the wrong memory stayed");
    fs_err::write(&records[0], "{").unwrap();
    assert_eq!(open().digest().unwrap(), digest, "a damaged record counts");
}

#[test]
fn a_build_context_is_read_when_its_metadata_changed_or_when_it_is_built() {
    let state = tempfile::tempdir().unwrap();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions/agents/codex");
    let open = || dockerfiles::known_in(state.path(), &old, &old.join("Dockerfile")).unwrap();
    let digest = *open().digest();
    let records: Vec<_> = fs_err::read_dir(state.path().join("definitions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let text = fs_err::read_to_string(&records[0]).unwrap();
    let forged = Digest::of(b"forged");
    let other = text.replace(&digest.to_string(), &forged.to_string());
    fs_err::write(&records[0], &other).unwrap();
    assert_eq!(*open().digest(), forged, "the files were read");
    let refused = open().open().unwrap_err();
    assert!(matches!(refused, ContextError::Changed { .. }), "{refused}");
    assert_eq!(*open().digest(), digest, "the wrong memory stayed");
}

#[test]
fn a_commit_is_no_change_of_a_build_context_and_an_edit_is() {
    let state = tempfile::tempdir().unwrap();
    let directory = Directory::with(&[
        ("Dockerfile", "FROM scratch"),
        ("data", "1"),
        (".hidden", "2"),
        (".git/HEAD", "before"),
    ]);
    let digest = || {
        let dockerfile = directory.path("Dockerfile");
        let context = dockerfiles::known_in(state.path(), directory.0.path(), &dockerfile);
        *context.unwrap().digest()
    };
    let before = digest();
    directory.write(".git/HEAD", "after");
    directory.write(".git/objects/x", "y");
    directory.write(".idea/workspace.xml", "y");
    assert_eq!(digest(), before, "a directory of another program counts");
    directory.write(".hidden", "3");
    assert_ne!(digest(), before, "what is hidden can be copied");
    let before = digest();
    directory.write(".dockerignore", "!.git\n");
    let with_git = digest();
    assert_ne!(with_git, before);
    directory.write(".git/HEAD", "once more");
    assert_ne!(digest(), with_git, "what is asked for counts");
}

#[test]
fn a_file_that_was_just_written_is_not_trusted_by_its_times() {
    let state = tempfile::tempdir().unwrap();
    let directory = Directory::with(&[("install.sh", "one")]);
    let open = || bundle::directory(directory.0.path(), Some(state.path()));
    let before = open().digest().unwrap();
    let kept = fs_err::read_dir(state.path().join("definitions")).unwrap();
    assert_eq!(kept.count(), 0, "a digest of a young file was kept");
    // Same length, and perhaps within the same tick of the clock.
    directory.write("install.sh", "two");
    assert_ne!(open().digest().unwrap(), before);
}

#[test]
fn an_edit_between_the_decision_and_the_step_is_an_error() {
    let edits: [(&str, Edit); 4] = [
        ("changed", |d| d.write("install.sh", "another")),
        ("added", |d| d.write("more.sh", "x")),
        ("removed", |d| {
            fs_err::remove_file(d.path("lib.sh")).unwrap();
        }),
        ("replaced", |d| {
            d.write("new", "one");
            fs_err::rename(d.path("new"), d.path("install.sh")).unwrap();
        }),
    ];
    for (what, edit) in edits {
        let directory = Directory::with(&[("install.sh", "one"), ("lib.sh", "lib")]);
        let files = bundle::directory(directory.0.path(), None);
        files.digest().unwrap();
        edit(&directory);
        let refused = files.load().unwrap_err();
        assert!(
            matches!(refused, FilesError::Changed { .. }),
            "{what}: {refused}"
        );
    }
}

#[test]
fn other_programs_directories_are_not_part_of_a_definition() {
    let files = [
        (".git/HEAD", ""),
        (".idea/workspace.xml", ""),
        (".install.sh.swp", ""),
        ("install.sh", ""),
        ("lib/.git/HEAD", ""),
        ("lib/.hidden", ""),
    ];
    let directory = Directory::with(&files);
    assert_eq!(directory.paths().unwrap(), ["install.sh", "lib/.hidden"]);
    directory.write("Dockerfile", "");
    directory.write(".config/tool.toml", "");
    assert_eq!(
        directory.paths().unwrap(),
        [
            ".config/tool.toml",
            ".install.sh.swp",
            "Dockerfile",
            "install.sh",
            "lib/.hidden"
        ],
        "beside a Dockerfile hidden files may be copied by it"
    );
}

#[test]
fn what_is_no_file_is_refused_by_name_without_waiting_for_it() {
    let directory = Directory::with(&[("install.sh", "")]);
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        directory.path("pipe"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    let refusal = directory.refusal();
    assert!(
        refusal.contains("/pipe: ") && refusal.contains("a FIFO"),
        "{refusal}"
    );

    let directory = Directory::with(&[("install.sh", "")]);
    symlink("nowhere", directory.path("broken")).unwrap();
    let refusal = directory.refusal();
    assert!(
        refusal.contains("/broken: a link that leads nowhere"),
        "{refusal}"
    );

    let directory = Directory::with(&[("install.sh", "")]);
    symlink("self", directory.path("self")).unwrap();
    let refusal = directory.refusal();
    assert!(
        refusal.contains("/self: a link that leads in a circle"),
        "{refusal}"
    );

    let directory = Directory::with(&[("data/install.sh", "")]);
    symlink("../data", directory.path("data/again")).unwrap();
    let refusal = directory.refusal();
    assert!(
        refusal.contains("/data/again") && refusal.contains("leads in a circle"),
        "{refusal}"
    );

    let directory = Directory::with(&[("install.sh", "")]);
    fs_err::write(directory.0.path().join(OsStr::from_bytes(b"a\xff")), "").unwrap();
    let refusal = directory.refusal();
    assert!(refusal.contains(r"`a\xff` is not UTF-8"), "{refusal}");
}

#[test]
fn gigabytes_and_thousands_of_files_are_refused_by_name_and_size() {
    let directory = Directory::with(&[("install.sh", ""), ("notes", "some")]);
    let large = fs_err::File::create(directory.path("image.tar")).unwrap();
    large.set_len(2 << 30).unwrap();
    let refusal = directory.refusal();
    assert!(
        refusal.contains("/image.tar: ") && refusal.contains("2.1 GB"),
        "{refusal}"
    );
    let directory = Directory::with(&[("install.sh", "")]);
    fs_err::create_dir(directory.path("many")).unwrap();
    for number in 0..10_000 {
        fs_err::write(directory.path(&format!("many/{number}")), "").unwrap();
    }
    let refusal = directory.refusal();
    assert!(refusal.contains("at most 10000 files"), "{refusal}");
}
