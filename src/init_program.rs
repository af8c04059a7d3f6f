//! The program that runs inside containers, embedded for every architecture it was built for.

/// Built by `build.rs`; empty where the target was not installed.
const PROGRAMS: [(&[&str], &[u8]); 2] = [
    (
        &["amd64", "x86_64"],
        include_bytes!(concat!(env!("OUT_DIR"), "/init-x86_64")),
    ),
    (
        &["arm64", "aarch64"],
        include_bytes!(concat!(env!("OUT_DIR"), "/init-aarch64")),
    ),
];

/// Why there is no program for a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitProgramError {
    /// No version of aicage supports the architecture.
    #[error("containers of architecture {architecture} are not supported")]
    Unsupported {
        /// As the image calls it.
        architecture: String,
    },
    /// This build of aicage does not.
    #[error("this build of aicage has no program for containers of architecture {architecture}")]
    NotEmbedded {
        /// As the image calls it.
        architecture: String,
    },
}

/// Returns the static Linux program for an image's architecture (`amd64`, `arm64`).
pub fn init_for(architecture: &str) -> Result<&'static [u8], InitProgramError> {
    let program = PROGRAMS
        .iter()
        .find(|(names, _)| names.contains(&architecture))
        .map(|(_, program)| *program);
    match program {
        None => Err(InitProgramError::Unsupported {
            architecture: architecture.to_owned(),
        }),
        Some([]) => Err(InitProgramError::NotEmbedded {
            architecture: architecture.to_owned(),
        }),
        Some(program) => Ok(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_for_this_machine_is_a_small_static_one() {
        let program = init_for(std::env::consts::ARCH).unwrap();
        assert!(program.starts_with(b"\x7fELF"), "it is no Linux program");
        assert!(program.len() < 2 << 20, "it has {} bytes", program.len());
        let interpreter = program
            .windows(8)
            .any(|bytes| bytes == b"/lib/ld-" || bytes == b"/lib64/l");
        assert!(!interpreter, "it needs a loader that an image may not have");
    }

    #[test]
    fn an_unknown_architecture_is_named() {
        let error = init_for("sparc").unwrap_err().to_string();
        assert!(error.contains("sparc"), "{error}");
    }
}
