//! Makes the tars of `COPY` and `ADD`.

use std::{
    io::{self, Write as _},
    path::Path,
};

use layer::{Entry, EntryKind, LayerItem, LayerPath, tar::LayerWriter};
use tempfile::TempPath;

use super::{
    DockerfileError, archive,
    bundle::{self, Bundle, Into, Parents},
    chmod::Chmod,
    copies::PlannedCopy,
    error::TreeError,
    ignore::Ignore,
    make::{Maker, tree_of},
    script::Archives,
    tree::{Found, Shelf, Tree},
};
use crate::instruction::{Action, Conflict, Destination};

/// When a file of ours was last changed: never.
const NEVER: i64 = 0;

/// One tar, and how it is unpacked.
struct Made {
    tar: TempPath,
    destination: Destination,
    conflict: Conflict,
    mode: Option<u32>,
}

impl Maker<'_> {
    pub(crate) fn copy(
        &mut self,
        copy: &PlannedCopy,
        line: usize,
        label: &str,
    ) -> Result<(), DockerfileError> {
        let (shelf, at) = (self.shelf, self.at);
        let failed = |source| at.failed(line, source);
        let tree = tree_of(shelf, at, copy.from.as_ref(), &mut self.trees)?;
        let mut all = Vec::new();
        for source in &copy.sources {
            let found = tree.find(source).map_err(|gone| at.missing(&gone, line))?;
            all.extend(made((shelf, tree), copy, found).map_err(failed)?);
        }
        for (name, content) in &copy.documents {
            let kind = EntryKind::File {
                size: content.len() as u64,
            };
            let mode = copy
                .mode
                .as_ref()
                .map_or(0o644, |mode| mode.apply(0o644, &kind));
            let tar = document_tar(shelf, (name, content), mode).map_err(failed)?;
            all.push(plain(copy, tar, Destination::Auto));
        }
        for made in all {
            let tar = self.keep(made.tar);
            self.push(
                label,
                Action::Unpack {
                    tar,
                    to: copy.to.clone(),
                    destination: made.destination,
                    conflict: made.conflict,
                    owner: copy.owner.clone(),
                    mode: made.mode,
                },
            );
        }
        Ok(())
    }
}

/// Makes the tars of one source. Archives that are unpacked are by themselves, between what comes before and after.
fn made(
    from: (Shelf<'_>, &Tree<'_>),
    copy: &PlannedCopy,
    found: Vec<Found>,
) -> Result<Vec<Made>, TreeError> {
    let mut made = Vec::new();
    let mut files = Vec::new();
    for found in found {
        match unpacked(from, copy, &found)? {
            None => files.push(found),
            Some(tar) => {
                made.extend(bundled(from, copy, &std::mem::take(&mut files))?);
                made.push(Made {
                    tar,
                    destination: Destination::Directory,
                    conflict: Conflict::Replace,
                    // What is in an archive keeps its mode.
                    mode: None,
                });
            }
        }
    }
    made.extend(bundled(from, copy, &files)?);
    Ok(made)
}

/// Unpacks an archive, if it is one and `ADD` names it.
fn unpacked(
    (shelf, tree): (Shelf<'_>, &Tree<'_>),
    copy: &PlannedCopy,
    found: &Found,
) -> Result<Option<TempPath>, TreeError> {
    if copy.archives == Archives::Copy || tree.is_directory(&found.real) {
        return Ok(None);
    }
    let bundle = Bundle::of(tree, found, &Ignore::default());
    let tars = bundle::tars((shelf, tree), &[bundle], None)?;
    let path: Option<&Path> = tars.first().map(AsRef::as_ref);
    path.map_or(Ok(None), |path| archive::unpack(shelf, path, &found.called))
}

fn bundled(
    from: (Shelf<'_>, &Tree<'_>),
    copy: &PlannedCopy,
    found: &[Found],
) -> Result<Vec<Made>, TreeError> {
    let into = if copy.to.ends_with('/') {
        Into::Directory
    } else {
        Into::Anything
    };
    let bundles = Bundle::of_all(from.1, found, (&copy.exclude, into));
    let tars = bundle::tars(from, &bundles, copy.mode.as_ref())?;
    let made = tars.into_iter().zip(bundles);
    Ok(made
        .map(|(tar, bundle)| plain(copy, tar, bundle.destination()))
        .collect())
}

fn plain(copy: &PlannedCopy, tar: TempPath, destination: Destination) -> Made {
    Made {
        tar,
        destination,
        conflict: Conflict::Refuse,
        // Directories on the way get the number too; changes have nothing to change there.
        mode: match copy.mode {
            Some(Chmod::Bits(bits)) => Some(bits),
            _ => None,
        },
    }
}

/// Writes a tar of one file below a directory.
pub(crate) fn document_tar(
    shelf: Shelf<'_>,
    (name, content): (&str, &str),
    mode: u32,
) -> Result<TempPath, TreeError> {
    let (file, path) = shelf.file()?;
    let mut writer = LayerWriter::new(io::BufWriter::new(file));
    let name = LayerPath::new(name.trim_start_matches('/')).unwrap_or_default();
    let mut entry = Entry::file(name, mode, content.len() as u64);
    entry.mtime = NEVER;
    Parents::default().lead_to(&entry, &mut writer)?;
    writer.append(&LayerItem::Entry(entry), content.as_bytes())?;
    writer.finish()?.flush()?;
    Ok(path)
}
