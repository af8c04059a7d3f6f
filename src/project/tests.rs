//! Files as the Python program writes them, damaged ones, and ones that two programs write at once.

use super::*;

/// A home of `~/.aicage` and a project directory.
struct Home {
    directory: tempfile::TempDir,
    projects: Projects,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("aicage");
        fs_err::create_dir_all(home.join("projects")).unwrap();
        fs_err::create_dir_all(home.join("config/trees")).unwrap();
        fs_err::create_dir_all(directory.path().join("work/project")).unwrap();
        Self {
            directory,
            projects: Projects::below(&home),
        }
    }

    fn project(&self) -> PathBuf {
        self.directory.path().join("work/project")
    }

    fn file(&self) -> PathBuf {
        self.projects.file(&self.project())
    }

    fn write(&self, text: &str) {
        fs_err::write(self.file(), text).unwrap();
    }

    fn text(&self) -> String {
        fs_err::read_to_string(self.file()).unwrap()
    }

    fn found(&self, agent: &str) -> Result<Found, ProjectError> {
        // As a program that starts: what was read before is not known to it.
        Projects::below(&self.projects.home).choice(&self.project(), agent)
    }

    fn choice(&self, agent: &str) -> StoredChoice {
        self.found(agent).unwrap().agent.unwrap().choice
    }

    fn store(&self, agent: &str, choice: &StoredChoice) -> Result<PathBuf, ProjectError> {
        self.projects.store(&self.project(), agent, choice)
    }
}

fn choice(base: &str, extensions: &[&str]) -> StoredChoice {
    StoredChoice {
        base: Some(base.to_owned()),
        extensions: extensions.iter().map(|&name| name.to_owned()).collect(),
        image_ref: Some(format!("aicage-extended:x-{base}")),
    }
}

/// What 1.4.11 wrote, long values folded; 1.6.0 wrote the same with its lists indented.
const OLDER: &str = "agents:
  claude:
    base: debian
    docker_args: -e FOO=bar
    image_ref: aicage:claude-debian
  codex:
    base: ubuntu
    docker_args: -e VARIABLE_0=value -e VARIABLE_1=value -e VARIABLE_2=value -e VARIABLE_3=value
      -e VARIABLE_4=value -e VARIABLE_5=value
    extension_mounts:
      marker: true
    extensions:
    - act
    - marker
    image_ref: aicage-extended:codex-ubuntu-act-marker
    mounts:
      gitconfig: true
      ssh: false
    shares:
    - /srv/data:ro
    - ~/no:ro
  goose:
    base: 'on'
    docker_args: 'yes'
path: /home/me/project
";

#[test]
fn the_file_is_named_after_the_resolved_path_as_the_python_program_names_it() {
    let projects = Projects::below(Path::new("/home/me/.aicage"));
    // hashlib.sha256(b"/nonexistent/project").hexdigest()
    assert_eq!(
        projects.file(Path::new("/nonexistent/project")),
        Path::new(
            "/home/me/.aicage/projects/d4cff9156b2481dc2255da0ba291f3de490aaecdcab7d098476dd48acd1bdcd9.yml"
        )
    );
    let home = Home::new();
    let link = home.directory.path().join("link");
    std::os::unix::fs::symlink(home.project(), &link).unwrap();
    assert_eq!(home.projects.file(&link), home.file());
}

#[test]
fn files_of_the_python_program_are_read_and_only_what_was_chosen_changes() {
    let newer = OLDER.replace("    - ", "      - ");
    for text in [OLDER, &newer] {
        let home = Home::new();
        home.write(text);
        let found = home.found("codex").unwrap();
        assert_eq!(found.warnings, Vec::<String>::new());
        let expected = StoredAgent {
            choice: StoredChoice {
                base: Some("ubuntu".to_owned()),
                extensions: vec!["act".to_owned(), "marker".to_owned()],
                image_ref: Some("aicage-extended:codex-ubuntu-act-marker".to_owned()),
            },
            docker_args: Some(
                [0, 1, 2, 3, 4, 5]
                    .map(|n| format!("-e VARIABLE_{n}=value"))
                    .join(" "),
            ),
            shares: vec!["/srv/data:ro".to_owned(), "~/no:ro".to_owned()],
            extension_mounts: BTreeMap::from([("marker".to_owned(), true)]),
            agreed_shares: BTreeMap::new(),
            mounts: BTreeMap::from([("gitconfig".to_owned(), true), ("ssh".to_owned(), false)]),
        };
        assert_eq!(found.agent, Some(expected));
        let goose = home.found("goose").unwrap().agent.unwrap();
        assert_eq!(goose.choice.base.as_deref(), Some("on"));
        assert!(home.found("amp").unwrap().agent.is_none());

        home.store("codex", &choice("fedora", &["jq"])).unwrap();
        let expected = newer
            .replace("- act\n      - marker", "- jq")
            .replace("codex-ubuntu-act-marker", "x-fedora")
            .replace("base: ubuntu", "base: fedora")
            .replace("value\n      -e", "value -e");
        assert_eq!(home.text(), expected);
    }
}

