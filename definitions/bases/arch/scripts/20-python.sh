#!/bin/bash
# Python with pip, pipx and uv; all of them packages of the distribution.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

packages python python-pip python-pipx uv
