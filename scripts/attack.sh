#!/usr/bin/env bash
# Attacks nginx and Tidegate, both with their defaults and before the same small
# server, while a good client asks for a page 200 times a second. Prints a table
# in Markdown of what the good client saw, what the attack cost, and what became
# of the attacker. All of it stays on this machine, and every attack is bounded.
#
#   scripts/attack.sh [--quick] [--rounds N] [--tidegate PATH] [--write PAGE]
#                     [--rules] [--promises] [--list] [ATTACK...]
#
# Tidegate has no rules against content here, unless --rules leaves them on. It is
# tried once more without the keys that stop the attack, or, where those are off by
# default, with them; --promises tries only what something is promised for. Three rounds
# of all attacks take less than an hour, --quick (one short round) a third of that,
# --promises half. The exit code is 1 if a promise
# is broken: with its defaults (or a key that must be set), the good client loses
# nothing, its p99 stays under three times the quiet one, and memory is bounded;
# the figures are in scripts/attack/table.py. It is 3 if none is, but the good
# client was disturbed before the attack, too, so that one could not be judged.
# `--write docs/security.md` puts the table into that page.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH:/usr/sbin:/sbin" PYTHONDONTWRITEBYTECODE=1

# Connections at once: of an attacker, or of a target with its own to the server.
FILES=16000

fail() {
  printf 'attack: %s\n' "$*" >&2
  exit 2
}

tidegate=
options=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      sed -n '2,20s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    --list)
      exec python3 scripts/attack --list --tidegate none
      ;;
    --tidegate)
      [ $# -ge 2 ] || fail "$1 needs a path"
      tidegate=$2
      shift 2
      ;;
    *)
      options+=("$1")
      shift
      ;;
  esac
done

./scripts/setup.sh attack >&2 || fail "some of what the attacks use is missing, see above"
# shellcheck disable=SC3045 # bash has ulimit -S
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt "$FILES" ]; then
  ulimit -S -n "$FILES" 2>/dev/null ||
    fail "the attacks need $FILES open files, ulimit -n allows $(ulimit -Hn)"
fi
if [ -z "$tidegate" ]; then
  cargo build --release --locked --bin tidegate >&2
  tidegate=${CARGO_TARGET_DIR:-target}/release/tidegate
fi
[ -x "$tidegate" ] || fail "$tidegate is no program"

folder=$(mktemp -d)
running=
# The processes of the targets end with it: it hears SIGTERM.
finish() {
  if [ -n "$running" ] && kill -0 "$running" 2>/dev/null; then
    kill -TERM "$running" 2>/dev/null || true
    wait "$running" 2>/dev/null || true
  fi
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python3 scripts/attack \
  --tidegate "$tidegate" --folder "$folder" ${options[@]+"${options[@]}"} &
running=$!
wait "$running"
