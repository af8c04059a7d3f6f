#!/bin/sh
# Database clients; servers belong into containers of their own.
set -eu
. "$(dirname "$0")/apk.lib"

packages postgresql-client sqlite
packages_if_known mariadb-client valkey-cli
