#!/bin/bash
# Ruby, and Perl with what its scripts usually load.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages perl-interpreter ruby ruby-devel
packages_if_known perl-JSON perl-libwww-perl rubygem-bundler
