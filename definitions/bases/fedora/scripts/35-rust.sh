#!/bin/bash
# The distribution's Rust. Who needs another toolchain installs rustup in the home directory.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages cargo rust
packages_if_known clippy rustfmt
