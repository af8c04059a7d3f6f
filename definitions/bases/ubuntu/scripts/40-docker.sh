#!/bin/bash
# Docker's command line, for those who hand an engine's socket to the agent. No daemon.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

refresh
if [ -n "$(apt-cache --quiet=1 madison docker-cli 2>/dev/null)" ]; then
    packages docker-cli
else
    # Older releases have one package for the daemon and the client: take the client out of it.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    (cd "$work" && apt-get -q download -o APT::Sandbox::User=root docker.io)
    dpkg-deb --fsys-tarfile "$work"/docker.io_*.deb | tar -xf - -C "$work" ./usr/bin/docker
    install -m 755 "$work/usr/bin/docker" /usr/local/bin/docker
fi
packages_if_known docker-buildx
# Compose 2 has had two names; under the second an older release has Compose 1, which is another program.
if [ -n "$(apt-cache --quiet=1 madison docker-compose-v2 2>/dev/null)" ]; then
    packages docker-compose-v2
else
    case "$(apt-cache --quiet=1 madison docker-compose 2>/dev/null | awk 'NR == 1 { print $3 }')" in
        2.* | [3-9].*) packages docker-compose ;;
        *) echo "note: this release has no Docker Compose 2, left out" ;;
    esac
fi
docker --version
