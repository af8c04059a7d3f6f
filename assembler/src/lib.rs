//! Assembles OCI images: store, layers, recipes, provenance.
