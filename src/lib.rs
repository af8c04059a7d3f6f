//! The `aicage` program as a library, so that its parts can be tested through public doors.
//!
//! The path of one run, in the order of its rooms: [`cli`] (argv) → [`settings`] → [`definition`] → [`selection`] →
//! [`compose`] (recipe) → [`plan`] → [`supply`] and [`ensure`] (fetch, assemble) → [`engine`] (load) → [`session`] →
//! [`exit_status`].

pub mod access;
pub mod aside;
pub mod base_build;
pub mod base_drift;
pub mod base_image;
pub mod build_secrets;
pub mod certificates;
pub mod choosing;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod completion;
pub mod compose;
pub mod container_options;
pub mod context;
pub mod definition;
pub mod definition_bundle;
pub mod diagnostic;
pub mod dockerfiles;
pub mod doctor;
pub mod engine;
pub mod ensure;
pub mod exit_status;
pub mod extended_image;
pub mod image_source;
pub mod init_program;
pub mod interrupt;
pub mod leftovers;
pub mod listing;
pub mod matrix;
pub mod memory;
pub mod names;
pub mod network;
pub mod overview;
pub mod plan;
pub mod printer;
pub mod program;
pub mod progress;
pub mod project;
pub mod prompt;
pub mod proxy;
pub mod root_directory;
pub mod root_image;
pub mod root_memory;
pub mod runner;
pub mod schemas;
pub mod selection;
pub mod session;
pub mod settings;
pub mod small_file;
pub mod supply;
pub mod transport;
pub mod trust;
pub mod update_check;
pub mod version;
pub mod whole_file;
pub mod yaml;
