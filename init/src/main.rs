//! The program that runs inside a container: a step, or a session.

fn main() {}
