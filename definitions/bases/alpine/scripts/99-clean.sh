#!/bin/sh
# Nothing that only this build needed, and nothing that differs from one build to the next without a reason.
set -eu

rm -rf /var/cache/apk/* /root/.cache /root/.npm /root/.local /tmp/* /var/tmp/*
find /var/log -type f -delete
rm -f /etc/machine-id /var/lib/dbus/machine-id
