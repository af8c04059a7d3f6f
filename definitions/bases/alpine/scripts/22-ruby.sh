#!/bin/sh
# Ruby, and Perl with what its scripts usually load.
set -eu
. "$(dirname "$0")/apk.lib"

packages perl ruby ruby-dev
packages_if_known perl-json perl-libwww ruby-bundler
