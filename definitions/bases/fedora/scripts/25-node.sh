#!/bin/bash
# The distribution's Node.js, which is new enough for every agent, with npm and corepack.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages nodejs npm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work npm_config_cache=$work/npm npm_config_update_notifier=false npm_config_fund=false
if ! command -v corepack >/dev/null; then
    npm install --global --prefix /usr/local corepack
fi
node --version
npm --version
