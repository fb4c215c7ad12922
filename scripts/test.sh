#!/usr/bin/env bash
# Runs every check of the project. What the tests use is installed first.
# The last line says how many tests passed, failed and were skipped; a check
# that is no test (format, lints, dependencies) counts as one when it fails.
# Up to three tests that fail are run once more, alone: whole-proxy tests have
# deadlines, and a machine may stand still. One that passes then is named FLAKY.
# A test binary that ended without its result counts as one that failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# A job in the background of a script ignores SIGINT and SIGQUIT, and so would
# every process that the tests start, and send them to.
case $(awk '/^SigIgn/ { print $2 }' /proc/self/status) in
*[1-9a-f]) exec env --default-signal ./scripts/test.sh "$@" ;;
esac
PATH="$HOME/.cargo/bin:$PATH:/usr/sbin:/sbin"
# What cargo says is counted below.
export CARGO_TERM_COLOR=never CARGO_TERM_QUIET=false

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed_checks=0

check() {
  printf '\n== %s\n' "$*"
  if ! "$@"; then
    printf 'FAILED: %s\n' "$*"
    failed_checks=$((failed_checks + 1))
  fi
}

# The list of advisories lives in the network alone.
check_advisories() {
  if timeout 60 cargo deny fetch db >/dev/null 2>&1; then
    check cargo deny --log-level error check advisories
  else
    printf '\nadvisories are not checked: their list cannot be fetched from here\n'
  fi
}

# The suite comes from npm. Its tests have deadlines, and a machine may stand still.
check_conformance() {
  if ! timeout 60 ./scripts/conformance.sh --fetch; then
    printf '\nthe public suite for HTTP caches is not run: it cannot be fetched from here\n'
    return
  fi
  local suite=(./scripts/conformance.sh --tidegate "${CARGO_TARGET_DIR:-target}/debug/tidegate")
  printf '\n== %s\n' "${suite[*]}"
  "${suite[@]}" || check "${suite[@]}"
}

# Tests of all binaries that ended in some way ($1), by what they said.
count() {
  grep '^test result:' "$log" | grep -Eo "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'
}

# How many test binaries were started, and said nothing of how it went.
count_unended() {
  local started ended
  started=$(grep -Ec '^ +(Running|Doc-tests) ' "$log")
  ended=$(grep -c '^test result:' "$log")
  printf '%s' $((started > ended ? started - ended : 0))
}

# All tests. Those with `of_root` in their names start as root and become another
# user; where we are not root, sudo runs them.
run_tests() {
  cargo test --workspace --locked --no-run || return
  if [ "$(id -u)" = 0 ]; then
    cargo test --workspace --locked --no-fail-fast
    return
  fi
  local ended=0 binary
  cargo test --workspace --locked --no-fail-fast -- --skip of_root || ended=1
  binary=$(cargo test --locked --test main --no-run 2>&1 | sed -n 's/.*(\(.*\))$/\1/p' | tail -1)
  printf '\n     Running the tests of root by sudo (%s)\n' "$binary"
  sudo -- "$PWD/$binary" of_root || ended=1
  return "$ended"
}

# Whether one test passes that failed among the others.
passes_alone() {
  cargo test --workspace --locked -- --exact "$1" 2>&1 | tee "$log" | grep -v '^running 0\|^$\| 0 passed'
  [ "$(count passed)" = 1 ] && [ "$(count failed)" = 0 ]
}

if ! ./scripts/setup.sh test; then
  printf 'some of what the tests use is missing, see above; tests that need it fail\n'
fi
if [ ! -d ../shared ]; then
  printf 'there is no ../shared; tests that need it say so and pass\n'
fi

check shellcheck scripts/*.sh
check cargo fmt --all --check
check cargo clippy --workspace --all-targets --locked -- -D warnings
check cargo deny --log-level error check bans licenses sources
check_advisories

printf '\n== cargo test\n'
run_tests 2>&1 | tee "$log"
tests_status=${PIPESTATUS[0]}

passed=$(count passed)
failed=$(count failed)
skipped=$(count ignored)
unended=$(count_unended)
if [ "$unended" != 0 ]; then
  printf '\nFAILED: test binaries that ended without a result: %s\n' "$unended"
elif [ "$tests_status" != 0 ] && [ "$failed" = 0 ]; then
  printf '\nFAILED: the tests could not be built, or ended badly after their results\n'
  unended=1
fi
flaky=()
mapfile -t names < <(sed -n 's/^test \([^ ]*\) \.\.\. FAILED$/\1/p' "$log")
# Those of a binary without a result are in the log, and not among those counted.
if [ "$failed" = "${#names[@]}" ] && [ "$failed" -le 3 ]; then
  for name in "${names[@]}"; do
    printf '\n== once more, alone: %s\n' "$name"
    if passes_alone "$name"; then
      flaky+=("$name")
      passed=$((passed + 1)) failed=$((failed - 1))
    fi
  done
fi
if [ "$unended" = 0 ]; then
  check_conformance
fi
failed=$((failed + unended + failed_checks))
if [ "${#flaky[@]}" != 0 ]; then
  printf '\nFLAKY, failed above and passed alone, to be looked at: %s\n' "${flaky[*]}"
fi
printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
