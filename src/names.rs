//! Names of images of ours, in the store and in engines.

use assembler::{
    digest::Digest,
    reference::{DOCKER_HUB, ImageReference},
};

use crate::{diagnostic::Diagnostic, exit_status::ExitStatus};

/// The repository of images with extensions.
const EXTENDED: &str = "aicage-extended";
/// The longest tag (OCI distribution-spec, "pull").
const TAG_LIMIT: usize = 128;

/// Returns the name of an agent's image: `aicage:<agent>-<base>`.
pub fn final_image(agent: &str, base: &str) -> ImageReference {
    local("aicage", &format!("{agent}-{base}"))
}

/// Returns the name of an agent's image with extensions:
/// `aicage-extended:<agent>-<base>-extensions-<extension>-<extension>`; one that is too long ends with a digest instead.
pub fn extended_image(agent: &str, base: &str, extensions: &[&str]) -> ImageReference {
    let tag = format!("{agent}-{base}-extensions-{}", extensions.join("-"));
    if tag.len() <= TAG_LIMIT {
        return local(EXTENDED, &tag);
    }
    let digest = Digest::of(tag.as_bytes());
    let short = digest.short();
    let kept = tag.get(..TAG_LIMIT - short.len() - 1).unwrap_or_default();
    local(EXTENDED, &format!("{kept}-{short}"))
}

/// Reads the name that a user chose for an image with extensions; without a `:` it is a tag.
pub fn chosen_image(name: &str) -> Result<ImageReference, Diagnostic> {
    let text = if name.contains(':') {
        name.to_owned()
    } else {
        format!("{EXTENDED}:{name}")
    };
    let refused = |why: &str| {
        Diagnostic::new(
            "image-name",
            ExitStatus::Usage,
            format!("`{name}` cannot be the name of the image"),
        )
        .caused_by_words(why.to_owned())
        .hint("give `NAME:TAG`, or only a tag: letters, digits, `_`, `.` and `-`")
    };
    let reference: ImageReference = text.parse().map_err(|error| {
        refused("it is not a valid name").caused_by(Some(&error as &dyn std::error::Error))
    })?;
    if reference.digest().is_some() {
        return Err(refused(
            "it has a digest, and what is made here gets its own",
        ));
    }
    if is_ours(&reference) && reference.repository() != format!("library/{EXTENDED}") {
        return Err(refused(
            "names of this kind are for images without extensions",
        ));
    }
    Ok(reference)
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
