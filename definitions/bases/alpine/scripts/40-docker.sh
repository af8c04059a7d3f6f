#!/bin/sh
# Docker's command line, for those who hand an engine's socket to the agent. No daemon.
set -eu
. "$(dirname "$0")/apk.lib"

packages docker-cli
packages_if_known docker-cli-buildx docker-cli-compose
docker --version
