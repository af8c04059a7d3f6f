//! What a session is called that nobody named: `<agent>-<directory>`, made of what engines take.

use std::path::Path;

/// Longest part that comes from the directory's name; host names and terminals are short.
const DIRECTORY_LIMIT: usize = 40;

/// Returns the name of an agent's session in a project; a second one gets `-2` where it is created.
pub fn proposed(agent: &str, project: &Path) -> String {
    let directory = project.file_name().unwrap_or_default().to_string_lossy();
    let mut safe = String::new();
    for letter in directory.chars() {
        if safe.len() == DIRECTORY_LIMIT {
            break;
        }
        if letter.is_ascii_alphanumeric() || letter == '_' || letter == '.' {
            safe.push(letter);
        } else if !safe.ends_with('-') {
            safe.push('-');
        }
    }
    let safe = safe.trim_matches(['-', '.', '_']);
    if safe.is_empty() {
        // `/`, or a name without a single Latin letter.
        format!("{agent}-session")
    } else {
        format!("{agent}-{safe}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container_options::Flags;

    #[test]
    fn any_directory_gives_a_name_that_engines_take() {
        for (directory, name) in [
            ("/home/me/app", "codex-app"),
            ("/home/me/My App (2)", "codex-My-App-2"),
            ("/home/me/.dotfiles", "codex-dotfiles"),
            ("/", "codex-session"),
            ("/home/me/проект", "codex-session"),
            ("/home/me/größe_1.0", "codex-gr-e_1.0"),
        ] {
            assert_eq!(proposed("codex", Path::new(directory)), name);
            let typed = ["--name".to_owned(), name.to_owned()];
            assert!(Flags::parse(&typed).is_ok(), "{name}");
        }
        let long = proposed("codex", Path::new(&"x".repeat(300)));
        assert_eq!(long.len(), "codex-".len() + DIRECTORY_LIMIT);
    }
}
