//! Talks to OCI registries: resolve, fetch, freshness.
