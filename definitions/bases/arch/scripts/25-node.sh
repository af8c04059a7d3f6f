#!/bin/bash
# The newest long-term Node.js, with npm and corepack.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

# Long-term lines have packages of their own, named after their release: take the newest that there is.
node=nodejs
for name in nodejs-lts-krypton nodejs-lts-jod; do
    if pacman -Si "$name" >/dev/null 2>&1; then
        node=$name
        break
    fi
done
packages "$node" npm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work npm_config_cache=$work/npm npm_config_update_notifier=false npm_config_fund=false
if ! command -v corepack >/dev/null; then
    npm install --global --prefix /usr/local corepack
fi
node --version
npm --version
