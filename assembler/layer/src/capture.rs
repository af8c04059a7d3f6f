//! Captures what changed in a root filesystem as a layer.
