//! Runs coding agents in containers and assembles their images.

fn main() {}
