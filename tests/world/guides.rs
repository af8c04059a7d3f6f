//! The guides in `doc/`, followed to the letter: every file they show is written, every command they show is run.
//!
//! In a guide, a fenced block after `<!-- file: PATH -->` is a file (`~` is the home directory). In a `console` block
//! each `$ ` line is a command for bash; it must succeed, or end with the code of a `# exit N` behind it. The lines below a
//! command must appear in what it prints; `…` stands for anything. `<!-- not run: WHY -->` before a block
//! leaves it out, `<!-- without a network -->` takes the network away from its commands (the engine stays, at its
//! socket). `<!-- test: COMMAND -->` is run too, to set the scene, with what is in `scenes/` beside this file; `GUIDE` is a
//! name that no other run has, `REGISTRY` the open registry, `IMAGES` the guide's own part of it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::ground::{Ground, variable};

#[derive(Debug)]
enum Part {
    File { path: String, content: String },
    Command(Example),
}

/// One command of a guide and what is expected of it.
#[derive(Debug, Default)]
struct Example {
    text: String,
    code: i32,
    output: Vec<String>,
    without_network: bool,
}

fn parse(guide: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut note: Option<(String, String)> = None;
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if let Some(comment) = line
            .strip_prefix("<!-- ")
            .and_then(|rest| rest.strip_suffix(" -->"))
        {
            let (word, rest) = comment.split_once(": ").unwrap_or((comment, ""));
            if word == "test" {
                parts.push(Part::Command(Example {
                    text: rest.to_owned(),
                    ..Example::default()
                }));
            } else {
                note = Some((word.to_owned(), rest.to_owned()));
            }
            continue;
        }
        let Some(language) = line.strip_prefix("```") else {
            if !line.trim().is_empty() {
                note = None;
            }
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match (note.take(), language) {
            (Some((word, _)), _) if word == "not run" => {}
            (Some((word, path)), _) if word == "file" => parts.push(Part::File {
                path,
                content: block.join("\n") + "\n",
            }),
            (note, "console") => {
                let without_network = note.is_some_and(|(word, _)| word == "without a network");
                parts.extend(commands(&block).into_iter().map(|example| {
                    Part::Command(Example {
                        without_network,
                        ..example
                    })
                }));
            }
            (_, language) => assert!(
                !["sh", "bash"].contains(&language),
                "a block of shell is neither a file nor `console`: {block:?}"
            ),
        }
    }
    parts
}

fn commands(block: &[&str]) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            let (text, code) = match command.split_once("  # exit ") {
                Some((text, code)) => (text, code.trim().parse().unwrap()),
                None => (command, 0),
            };
            examples.push(Example {
                text: text.to_owned(),
                code,
                ..Example::default()
            });
        } else if let Some(Example { output, text, .. }) = examples.last_mut() {
            if text.ends_with('\\') && output.is_empty() {
                text.push('\n');
                text.push_str(line);
            } else if !line.is_empty() {
                output.push((*line).to_owned());
            }
        }
    }
    examples
}

/// Tells whether `shown` is in `printed`: the pieces between `…` in this order, spaces counted as one.
fn appears(printed: &str, shown: &str) -> bool {
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed = flat(printed);
    let mut rest = printed.as_str();
    shown
        .split('…')
        .map(flat)
        .all(|piece| match rest.find(&piece) {
            Some(at) => {
                rest = rest.get(at + piece.len()..).unwrap_or_default();
                true
            }
            None => false,
        })
}

