//! Definitions that users get wrong: each is refused with file, line and reason, and disables only itself.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

use aicage::definition::catalogue::{Catalogue, CustomRoots, Published};

const AGENT: &str = "agent_full_name: Mine\nagent_homepage: https://mine.example\n";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.agent("good", AGENT.as_bytes());
        home
    }

    fn agent(&self, id: &str, yaml: &[u8]) {
        for (name, content) in [
            ("agent.yml", yaml),
            ("install.sh", b""),
            ("version.sh", b""),
        ] {
            self.write(&format!("agents/{id}/{name}"), content);
        }
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.0.path().join("custom").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::read(
            &Published::BuiltIn,
            &CustomRoots {
                custom: self.0.path().join("custom"),
                older: self.0.path().join("older"),
                state: None,
            },
        )
    }

    /// Returns why the one bad definition is refused; nothing else may be.
    fn problem(&self) -> String {
        let catalogue = self.catalogue();
        assert!(
            catalogue.agents.contains_key("good") && catalogue.agents.contains_key("codex"),
            "a bad definition disabled others"
        );
        let problems: Vec<String> = catalogue
            .problems
            .iter()
            .map(|problem| problem.error.to_string())
            .collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.concat()
    }
}

/// Returns YAML whose aliases grow tenfold with each line.
fn bomb() -> String {
    let lines = (1..12).map(|level| {
        let below = format!("*a{}, ", level - 1).repeat(10);
        format!("a{level}: &a{level} [{below}]")
    });
    let first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned();
    let lines: Vec<String> = std::iter::once(first).chain(lines).collect();
    lines.join("\n")
}

#[test]
fn a_bad_agent_yml_is_refused_with_file_line_and_reason() {
    let bomb = bomb();
    let cases: &[(&str, String, &str)] = &[
        (
            "a key twice",
            format!("{AGENT}agent_homepage: other\n"),
            "agent.yml:3: the key `agent_homepage` is there twice",
        ),
        (
            "a misspelt key",
            format!("{AGENT}build_locl: true\n"),
            "agent.yml:3: unknown key `build_locl`; did you mean `build_local`?",
        ),
        (
            "a key from nowhere",
            format!("{AGENT}\n\nzzz: true\n"),
            "agent.yml:5: unknown key `zzz`; known are `agent_full_name`",
        ),
        (
            "a missing key",
            "agent_full_name: Mine\n".to_owned(),
            "missing field `agent_homepage`",
        ),
        (
            "an empty text",
            "agent_full_name: '  '\nagent_homepage: x\n".to_owned(),
            "agent.yml:1: the text is empty",
        ),
        (
            "an empty text in a list",
            format!("{AGENT}base_exclude:\n  - arch\n  - ' '\n"),
            "agent.yml:5: the text is empty",
        ),
        ("nothing", String::new(), "agent.yml:1: "),
        (
            "a tab",
            "agent_full_name: Mine\n\tagent_homepage: x\n".to_owned(),
            "found a tab",
        ),
        (
            "a word for a switch",
            format!("{AGENT}build_local: perhaps\n"),
            "agent.yml:3: ",
        ),
        ("an anchor bomb", bomb, "agent.yml:"),
        (
            "a megabyte",
            format!("{AGENT}# {}\n", "x".repeat(1 << 20)),
            "at most 1048576 are read",
        ),
        (
            "two documents",
            format!("{AGENT}---\n{AGENT}"),
            "agent.yml:4: a second document",
        ),
    ];
    for (what, yaml, expected) in cases {
        let home = Home::new();
        home.agent("bad", yaml.as_bytes());
        let problem = home.problem();
        assert!(
            problem.contains(expected) && problem.contains("agents/bad/"),
            "{what}: {problem}"
        );
    }
}

#[test]
fn an_agent_yml_that_is_no_text_is_refused() {
    let home = Home::new();
    home.agent("bad", b"agent_full_name: \xff\n");
    assert!(home.problem().ends_with("agent.yml is not UTF-8 text"));
}

#[test]
fn a_value_of_the_wrong_kind_is_told_in_plain_words() {
    for (yaml, why) in [
        (
            "agent_full_name:\nagent_homepage: x\n".to_owned(),
            "agent.yml:1: there is no value; a text is expected",
        ),
        (
            "- a\n- b\n".to_owned(),
            "agent.yml:1: keys and values are expected",
        ),
        (
            format!("{AGENT}base_exclude: arch\n"),
            "agent.yml:3: a list is expected",
        ),
    ] {
        let home = Home::new();
        home.agent("bad", yaml.as_bytes());
        let problem = home.problem();
        assert!(problem.contains(why), "{yaml}: {problem}");
    }
}

