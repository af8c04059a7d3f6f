#!/bin/bash
# Database clients; servers belong into containers of their own.
set -euo pipefail
. "$(dirname "$0")/apt.lib"

packages postgresql-client sqlite3
packages_if_known mariadb-client redis-tools
