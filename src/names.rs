//! Names of images of ours, in the store and in engines.

use assembler::reference::{DOCKER_HUB, ImageReference};

use crate::{diagnostic::Diagnostic, exit_status::ExitStatus};

/// Returns the name of an agent's image: `aicage:<agent>-<base>`.
pub fn final_image(agent: &str, base: &str) -> ImageReference {
    local("aicage", &format!("{agent}-{base}"))
}

/// Returns the name of a built-in base that was assembled here.
pub fn local_base(base: &str) -> ImageReference {
    local("aicage-image-base", base)
}

/// Returns the name of a base that the user defined.
pub fn custom_base(base: &str) -> ImageReference {
    local("aicage-image-base-custom", base)
}

/// Returns the name under which a root image that came from a file is kept.
pub fn root_image(base: &str) -> ImageReference {
    local("aicage-root", base)
}

/// Tells whether only this program gives such names. They are never asked of a registry, where whoever owned them could
/// answer, and nothing that comes from elsewhere gets one.
pub fn is_ours(reference: &ImageReference) -> bool {
    reference.registry() == DOCKER_HUB
        && reference
            .repository()
            .strip_prefix("library/aicage")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Refuses to give one of our own names to what comes from elsewhere.
pub fn refuse_ours(reference: &ImageReference) -> Result<(), Diagnostic> {
    if !is_ours(reference) || reference.repository() == "library/aicage-imported" {
        return Ok(());
    }
    let name = reference.familiar();
    Err(Diagnostic::new(
        "name-reserved",
        ExitStatus::Usage,
        format!("`{name}` is a name for images that are made here; nothing that comes from elsewhere gets it"),
    )
    .hint("`aicage build` and `aicage base build` make such images; give what you bring in another name"))
}

fn local(repository: &str, tag: &str) -> ImageReference {
    format!("{repository}:{tag}")
        .parse()
        .expect("ids of agents and bases are checked when their definitions are read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_this_program_gives_are_its_own() {
        for text in [
            "aicage:codex-debian",
            "aicage-image-base:debian",
            "aicage-image-base-custom:mine",
            "aicage-extended:x",
        ] {
            let reference = text.parse().unwrap();
            assert!(is_ours(&reference), "{text} is a name of ours");
            assert!(refuse_ours(&reference).is_err(), "{text} was given away");
        }
        for text in [
            "aicages:x",
            "ghcr.io/aicage/aicage-image-base:debian",
            "debian",
        ] {
            assert!(!is_ours(&text.parse().unwrap()), "{text} is anybody's");
        }
        let imported: ImageReference = "aicage-imported:debian".parse().unwrap();
        assert!(
            is_ours(&imported),
            "no registry is asked for what was imported"
        );
        assert!(refuse_ours(&imported).is_ok(), "imports get this name");
    }
}
