#!/bin/bash
# Docker's command line, for those who hand an engine's socket to the agent. The package has the daemon too.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

packages_if_known docker docker-buildx docker-compose
