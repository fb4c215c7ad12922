#!/usr/bin/env bash
# Shows what load shedding is for: three times the load that can be borne, with
# and without it. Prints a table.
#
#   scripts/shed.sh [--rounds N] [--seconds N] [--cases "NAME..."]
#                   [--tidegate PATH] [--load PATH]
#
# Clients (benches/load) send at random moments whether or not they are
# answered: a tenth of the requests is for a route of high priority, three
# tenths for one of low. What is not answered within a second is no use to them.
# As many answers as clients get who ask again as soon as they are answered is
# the peak, a half of that is quiet, all of it of high priority.
#
#   slow   servers that bear 20 requests at a time, 50 ms each
#   cpu    a quick server; one worker of ours compresses what it says
#   plain  a quick server; wrk asks one worker of ours over 1000 connections
#          for the route of low priority, beside 100 requests a second for the
#          one of high. Here a refusal costs a good part of what an answer does.
#
# Every run has a fresh process. A machine that others share is not the same a
# minute later: so the peak is measured before and after every load with
# shedding, and that is compared with the mean of the two, and times with the
# quiet ones of the same round. Figures are medians of all rounds, beside them
# the lowest and the highest part of the peak. `busy` is the part of its time that
# the worker ran, `ms each` that time for each answer: more of it than at the peak
# is work that was no answer, or a slower machine. Without shedding one run tells
# enough.

set -euo pipefail
cd "$(dirname "$0")/.."

rounds=10
seconds=6
tidegate=
load=
cases="slow cpu plain"

fail() { echo "shed: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case "$1" in
        --rounds | --seconds | --tidegate | --load | --cases)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case "$1" in
                --rounds) rounds=$2 ;;
                --seconds) seconds=$2 ;;
                --tidegate) tidegate=$2 ;;
                --load) load=$2 ;;
                --cases) cases=$2 ;;
            esac
            shift 2
            ;;
        -h | --help) sed -n '2,31s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "unknown option $1" ;;
    esac
done
for number in "$rounds" "$seconds"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || fail "\`$number\` is no number above 0"
done

export PATH="$PATH:/usr/sbin"
missing=
for part in nginx:nginx-light wrk:wrk python3:python3 curl:curl; do
    command -v "${part%%:*}" > /dev/null || missing+=" ${part##*:}"
done
[ -z "$missing" ] || fail "missing; run: apt-get install$missing"
ulimit -S -n 16384 2> /dev/null || true

if [ -z "$tidegate" ]; then
    cargo build --release --locked --bin tidegate
    tidegate=${CARGO_TARGET_DIR:-target}/release/tidegate
fi
[ -x "$tidegate" ] || fail "$tidegate is no program"
tidegate=$(readlink -f "$tidegate")
if [ -z "$load" ]; then
    cargo build --release --locked --package tidegate-load
    load=${CARGO_TARGET_DIR:-target}/release/tidegate-load
fi
[ -x "$load" ] || fail "$load is no program"
load=$(readlink -f "$load")

dir=$(mktemp -d)
declare -A pids=()
end() { # NAME...: ends processes of ours and waits until they are gone
    local name
    for name in "$@"; do
        kill "${pids[$name]}" 2> /dev/null || true
        wait "${pids[$name]}" 2> /dev/null || true
        unset "pids[$name]"
    done
}
finish() {
    end "${!pids[@]}"
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

read -r port admin slow quick < <(python3 - << 'PYTHON'
import socket
held = [socket.socket() for _ in range(4)]
for each in held:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in held))
PYTHON
)

# --- Servers. ---

cat > "$dir/slow.py" << 'PYTHON'
import asyncio, sys

async def main():
    places = asyncio.Semaphore(20)
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                async with places:
                    await asyncio.sleep(0.05)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()

asyncio.run(main())
PYTHON

mkdir -p "$dir/nginx/www"
for path in high normal low; do
    seq 100000 110000 > "$dir/nginx/www/$path"
    mkdir -p "$dir/nginx/www/small"
    printf '%1024s' '' | tr ' ' x > "$dir/nginx/www/small/$path"
done
cat > "$dir/nginx/nginx.conf" << CONFIG
daemon off; master_process off; worker_processes 1;
pid $dir/nginx/pid; error_log $dir/nginx/error.log warn;
worker_rlimit_nofile 16384;
events { worker_connections 8000; }
http {
  client_body_temp_path $dir/nginx/body; proxy_temp_path $dir/nginx/proxy;
  fastcgi_temp_path $dir/nginx/fastcgi; uwsgi_temp_path $dir/nginx/uwsgi; scgi_temp_path $dir/nginx/scgi;
  keepalive_requests 1000000000; access_log off; default_type text/plain; open_file_cache max=100;
  server { listen 127.0.0.1:$quick backlog=4096; root $dir/nginx/www; }
}
CONFIG

