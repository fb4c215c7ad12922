#!/usr/bin/env bash
# Replaces a running tidegate by a new process. No connection is refused or
# lost; if anything fails, the running one serves on, and the exit code is 1.
#
#   scripts/upgrade.sh [-b BINARY] [PID_FILE]
#
# PID_FILE is that of `server.pid_file`, run/tidegate.pid if not given. BINARY
# is the new program; if not given, what now lies where the running one was
# started from. It is started in the folder and with the arguments of the
# running one (-d and -c among them), and with the environment of this script.
# It needs Linux, and the rights of the running process's user or root.
set -euo pipefail

# The new process waits a minute for the sockets, the old one as long for its word.
readonly patience=150
readonly pause=0.1

say() { printf 'upgrade: %s\n' "$*"; }

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
}

# Whether a process is there, and no zombie.
runs() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  [ "${stat%% *}" != Z ]
}

# Whether a process has one of the sockets whose inodes come in.
has_one_of() {
  local inodes own
  inodes=$(sed 's/.*/socket:[&]/')
  [ -n "$inodes" ] || return 1
  own=$(find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null || true)
  grep -Fxq -e "$inodes" <<<"$own"
}

waits_for_sockets() {
  awk '$4 == "00010000" { print $7 }' "/proc/$1/net/unix" 2>/dev/null | has_one_of "$1"
}

listens() {
  cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null |
    awk '$4 == "0A" { print $10 }' | has_one_of "$1"
}

named() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  printf '%s' "$pid"
}

# The processes of the upgrade: the one started, and the one that the pid file
# names by now, which may be another one in the background.
successors() {
  local pid
  for pid in "$new" "$(named || true)"; do
    if [ -n "$pid" ] && [ "$pid" != "$old" ] && runs "$pid"; then
      printf '%s\n' "$pid"
    fi
  done | sort -u
}

# Ends what was started, and waits a while for it to end.
end_successors() {
  local pid pids last=$((SECONDS + 10)) named_by=$SECONDS
  # Whoever goes into the background just now is named a little later.
  runs "$new" && named_by=$((SECONDS + 2))
  while [ $SECONDS -lt $last ]; do
    pids=$(successors)
    [ -n "$pids" ] || [ $SECONDS -lt $named_by ] || return 0
    for pid in $pids; do
      # Unless the sockets are its alone by now.
      ! listens "$pid" || listens "$old" || return 0
      kill -TERM "$pid" 2>/dev/null || true
    done
    sleep $pause
  done
}

fail() {
  trap '' INT TERM
  say "failed: $*" >&2
  end_successors
  local pid
  for pid in $(successors); do
    if listens "$pid"; then
      say "process $pid has the sockets" >&2
    else
      say "process $pid has not ended" >&2
    fi
  done
  if ! runs "$old"; then
    say "process $old has ended, too" >&2
  elif listens "$old"; then
    say "process $old serves on" >&2
  else
    say "process $old takes no more connections" >&2
  fi
  exit 1
}

binary=
while getopts 'b:h' option; do
  case $option in
    b) binary=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -le 1 ] || usage
pid_file=$(realpath -m -- "${1:-run/tidegate.pid}")

if ! old=$(named) || ! runs "$old"; then
  say "failed: $pid_file names no running process; name the right file" >&2
  exit 1
fi
if ! here=$(readlink "/proc/$old/cwd") || ! program=$(readlink "/proc/$old/exe"); then
  say "failed: process $old belongs to another user; only that one or root may replace it" >&2
  exit 1
fi
binary=$(realpath -m -- "${binary:-${program% (deleted)}}")
if [ ! -x "$binary" ]; then
  say "failed: $binary is no program; process $old serves on" >&2
  exit 1
fi

arguments=(-u)
mapfile -d '' -t words <"/proc/$old/cmdline"
for word in "${words[@]:1}"; do
  case $word in
    --upgrade) ;;
    --* | -) arguments+=("$word") ;;
    # Several letters in one word; what follows a c is the name of a file.
    -*)
      letters=${word%%c*}
      rest=${word#"$letters"}
      word=${letters//u/}$rest
      [ "$word" = - ] || arguments+=("$word")
      ;;
    *) arguments+=("$word") ;;
  esac
done

# What the old one wrote to the new one writes to, and not to whoever runs this:
# a terminal or a pipe that would have to stay open for as long as it serves.
# What cannot be opened a second time (a socket) is taken from here.
out=/dev/fd/1 err=/dev/fd/2
if { : >>"/proc/$old/fd/1"; } 2>/dev/null; then
  out=/proc/$old/fd/1
fi
if { : >>"/proc/$old/fd/2"; } 2>/dev/null; then
  err=/proc/$old/fd/2
fi
# Stays the same file, whoever ends.
err=$(readlink -e "$err" || echo "$err")
before=$(stat -Lc %s "$err")

# The new process has ended early: what it said, or where that is.
fail_start() {
  if [ -f "$err" ]; then
    tail -c "+$((before + 1))" "$err" | head -n 20 >&2
    fail "the new process has ended, see above and the error log"
  fi
  fail "the new process has ended; what it said is where process $old writes, and in the error log"
}

cd "$here"
say "starting $binary ${arguments[*]}"
"$binary" "${arguments[@]}" >>"$out" 2>>"$err" &
new=$!
trap 'fail "told to stop"' INT TERM

deadline=$((SECONDS + patience))
# One that was told to hand over before did so at once.
until waits_for_sockets "$new" || listens "$new"; do
  runs "$new" || fail_start
  [ $SECONDS -lt $deadline ] || fail "the new process never waited for the sockets"
  sleep $pause
done
listens "$new" || kill -QUIT "$old" || fail "process $old cannot be told to hand over"

# One that goes into the background is another process than the one started.
successor=$new
unserved=0
while true; do
  if [ "$successor" = "$new" ] && ! runs "$new"; then
    wait "$new" || fail_start
    successor=
    deadline=$((SECONDS + patience))
    unnamed=$((SECONDS + 10))
  fi
  if [ -z "$successor" ] && successor=$(named) && [ "$successor" = "$old" ]; then
    successor=
  fi
  if [ -z "$successor" ]; then
    [ $SECONDS -lt "$unnamed" ] || fail "nothing went into the background; the error log says why"
  elif ! runs "$successor"; then
    # What the one started ended with is asked above.
    [ "$successor" = "$new" ] || fail "the new process has ended; the error log says why"
  elif listens "$successor"; then
    # Who only waits for one in the background has the sockets, too.
    if ! listens "$old" && [ "$(successors)" = "$successor" ]; then
      break
    fi
  elif ! runs "$old"; then
    # Not at once: one that just ends has no sockets any more, and is still there.
    unserved=$((unserved + 1))
    [ $unserved -lt 20 ] || fail "process $old ended before another one served"
  fi
  [ $SECONDS -lt $deadline ] || fail "the new process does not serve; the error log says why"
  sleep $pause
done
trap - INT TERM
say "done: process $successor serves; process $old ends with its last request"
