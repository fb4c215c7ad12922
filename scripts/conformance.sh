#!/usr/bin/env bash
# Asks a public suite of tests for HTTP caches what Tidegate's cache does, and prints how many of
# them pass: what RFC 9110, 9111, 5861 and 9213 require, what would be better still, and what it
# only looks at.
#
#   scripts/conformance.sh [--tidegate PATH] [--policy safe|strict_rfc] [--suite DIRECTORY]
#   scripts/conformance.sh --fetch
#
# The suite is http-cache-tests (BSD) of npm, 0.4.5, the last one there. A newer edition is a
# checkout of its sources in which `npm install` has been run: --suite names it. --fetch only
# fetches. The exit code is 1 if a required test fails that scripts/conformance/known.txt (the newer
# edition) or known-0.4.5.txt does not name with its reason.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

SUITE=0.4.5
SHA512=0e3bb037d9d46572d35bec1abf52d1112099355c65f12b21c0ecb8cf5a71b966d6b79fdacbab0cf5043595e6c16833ba3f520c0682ba99d7fe3ee54ffd034bf0
fail() { echo "conformance: $*" >&2; exit 2; }

tidegate=
policy=safe
suite=
fetch=
while [ $# -gt 0 ]; do
  case "$1" in
    --tidegate) tidegate=${2:?a path}; shift 2 ;;
    --policy) policy=${2:?a policy}; shift 2 ;;
    --suite) suite=$(readlink -f "${2:?a directory}"); shift 2 ;;
    --fetch) fetch=only; shift ;;
    -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "unknown option $1" ;;
  esac
done
for part in node npm python3; do
  command -v "$part" > /dev/null || fail "$part is missing"
done

dir=$(mktemp -d)
pids=()
finish() {
  kill "${pids[@]}" 2> /dev/null || true
  wait "${pids[@]}" 2> /dev/null || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "$suite" ]; then
  suite=$(readlink -m "${CARGO_TARGET_DIR:-target}")/conformance/$SUITE
  if [ ! -d "$suite" ]; then
    npm pack --silent --fetch-retries 0 --pack-destination "$dir" "http-cache-tests@$SUITE" > /dev/null ||
      fail "npm does not give http-cache-tests $SUITE"
    echo "$SHA512  $dir/http-cache-tests-$SUITE.tgz" | sha512sum --status -c - ||
      fail "http-cache-tests $SUITE is not what it was"
    tar -xzf "$dir/http-cache-tests-$SUITE.tgz" -C "$dir"
    mkdir -p "${suite%/*}"
    mv "$dir/package" "$suite"
  fi
  known=scripts/conformance/known-$SUITE.txt
else
  known=scripts/conformance/known.txt
fi
[ "$fetch" = "" ] || exit 0
engine=$suite
[ ! -d "$suite/test-engine" ] || engine=$suite/test-engine
[ -f "$engine/client/runner.mjs" ] || fail "$suite has no suite"

if [ -z "$tidegate" ]; then
  cargo build --locked --bin tidegate
  tidegate=${CARGO_TARGET_DIR:-target}/debug/tidegate
fi
tidegate=$(readlink -f "$tidegate")
[ -x "$tidegate" ] || fail "$tidegate is no program"

read -r origin edge admin < <(python3 -c '
import socket
held = [socket.socket() for _ in range(3)]
for each in held: each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in held))')

(cd "$dir" && npm_config_protocol=http npm_config_port=$origin npm_config_pidfile="$dir/pid" \
  exec node --no-warnings "$engine/server/server.mjs" > "$dir/origin.log" 2>&1) &
pids+=($!)
cat > "$dir/tidegate.yaml" << CONFIG
server: { pid_file: $dir/run/tidegate.pid, upgrade_sock: $dir/run/tidegate.sock }
admin: { listen: "127.0.0.1:$admin", token: only-for-this-test-0 }
log: { level: warn, access: { to: off } }
listeners: [{ address: "127.0.0.1:$edge" }]
upstreams: { suite: { servers: ["127.0.0.1:$origin"] } }
cache: { profiles: { suite: { policy: $policy } } }
routes: [{ name: suite, upstream: suite, cache: suite }]
CONFIG
"$tidegate" -c "$dir/tidegate.yaml" > "$dir/tidegate.log" 2>&1 &
pids+=($!)
for port in "$origin" "$edge"; do
  for _ in $(seq 100); do
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && continue 2
    sleep 0.1
  done
  cat "$dir"/*.log >&2
  fail "nobody listens on $port"
done

node --no-warnings scripts/conformance/run.mjs "$suite" "$engine" "http://127.0.0.1:$edge" "$known"
