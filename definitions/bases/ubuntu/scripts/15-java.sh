#!/bin/bash
# The distribution's default Java, without its desktop half.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

packages default-jdk-headless
packages_if_known maven
