#!/bin/bash
# Kiro CLI's release archive, chosen and checked by the vendor's manifest. Its own installer writes into one home directory
# only, so the programs are put in place here. Its updater can be switched off per user only (kiro-cli settings
# app.disableAutoupdates true); here the programs belong to root, so that it cannot replace them in a session.
set -euo pipefail
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work
site=https://desktop-release.q.us-east-1.amazonaws.com
fetch() {
    curl -fsSL --retry 3 --connect-timeout 20 --max-time 900 -o "$1" "$2" ||
        { echo "error: $2 cannot be fetched; this network must let it through" >&2; exit 1; }
}

case "$(uname -m)" in
    x86_64 | aarch64) machine=$(uname -m) ;;
    *) echo "error: kiro-cli has no program for $(uname -m)" >&2; exit 1 ;;
esac
# The musl build is static and runs with every libc; the other one needs a new glibc.
fetch "$work/manifest.json" "$site/latest/manifest.json"
jq -e --arg triple "$machine-unknown-linux-musl" 'first(.packages[] |
        select(.os == "linux" and .targetTriple == $triple and .variant == "headless" and .fileType == "zip"))' \
    "$work/manifest.json" > "$work/package.json" ||
    { echo "error: the manifest at $site/latest has no $machine musl archive" >&2; exit 1; }
path=$(jq -er .download "$work/package.json")
sha256=$(jq -er .sha256 "$work/package.json")

fetch "$work/kiro.zip" "$site/$path"
echo "$sha256  $work/kiro.zip" | sha256sum -c -
unzip -q "$work/kiro.zip" -d "$work/kiro"
for program in kiro-cli kiro-cli-chat kiro-cli-term; do
    file=$(find "$work/kiro" -type f -path "*/bin/$program" -print -quit)
    if [ -n "$file" ]; then
        install -m 755 "$file" "/usr/local/bin/$program"
    fi
done

kiro-cli --version
