#!/bin/sh
# All `scripts/*.sh` run as root in the order of their names; what they change becomes one layer.
set -eu

if command -v apt-get >/dev/null; then
    apt-get update
    apt-get install -y --no-install-recommends bash ca-certificates curl git
    apt-get clean
    rm -rf /var/lib/apt/lists/*
elif command -v apk >/dev/null; then
    apk add --no-cache bash ca-certificates curl git
elif command -v dnf >/dev/null; then
    dnf install -y --setopt=install_weak_deps=False bash ca-certificates curl git
    dnf clean all
fi

# What most agents need besides:
#apt-get install -y --no-install-recommends nodejs npm
#apt-get install -y --no-install-recommends python3 pipx
