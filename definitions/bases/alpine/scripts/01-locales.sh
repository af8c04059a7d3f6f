#!/bin/sh
# musl knows UTF-8 by itself; this adds translations for those programs that want a locale by name.
set -eu
. "$(dirname "$0")/apk.lib"

packages_if_known musl-locales musl-locales-lang
