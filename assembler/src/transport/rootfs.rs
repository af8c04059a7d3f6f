//! Making an image of one layer out of a root filesystem's tar.
//!
//! Invariant: the same tar gives the same image, whatever compressed it: the layer is the tar as it is, compressed as all
//! of ours are, and neither the file's name nor a time is in the config.

use std::{
    collections::BTreeSet,
    io::{self, BufReader, Read, Write},
};

use fs_err as fs;
use layer::{
    IndexBuilder, LayerItem,
    tar::{LayerReader, Limits, ReadError},
};
use serde_json::json;

use super::{Importer, TransportError, layer_blob::store_tar};
use crate::{compression::Decoder, image::Image, image::Layer};

/// The search path of an image that says nothing of its own: Docker's.
pub const ROOTFS_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Importer<'_> {
    pub(super) fn rootfs(&self) -> Result<Image, TransportError> {
        let failed = |error| TransportError::read(self.path, error);
        let file = fs::File::open(self.path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(failed(error));
        }
        let packed = BufReader::with_capacity(256 << 10, file);
        self.rootfs_of(Decoder::new(packed).map_err(failed)?)
    }

    /// Makes it of a tar that is being read.
    pub(super) fn rootfs_of(&self, tar: impl Read) -> Result<Image, TransportError> {
        let failed = |error| TransportError::read(self.path, error);
        let mut index = IndexBuilder::default();
        let stored = store_tar(
            self.store,
            self.lock,
            |sink| self.pass(tar, sink, &mut index),
            failed,
        )?;
        let index = index.finish();
        let layer = Layer {
            descriptor: stored.descriptor,
            diff_id: stored.diff_id,
        };
        self.store.keep_index(self.lock, &layer.diff_id, &index)?;
        self.store.remember_facts(&layer, stored.size)?;
        let mut config = json!({
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "config": {"Env": [ROOTFS_PATH], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            "history": [{"created_by": "aicage rootfs", "comment": "io.github.aicage"}],
        });
        if let (Some(variant), Some(fields)) = (&self.platform.variant, config.as_object_mut()) {
            fields.insert("variant".to_owned(), variant.as_str().into());
        }
        self.finish(&[layer.descriptor], config.to_string().as_bytes())
    }

    /// Reads the tar through, refusing what no layer may hold, and passes on its bytes as they are.
    fn pass(
        &self,
        tar: impl Read,
        sink: &mut dyn Write,
        index: &mut IndexBuilder,
    ) -> Result<(), TransportError> {
        let refused = |source| match source {
            ReadError::Io { source } => TransportError::read(self.path, source),
            source => TransportError::Tar {
                path: self.path.to_owned(),
                source,
            },
        };
        let tee = BufReader::with_capacity(256 << 10, Tee { tar, sink });
        let mut reader = LayerReader::new(tee, Limits::default());
        let mut seen = BTreeSet::new();
        while let Some(item) = reader.next_item().map_err(refused)? {
            let path = item.path().as_bytes().to_vec();
            if !matches!(item, LayerItem::Entry(_)) {
                return Err(self.entry(&item, "a root filesystem has nothing below it to remove"));
            }
            if !seen.insert(path) {
                return Err(self.entry(&item, "it is there twice, which no layer may have"));
            }
            index.add(&item);
        }
        if seen.is_empty() {
            return Err(TransportError::Member {
                path: self.path.to_owned(),
                member: "/".to_owned(),
            });
        }
        reader.finish().map_err(refused)?;
        Ok(())
    }

    fn entry(&self, item: &LayerItem, reason: &str) -> TransportError {
        TransportError::Invalid {
            path: self.path.to_owned(),
            member: item.path().to_string(),
            reason: reason.to_owned(),
        }
    }
}

/// Writes what is read through it to a sink.
struct Tee<'a, R> {
    tar: R,
    sink: &'a mut dyn Write,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.sink
            .write_all(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}
