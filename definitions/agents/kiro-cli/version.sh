#!/bin/bash
# Prints the version of the vendor's current release.
set -euo pipefail

site=https://desktop-release.q.us-east-1.amazonaws.com
manifest=$(curl -fsSL --connect-timeout 10 --max-time 30 "$site/latest/manifest.json") ||
    { echo "error: $site cannot be reached; this network must let it through" >&2; exit 1; }
jq -er .version <<< "$manifest"
