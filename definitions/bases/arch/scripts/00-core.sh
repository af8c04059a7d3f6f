#!/bin/bash
# What an agent's shell tool and an agent's installer expect to find everywhere.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

# The root image ships without the key that signs other keys: each user makes one. 99-clean.sh takes it out again.
pacman-key --init
pacman-key --populate archlinux
# Keys newer than the root image; then everything, as Arch supports no half updated system.
pacman --noconfirm --noprogressbar -Sy --needed archlinux-keyring
pacman --noconfirm --noprogressbar -Su

packages \
    bash bind bubblewrap bzip2 ca-certificates curl diffutils file findutils gawk git gnupg gzip iproute2 iputils jq \
    less lsof nano openbsd-netcat openssh patch procps-ng psmisc ripgrep rsync socat tar tree tzdata unzip util-linux \
    wget which xz zip zstd
packages_if_known 7zip bash-bats fd git-lfs github-cli go-yq wl-clipboard xclip xdg-utils
