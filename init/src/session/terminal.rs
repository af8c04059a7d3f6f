//! The terminal's type: what the caller's terminal calls itself, if the image knows it.
//!
//! Invariant: a type that the image cannot look up is replaced by one that it can; one that nothing in the image looks up,
//! because there is no database of terminals, stays.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where terminals are described.
const DATABASES: [&str; 4] = [
    "/etc/terminfo",
    "/lib/terminfo",
    "/usr/share/terminfo",
    "/usr/lib/terminfo",
];

/// What nearly every terminal understands, the more able first.
const COMMON: [&str; 3] = ["xterm-256color", "xterm", "vt100"];

/// Replaces a type that is not known here.
pub(super) fn adapt(environment: &mut BTreeMap<OsString, OsString>) {
    let mut places: Vec<PathBuf> = DATABASES.map(PathBuf::from).to_vec();
    if let Some(own) = environment.get(OsStr::new("TERMINFO")) {
        places.push(PathBuf::from(own));
    }
    adapt_in(environment, &places);
}

fn adapt_in(environment: &mut BTreeMap<OsString, OsString>, places: &[PathBuf]) {
    let Some(term) = environment
        .get(OsStr::new("TERM"))
        .and_then(|term| term.to_str())
    else {
        return;
    };
    if term.is_empty() || knows(places, term) {
        return;
    }
    if let Some(common) = COMMON.iter().find(|common| knows(places, common)) {
        environment.insert("TERM".into(), (*common).into());
    }
}

/// Whether a type is described; files are below a directory of the first letter, or of its number.
fn knows(places: &[PathBuf], term: &str) -> bool {
    let Some(first) = term.bytes().next().filter(|_| !term.contains('/')) else {
        return false;
    };
    places.iter().any(|place| {
        [char::from(first).to_string(), format!("{first:x}")]
            .iter()
            .any(|directory| Path::new(place).join(directory).join(term).exists())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(term: &str, known: &[&str]) -> String {
        let database = tempfile::tempdir().unwrap();
        for name in known {
            let directory = database.path().join(name.split_at(1).0);
            fs_err::create_dir_all(&directory).unwrap();
            fs_err::write(directory.join(name), "").unwrap();
        }
        let mut environment = [("TERM".into(), term.into())].into();
        adapt_in(&mut environment, &[database.path().to_owned()]);
        environment[OsStr::new("TERM")]
            .to_string_lossy()
            .into_owned()
    }

    #[test]
    fn a_terminal_that_the_image_does_not_know_is_taken_for_a_common_one() {
        let debian = ["xterm", "xterm-256color", "dumb"];
        assert_eq!(adapted("xterm-kitty", &debian), "xterm-256color");
        assert_eq!(adapted("alacritty", &["xterm"]), "xterm");
        assert_eq!(adapted("dumb", &debian), "dumb");
        assert_eq!(adapted("xterm-kitty", &[]), "xterm-kitty");
        assert_eq!(adapted("../xterm", &debian), "xterm-256color");
    }
}
