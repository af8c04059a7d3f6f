//! The caller's language and formats, where the image has them.
//!
//! The caller's variables come as one, `AICAGE_LOCALE`, `NAME=value` separated by `;`, because an image that cannot set a
//! locale complains of it in every program. Invariant: what the image does not have is left out, and text is UTF-8 in any
//! case.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
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
    let has = Locales::of(root);
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

struct Locales<'a> {
    root: &'a Path,
    archive: Vec<u8>,
    /// musl takes every name.
    any: bool,
}

impl<'a> Locales<'a> {
    fn of(root: &'a Path) -> Self {
        let musl = |entry: &fs_err::DirEntry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("ld-musl-")
        };
        let mut files = fs_err::read_dir(root.join("lib"))
            .into_iter()
            .flatten()
            .flatten();
        Self {
            root,
            archive: fs_err::read(root.join("usr/lib/locale/locale-archive")).unwrap_or_default(),
            any: files.any(|entry| musl(&entry)),
        }
    }

    fn locale(&self, value: &str) -> bool {
        if value.is_empty() || value.contains('/') {
            return false;
        }
        if matches!(value, "C" | "POSIX" | PLAIN | "C.utf8") || self.any {
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
        let named = format!("{kept}\0");
        [value, kept.as_str()]
            .iter()
            .any(|name| self.root.join("usr/lib/locale").join(name).is_dir())
            || self
                .archive
                .windows(named.len())
                .any(|window| window == named.as_bytes())
    }
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
        fs_err::write(
            root.path().join("usr/lib/locale/locale-archive"),
            b"..\0fr_FR.utf8\0..",
        )
        .unwrap();
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
            "LANG=de_DE.UTF-8;LC_TIME=fr_FR.UTF-8;PATH=/x",
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
            ["LANG=de_DE.UTF-8", "LC_TIME=fr_FR.UTF-8"]
        );
    }

    #[test]
    fn an_images_plain_locale_gives_way_and_nothing_is_said_without_a_caller() {
        let variables = [("AICAGE_LOCALE", "LANG=fr_FR.UTF-8"), ("LC_ALL", "C.UTF-8")];
        assert_eq!(installed(&[], &variables), ["LANG=fr_FR.UTF-8"]);
        assert_eq!(installed(&[], &[("LC_ALL", "C.UTF-8")]), ["LC_ALL=C.UTF-8"]);
    }
}