# --- Tidegate, in front of one of them. ---

start_tidegate() { # CASE SHED
    local name=$1 shed=$2 server=$quick rewrite="" compress=""
    case "$name" in
        slow) server=$slow ;;
        cpu) compress="compress: { types: [text/*], level: 9 }" ;;
        plain) rewrite="rewrite: { add_prefix: /small }," ;;
    esac
    cat > "$dir/tidegate.yaml" << CONFIG
server:
  threads: 1
  drain: 0s
  pid_file: $dir/run/tidegate.pid
  upgrade_sock: $dir/run/tidegate.sock
  connections: 16000
  connections_per_client: 16000
  requests_per_client: 16000
  shed: $shed
admin: { listen: "127.0.0.1:$admin", token: only-for-this-bench-0 }
log: { level: warn, access: { to: $dir/access.log } }
listeners:
  - { address: "127.0.0.1:$port", limits: { requests_per_connection: 1000000000 } }
upstreams: { app: { servers: ["127.0.0.1:$server"], connections: { idle: 128 } } }
defaults: { waf: off, $compress }
routes:
  - { name: high, match: { path: /high }, $rewrite upstream: app, priority: high }
  - { name: low, match: { path: /low }, $rewrite upstream: app, priority: low }
  - { name: normal, $rewrite upstream: app }
CONFIG
    : > "$dir/access.log"
    "$tidegate" -c "$dir/tidegate.yaml" > "$dir/tidegate.out" 2>&1 &
    pids[tidegate]=$!
    for _ in $(seq 200); do
        [ "$(curl -s --noproxy '*' -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/high")" = 200 ] && return
        kill -0 "${pids[tidegate]}" 2> /dev/null || break
        sleep 0.05
    done
    fail "no answer: $(cat "$dir/tidegate.out")"
}

# --- Clients. ---

# Says: answers in time a second, refusals a second, and of those of high
# priority answered in time the share, and p50 and p99 of all that were answered,
# in ms; how many were told nothing; how busy the worker was, in %.
clients() { "$load" "$port" "${pids[tidegate]}" "$seconds" "$@"; }

# wrk on the low route beside the clients of the high one; its answers count.
plain() { # CONNECTIONS
    local out="$dir/wrk" told
    wrk --threads 1 --connections "$1" --duration "${seconds}s" "http://127.0.0.1:$port/low" > "$out" &
    pids[wrk]=$!
    told=$(clients open 100 1 0)
    wait "${pids[wrk]}" || fail "wrk: $(cat "$out")"
    unset "pids[wrk]"
    # shellcheck disable=SC2086 # split into fields
    set -- $told
    awk -v seconds="$seconds" -v high="$1" -v rest="$3 $4 $5 $6 $7" '
        / requests in / { all = $1 }
        /Non-2xx/ { bad = $NF }
        END { printf "%.1f %.1f %s\n", (all - bad) / seconds + high, bad / seconds, rest }' "$out"
}

# --- Runs. ---

run() { # CASE ROW SHED KIND NUMBER...
    local name=$1 row=$2 shed=$3
    shift 3
    start_tidegate "$name" "$shed"
    case "$1" in
        plain) plain "$2" ;;
        *) clients "$@" ;;
    esac | awk '{ print $0, ($1 > 0 ? sprintf("%.2f", $7 * 10 / $1) : 0) }' | tee -a "$dir/figures.$name.$row" > "$dir/last"
    end tidegate
    awk -v what="$name: $row:" \
        '{ print what, $1 "/s answered, " $2 "/s refused, busy " $7 " %, " $8 " ms each" }' "$dir/last" >&2
}

# The peak: sets `before` to the last one, and `peak`.
run_peak() { # CASE
    before=${peak:-}
    case "$1" in
        plain) run "$1" peak "{}" plain 64 ;;
        *) run "$1" peak "{}" closed 40 ;;
    esac
    peak=$(awk '{ print $1 }' "$dir/last")
}

# Half of the peak: sets `quiet` to its p99.
run_quiet() { # CASE
    case "$1" in
        plain) run "$1" quiet "{}" open 100 1 0 ;;
        *) run "$1" quiet "{}" open "$(awk -v peak="$peak" 'BEGIN { print peak / 2 }')" 1 0 ;;
    esac
    quiet=$(awk '{ print $5 }' "$dir/last")
}

