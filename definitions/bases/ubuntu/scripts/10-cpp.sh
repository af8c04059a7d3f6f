#!/bin/bash
# C and C++; also what npm and Python packages need to build their native parts.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

packages \
    autoconf automake build-essential cmake gdb libtool ninja-build pkg-config \
    libffi-dev libssl-dev libyaml-dev zlib1g-dev
packages_if_known strace valgrind
