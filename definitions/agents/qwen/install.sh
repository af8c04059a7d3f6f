#!/bin/bash
# Qwen Code from npm.
set -euo pipefail
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Caches, and what installers write into a home directory, go with the directory for scratch; root's npm settings count.
export npm_config_userconfig=${NPM_CONFIG_USERCONFIG:-${HOME:-/root}/.npmrc}
export HOME=$work TMPDIR=$work
export npm_config_cache=$work/npm npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

# From npm 12 on, only install steps that are named are run; older ones warn of the option and run all.
npm install --global --prefix /usr/local --allow-scripts=@qwen-code/audio-capture @qwen-code/qwen-code@latest

# The image is updated as a whole, so the agent must neither replace itself nor ask to.
mkdir -p /etc/qwen-code
cat > /etc/qwen-code/system-defaults.json <<'EOF'
{
  "general": {
    "enableAutoUpdate": false
  }
}
EOF

qwen --version
