//! The verbs: each decides, asks the rooms below, and prints.

pub mod agent;
pub mod attach;
pub mod base;
pub mod build;
pub mod cache;
pub mod config;
pub mod definition;
pub mod definitions;
pub mod doctor;
pub mod exec;
pub mod extension;
pub mod image;
pub mod logs;
pub mod man;
pub mod matrix;
pub mod plan;
pub mod ps;
pub mod pull;
pub mod run;
pub mod session;
pub mod shell;
pub mod stop;
pub mod trust;
pub mod update;
pub mod version;
