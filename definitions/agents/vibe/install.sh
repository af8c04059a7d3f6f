#!/bin/bash
# Mistral Vibe from the Python index, in an environment of its own under /opt/vibe.
# It needs Python >=3.12,<3.15: the image's where that fits, else uv fetches one (from GitHub or UV_PYTHON_INSTALL_MIRROR).
set -euo pipefail
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work TMPDIR=$work
export UV_CACHE_DIR=$work/uv UV_LINK_MODE=copy UV_PYTHON_INSTALL_DIR=/opt/vibe/python
export UV_TOOL_DIR=/opt/vibe/tools UV_TOOL_BIN_DIR=/usr/local/bin

# A base of someone else's may have pip only.
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" --quiet --no-cache-dir --disable-pip-version-check install uv
    uv=$work/venv/bin/uv
fi
"$uv" tool install --python '>=3.12,<3.15' --python-preference system mistral-vibe ||
    { echo "error: mistral-vibe, or a Python >=3.12,<3.15 for it, cannot be fetched" >&2; exit 1; }

# The image is updated as a whole, so the agent must not replace itself. It has no system-wide setting for that, only
# variables; who sets them keeps the last word.
program=$(readlink -f /usr/local/bin/vibe)
rm /usr/local/bin/vibe
cat > /usr/local/bin/vibe <<EOF
#!/bin/sh
export VIBE_ENABLE_AUTO_UPDATE=\${VIBE_ENABLE_AUTO_UPDATE:-false}
export VIBE_ENABLE_UPDATE_CHECKS=\${VIBE_ENABLE_UPDATE_CHECKS:-false}
exec $program "\$@"
EOF
chmod 755 /usr/local/bin/vibe

vibe --version
