#!/bin/sh
# The newest long-term Java that this release has.
set -eu
. "$(dirname "$0")/apk.lib"

apk update --quiet
for name in openjdk25-jdk openjdk21-jdk openjdk17-jdk; do
    if [ -n "$(apk search --quiet --exact "$name")" ]; then
        packages "$name"
        break
    fi
done
packages_if_known maven
javac -version
