#!/bin/sh
# Python with pip, pipx and uv; all of them packages of the distribution.
set -eu
. "$(dirname "$0")/apk.lib"

packages pipx py3-pip py3-virtualenv python3 python3-dev uv
