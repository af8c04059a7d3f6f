//! One value of every failure, so that all words can be read like prose.
