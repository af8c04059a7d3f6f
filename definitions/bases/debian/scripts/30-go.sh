#!/bin/bash
# The distribution's Go; it fetches a newer toolchain by itself when a project's go.mod asks for one.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

packages golang-go
