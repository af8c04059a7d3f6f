//! The manual renders without a word of complaint, and every verb has its page.

use std::process::Command;

use crate::ground::Ground;

#[test]
fn every_page_of_the_manual_renders_without_a_warning() {
    let ground = Ground::new();
    let directory = ground.path("man1");
    let output = ground
        .aicage(&["man", directory.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut pages: Vec<String> = fs_err::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for page in [
        "aicage.1",
        "aicage-doctor.1",
        "aicage-image-inspect.1",
        "aicage-run.1",
    ] {
        assert!(pages.iter().any(|one| one == page), "{page} in {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("__")), "{pages:?}");
    if Command::new("groff").arg("--version").output().is_err() {
        eprintln!("SKIP: groff is not installed");
        return;
    }
    for page in &pages {
        let output = Command::new("groff")
            .args(["-Kutf8", "-man", "-ww", "-Tutf8", "-P-cbou"])
            .arg(directory.join(page))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && stderr.is_empty(),
            "{page}: {stderr}"
        );
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("SYNOPSIS"), "{page}: {text}");
    }
    let first = ground.aicage(&["man"]).output().unwrap();
    assert_eq!(
        first.stdout,
        fs_err::read(directory.join("aicage.1")).unwrap()
    );
}
