#!/bin/bash
# Docker's command line, for those who hand an engine's socket to the agent. No daemon.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages_if_known docker-cli docker-buildx docker-compose
