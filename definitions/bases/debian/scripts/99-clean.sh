#!/bin/bash
# Nothing that only this build needed, and nothing that differs from one build to the next without a reason.
set -euo pipefail

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -f /var/cache/ldconfig/aux-cache
find /var/log -type f -delete
rm -rf /root/.cache /root/.npm /root/.local /tmp/* /var/tmp/*
# An image has no identity: whoever starts from it makes one.
if [ -e /etc/machine-id ]; then
    : > /etc/machine-id
fi
rm -f /var/lib/dbus/machine-id
