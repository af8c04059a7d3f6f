//! What other programs leave in a definition's directory and is no part of it: version control, editors, macOS.

/// Directories of version control and editors.
const DIRECTORIES: [&str; 5] = [".git", ".hg", ".svn", ".idea", ".vscode"];

/// Tells whether `name`, below `prefix`, is a directory of another program. Below the top only what can be nothing else is.
pub(super) fn is_directory(name: &[u8], prefix: &str) -> bool {
    let names: &[&str] = if prefix.is_empty() {
        &DIRECTORIES
    } else {
        &DIRECTORIES[..1]
    };
    names.iter().any(|other| other.as_bytes() == name)
}

/// Tells whether `name` in the directory `at` of a build context is a directory of another program.
pub(crate) fn is_foreign(name: &[u8], at: &[u8]) -> bool {
    is_directory(name, if at.is_empty() { "" } else { "below" })
}

/// Tells whether the shell's `*` would leave `name` out.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&b'.')
}

/// Tells whether `name` is what editors keep beside a file while it is open (`.x.swp`, `.#x`, `#x#`), afterwards (`x~`),
/// or what macOS and network file systems add (`._x`, `.DS_Store`, `.nfs…`).
pub(super) fn is_editors(name: &[u8]) -> bool {
    let is_swap = is_hidden(name)
        && name
            .rsplit(|&byte| byte == b'.')
            .next()
            .is_some_and(|end| end.len() == 3 && end.starts_with(b"sw"));
    is_swap
        || [&b".#"[..], b"._", b".nfs"]
            .iter()
            .any(|start| name.starts_with(start))
        || name == b".DS_Store"
        || name.len() > 1
            && (name.ends_with(b"~") || name.starts_with(b"#") && name.ends_with(b"#"))
}
