#!/bin/sh
# The distribution's Go; it fetches a newer toolchain by itself when a project's go.mod asks for one.
set -eu
. "$(dirname "$0")/apk.lib"

packages go
