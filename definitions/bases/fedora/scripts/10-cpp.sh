#!/bin/bash
# C and C++; also what npm and Python packages need to build their native parts.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages \
    autoconf automake cmake gcc gcc-c++ gdb libffi-devel libtool libyaml-devel make ninja-build openssl-devel \
    pkgconf-pkg-config zlib-devel
packages_if_known strace valgrind
