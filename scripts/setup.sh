#!/usr/bin/env bash
# Installs what is missing on a Debian machine with Rust and a C compiler:
#   scripts/setup.sh build      what the build needs
#   scripts/setup.sh test       that, and what the tests need
#   scripts/setup.sh attack     what the build and scripts/attack.sh need
#   scripts/setup.sh fuzz       what the build and scripts/fuzz.sh need
#   scripts/setup.sh bench-waf  what the build and `scripts/bench.sh waf` need
#   scripts/setup.sh bench-cache  what the build and `scripts/bench.sh cache` need
# Packages come from apt-get, as root or by sudo. What cannot be installed is
# named, and the exit code is 1. Does nothing where nothing is missing.
set -euo pipefail

CARGO_DENY=0.20.2

# Programs, or files by their paths, and the Debian packages that have them.
BUILD=(cc=gcc make=make cmake=cmake)
TEST=(nginx=nginx-light curl=curl openssl=openssl wrk=wrk h2load=nghttp2-client
  shellcheck=shellcheck apache2=apache2-bin haproxy=haproxy node=nodejs gunicorn=gunicorn
  uvicorn=uvicorn chromium=chromium python3=python3 "g++=g++"
  /usr/include/modsecurity/modsecurity.h=libmodsecurity-dev
  /usr/share/modsecurity-crs/owasp-crs.load=modsecurity-crs)
ATTACK=(nginx=nginx-light openssl=openssl python3=python3 slowhttptest=slowhttptest)
FUZZ=("g++=g++")
BENCH_WAF=(nginx=nginx-light h2load=nghttp2-client python3=python3 "g++=g++"
  /usr/include/modsecurity/modsecurity.h=libmodsecurity-dev
  /usr/lib/nginx/modules/ngx_http_modsecurity_module.so=libnginx-mod-http-modsecurity
  /usr/share/modsecurity-crs/owasp-crs.load=modsecurity-crs)
BENCH_CACHE=(nginx=nginx-light varnishd=varnish haproxy=haproxy wrk=wrk
  h2load=nghttp2-client python3=python3)

PATH="$HOME/.cargo/bin:$PATH:/usr/sbin:/sbin"
failed=0

say() { printf 'setup: %s\n' "$*"; }

cannot() {
  printf 'setup: cannot install %s\n' "$*" >&2
  failed=1
}

has() {
  case "$1" in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif has sudo && [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

can_be_root() {
  [ "$(id -u)" = 0 ] || { has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }
}

install_packages() {
  local packages=() entry
  for entry in "$@"; do
    has "${entry%%=*}" || packages+=("${entry#*=}")
  done
  if [ ${#packages[@]} = 0 ]; then
    return
  fi
  if ! has apt-get; then
    cannot "${packages[*]}: there is no apt-get; install them by hand"
  elif ! can_be_root; then
    cannot "${packages[*]}: only root may; run: sudo apt-get install ${packages[*]}"
  else
    say "installing ${packages[*]}"
    apt_install "${packages[@]}" || cannot "${packages[*]}: apt-get failed, see above"
  fi
  for entry in "$@"; do
    has "${entry%%=*}" || failed=1
  done
}

apt_install() (
  as_root apt-get update -qq || say "the lists of packages stay as they are"
  # Packages ask this file whether their services may start: here none shall.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" </dev/null
)

need_rust() {
  has cargo || cannot "Rust: get it from https://rustup.rs and run this again"
}

need_component() {
  if cargo "$1" --version >/dev/null 2>&1; then
    return
  fi
  if has rustup && rustup component add "$2"; then
    return
  fi
  cannot "$2: rustup component add $2"
}

need_cargo_deny() {
  if has cargo-deny; then
    return
  fi
  say "building cargo-deny $CARGO_DENY, which takes some minutes"
  cargo install cargo-deny --locked --version "$CARGO_DENY" ||
    cannot "cargo-deny: cargo install cargo-deny --locked --version $CARGO_DENY"
}

case "${1:-}" in
  build)
    need_rust
    install_packages "${BUILD[@]}"
    ;;
  test)
    need_rust
    install_packages "${BUILD[@]}" "${TEST[@]}"
    if has cargo; then
      need_component fmt rustfmt
      need_component clippy clippy
      need_cargo_deny
    fi
    ;;
  attack)
    need_rust
    install_packages "${BUILD[@]}" "${ATTACK[@]}"
    ;;
  fuzz)
    need_rust
    install_packages "${BUILD[@]}" "${FUZZ[@]}"
    ;;
  bench-waf)
    need_rust
    install_packages "${BUILD[@]}" "${BENCH_WAF[@]}"
    ;;
  bench-cache)
    need_rust
    install_packages "${BUILD[@]}" "${BENCH_CACHE[@]}"
    ;;
  *)
    sed -n '2,8p' "$0" >&2
    exit 2
    ;;
esac
exit "$failed"
