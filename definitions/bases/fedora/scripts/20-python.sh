#!/bin/bash
# Python with pip, pipx and uv; all of them packages of the distribution.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages pipx python3 python3-devel python3-pip uv
# Scripts often ask for "python".
packages_if_known python-unversioned-command
