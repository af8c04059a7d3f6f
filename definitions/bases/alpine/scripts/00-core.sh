#!/bin/sh
# What an agent's shell tool and an agent's installer expect to find everywhere. The root image has no bash: until it is
# here, scripts are for sh. GNU's versions replace busybox's where their options differ from what agents write.
set -eu
. "$(dirname "$0")/apk.lib"

packages ca-certificates curl bash

packages \
    bind-tools bubblewrap bzip2 coreutils diffutils file findutils gawk git gnupg grep iproute2 iputils jq less libgcc libstdc++ \
    lsof musl-utils nano netcat-openbsd openssh-client-default patch procps-ng psmisc ripgrep rsync sed shadow socat tar \
    tree tzdata unzip util-linux-misc wget xz zip zstd
packages_if_known 7zip bats fd gcompat git-lfs github-cli wl-clipboard xclip xdg-utils yq-go
