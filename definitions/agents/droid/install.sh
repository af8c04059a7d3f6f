#!/bin/bash
# Droid from npm: its install step picks the program for this machine.
set -euo pipefail
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Caches, and what installers write into a home directory, go with the directory for scratch; root's npm settings count.
export npm_config_userconfig=${NPM_CONFIG_USERCONFIG:-${HOME:-/root}/.npmrc}
export HOME=$work TMPDIR=$work
export npm_config_cache=$work/npm npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

# From npm 12 on, only install steps that are named are run; older ones warn of the option and run all.
npm install --global --prefix /usr/local --allow-scripts=droid droid@latest

# The image is updated as a whole, so the agent must not replace itself. It has no system-wide setting for that, only
# variables; who sets them keeps the last word.
program=$(readlink -f /usr/local/bin/droid)
rm /usr/local/bin/droid
cat > /usr/local/bin/droid <<EOF
#!/bin/sh
export DROID_DISABLE_AUTO_UPDATE=\${DROID_DISABLE_AUTO_UPDATE:-true}
export FACTORY_DROID_AUTO_UPDATE_ENABLED=\${FACTORY_DROID_AUTO_UPDATE_ENABLED:-false}
exec $program "\$@"
EOF
chmod 755 /usr/local/bin/droid

droid --version
