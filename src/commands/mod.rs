//! The verbs: each decides, asks the rooms below, and prints.

pub mod agent;
pub mod base;
pub mod build;
pub mod cache;
pub mod config;
pub mod definition;
pub mod definitions;
pub mod extension;
pub mod image;
pub mod matrix;
pub mod plan;
pub mod pull;
pub mod run;
pub mod update;
pub mod version;
