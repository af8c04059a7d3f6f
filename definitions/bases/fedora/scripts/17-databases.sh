#!/bin/bash
# Database clients; servers belong into containers of their own.
set -euo pipefail
. "$(dirname "$0")/dnf.lib"

packages postgresql sqlite
packages_if_known mariadb valkey
