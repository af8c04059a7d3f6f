//! Where a file of ours comes to lie in an image whose directories may be links.
//!
//! Invariant: nothing of the image below is replaced on the way: a link is followed inside the image, as a container would
//! follow it, and what is neither a directory nor a link is an error.

use std::collections::VecDeque;

use layer::{IndexKind, LayerPath, PathIndex};

use crate::sandbox::CaptureError;

/// As many links as the kernel follows.
const LINKS: u32 = 40;

/// Returns the path that `path` leads to; its last part is taken as it is.
pub(crate) fn place(path: &LayerPath, below: &PathIndex) -> Result<LayerPath, CaptureError> {
    let mut ahead: VecDeque<Vec<u8>> = parts(path.as_bytes()).collect();
    let mut walked: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                walked.pop();
                continue;
            }
            _ => walked.push(part),
        }
        if ahead.is_empty() {
            break;
        }
        let here = LayerPath::new(walked.join(&b'/'))?;
        let blocked = || CaptureError::Blocked {
            path: path.to_string(),
            by: here.to_string(),
        };
        match below.get(&here).map(|entry| entry.kind) {
            None | Some(IndexKind::Directory) => {}
            Some(IndexKind::Symlink(target)) => {
                links += 1;
                if links > LINKS {
                    return Err(blocked());
                }
                if target.first() == Some(&b'/') {
                    walked.clear();
                } else {
                    walked.pop();
                }
                for part in parts(target).rev() {
                    ahead.push_front(part);
                }
            }
            Some(_) => return Err(blocked()),
        }
    }
    Ok(LayerPath::new(walked.join(&b'/'))?)
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use layer::{Entry, IndexBuilder, LayerItem};

    use super::*;

    fn image() -> PathIndex {
        let path = |text: &str| LayerPath::new(text.as_bytes()).unwrap();
        let mut builder = IndexBuilder::default();
        for entry in [
            Entry::symlink(path("a"), "b"),
            Entry::symlink(path("b"), "a"),
            Entry::file(path("file"), 0o644, 1),
            Entry::symlink(path("gone"), "/not/here"),
            Entry::symlink(path("opt"), "var/lib/../opt/"),
            Entry::symlink(path("up"), "../../usr"),
            Entry::directory(path("usr"), 0o755),
            Entry::directory(path("usr/opt"), 0o755),
            Entry::directory(path("var"), 0o755),
            Entry::symlink(path("var/opt"), "/usr/opt"),
        ] {
            builder.add(&LayerItem::Entry(entry));
        }
        builder.finish()
    }

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let path = LayerPath::new(path.as_bytes()).unwrap();
        assert_eq!(place(&path, &image()).unwrap().to_string(), expected);
    }

    #[test]
    fn links_are_followed_inside_the_image() {
        check("opt/aicage/init", "usr/opt/aicage/init");
        check("usr/opt/init", "usr/opt/init");
        check("new/place/init", "new/place/init");
        check("gone/init", "not/here/init");
        check("up/init", "usr/init");
    }

    #[test]
    fn what_is_no_directory_is_in_the_way_and_named() {
        for (path, by) in [("file/init", "file"), ("a/init", "a")] {
            let path = LayerPath::new(path.as_bytes()).unwrap();
            match place(&path, &image()) {
                Err(CaptureError::Blocked { by: found, .. }) => assert_eq!(found, by),
                other => panic!("{other:?}"),
            }
        }
    }
}
