#!/bin/bash
# Copilot CLI from npm: a loader and the program for this machine.
set -euo pipefail
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Caches, and what installers write into a home directory, go with the directory for scratch; root's npm settings count.
export npm_config_userconfig=${NPM_CONFIG_USERCONFIG:-${HOME:-/root}/.npmrc}
export HOME=$work TMPDIR=$work
export npm_config_cache=$work/npm npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

npm install --global --prefix /usr/local @github/copilot@latest

# The image is updated as a whole, so the agent must not replace itself. It has no system-wide setting for that, only
# a variable; who sets it keeps the last word.
program=$(readlink -f /usr/local/bin/copilot)
rm /usr/local/bin/copilot
cat > /usr/local/bin/copilot <<EOF
#!/bin/sh
export COPILOT_AUTO_UPDATE=\${COPILOT_AUTO_UPDATE:-false}
exec $program "\$@"
EOF
chmod 755 /usr/local/bin/copilot

copilot --version