# Three times the peak, with a shedding; then the peak once more.
run_over() { # CASE ROW SHED
    local figures
    case "$1" in
        plain) run "$1" "$2" "$3" plain 1000 ;;
        *) run "$1" "$2" "$3" open "$(awk -v peak="$peak" 'BEGIN { print peak * 3 }')" 0.1 0.3 ;;
    esac
    [ "$2" != off ] || return 0
    figures=$(cat "$dir/last")
    run_peak "$1"
    # shellcheck disable=SC2086 # split into fields
    set -- "$1" "$2" $figures
    awk -v good="$3" -v p99="$7" -v before="$before" -v after="$peak" -v quiet="$quiet" \
        'BEGIN { print 200 * good / (before + after), p99 / quiet }' >> "$dir/ratios.$1.$2"
    tail -n 1 "$dir/ratios.$1.$2" | awk -v what="$1: $2:" \
        '{ printf "%s %.0f %% of the peak and %.1f times the quiet p99\n", what, $1, $2 }' >&2
}

median() { # FILE COLUMN FORMAT
    awk -v column="$2" '{ print $column }' "$1" | sort -g | awk -v format="$3" '
        { all[NR] = $1 } END { printf format, (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'
}

range() { # FILE: of the first column
    sort -g "$1" | awk 'NR == 1 { least = $1 } END { printf " (%.0f to %.0f)", least, $1 }'
}

print_row() { # CASE ROW WHAT
    local file="$dir/figures.$1.$2" ratios="$dir/ratios.$1.$2" cells=()
    cells+=("$(median "$file" 1 %.0f)")
    if [ -e "$ratios" ]; then
        cells+=("$(median "$ratios" 1 '%.0f %%')$(range "$ratios")")
    else
        cells+=("")
    fi
    cells+=("$(median "$file" 2 %.0f)")
    # The peak is asked for what has no high priority.
    if [ "$2" = peak ]; then
        cells+=("" "" "")
    else
        cells+=("$(median "$file" 3 '%.1f %%')" "$(median "$file" 4 %.1f)" "$(median "$file" 5 %.1f)")
    fi
    if [ -e "$ratios" ]; then cells+=("$(median "$ratios" 2 %.1f)"); else cells+=(""); fi
    cells+=("$(median "$file" 7 '%.0f %%')" "$(median "$file" 8 %.2f)")
    printf '| %-5s | %-27s | %9s | %18s | %9s | %7s | %6s | %6s | %11s | %5s | %7s |\n' \
        "$1" "$3" "${cells[@]}"
}

python3 "$dir/slow.py" "$slow" &
pids[slow]=$!
nginx -c "$dir/nginx/nginx.conf" -p "$dir/nginx" > "$dir/nginx/out" 2>&1 &
pids[nginx]=$!

# The shedding that keeps what is borne.
latency_of() { case "$1" in slow) echo 75ms ;; cpu) echo 15ms ;; plain) echo 10ms ;; esac; }

for name in $cases; do
    latency=$(latency_of "$name")
    [ -n "$latency" ] || fail "no case \`$name\`"
    run_peak "$name"
    run_over "$name" off "{}"
    for ((round = 1; round <= rounds; round++)); do
        run_quiet "$name"
        run_over "$name" latency "{ latency: $latency }"
        run_over "$name" both "{ latency: $latency, queue: 32 }"
        echo "$name: round $round of $rounds" >&2
    done
done

echo "Machine: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)," \
    "$(nproc) cores, Linux $(uname -r); $("$tidegate" --version)"
echo "median of $rounds rounds of $seconds s, the first 2 s of each left out"
echo
printf '| %-5s | %-27s | %9s | %18s | %9s | %7s | %6s | %6s | %11s | %5s | %7s |\n' case load answers/s \
    'of peak' refused/s 'high in' 'p50 ms' 'p99 ms' 'times quiet' busy 'ms each'
echo '|-------|-----------------------------|-----------|--------------------|-----------|---------|--------|--------|-------------|-------|---------|'
for name in $cases; do
    latency=$(latency_of "$name")
    print_row "$name" peak "peak, asked again and again"
    print_row "$name" quiet "quiet"
    print_row "$name" off "overload, \`shed\` off"
    print_row "$name" latency "overload, \`latency: $latency\`"
    print_row "$name" both "overload, and \`queue: 32\`"
done
