#!/bin/bash
# The current Rust, with clippy and rustfmt in it.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

packages rust
