#!/bin/bash
# Prints the newest version that the Python index has; for any Python, also when this one is too new for it.
set -euo pipefail

export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
timeout 30 python3 -m pip index versions aider-chat --python-version 3.12 --only-binary=:all: --timeout 12 2>/dev/null |
    sed -n '1s/.*(\([^)]*\)).*/\1/p' | grep .
