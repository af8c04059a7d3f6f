#!/bin/sh
# All `scripts/*.sh` run as root in the order of their names, on top of the agent's image; what they change becomes one
# layer. An extension does not know its distribution: look for what there is.
set -eu

# if command -v apt-get >/dev/null; then
#     apt-get update
#     apt-get install -y --no-install-recommends jq
#     apt-get clean
#     rm -rf /var/lib/apt/lists/*
# elif command -v apk >/dev/null; then
#     apk add --no-cache jq
# elif command -v dnf >/dev/null; then
#     dnf install -y jq
#     dnf clean all
# elif command -v pacman >/dev/null; then
#     pacman -Sy --noconfirm jq
#     rm -rf /var/cache/pacman/pkg
# fi

# The example: a command for all users.
mkdir -p /usr/local/bin
cat > /usr/local/bin/hello-@NAME@ <<'END'
#!/bin/sh
echo "Hello from the extension @NAME@."
END
chmod 755 /usr/local/bin/hello-@NAME@