#[test]
fn an_agents_state_has_to_be_a_path_in_the_home_directory() {
    let cases = [
        ("directories: [~/../other]", "`~/../other` has `..` in it"),
        (
            "directories: [.mine]",
            "`.mine` begins neither with `~/` nor with `/`",
        ),
        ("files: ['$HOME/x']", "`$HOME/x` begins neither"),
        ("files: [~root/x]", "`~root/x` begins neither"),
        ("directories: ['~']", "`~` is a whole tree"),
        ("directories: ['~/.']", "`~/.` is a whole tree"),
    ];
    for (line, why) in cases {
        let home = Home::new();
        let text = format!("{AGENT}agent_path:\n  {line}\n");
        home.agent("bad", text.as_bytes());
        let problem = home.problem();
        let expected = format!("agents/bad/agent.yml:4: {why}");
        assert!(problem.contains(&expected), "{line}: {problem}");
    }
}

#[test]
fn words_that_are_switches_elsewhere_marks_and_line_ends_of_windows_are_fine() {
    let home = Home::new();
    home.agent(
        "words",
        b"\xef\xbb\xbfagent_full_name: no\r\nagent_homepage: on\r\nbase_exclude: [off, yes, 1.0]\r\n",
    );
    let catalogue = home.catalogue();
    assert!(catalogue.problems.is_empty(), "{:?}", catalogue.problems);
    let settings = &catalogue.agents["words"].settings;
    assert_eq!(settings.agent_full_name, "no");
    assert_eq!(settings.agent_homepage, "on");
    assert_eq!(settings.base_exclude, ["off", "yes", "1.0"]);
}

#[test]
fn a_bad_base_or_extension_is_refused_with_file_line_and_reason() {
    let base = "from_image: debian:stable\nbase_image_distro: Debian\nbase_image_description: x\n";
    for (what, path, yaml, expected) in [
        (
            "no architecture",
            "image-base/bad/base.yml",
            format!("{base}architectures: []\n"),
            "base.yml:4: `architectures` is empty",
        ),
        (
            "one twice",
            "image-base/bad/base.yml",
            format!("{base}architectures: [amd64, amd64]\n"),
            "base.yml:4: amd64 is there twice",
        ),
        (
            "an unknown one",
            "image-base/bad/base.yml",
            format!("{base}architectures: [amd64, riscv64]\n"),
            "base.yml:4: ",
        ),
        (
            "a root image that no image is called",
            "image-base/bad/base.yml",
            format!("{base}architectures: [amd64]\n").replace("debian:stable", "Debian:a:b"),
            "base.yml:1: `Debian:a:b` is not an image reference",
        ),
        (
            "a root image in no file",
            "image-base/bad/base.yml",
            format!("{base}architectures: [amd64]\n").replace("debian:stable", "'rootfs:'"),
            "base.yml:1: `rootfs:` is not an image reference: nothing stands after the colon",
        ),
        (
            "an extension that adds nothing",
            "extension/bad/extension.yml",
            "name: x\ndescription: y\n".to_owned(),
            "has no `scripts/*.sh`",
        ),
        (
            "an empty share",
            "extension/bad/extension.yml",
            "name: x\ndescription: y\nshares: ['']\n".to_owned(),
            "extension.yml:3: the text is empty",
        ),
    ] {
        let home = Home::new();
        home.write(path, yaml.as_bytes());
        let problem = home.problem();
        assert!(problem.contains(expected), "{what}: {problem}");
    }
}

#[test]
fn names_that_could_not_be_in_a_tag_are_refused_and_other_programs_directories_are_no_definitions()
{
    for name in [
        "Upper",
        "with space",
        "-dash",
        "dot.",
        "umläut",
        &"long".repeat(60),
        "..hidden",
    ] {
        let home = Home::new();
        home.agent(name, AGENT.as_bytes());
        if name.starts_with('.') {
            assert!(home.catalogue().problems.is_empty(), "{name}");
        } else {
            let problem = home.problem();
            assert!(
                problem.contains("name") || problem.contains('`'),
                "{problem}"
            );
        }
    }
    let home = Home::new();
    home.write("agents/.git/HEAD", b"ref: refs/heads/main\n");
    home.write("agents/README.md", b"Mine.\n");
    home.write("extension/.idea/workspace.xml", b"<x/>");
    assert!(home.catalogue().problems.is_empty());
}

#[test]
fn two_descriptions_that_differ_are_refused_and_equal_ones_are_one() {
    let home = Home::new();
    home.agent("bad", AGENT.as_bytes());
    home.write("agents/bad/agent.yaml", b"agent_full_name: Other\n");
    assert!(
        home.problem()
            .contains("`agent.yml` and `agent.yaml` differ")
    );
    home.write("agents/bad/agent.yaml", AGENT.as_bytes());
    assert!(home.catalogue().problems.is_empty());
}
