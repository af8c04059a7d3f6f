#!/bin/sh
# Installs the agent for all users. Runs as root, without a terminal, in a container of the base; what it changes becomes
# one layer. When it ends, there must be a command `@NAME@` in PATH: it is what `aicage @NAME@` starts.
set -eu

# Most agents come in one of these ways; keep one line and remove the example below.
#npm install --global --prefix /usr/local --cache /tmp/npm some-package@latest
#PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install some-package
#curl -fsSL https://example.com/@NAME@ -o /usr/local/bin/@NAME@ && chmod 755 /usr/local/bin/@NAME@

# The example: a program that greets and shows its arguments.
mkdir -p /usr/local/bin
cat > /usr/local/bin/@NAME@ <<'END'
#!/bin/sh
echo "Hello from @NAME@, in $PWD."
for argument in "$@"; do
    echo "argument: $argument"
done
END
chmod 755 /usr/local/bin/@NAME@
