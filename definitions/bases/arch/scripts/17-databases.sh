#!/bin/bash
# Database clients; servers belong into containers of their own.
set -euo pipefail
. "$(dirname "$0")/pacman.lib"

packages postgresql-libs sqlite
packages_if_known mariadb-clients valkey
