//! What git on this machine says of itself and of the project: configuration in one run of git, the repository by reading.

mod configuration;
mod repository;

pub use configuration::GitConfiguration;
pub use repository::{Found, Repository};
