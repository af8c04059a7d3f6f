#!/bin/bash
# C and C++; also what npm and Python packages need to build their native parts.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

packages base-devel cmake gdb libffi libyaml ninja openssl zlib
packages_if_known strace valgrind
