//! The schemas in `schemas/` are those of the types, and the built-in definitions keep to them.
//!
//! `AICAGE_UPDATE=1 cargo test --test schemas` writes them anew.
#![expect(
    clippy::disallowed_methods,
    reason = "a test is told what to do by its environment"
)]

use std::path::Path;

use aicage::{
    definition::catalogue::{Catalogue, CustomRoots, Published},
    schemas,
};

#[test]
fn the_schemas_in_the_tree_are_those_of_the_types() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, schema) in schemas::all() {
        let path = directory.join(name);
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var("AICAGE_UPDATE").is_ok() {
            fs_err::write(&path, &text).unwrap();
        }
        let there = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(
            there == text,
            "schemas/{name} is not what the types give; write it anew with AICAGE_UPDATE=1"
        );
    }
}

#[test]
fn every_built_in_definition_can_be_used_and_no_agent_is_a_verb() {
    let nowhere = CustomRoots {
        custom: "/nonexistent/custom".into(),
        older: "/nonexistent/older".into(),
        state: None,
    };
    let catalogue = Catalogue::read(&Published::BuiltIn, &nowhere);
    assert!(catalogue.problems.is_empty(), "{:?}", catalogue.problems);
    let agents: Vec<&str> = catalogue.agents.keys().map(String::as_str).collect();
    assert_eq!(
        agents,
        [
            "aider", "amp", "auggie", "claude", "codex", "copilot", "crush", "droid", "gemini",
            "goose", "kiro-cli", "opencode", "qwen", "vibe"
        ]
    );
    let bases: Vec<&str> = catalogue.bases.keys().map(String::as_str).collect();
    assert_eq!(bases, ["alpine", "arch", "debian", "fedora", "ubuntu"]);
    for agent in agents {
        assert!(!aicage::cli::RESERVED.contains(&agent), "{agent} is a verb");
    }
    for base in catalogue.bases.values() {
        assert!(!base.scripts().is_empty(), "{} has no scripts", base.id);
    }
}
