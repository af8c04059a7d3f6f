#!/bin/sh
# The distribution's Rust, built for musl.
set -eu
. "$(dirname "$0")/apk.lib"

packages cargo rust
packages_if_known rust-clippy rustfmt
