//! Assembles OCI images: store, layers, recipes, provenance.
//!
//! Invariants: this crate opens no socket, reads no environment variable, no home directory and no clock, prints
//! nothing and is synchronous. Time, paths, platform and progress come in as values. It does not know Docker: running
//! scripts is behind [`sandbox::Sandbox`].

mod append;
pub mod archive;
pub mod assemble;
mod capture;
pub mod compression;
pub mod definition_files;
pub mod descriptor;
pub mod digest;
pub mod dockerfile;
mod execution;
pub mod foresee;
mod gzip;
pub mod image;
pub mod inspect;
pub mod instruction;
pub mod key;
pub mod manifest;
mod place;
pub mod platform;
pub mod provenance;
pub mod recipe;
pub mod reference;
pub mod reporter;
pub mod sandbox;
pub mod store;
pub mod transport;
#[cfg(target_os = "linux")]
pub mod unpack;
pub mod validate;

#[cfg(test)]
mod testing;
