# shellcheck shell=bash
# Makes sure of a C linker and a Rust toolchain that can build this workspace; sourced by the scripts
# beside it. Installs only what is missing.

# as_root COMMAND…: through sudo where we are not root.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_package PACKAGE…: from the distribution.
install_package() {
  command -v apt-get >/dev/null || {
    printf 'error: `%s` is missing, and only apt-get is known here\n  hint: install it with your package manager, then run this again\n' "$*" >&2
    return 1
  }
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The oldest Rust that `Cargo.toml` allows.
wanted_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

rust_is_new_enough() {
  local have
  have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$(wanted_rust)" "$have" | sort -V | head -n 1)" = "$(wanted_rust)" ]
}

ensure_toolchain() {
  # A fresh install is not on PATH of the shell that started us.
  [ ! -d "$HOME/.cargo/bin" ] || PATH=$PATH:$HOME/.cargo/bin
  command -v cc >/dev/null || install_package gcc libc6-dev
  rust_is_new_enough || install_rust
  # The program that runs inside containers is static; without these its build falls back to glibc.
  if command -v rustup >/dev/null; then
    rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl >/dev/null 2>&1 ||
      echo 'note: the musl targets cannot be had; the in-container program is built with static glibc' >&2
  fi
}

install_rust() {
  if ! command -v rustup >/dev/null; then
    if [ -n "$(apt-cache policy rustup 2>/dev/null | sed -n 's/ *Candidate: \([0-9].*\)/\1/p')" ]; then
      install_package rustup
    else
      command -v curl >/dev/null || install_package curl ca-certificates
      curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --no-modify-path
      PATH=$HOME/.cargo/bin:$PATH
    fi
  fi
  rust_is_new_enough || rustup toolchain install --profile minimal stable
  rust_is_new_enough || export RUSTUP_TOOLCHAIN=stable
  rust_is_new_enough || {
    printf 'error: Rust %s or newer is needed, found: %s\n  hint: install it with rustup, then run this again\n' \
      "$(wanted_rust)" "$(cargo --version 2>&1)" >&2
    return 1
  }
}
