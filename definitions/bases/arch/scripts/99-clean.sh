#!/bin/bash
# Nothing that only this build needed, and nothing that differs from one build to the next without a reason.
set -euo pipefail

rm -rf /var/cache/pacman/pkg/* /var/lib/pacman/sync/* /root/.cache /root/.npm /root/.local /tmp/* /var/tmp/*
rm -f /var/cache/ldconfig/aux-cache
find /var/log -type f -delete
# The secret key that pacman-key made must not be shared by everyone who uses this image.
gpgconf --homedir /etc/pacman.d/gnupg --kill all || true
rm -rf /etc/pacman.d/gnupg/private-keys-v1.d/* /etc/pacman.d/gnupg/openpgp-revocs.d/*
# An image has no identity: whoever starts from it makes one.
if [ -e /etc/machine-id ]; then
    : > /etc/machine-id
fi
rm -f /var/lib/dbus/machine-id
