//! Lists every file below `definitions/` as a Rust table with its bytes.

use std::{
    env,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

pub(crate) fn embed() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let definitions = root.join("definitions");
    println!("cargo::rerun-if-changed=definitions");
    let mut table = String::from("&[\n");
    walk(&definitions, &definitions, &mut table);
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("definitions.rs"), table).expect("cargo's output directory is writable");
}

fn walk(root: &Path, directory: &Path, table: &mut String) {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .expect("the definitions are part of the source")
        .map(|entry| entry.expect("the definitions are readable").path())
        .collect();
    entries.sort();
    for path in entries {
        let kind = fs::metadata(&path).expect("the definitions are readable");
        if kind.is_dir() {
            walk(root, &path, table);
            continue;
        }
        let name = path
            .strip_prefix(root)
            .expect("it was found below the root")
            .to_str()
            .expect("our file names are ASCII");
        let executable = kind.permissions().mode() & 0o100 != 0;
        writeln!(
            table,
            "({name:?}, {executable}, include_bytes!({:?})),",
            path.to_str().expect("the source's path is UTF-8")
        )
        .expect("writing to a string cannot fail");
    }
}
