#!/bin/bash
# Nothing that only this build needed, and nothing that differs from one build to the next without a reason.
set -euo pipefail

dnf -q clean all
rm -rf /var/cache/dnf /var/cache/libdnf5 /root/.cache /root/.npm /root/.local /tmp/* /var/tmp/*
rm -f /var/cache/ldconfig/aux-cache
find /var/log -type f -delete
# An image has no identity: whoever starts from it makes one.
if [ -e /etc/machine-id ]; then
    : > /etc/machine-id
fi
rm -f /var/lib/dbus/machine-id
