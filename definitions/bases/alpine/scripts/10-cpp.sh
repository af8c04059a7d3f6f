#!/bin/sh
# C and C++; also what npm and Python packages need to build their native parts, which they do more often with musl.
set -eu
. "$(dirname "$0")/apk.lib"

packages \
    autoconf automake build-base cmake gdb libffi-dev libtool linux-headers openssl-dev pkgconf samurai yaml-dev zlib-dev
packages_if_known strace valgrind
