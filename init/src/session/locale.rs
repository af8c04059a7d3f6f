//! The caller's language and formats, where the image has them.
//!
//! The caller's variables come as one, `AICAGE_LOCALE`, `NAME=value` separated by `;`, because an image that cannot set a
//! locale complains of it in every program. Invariant: what the image does not have is left out, and text is UTF-8 in any
//! case.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Where they come in.
const VARIABLE: &str = "AICAGE_LOCALE";
/// What every image of today has.
const PLAIN: &str = "C.UTF-8";

/// Sets the caller's locale as far as the image has it.
pub(super) fn install(environment: &mut BTreeMap<OsString, OsString>) {
    install_in(environment, Path::new("/"));
}

fn install_in(environment: &mut BTreeMap<OsString, OsString>, root: &Path) {
    let Some(wanted) = environment.remove(OsStr::new(VARIABLE)) else {
        return;
    };
    let mut has = Locales::of(root);
    for (name, value) in wanted
        .to_string_lossy()
        .split(';')
        .filter_map(|one| one.split_once('='))
    {
        let is_locale = name == "LANG" || name.starts_with("LC_");
        if is_locale && has.locale(value) {
            environment.insert(name.into(), value.into());
            // The image's own would go before it.
            let plain = environment
                .get(OsStr::new("LC_ALL"))
                .is_some_and(|all| all.to_string_lossy().starts_with("C."));
            if plain && name != "LC_ALL" {
                environment.remove(OsStr::new("LC_ALL"));
            }
        }
    }
    let says = |name: &str| environment.contains_key(OsStr::new(name));
    if !says("LANG") && !says("LC_ALL") {
        environment.insert("LANG".into(), PLAIN.into());
    }
}

/// Longest list of names that is read; one of all languages has 20 KiB.
const LONGEST: u64 = 1 << 20;
/// How an archive begins, as the machine writes numbers.
const MAGIC: u32 = 0xde02_0109;

struct Locales<'a> {
    root: &'a Path,
    /// What was found out, so that it is found out once.
    known: BTreeMap<String, bool>,
}

impl<'a> Locales<'a> {
    const fn of(root: &'a Path) -> Self {
        Self {
            root,
            known: BTreeMap::new(),
        }
    }

    fn locale(&mut self, value: &str) -> bool {
        if let Some(known) = self.known.get(value) {
            return *known;
        }
        let known = self.look(value);
        self.known.insert(value.to_owned(), known);
        known
    }

    fn look(&self, value: &str) -> bool {
        if value.is_empty() || value.contains('/') {
            return false;
        }
        if matches!(value, "C" | "POSIX" | PLAIN | "C.utf8") || self.is_musl() {
            return true;
        }
        // `de_DE.UTF-8` is called `de_DE.utf8` where it is kept.
        let (language, charset) = value.split_once('.').unwrap_or((value, ""));
        let charset: String = charset
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase();
        let kept = if charset.is_empty() {
            language.to_owned()
        } else {
            format!("{language}.{charset}")
        };
        let directory = self.root.join("usr/lib/locale");
        [value, kept.as_str()]
            .iter()
            .any(|name| directory.join(name).is_dir())
            || archived(&directory.join("locale-archive"))
                .unwrap_or_default()
                .split(|byte| *byte == 0)
                .any(|name| name == kept.as_bytes())
    }

    /// musl takes every name.
    fn is_musl(&self) -> bool {
        let files = fs_err::read_dir(self.root.join("lib"));
        files.into_iter().flatten().flatten().any(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("ld-musl-")
        })
    }
}

/// Reads the names of an archive's locales, each with a 0 behind it. The whole may be of hundreds of megabytes; its head
/// (`struct locarhead` of glibc) says where the names are.
fn archived(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs_err::File::open(path)?;
    let mut head = [0; 32];
    file.read_exact(&mut head)?;
    let number = |at: usize| {
        let bytes = head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_ne_bytes(bytes.unwrap_or_default())
    };
    if number(0) != MAGIC {
        return Ok(Vec::new());
    }
    let (offset, used) = (number(20), number(24));
    file.seek(SeekFrom::Start(offset.into()))?;
    let mut names = Vec::new();
    file.take(u64::from(used).min(LONGEST))
        .read_to_end(&mut names)?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(image: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for directory in image {
            fs_err::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs_err::create_dir_all(root.path().join("usr/lib/locale")).unwrap();
        let names = b"nofr_FR.utf8\0fr_FR.utf8\0";
        let head = [
            MAGIC,
            0,
            0,
            0,
            0,
            32,
            u32::try_from(names.len()).unwrap(),
            0,
        ];
        let head = head.iter().flat_map(|number| number.to_ne_bytes());
        let archive: Vec<u8> = head.chain(*names).chain(*b"es_ES.utf8\0").collect();
        fs_err::write(root.path().join("usr/lib/locale/locale-archive"), archive).unwrap();
        let mut environment = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        install_in(&mut environment, root.path());
        environment
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect()
    }

    #[test]
    fn a_locale_is_taken_over_where_the_image_has_it() {
        let german = [(
            "AICAGE_LOCALE",
            "LANG=de_DE.UTF-8;LC_TIME=fr_FR.UTF-8;LC_NUMERIC=es_ES.UTF-8;PATH=/x",
        )];
        assert_eq!(
            installed(&[], &german),
            ["LANG=C.UTF-8", "LC_TIME=fr_FR.UTF-8"]
        );
        assert_eq!(
            installed(&["usr/lib/locale/de_DE.utf8"], &german),
            ["LANG=de_DE.UTF-8", "LC_TIME=fr_FR.UTF-8"]
        );
        assert_eq!(
            installed(&["lib/ld-musl-x86_64.so.1"], &german),
            [
                "LANG=de_DE.UTF-8",
                "LC_NUMERIC=es_ES.UTF-8",
                "LC_TIME=fr_FR.UTF-8"
            ]
        );
    }

    #[test]
    fn an_images_plain_locale_gives_way_and_nothing_is_said_without_a_caller() {
        let variables = [("AICAGE_LOCALE", "LANG=fr_FR.UTF-8"), ("LC_ALL", "C.UTF-8")];
        assert_eq!(installed(&[], &variables), ["LANG=fr_FR.UTF-8"]);
        assert_eq!(installed(&[], &[("LC_ALL", "C.UTF-8")]), ["LC_ALL=C.UTF-8"]);
    }
}
