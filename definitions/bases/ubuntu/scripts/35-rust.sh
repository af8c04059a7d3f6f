#!/bin/bash
# The distribution's Rust. Who needs another toolchain installs rustup in the home directory.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

packages cargo rustc
packages_if_known rust-clippy rustfmt