fn follow(name: &str) {
    let (Some(engine), Some(registry)) = (
        variable("AICAGE_TEST_DOCKER_NEW"),
        variable("AICAGE_TEST_REGISTRY"),
    ) else {
        return;
    };
    let ground = Ground::new(&engine, &registry);
    ground.run(
        &[
            "config",
            "set",
            "registry.base_repository",
            &format!("{registry}/aicage/aicage-image-base"),
        ],
        0,
    );
    ground.run(
        &[
            "config",
            "set",
            "registry.mirrors",
            &format!("docker.io=http://{registry}"),
        ],
        0,
    );
    if let Some(ca) = variable("AICAGE_TEST_CA") {
        ground.run(&["config", "set", "network.ca", &ca], 0);
    }
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc").join(name);
    let parts = parse(&fs_err::read_to_string(guide).unwrap());
    assert!(
        parts.iter().any(|part| matches!(part, Part::Command(_))),
        "{name} has no examples"
    );
    for part in parts {
        match part {
            Part::File { path, content } => {
                let path = match path.strip_prefix("~/") {
                    Some(rest) => ground.home().join(rest),
                    None => ground.project().join(path),
                };
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, content).unwrap();
            }
            Part::Command(example) => run(&ground, &example),
        }
    }
}

fn run(ground: &Ground, example: &Example) {
    let Example {
        text, code, output, ..
    } = example;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_aicage"));
    let path = format!(
        "{}:{}/tests/world/scenes:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        program.parent().unwrap().display(),
        env!("CARGO_MANIFEST_DIR")
    );
    let words: &[&str] = if example.without_network {
        &["unshare", "--net", "bash", "-c"]
    } else {
        &["bash", "-c"]
    };
    let begun = std::time::Instant::now();
    let done = Command::new(words[0])
        .args(&words[1..])
        .arg(format!("exec 2>&1\n{text}"))
        .current_dir(ground.project())
        .env_clear()
        .env("PATH", path)
        .env("HOME", ground.home())
        .env("DOCKER_HOST", &ground.engine)
        .env("REGISTRY", &ground.registry)
        .env("GUIDE", &ground.agent)
        .env("IMAGES", format!("{}/{}", ground.registry, ground.agent))
        .env(
            "AICAGE_TEST_ROOTFS",
            variable("AICAGE_TEST_ROOTFS").unwrap_or_default(),
        )
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    eprintln!("{:5.1} s  $ {text}", begun.elapsed().as_secs_f32());
    let printed = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(*code), "$ {text}\n{printed}");
    for line in output {
        assert!(
            appears(&printed, line),
            "`{line}` is not in\n$ {text}\n{printed}"
        );
    }
}

#[test]
fn extensions() {
    follow("extensions.md");
}

#[test]
fn custom_agents() {
    follow("custom-agents.md");
}

#[test]
fn custom_bases() {
    follow("custom-bases.md");
}

#[test]
fn updates() {
    follow("updates.md");
}

#[test]
fn offline() {
    follow("offline.md");
}

#[test]
fn company_networks() {
    follow("company-networks.md");
}

#[test]
fn local_builds() {
    follow("local-builds.md");
}

#[test]
fn publishing() {
    follow("publishing.md");
}

#[test]
fn a_guide_is_read_as_it_says() {
    let guide = "Write `~/a`:\n\n<!-- file: ~/a -->\n```yaml\nx: 1\n```\n\n```console\n$ cat ~/a\nx: 1\n$ false  # exit 1\n```\n\
                 <!-- not run: why -->\n```console\n$ never\n```\n\n<!-- without a network -->\n```console\n$ wait\n```\n";
    let parts = parse(guide);
    assert!(
        matches!(&parts[0], Part::File { path, content } if path == "~/a" && content == "x: 1\n")
    );
    assert!(
        matches!(&parts[1], Part::Command(Example { text, code: 0, output, without_network: false }) if text == "cat ~/a" && output == &["x: 1"])
    );
    assert!(matches!(&parts[2], Part::Command(Example { code: 1, .. })));
    assert!(
        matches!(&parts[3], Part::Command(Example { text, without_network: true, .. }) if text == "wait")
    );
    assert_eq!(parts.len(), 4);
    assert!(appears("a  b\nc", "a b … c") && !appears("c a", "a … c"));
}
