//! Whatever stands in a Dockerfile, it is understood or refused with a line.

use proptest::prelude::*;

use super::{
    expand::{self, Nothing},
    glob::Glob,
    ignore::Ignore,
    lines, mount, parse,
};

/// Pieces from which mistakes are made.
const PIECES: [&str; 44] = [
    "FROM a",
    "FROM",
    "from a as b",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "ARG ",
    "LABEL ",
    "ONBUILD ",
    "HEALTHCHECK ",
    "CMD ",
    "SHELL ",
    "VOLUME ",
    "\n",
    "\n",
    "\n",
    " ",
    "\\\n",
    "\\",
    "`\n",
    "# c\n",
    "# escape=`\n",
    "# escape",
    "<<EOF",
    "<<-\"E\"",
    "EOF\n",
    "E",
    "[\"a\", \"b\"]",
    "[",
    "\"",
    "'",
    "$x",
    "${x:-y}",
    "${",
    "--mount=type=bind,target=/x",
    "--from=b",
    "--",
    "=",
    "a=b",
    "\r",
    "\u{feff}",
    "ä",
    "\t",
];

proptest! {
    #[test]
    fn a_text_is_understood_or_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
        let text = pieces.concat();
        if let Err(refusal) = parse::parse(&text) {
            let lines = text.matches('\n').count() + 1;
            prop_assert!((1..=lines).contains(&refusal.line), "{text:?}: {refusal:?}");
            prop_assert!(!refusal.reason.is_empty() && !refusal.instead.is_empty());
        }
    }

    #[test]
    fn words_patterns_and_mounts_of_any_text_end(text in "[a-z$\\{\\}:+?#%/*\\\\'\"\\[\\]^!=, -]{0,40}", path in "[a-z/]{0,30}") {
        drop(expand::word(&text, &Nothing, '\\'));
        drop(expand::words(&text, &Nothing, '`'));
        drop(expand::document(&text, &Nothing));
        drop(lines::split_fields(&text));
        drop(mount::read(&text, 1, "/", |word| Ok(word.to_owned())));
        if let Some(glob) = Glob::of_copy(&text) {
            glob.matches(path.as_bytes());
        }
        if let Ok(ignore) = Ignore::read(&text) {
            ignore.leaves_out(path.as_bytes());
        }
    }
}
