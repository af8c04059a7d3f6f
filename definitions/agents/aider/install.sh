#!/bin/bash
# Aider from the Python index, in an environment of its own under /opt/aider.
# It needs Python >=3.10,<3.13: the image's where that fits, else uv fetches one (from GitHub or UV_PYTHON_INSTALL_MIRROR).
set -euo pipefail
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work TMPDIR=$work
export UV_CACHE_DIR=$work/uv UV_LINK_MODE=copy UV_PYTHON_INSTALL_DIR=/opt/aider/python
export UV_TOOL_DIR=/opt/aider/tools UV_TOOL_BIN_DIR=/usr/local/bin

# A base of someone else's may have pip only.
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" --quiet --no-cache-dir --disable-pip-version-check install uv
    uv=$work/venv/bin/uv
fi
"$uv" tool install --python '>=3.10,<3.13' --python-preference system aider-chat ||
    { echo "error: aider-chat, or a Python >=3.10,<3.13 for it, cannot be fetched" >&2; exit 1; }

# The image is updated as a whole, so the agent must not replace itself. It has no system-wide setting for that, only
# a variable; who sets it keeps the last word.
program=$(readlink -f /usr/local/bin/aider)
rm /usr/local/bin/aider
cat > /usr/local/bin/aider <<EOF
#!/bin/sh
export AIDER_CHECK_UPDATE=\${AIDER_CHECK_UPDATE:-false}
exec $program "\$@"
EOF
chmod 755 /usr/local/bin/aider

aider --version
