#!/bin/bash
# Python with pip, pipx and uv. Tools of the base live in /opt/pipx, their commands in /usr/local/bin.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

packages pipx python3 python3-dev python3-pip python3-venv
# Scripts often ask for "python".
packages_if_known python-is-python3

export PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin PIPX_MAN_DIR=/usr/local/share/man
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
pipx install --pip-args=--no-cache-dir uv
uv --version
