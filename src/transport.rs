//! Images in files: where they are read from and written to.
use crate::{context::Context, diagnostic::Diagnostic};
use assembler::{image::Image, reference::ImageReference};
use std::path::Path;
/// x
pub async fn import(_c: &Context, _f: &str) -> Result<Option<Image>, Diagnostic> {
    todo!()
}
/// x
pub fn name_for(_f: &str) -> ImageReference {
    todo!()
}
/// x
pub fn export_oci(
    _c: &Context,
    _i: &Image,
    _r: &ImageReference,
    _p: &Path,
) -> Result<(), Diagnostic> {
    todo!()
}
/// x
pub fn export_docker_archive(
    _c: &Context,
    _i: &Image,
    _r: &ImageReference,
    _p: &Path,
) -> Result<(), Diagnostic> {
    todo!()
}
