#!/bin/sh
# Prints the newest version there is, as one line. A new answer is a reason to install again. It runs in a container of
# the base; where that fails, on this machine. Its answer is kept for a day (`update.check_interval`).
set -eu

#npm view some-package version
#curl -fsSL https://pypi.org/pypi/some-package/json | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p'

echo 1.0.0
