#!/bin/bash
# The current Java.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

packages jdk-openjdk
packages_if_known maven
