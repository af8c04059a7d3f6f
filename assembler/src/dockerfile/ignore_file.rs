//! Finds and reads the `.dockerignore` of a build context.
//!
//! Invariant: nothing but a regular file of the directory is opened, and one that is too long is refused whole.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::{error::ContextError, ignore::Ignore};

/// The largest one, in bytes.
const LIMIT: u64 = 1 << 20;

/// Reads `<dockerfile>.dockerignore`, or else the directory's `.dockerignore`.
pub(crate) fn read(directory: &Path, dockerfile: &Path) -> Result<Ignore, ContextError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), directory.join(".dockerignore")] {
        let failed = |source| ContextError::Read {
            path: path.clone(),
            source,
        };
        let wrong = |why| ContextError::Ignore {
            path: path.clone(),
            why,
        };
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                // A link to a `.gitignore` is usual; what is elsewhere is not part of the definition.
                let real = fs::canonicalize(&path).map_err(failed)?;
                if !real.starts_with(fs::canonicalize(directory).map_err(failed)?) {
                    return Err(wrong("is a link that leads out of the directory"));
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        }
        if !fs::metadata(&path).map_err(failed)?.is_file() {
            return Err(wrong("is no regular file"));
        }
        let mut text = Vec::new();
        fs::File::open(&path)
            .map_err(failed)?
            .take(LIMIT + 1)
            .read_to_end(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > LIMIT {
            return Err(wrong("is larger than 1 MiB"));
        }
        let text = String::from_utf8(text).map_err(|_invalid| wrong("is not UTF-8"))?;
        return Ignore::read(&text).map_err(|(line, pattern)| ContextError::Pattern {
            path,
            line,
            pattern,
        });
    }
    Ok(Ignore::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::context::{BuildContext, ContextLimits};

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "a").unwrap();
        fs::write(directory.path().join("list"), "a\n").unwrap();
        directory
    }

    #[test]
    fn a_list_of_what_is_ignored_that_cannot_be_one_is_refused() {
        use std::os::unix::fs::symlink;
        type Make = fn(&Path);
        let cases: [(Make, &str); 7] = [
            (
                |path| {
                    let mode = rustix::fs::Mode::RUSR;
                    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
                },
                ".dockerignore is no regular file",
            ),
            (
                |path| fs::create_dir(path).unwrap(),
                ".dockerignore is no regular file",
            ),
            (
                |path| symlink("/etc/passwd", path).unwrap(),
                "leads out of the directory",
            ),
            (
                |path| fs::write(path, "a\n".repeat(600_000)).unwrap(),
                "larger than 1 MiB",
            ),
            (
                // What is read of it ends in the middle of a letter.
                |path| fs::write(path, "ä".repeat(600_000)).unwrap(),
                "larger than 1 MiB",
            ),
            (
                |path| fs::write(path, b"caf\xe9\n").unwrap(),
                ".dockerignore is not UTF-8",
            ),
            (
                |path| fs::write(path, "# list\nok\n[x\n").unwrap(),
                ".dockerignore line 3 is no valid pattern: `[x`",
            ),
        ];
        for (make, said) in cases {
            let directory = directory();
            let path = directory.path();
            make(&path.join(".dockerignore"));
            let read =
                || BuildContext::read(path, &path.join("Dockerfile"), ContextLimits::default());
            let error = read().unwrap_err();
            assert!(error.to_string().ends_with(said), "{error}");
        }
        let directory = directory();
        let path = directory.path();
        symlink("list", path.join(".dockerignore")).unwrap();
        let context = BuildContext::read(path, &path.join("Dockerfile"), ContextLimits::default());
        let context = context.unwrap();
        let names: Vec<String> = context.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(names, [".dockerignore", "list"]);
    }
}
