//! Failures of the store and of images in files.

use std::{io, time::Duration};

use assembler::{
    archive::ArchiveError,
    digest::DiffId,
    store::{Doing, StoreError},
    transport::TransportError,
};
use layer::tar::ReadError;

use super::{denied, digest, full, io_error, store};
use crate::diagnostic::Diagnostic;

pub(super) fn stores() -> Vec<Diagnostic> {
    let (a, b) = (digest("a"), digest("b"));
    vec![
        StoreError::Io {
            doing: Doing::Write,
            path: store("index.json"),
            source: denied(),
        }
        .into(),
        StoreError::Full {
            path: store("ingest/tmp-1"),
            source: full(),
        }
        .into(),
        StoreError::Layout {
            path: store(""),
            reason: "it has files that are not ours",
        }
        .into(),
        StoreError::Newer {
            path: store("images/x.json"),
            version: 2,
            known: 1,
        }
        .into(),
        StoreError::Busy {
            path: store(""),
            waited: Duration::from_secs(10),
        }
        .into(),
        StoreError::Missing { digest: a }.into(),
        StoreError::Corrupt {
            expected: a,
            found: b,
        }
        .into(),
        StoreError::WrongSize {
            digest: a,
            expected: 9,
            found: 3,
        }
        .into(),
        StoreError::TooLarge {
            digest: a,
            size: 100_000_000,
            limit: 8 << 20,
        }
        .into(),
        StoreError::Decompress {
            layer: a,
            source: io_error(io::ErrorKind::UnexpectedEof),
        }
        .into(),
        StoreError::Bomb {
            layer: a,
            limit: 1 << 40,
        }
        .into(),
        StoreError::DiffId {
            layer: a,
            expected: DiffId::new(a),
            found: DiffId::new(b),
        }
        .into(),
        StoreError::Tar {
            layer: a,
            source: ReadError::Truncated {
                place: "usr".to_owned(),
            },
        }
        .into(),
        TransportError::Read {
            path: "saved.tar".into(),
            source: denied(),
        }
        .into(),
        TransportError::Write {
            path: "out".into(),
            source: denied(),
        }
        .into(),
        TransportError::Tar {
            path: "saved.tar".into(),
            source: ReadError::Truncated {
                place: "x".to_owned(),
            },
        }
        .into(),
        TransportError::Member {
            path: "saved.tar".into(),
            member: "manifest.json".to_owned(),
        }
        .into(),
        TransportError::Invalid {
            path: "saved.tar".into(),
            member: "manifest.json".to_owned(),
            reason: "it names no image".to_owned(),
        }
        .into(),
        TransportError::Choice {
            path: "saved.tar".into(),
            what: "several images".to_owned(),
            available: "a:1, b:2".to_owned(),
        }
        .into(),
        ArchiveError::Length {
            name: "layer.tar".to_owned(),
            expected: 9,
        }
        .into(),
        ArchiveError::Write { source: full() }.into(),
    ]
}
