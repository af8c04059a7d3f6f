//! Dockerfiles through the public door.

mod copies;
mod groups;
mod kept;
mod secrets;
mod stages;