#[test]
fn keys_that_are_not_ours_stay_and_the_older_arguments_go_to_every_agent() {
    let home = Home::new();
    home.write(
        "docker_args: --rm\nfuture: {a: [1.10, 'on']}\nagents:\n  codex: {base: ubuntu, new_key: 2026-01-01}\n  goose: {docker_args: ''}\n",
    );
    let codex = home.found("codex").unwrap().agent.unwrap();
    assert_eq!(codex.docker_args.as_deref(), Some("--rm"));
    home.store("amp", &choice("debian", &[])).unwrap();
    let path = home.project().canonicalize().unwrap();
    let expected = format!(
        "agents:\n  amp:\n    base: debian\n    image_ref: aicage-extended:x-debian\n  \
         codex:\n    base: ubuntu\n    docker_args: '--rm'\n    new_key: 2026-01-01\n  goose:\n    docker_args: '--rm'\n\
         future:\n  a:\n    - 1.10\n    - 'on'\npath: {}\n",
        path.display()
    );
    assert_eq!(home.text(), expected);
}

#[test]
fn wrong_types_are_left_out_and_named_with_file_line_and_key() {
    let home = Home::new();
    home.write(
        "agents:\n  codex:\n    base: [debian]\n    extensions: act\n    shares: [/a, 5]\n    mounts:\n      ssh: maybe\n      gpg: on\n    image_ref: true\n",
    );
    let found = home.found("codex").unwrap();
    let file = home.file();
    let expected = [
        "3: `agents.codex.base` is not used: it is not a text",
        "4: `agents.codex.extensions` is not used: it is not a list",
        "9: `agents.codex.image_ref` is not used: it is not a text",
        "5: `agents.codex.shares` is not used: one of its items is not a text",
        "7: `agents.codex.mounts.ssh` is not used: it is not true or false",
    ]
    .map(|line| format!("{}:{line}", file.display()));
    assert_eq!(found.warnings, expected);
    let agent = found.agent.unwrap();
    assert_eq!(agent.choice, StoredChoice::default());
    assert_eq!(agent.shares, ["/a"]);
    assert_eq!(agent.mounts, BTreeMap::from([("gpg".to_owned(), true)]));
}

#[test]
fn a_damaged_file_and_one_of_a_newer_version_are_never_written_over() {
    let home = Home::new();
    for (text, message) in [
        ("agents: [1]\n", ":1: `agents` is not what it should be"),
        (
            "agents:\n  codex: 5\n",
            ":2: `agents.codex` is not what it should be",
        ),
        ("- 1\n", ":1: `the file` is not what it should be"),
        (
            "version: 2\nagents: {}\n",
            "is of version 2, and this program knows version 1",
        ),
        ("agents: {codex: {base: x\n", "cannot be read"),
        ("\u{0}\u{0}\u{0}", "cannot be read"),
        ("agents: {}\nagents: {}\n", "cannot be read"),
    ] {
        home.write(text);
        let read = home.found("codex").unwrap_err().to_string();
        assert!(read.contains(message), "reading {text:?} said: {read}");
        let stored = home.store("codex", &choice("debian", &[])).unwrap_err();
        assert!(
            stored.to_string().contains(message),
            "storing said: {stored}"
        );
        assert_eq!(home.text(), text, "the file is as it was");
    }
    // What the Python program leaves when it is killed while it writes.
    home.write("");
    home.store("codex", &choice("debian", &[])).unwrap();
    assert_eq!(home.choice("codex"), choice("debian", &[]));
}

