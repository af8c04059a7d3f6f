#!/bin/bash
# Ruby, and Perl with what its scripts usually load.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

packages perl ruby
packages_if_known perl-json perl-libwww ruby-bundler
