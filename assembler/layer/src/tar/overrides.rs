//! What extended headers say about the entry behind them.

use std::collections::BTreeMap;

use super::pax;
use super::sparse::SparseRecords;

/// What extended headers say about the next entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Overrides {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: SparseRecords,
}

impl Overrides {
    /// Takes the records of one extended header.
    pub(super) fn take(&mut self, body: &[u8]) -> Result<(), &'static str> {
        for (keyword, value) in pax::decode(body)? {
            match keyword {
                b"path" => self.path = text(value)?,
                b"linkpath" => self.link = text(value)?,
                b"size" => self.size = optional(value, pax::number)?,
                b"uid" => self.uid = optional(value, pax::number)?,
                b"gid" => self.gid = optional(value, pax::number)?,
                b"mtime" => self.mtime = optional(value, pax::seconds)?,
                _ => {
                    if let Some(name) = keyword.strip_prefix(pax::XATTR) {
                        // Empty, it is what POSIX takes for "not said"; but programs that write attributes mean what
                        // they write, GNU tar and Go's among them, and so do we.
                        self.xattrs.insert(name.to_vec(), value.to_vec());
                    } else if let Some(sparse) = keyword.strip_prefix(b"GNU.sparse.") {
                        self.sparse.add(sparse, value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// An empty value takes back what a global header said.
fn optional<T>(
    value: &[u8],
    parse: fn(&[u8]) -> Result<T, &'static str>,
) -> Result<Option<T>, &'static str> {
    if value.is_empty() {
        Ok(None)
    } else {
        parse(value).map(Some)
    }
}

fn text(value: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if value.contains(&0) {
        Err("a PAX path has a NUL byte in it")
    } else {
        Ok(Some(value.to_vec()).filter(|path| !path.is_empty()))
    }
}