#[test]
fn a_file_that_says_what_is_chosen_is_not_written_again() {
    use std::os::unix::fs::MetadataExt as _;
    let home = Home::new();
    home.store("codex", &choice("debian", &["a", "b"])).unwrap();
    let inode = fs_err::metadata(home.file()).unwrap().ino();
    home.store("codex", &choice("debian", &["a", "b"])).unwrap();
    assert_eq!(fs_err::metadata(home.file()).unwrap().ino(), inode);
    home.store("codex", &choice("debian", &["b", "a"])).unwrap();
    assert_eq!(home.choice("codex").extensions, ["b", "a"]);
}

#[test]
fn what_a_project_inherits_is_laid_below_what_it_says_itself() {
    let home = Home::new();
    let config = home.projects.home.join("config");
    fs_err::write(
        config.join("global.yml"),
        "path: /\nagents:\n  codex: {base: debian, extensions: [a], docker_args: -e A=1, mounts: {ssh: true, gpg: true}}\n",
    )
    .unwrap();
    let tree = fs_err::canonicalize(home.directory.path().join("work")).unwrap();
    let tree = config.join("trees").join(file_name(&tree));
    fs_err::write(
        &tree,
        "agents:\n  codex: {extensions: [b], mounts: {ssh: false}}\n",
    )
    .unwrap();
    home.write("agents:\n  codex: {base: fedora, extensions: [a, c], docker_args: -e B=2}\n");
    let agent = home.found("codex").unwrap().agent.unwrap();
    assert_eq!(agent.choice.base.as_deref(), Some("fedora"));
    assert_eq!(agent.choice.extensions, ["a", "b", "c"]);
    assert_eq!(agent.docker_args.as_deref(), Some("-e A=1 -e B=2"));
    assert_eq!(agent.mounts.get("ssh"), Some(&false));
    assert_eq!(agent.mounts.get("gpg"), Some(&true));
    // What was chosen here is what is meant: an inherited extension can be left out.
    home.store("codex", &choice("fedora", &["c"])).unwrap();
    let agent = home.found("codex").unwrap().agent.unwrap();
    assert_eq!(agent.choice, choice("fedora", &["c"]));
    assert_eq!(
        agent.docker_args.as_deref(),
        Some("-e A=1 -e B=2"),
        "all else is inherited as before"
    );
}

#[test]
fn a_file_that_is_a_link_stays_one_and_what_a_killed_program_left_goes() {
    let home = Home::new();
    let kept = home.directory.path().join("dotfiles.yml");
    fs_err::write(&kept, OLDER).unwrap();
    std::os::unix::fs::symlink(&kept, home.file()).unwrap();
    fs_err::write(kept.with_file_name(".dotfiles.yml.new"), "half of a fi").unwrap();
    home.store("codex", &choice("debian", &[])).unwrap();
    assert!(fs_err::symlink_metadata(home.file()).unwrap().is_symlink());
    assert_eq!(home.choice("codex"), choice("debian", &[]));
    assert!(!kept.with_file_name(".dotfiles.yml.new").exists());
}

#[test]
fn programs_that_store_at_the_same_time_lose_nothing() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for agent in 0..16 {
            let home = &home;
            scope.spawn(move || {
                home.store(&format!("agent{agent}"), &choice("debian", &["a"]))
                    .unwrap();
            });
        }
    });
    for agent in 0..16 {
        assert_eq!(
            home.choice(&format!("agent{agent}")),
            choice("debian", &["a"])
        );
    }
    let left: Vec<_> = fs_err::read_dir(home.projects.home.join("projects"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "the file and the lock: {left:?}");
}

#[test]
fn options_that_are_added_at_the_same_time_are_all_there() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let home = &home;
            scope.spawn(move || {
                let added = |before: &str| {
                    Ok::<_, ProjectError>(format!("{before} -e A{number}=1").trim().to_owned())
                };
                let (projects, directory) = (Projects::below(&home.projects.home), home.project());
                projects
                    .change_docker_args((&directory, "codex"), added)
                    .unwrap();
            });
        }
    });
    for number in 0..16 {
        let text = home.text();
        assert!(text.contains(&format!("-e A{number}=1")), "{text}");
    }
}
