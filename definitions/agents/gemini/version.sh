#!/bin/bash
# Prints the newest version that the npm registry has.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export npm_config_cache=$work TMPDIR=$work npm_config_update_notifier=false
timeout 30 npm view --fetch-retries=1 --fetch-timeout=12000 @google/gemini-cli@latest version
