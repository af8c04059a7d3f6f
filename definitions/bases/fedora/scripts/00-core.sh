#!/bin/bash
# What an agent's shell tool and an agent's installer expect to find everywhere.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages \
    bash bind-utils bubblewrap bzip2 ca-certificates curl diffutils file findutils gawk git gnupg2 gzip iproute iputils \
    jq less lsof nano nmap-ncat openssh-clients patch procps-ng psmisc ripgrep rsync socat tar tree tzdata unzip \
    util-linux wget2-wget which xz zip zstd
packages_if_known 7zip bats fd-find gh git-lfs wl-clipboard xclip xdg-utils yq
