#!/usr/bin/env bash
# Fuzzes the readers of what strangers send: every target of fuzz/fuzz_targets,
# or those named, each for so many seconds (600 if absent).
#
#   scripts/fuzz.sh [--keep] [--jobs N] [SECONDS] [TARGET...]
#
# It takes stable Rust and a C++ compiler, and neither cargo-fuzz nor nightly:
# fuzz/README.md says how. Inputs that lead to new code are kept in fuzz/found,
# those that break a promise in fuzz/artifacts; the exit code is then 1. With
# --keep, fuzz/corpus gets the fewest and shortest inputs that reach the same
# code; the tests read those in every run.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

# No input is longer, and no reader needs longer than this for one, or more memory.
LONGEST=8192
MOST_SECONDS=10
MOST_MIB=2048
# The most inputs of a target that are kept for the tests, and their length.
MOST_KEPT=60
LONGEST_KEPT=1024

fail() {
  printf 'fuzz: %s\n' "$*" >&2
  exit 2
}

is_number() { [[ $1 =~ ^[1-9][0-9]*$ ]]; }

seconds=600
jobs=$(nproc)
keep=
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      sed -n '2,12s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    --keep) keep=1 ;;
    --jobs)
      is_number "${2:-}" || fail "--jobs needs a number above 0"
      jobs=$2
      shift
      ;;
    *[!0-9]*)
      [ -f "fuzz/fuzz_targets/$1.rs" ] || fail "there is no target $1"
      targets+=("$1")
      ;;
    *)
      is_number "$1" || fail "\`$1\` is no number above 0"
      seconds=$1
      ;;
  esac
  shift
done
if [ ${#targets[@]} = 0 ]; then
  for file in fuzz/fuzz_targets/*.rs; do
    file=${file##*/}
    targets+=("${file%.rs}")
  done
fi

./scripts/setup.sh fuzz >&2 || fail "some of what the build needs is missing, see above"

# What cargo-fuzz asks of the compiler, but for the sanitizer of addresses, which is
# the one part that needs nightly; there is no unsafe code in src for it to watch.
# With --target the flags are for what runs in the fuzzer alone, not for build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
flags='--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=16'
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=" -Cllvm-args=-sanitizer-coverage-$option"
done
if [[ $host == *linux* ]]; then
  flags+=' -Cllvm-args=-sanitizer-coverage-stack-depth'
fi
# Not --locked: fuzz/Cargo.lock gains here what the project has gained since.
RUSTFLAGS=$flags cargo build --release --target "$host" \
  --manifest-path fuzz/Cargo.toml --target-dir fuzz/target
programs=fuzz/target/$host/release

logs=$(mktemp -d)
declare -A names=()
finish() {
  local pid
  for pid in "${!names[@]}"; do
    kill "$pid" 2>/dev/null || true
  done
  rm -rf "$logs"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Replaces itself by the fuzzer of a target.
fuzz() {
  mkdir -p "fuzz/found/$1" "fuzz/artifacts/$1" "fuzz/corpus/$1"
  exec "$programs/$1" "fuzz/found/$1" "fuzz/corpus/$1" \
    -max_total_time="$seconds" -max_len=$LONGEST -timeout=$MOST_SECONDS \
    -rss_limit_mb=$MOST_MIB -artifact_prefix="fuzz/artifacts/$1/" -print_final_stats=1 \
    >"$logs/$1" 2>&1
}

# What libFuzzer exits with where an input takes too long. It asks the clock, and on a
# busy machine any input does: one is slow if it is so once more.
TOO_LONG=70
is_fast_now() {
  local input
  for input in "fuzz/artifacts/$1"/timeout-*; do
    "$programs/$1" -timeout=$MOST_SECONDS "$input" >/dev/null 2>&1 || return 1
  done
}

findings=0
one_ends() {
  local pid status=0
  wait -n -p pid || status=$?
  if [ "$status" = $TOO_LONG ] && is_fast_now "${names[$pid]}"; then
    printf 'fuzz: %s ended early: the machine was busy\n' "${names[$pid]}" >&2
  elif [ "$status" != 0 ]; then
    findings=$((findings + 1))
    printf '\nfuzz: %s breaks a promise:\n' "${names[$pid]}" >&2
    tail -n 40 "$logs/${names[$pid]}" >&2
  fi
  unset "names[$pid]"
}

for target in "${targets[@]}"; do
  if [ ${#names[@]} -ge "$jobs" ]; then
    one_ends
  fi
  fuzz "$target" &
  names[$!]=$target
done
while [ ${#names[@]} -gt 0 ]; do
  one_ends
done

# The fewest and smallest inputs that together reach all that was reached.
keep_least() {
  local merged=$logs/merged.$1 name
  local -a least
  mkdir -p "$merged"
  "$programs/$1" -set_cover_merge=1 -max_len=$LONGEST_KEPT -rss_limit_mb=$MOST_MIB \
    "$merged" "fuzz/corpus/$1" "fuzz/found/$1" >"$logs/merge.$1" 2>&1 ||
    fail "merging $1: $(tail -n 5 "$logs/merge.$1")"
  # shellcheck disable=SC2012 # names are hashes
  mapfile -t least < <(ls -Sr "$merged")
  rm -rf "fuzz/corpus/$1"
  mkdir -p "fuzz/corpus/$1"
  for name in "${least[@]:0:MOST_KEPT}"; do
    mv "$merged/$name" "fuzz/corpus/$1/"
  done
}

echo '| target | inputs tried | code reached | slowest, s | inputs kept |'
echo '|---|---|---|---|---|'
for target in "${targets[@]}"; do
  if [ -n "$keep" ]; then
    keep_least "$target"
  fi
  tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target")
  code=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$logs/$target" | tail -n 1)
  slowest=$(sed -n 's/^stat::slowest_unit_time_sec: *//p' "$logs/$target")
  kept=$(find "fuzz/corpus/$target" -type f | wc -l)
  echo "| $target | ${tried:-none} | ${code:-none} | ${slowest:-none} | $kept |"
done
printf '%s targets for %s s each, %s findings\n' "${#targets[@]}" "$seconds" "$findings"
[ "$findings" = 0 ]
