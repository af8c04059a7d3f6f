#!/bin/bash
# C.UTF-8 is built in; en_US.UTF-8 is what terminals most often pass on.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

# The container image leaves glibc's sources of locales out.
if [ -e /usr/share/i18n/locales/en_US ]; then
    localedef -i en_US -f UTF-8 en_US.UTF-8
else
    echo "note: the root image has no locale sources, en_US.UTF-8 left out"
fi
