#!/bin/bash
# The current Go.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

packages go
