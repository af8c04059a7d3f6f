//! Lets the scripts trust what the company trusts, without a trace in the image.
//!
//! The image's own bundle and the given certificates go into one file outside the captured tree, and every tool is
//! told by its own variable.

use std::path::Path;

use fs_err as fs;

use crate::certificates::{self, VARIABLES};

/// Writes the bundle and returns the variables that lead to it.
pub(super) fn install(given: &Path, private: &Path) -> std::io::Result<Vec<(String, String)>> {
    let bundle = certificates::merged(&certificates::read(given)?);
    let path = private.join("ca.pem");
    fs::write(&path, bundle)?;
    let apt = private.join("apt.conf");
    fs::write(
        &apt,
        format!("Acquire::https::CaInfo \"{}\";\n", path.display()),
    )?;
    let variables = VARIABLES
        .iter()
        .map(|name| ((*name).to_owned(), path.display().to_string()));
    Ok(variables
        .chain([("APT_CONFIG".to_owned(), apt.display().to_string())])
        .collect())
}
