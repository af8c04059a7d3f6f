#!/bin/bash
# C.UTF-8 is built in; en_US.UTF-8 is what terminals most often pass on.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages glibc-langpack-en
