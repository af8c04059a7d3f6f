#!/bin/sh
# The distribution's Node.js, which is an LTS release and built for musl, with npm and corepack.
set -eu
. "$(dirname "$0")/apk.lib"

packages nodejs npm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work" npm_config_cache="$work/npm" npm_config_update_notifier=false npm_config_fund=false
if ! command -v corepack >/dev/null; then
    npm install --global --prefix /usr/local corepack
fi
node --version
npm --version
