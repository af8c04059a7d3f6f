#!/bin/bash
# C.UTF-8 is built in; en_US.UTF-8 is what terminals most often pass on.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

packages locales
localedef -i en_US -f UTF-8 en_US.UTF-8
