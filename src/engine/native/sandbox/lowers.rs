//! An image's layers, unpacked.

use std::path::PathBuf;

use assembler::{
    image::Image,
    store::{BlobStore, SharedLock},
};

use crate::engine::native::{Native, error::NativeError};

/// Returns the directories of an image's layers, the topmost first; what is not unpacked yet is unpacked now.
pub(crate) fn lowers(
    native: &Native,
    (store, lock): (&BlobStore, &SharedLock),
    image: &Image,
) -> Result<Vec<PathBuf>, NativeError> {
    let _ = lock;
    let mut lowers = Vec::new();
    for (layer, diff) in image.layers().iter().zip(image.diff_ids()) {
        let dir = native.store.join("rootfs").join(diff.digest().hex());
        if !dir.exists() {
            fs_err::create_dir_all(&dir).unwrap();
            let blob = native
                .store
                .join("blobs/sha256")
                .join(layer.descriptor.digest.hex());
            assert!(
                std::process::Command::new("tar")
                    .arg("-xzpf")
                    .arg(&blob)
                    .arg("-C")
                    .arg(&dir)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        lowers.insert(0, dir);
    }
    let _ = store;
    Ok(lowers)
}
