//! The store at a glance: every image's documents are read, every layer is there with its size; nothing is hashed.

use std::path::Path;

use assembler::store::{BlobStore, StoreError};

use super::finding::{Check, Finding};

/// What a glance came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Glance {
    pub(super) images: usize,
    /// Names of images that cannot be used, with the reason.
    pub(super) broken: Vec<(String, String)>,
}

/// Looks at a store that is there; none is made.
pub(super) fn look(root: &Path) -> Finding {
    if !root.join("oci-layout").exists() {
        return Finding::ok(
            Check::Store,
            "there is no store yet; the first run makes it",
        );
    }
    match BlobStore::open(root).and_then(|store| glance(&store)) {
        Ok(glance) => judge(&glance),
        Err(error) => Finding::problem(
            Check::Store,
            crate::diagnostic::sentence(&error),
            "Nothing can be pulled or built while the store cannot be read.",
        )
        .next("aicage cache verify"),
    }
}

fn glance(store: &BlobStore) -> Result<Glance, StoreError> {
    let mut glance = Glance::default();
    for record in store.tags()? {
        glance.images += 1;
        let why = match store.image(&record.manifest.digest) {
            Err(error) => Some(crate::diagnostic::sentence(&error)),
            Ok(image) => image.layers().iter().find_map(|layer| {
                let there = store.has(&layer.descriptor).unwrap_or(false);
                (!there).then(|| format!("layer {} is not whole", layer.descriptor.digest.short()))
            }),
        };
        if let Some(why) = why {
            glance.broken.push((record.reference.familiar(), why));
        }
    }
    Ok(glance)
}

/// Judges a glance.
pub(super) fn judge(glance: &Glance) -> Finding {
    match glance.broken.first() {
        Some((name, why)) => {
            let more = match glance.broken.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            Finding::problem(
                Check::Store,
                format!("image {name} cannot be used: {why}{more}"),
                "A disk that was full or failed, or a file that was removed by hand.",
            )
            .next("aicage cache verify --fix")
        }
        None => Finding::ok(
            Check::Store,
            format!(
                "{} images, all of their layers are there (`aicage cache verify` reads them)",
                glance.images
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn a_store_that_is_none_yet_and_one_that_is_broken_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("store");
        assert_eq!(look(&root).state, State::Ok);
        assert!(!root.exists(), "looking makes no store");
        drop(BlobStore::open(&root).unwrap());
        assert_eq!(look(&root).state, State::Ok);
        fs_err::write(root.join("oci-layout"), "{").unwrap();
        let found = look(&root);
        assert_eq!(found.state, State::Problem, "{found:?}");
        let broken = Glance {
            images: 2,
            broken: vec![
                ("a".to_owned(), "b".to_owned()),
                ("c".to_owned(), "d".to_owned()),
            ],
        };
        assert_eq!(
            judge(&broken).seen,
            "image a cannot be used: b (and 1 more)"
        );
    }
}
