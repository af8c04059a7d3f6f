#!/bin/bash
# Auggie from npm.
set -euo pipefail
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Caches, and what installers write into a home directory, go with the directory for scratch; root's npm settings count.
export npm_config_userconfig=${NPM_CONFIG_USERCONFIG:-${HOME:-/root}/.npmrc}
export HOME=$work TMPDIR=$work
export npm_config_cache=$work/npm npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

# From npm 12 on, only install steps that are named are run; older ones warn of the option and run all.
npm install --global --prefix /usr/local --allow-scripts=node-pty @augmentcode/auggie@latest

# The image is updated as a whole, so the agent must not replace itself. It has no system-wide setting for that, only
# a variable; who sets it keeps the last word.
program=$(readlink -f /usr/local/bin/auggie)
rm /usr/local/bin/auggie
cat > /usr/local/bin/auggie <<EOF
#!/bin/sh
export AUGMENT_DISABLE_AUTO_UPDATE=\${AUGMENT_DISABLE_AUTO_UPDATE:-1}
exec $program "\$@"
EOF
chmod 755 /usr/local/bin/auggie

auggie --version
