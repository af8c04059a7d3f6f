#!/bin/bash
# Ruby, and Perl with what its scripts usually load.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

packages perl ruby ruby-dev
packages_if_known libjson-perl libwww-perl ruby-bundler
