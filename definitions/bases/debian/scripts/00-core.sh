#!/bin/bash
# What an agent's shell tool and an agent's installer expect to find everywhere.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

# A root made from packages alone has no certificates; everything after this line may use TLS.
packages ca-certificates curl

packages \
    bash bubblewrap bzip2 file git gnupg iproute2 iputils-ping jq less lsof nano netcat-openbsd \
    openssh-client patch procps psmisc ripgrep rsync socat tree tzdata unzip wget xz-utils zip zstd
packages_if_known 7zip bats bind9-dnsutils fd-find gh git-lfs wl-clipboard xclip xdg-utils yq

# Debian calls it fdfind because of an older program of that name.
if [ -x /usr/bin/fdfind ] && [ ! -e /usr/local/bin/fd ]; then
    ln -s /usr/bin/fdfind /usr/local/bin/fd
fi
