# shellcheck shell=bash
# Sourced by the numbered scripts beside it; not run by itself, as it does not end in ".sh".

export DEBIAN_FRONTEND=noninteractive

# Package lists are fetched once for all scripts; 99-clean.sh drops them.
refresh() {
    if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit 2>/dev/null)" ]; then
        apt-get -q update
    fi
}

# Packages that the base promises: one that is missing is an error.
packages() {
    refresh
    apt-get -q install -y --no-install-recommends \
        -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@"
    apt-get clean
}

# Packages that not every release has: one that is missing is said and left out.
packages_if_known() {
    local name known=()
    refresh
    for name in "$@"; do
        if [ -n "$(apt-cache --quiet=1 madison "$name" 2>/dev/null)" ]; then
            known+=("$name")
        else
            echo "note: this release has no package $name, left out"
        fi
    done
    if [ "${#known[@]}" -gt 0 ]; then
        packages "${known[@]}"
    fi
}

# Is the vendor's site there? Asked before anything is fetched from it, so that nothing is half installed.
reachable() {
    curl -fsSIL --connect-timeout 5 --max-time 15 -o /dev/null "$1" 2>/dev/null
}
