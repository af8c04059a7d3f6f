#!/bin/bash
# The newest Java that this release has, without its desktop half where it can be left out.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

for name in java-25-openjdk java-21-openjdk java-latest-openjdk; do
    if [ -n "$(dnf -q repoquery --queryformat '%{name}\n' "$name-devel" 2>/dev/null)" ]; then
        packages "$name-devel" "$name-headless"
        break
    fi
done
packages_if_known maven
javac -version
