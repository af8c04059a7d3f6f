//! Names of images of ours, in the store and in engines.

use assembler::reference::ImageReference;

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

fn local(repository: &str, tag: &str) -> ImageReference {
    format!("{repository}:{tag}")
        .parse()
        .expect("ids of agents and bases are checked when their definitions are read")
}
