//! The client through its public door, against a registry with faults and against a real one.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod auth;
mod fetch;
mod freshness;
mod places;
mod resolve;
mod setup;
mod world;
