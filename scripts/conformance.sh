#!/usr/bin/env bash
# Asks a public suite of tests for HTTP caches what Tidegate's cache does, and prints how many of
# them pass: what RFC 9110, 9111, 5861 and 9213 require, what would be better still, and what it
# only looks at.
#
#   scripts/conformance.sh [--tidegate PATH] [--policy safe|strict_rfc]
#
# The suite (http-cache-tests, BSD) comes from npm. The exit code is 1 if a required test fails
# that scripts/conformance/known.txt does not name with its reason.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

SUITE=0.4.5
fail() { echo "conformance: $*" >&2; exit 2; }

tidegate=
policy=safe
while [ $# -gt 0 ]; do
  case "$1" in
    --tidegate) tidegate=${2:?a path}; shift 2 ;;
    --policy) policy=${2:?a policy}; shift 2 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "unknown option $1" ;;
  esac
done
for part in node npm python3; do
  command -v "$part" > /dev/null || fail "$part is missing"
done

if [ -z "$tidegate" ]; then
  cargo build --locked --bin tidegate
  tidegate=${CARGO_TARGET_DIR:-target}/debug/tidegate
fi
tidegate=$(readlink -f "$tidegate")
[ -x "$tidegate" ] || fail "$tidegate is no program"

suite=$(readlink -f "${CARGO_TARGET_DIR:-target}")/conformance
if [ ! -d "$suite/node_modules/http-cache-tests" ]; then
  mkdir -p "$suite"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$suite" "http-cache-tests@$SUITE" > /dev/null
fi
suite=$suite/node_modules/http-cache-tests

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

read -r origin edge admin < <(python3 -c '
import socket
held = [socket.socket() for _ in range(3)]
for each in held: each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in held))')

(cd "$dir" && npm_config_protocol=http npm_config_port=$origin npm_config_pidfile="$dir/pid" \
  exec node --no-warnings "$suite/server/server.mjs" > "$dir/origin.log" 2>&1) &
pids+=($!)
cat > "$dir/tidegate.yaml" << CONFIG
server: { pid_file: $dir/run/tidegate.pid, upgrade_sock: $dir/run/tidegate.sock }
admin: { listen: "127.0.0.1:$admin", token: only-for-this-test-0 }
log: { level: warn, access: { to: off } }
listeners: [{ address: "127.0.0.1:$edge" }]
upstreams: { suite: { servers: ["127.0.0.1:$origin"], outlier: ~, retries: { attempts: 1 } } }
cache: { profiles: { suite: { policy: $policy } } }
defaults: { waf: off }
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

node --no-warnings scripts/conformance/run.mjs "$suite" "http://127.0.0.1:$edge" scripts/conformance/known.txt
