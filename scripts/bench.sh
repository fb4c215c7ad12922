#!/usr/bin/env bash
# Compares Tidegate with nginx and HAProxy on this machine: speed under load,
# and the memory of idle connections. Prints one table for each.
#
#   scripts/bench.sh [--rounds N] [--seconds N] [--idle N] [--tidegate PATH]
#                    [--pingora PATH] [--proxies "NAME..."]
#   scripts/bench.sh waf [--help]      what rules against attacks cost, see there
#   scripts/bench.sh cache [--help]    what hits of the cache cost, see there
#
# Each proxy has one worker and stands before the same nginx, which answers
# 1 KiB. Each writes an access log with the same fields to a file: nginx and
# HAProxy as they come, a write a line; `nginx-batch` and Tidegate gather
# lines. `pingora` is the bare proxy of benches/bare.rs, without a log, a route
# or a header field of its own: the ground that Tidegate stands on. Not run
# unless named: `single-2` and `stealing-2`, the same with two threads, either
# with a runtime and a socket each, or in one runtime that steals work; and
# `tidegate-2`, Tidegate with two threads, whose connections one task accepts;
# and `guarded`, Tidegate with everything on that a clean request passes and that
# is off by default: lists of networks, limits, bans, shedding, the security log.
# Rounds are interleaved and their order turns, so that a machine that slows
# down slows all of them; the figures are medians. Ratios are to nginx.

set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = waf ]; then
    shift
    exec python3 scripts/waf/through.py "$@"
fi
if [ "${1:-}" = cache ]; then
    shift
    exec python3 scripts/cache/hits.py "$@"
fi

rounds=5
seconds=4
idle=8000
tidegate=
pingora=
names="nginx nginx-batch haproxy pingora tidegate"

fail() { echo "bench: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case "$1" in
        --rounds | --seconds | --idle | --tidegate | --pingora | --proxies)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case "$1" in
                --rounds) rounds=$2 ;;
                --seconds) seconds=$2 ;;
                --idle) idle=$2 ;;
                --tidegate) tidegate=$2 ;;
                --pingora) pingora=$2 ;;
                --proxies) names=$2 ;;
            esac
            shift 2
            ;;
        -h | --help) sed -n '2,22s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "unknown option $1" ;;
    esac
done
for number in "$rounds" "$seconds" "$idle"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || fail "\`$number\` is no number above 0"
done

export PATH="$PATH:/usr/sbin"
missing=
for part in nginx:nginx-light haproxy:haproxy wrk:wrk python3:python3 curl:curl; do
    command -v "${part%%:*}" > /dev/null || missing+=" ${part##*:}"
done
[ -z "$missing" ] || fail "missing; run: apt-get install$missing"

# A proxy holds one descriptor for each idle client, and some for itself.
files=$((idle + 1000))
# shellcheck disable=SC3045 # bash has ulimit -S
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt "$files" ]; then
    ulimit -S -n "$files" 2> /dev/null \
        || fail "$idle idle connections need $files open files, ulimit -n allows $(ulimit -Hn)"
fi

if [ -z "$tidegate" ]; then
    cargo build --release --locked --bin tidegate
    tidegate=${CARGO_TARGET_DIR:-target}/release/tidegate
fi
[ -x "$tidegate" ] || fail "$tidegate is no program"
tidegate=$(readlink -f "$tidegate")

if [ -z "$pingora" ]; then
    pingora=$(cargo build --release --locked --bench bare --message-format=json 2> /dev/null \
        | sed -n 's/.*"name":"bare".*"executable":"\([^"]*\)".*/\1/p')
fi
[ -x "$pingora" ] || fail "\`$pingora\` is no program; build it: cargo build --release --bench bare"

dir=$(mktemp -d)
declare -A pids=() ports=()
load=

end() { # PID...: ends processes of ours and waits until they are gone
    local pid
    for pid in "$@"; do
        kill "$pid" 2> /dev/null || true
    done
    for pid in "$@"; do
        wait "$pid" 2> /dev/null || true
    done
}
finish() {
    end ${load:+"$load"} "${pids[@]}"
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The four parts, each on a port of 127.0.0.1 that the kernel picked. ---

read -r "ports[origin]" "ports[nginx]" "ports[nginx-batch]" "ports[haproxy]" "ports[pingora]" \
    "ports[tidegate]" "ports[admin]" "ports[single-2]" "ports[stealing-2]" "ports[tidegate-2]" \
    "ports[admin-2]" "ports[guarded]" "ports[admin-guarded]" < <(
    python3 - <<'PYTHON'
import socket
held = [socket.socket() for _ in range(13)]
for each in held:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in held))
PYTHON
)

# What both nginx have in common: one process, its files in the folder.
nginx_config() { # NAME BODY
    mkdir -p "$dir/$1"
    cat > "$dir/$1/nginx.conf" << CONFIG
daemon off; master_process off; worker_processes 1;
pid $dir/$1/pid; error_log $dir/$1/error.log warn;
worker_rlimit_nofile $files;
events { worker_connections $((files - 100)); }
http {
  client_body_temp_path $dir/$1/body; proxy_temp_path $dir/$1/proxy;
  fastcgi_temp_path $dir/$1/fastcgi; uwsgi_temp_path $dir/$1/uwsgi; scgi_temp_path $dir/$1/scgi;
  keepalive_timeout 600s; keepalive_requests 1000000000;
  server_tokens off; tcp_nodelay on;
  $2
}
CONFIG
}

answer=$(printf '%1024s' '' | tr ' ' x)
nginx_config origin "
  access_log off;
  server {
    listen 127.0.0.1:${ports[origin]} backlog=4096;
    location / { default_type text/plain; return 200 '$answer'; }
  }"

nginx_proxy() { # NAME LOG-OPTIONS
  nginx_config "$1" "
  log_format equal escape=json '{\"time\":\"\$time_iso8601\",\"duration_ms\":\$request_time,'
    '\"client_ip\":\"\$remote_addr\",\"peer_ip\":\"\$realip_remote_addr\",'
    '\"listener\":\"\$server_addr:\$server_port\",\"protocol\":\"\$server_protocol\",'
    '\"method\":\"\$request_method\",\"host\":\"\$host\",\"path\":\"\$uri\",\"query\":\"\$args\",'
    '\"status\":\$status,\"bytes_in\":\$request_length,\"bytes_out\":\$bytes_sent,'
    '\"route\":\"bench\",\"upstream\":\"app\",\"server\":\"\$upstream_addr\",'
    '\"upstream_status\":\"\$upstream_status\",\"connect_ms\":\"\$upstream_connect_time\",'
    '\"first_byte_ms\":\"\$upstream_header_time\",\"referer\":\"\$http_referer\",'
    '\"user_agent\":\"\$http_user_agent\",\"request_id\":\"\$request_id\"}';
  access_log $dir/$1/access.log equal $2;
  upstream app { server 127.0.0.1:${ports[origin]}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${ports[$1]} backlog=4096;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection '';
      proxy_set_header Host \$host;
      proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto \$scheme;
      proxy_set_header X-Forwarded-Host \$host;
      proxy_set_header X-Request-Id \$request_id;
    }
  }"
}
nginx_proxy nginx ""
nginx_proxy nginx-batch "buffer=64k flush=1s"

mkdir -p "$dir"/{haproxy,pingora,single-2,stealing-2,tidegate,tidegate-2,guarded}
cat > "$dir/haproxy/haproxy.cfg" << CONFIG
global
  nbthread 1
  maxconn $(((files - 200) / 2 > idle + 100 ? (files - 200) / 2 : idle + 100))
  no strict-limits
  log stdout format raw local0
defaults
  mode http
  log global
  option http-keep-alive
  http-reuse always
  timeout connect 1s
  timeout client 600s
  timeout server 30s
  timeout http-keep-alive 600s
  timeout http-request 10s
  unique-id-format %{+X}o%ci%cp%Ts%rt
  unique-id-header X-Request-Id
  log-format '{"time":"%trl","duration_ms":%Ta,"client_ip":"%ci","peer_ip":"%ci","listener":"%fi:%fp","protocol":"%HV","method":"%HM","host":"%[capture.req.hdr(0)]","path":"%HP","query":"%HQ","status":%ST,"bytes_in":%U,"bytes_out":%B,"route":"%f","upstream":"%b","server":"%s","attempts":%rc,"upstream_status":%ST,"connect_ms":%Tc,"first_byte_ms":%Tr,"referer":"%[capture.req.hdr(1)]","user_agent":"%[capture.req.hdr(2)]","request_id":"%ID"}'
frontend bench
  bind 127.0.0.1:${ports[haproxy]} backlog 4096
  capture request header Host len 64
  capture request header Referer len 128
  capture request header User-Agent len 128
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend app
backend app
  server one 127.0.0.1:${ports[origin]} pool-max-conn 128
CONFIG

# Ten routes; requests of the bench take the ninth, by a host and a prefix.
tidegate_config() { # NAME THREADS ADMIN
    cat > "$dir/$1/tidegate.yaml" << CONFIG
server:
  threads: $2
  pid_file: $dir/$1/run/tidegate.pid
  upgrade_sock: $dir/$1/run/tidegate.sock
  connections_per_client: $files
admin: { listen: "127.0.0.1:${ports[$3]}", token: only-for-this-bench-0 }
log: { level: warn, access: { to: $dir/$1/access.log, format: json } }
listeners:
  - address: 127.0.0.1:${ports[$1]}
    timeouts: { idle: 10m }
    limits: { requests_per_connection: 1000000000 }
upstreams:
  app: { servers: ["127.0.0.1:${ports[origin]}"], connections: { idle: 128 } }
# What rules against attacks cost is measured beside ModSecurity, by scripts/bench.sh waf.
defaults: { waf: off }
routes:
  - { name: static, match: { hosts: [bench.example], path_prefix: /static/ }, upstream: app }
  - { name: login, match: { hosts: [bench.example], path: /login, methods: [POST] }, upstream: app }
  - { name: beta, match: { path_prefix: /api/, headers: { x-version: "2" } }, upstream: app }
  - { name: api, match: { path_prefix: /api/ }, upstream: app }
  - { name: old, match: { path_prefix: /old/ }, redirect: { to: "/new/{rest}" } }
  - { name: ping, match: { path: /ping }, respond: { status: 200, body: pong } }
  - { name: shop, match: { hosts: ["*.shop.example"] }, upstream: app }
  - { name: item, match: { path_regex: "/item/[0-9]+" }, upstream: app }
  - { name: bench, match: { hosts: [bench.example], path_prefix: /bench/ }, upstream: app }
  - { name: rest, upstream: app }
CONFIG
}
tidegate_config tidegate 1 admin

# The same, and what of it concerns a clean request.
tidegate_config guarded 1 admin-guarded
python3 - "$dir/guarded/tidegate.yaml" "$dir/guarded" << 'PYTHON'
import sys
path, folder = sys.argv[1:]
text = open(path).read()
with open(f"{folder}/deny.txt", "w") as deny:
    for n in range(100_000):
        deny.write(f"100.{64 + n // 65536}.{n // 256 % 256}.{n % 256}\n")
with open(path, "w") as out:
    out.write(text
        .replace("log: {", f"log: {{ security: {{ to: {folder}/security.log }},")
        .replace("server:\n", "server:\n  shed: { queue: 10000, latency: 10s }\n")
        .replace("{ name: bench,", "{ name: bench, rate_limits: [all, most], access: { methods: [GET], "
            f"deny: [{{ file: {folder}/deny.txt }}], user_agents: {{ deny: [badbot, sqlmap] }} }},"))
    out.write("rate_limits:\n"
        "  all: { key: client_ip, rate: 1000000/s, burst: 1000000 }\n"
        "  most: { key: { header: user-agent }, rate: 1000000/s, burst: 1000000 }\n"
        "bans:\n  after: 20\n  list:\n")
    for n in range(10_000):
        out.write(f"    - 198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}\n")
PYTHON
tidegate_config tidegate-2 2 admin-2

bare() { # NAME RUNTIME THREADS
    exec "$pingora" "127.0.0.1:${ports[$1]}" "127.0.0.1:${ports[origin]}" "$2" "$3"
}
start() { # NAME: starts it and waits until it answers
    local name=$1 out="$dir/$1/out"
    case "$name" in
        origin | nginx | nginx-batch) nginx -c "$dir/$name/nginx.conf" -p "$dir/$name" > "$out" 2>&1 & ;;
        haproxy) haproxy -db -f "$dir/haproxy/haproxy.cfg" > "$dir/haproxy/access.log" 2> "$out" & ;;
        pingora) bare pingora single 1 > "$out" 2>&1 & ;;
        single-2) bare single-2 single 2 > "$out" 2>&1 & ;;
        stealing-2) bare stealing-2 stealing 2 > "$out" 2>&1 & ;;
        tidegate | tidegate-2 | guarded) (cd "$dir/$name" && exec "$tidegate" -c tidegate.yaml) > "$out" 2>&1 & ;;
    esac
    pids[$name]=$!
    for _ in $(seq 200); do
        if ask "$name"; then return; fi
        kill -0 "${pids[$name]}" 2> /dev/null || break
        sleep 0.05
    done
    cat "$out" "$dir/$name"/error.log >&2 2> /dev/null || true
    fail "$name did not start"
}
ask() { # NAME: whether it answers as it should
    local got
    got=$(curl --silent --noproxy '*' --max-time 5 -H 'Host: bench.example' "$(url "$1")" || true)
    [ "$got" = "$answer" ]
}
url() { echo "http://127.0.0.1:${ports[$1]}/bench/1k?n=1"; }

# --- What the kernel says of a process. ---

# User and system time of all its threads so far, in microseconds.
cpu() {
    local stat
    stat=$(< "/proc/${pids[$1]}/stat")
    # shellcheck disable=SC2086 # split into fields, after the name in brackets
    set -- ${stat##*) }
    echo $(((${12} + ${13}) * 1000000 / $(getconf CLK_TCK)))
}
rss() { awk '/^VmRSS:/ { print $2 }' "/proc/${pids[$1]}/status"; }

# --- Under load. ---

measure() { # NAME SECONDS: requests/s, CPU per request, p50, p99 in us, RSS in KiB
    local before after out="$dir/wrk.$1"
    before=$(cpu "$1")
    wrk --threads 1 --connections 64 --duration "${2}s" --latency \
        -H 'Host: bench.example' -H 'User-Agent: wrk' "$(url "$1")" > "$out" &
    load=$!
    wait "$load" || fail "wrk: $(cat "$out")"
    load=
    after=$(cpu "$1")
    if grep -E 'Non-2xx|Socket errors' "$out" >&2; then fail "$1 failed requests"; fi
    awk -v cpu=$((after - before)) -v rss="$(rss "$1")" '
        function us(text) {
            if (text ~ /us$/) return text + 0
            if (text ~ /ms$/) return text * 1000
            if (text ~ /m$/) return text * 60000000
            return text * 1000000
        }
        $1 == "50%" { p50 = us($2) }
        $1 == "99%" { p99 = us($2) }
        / requests in / { count = $1 }
        /^Requests\/sec:/ { rate = $2 }
        END {
            if (!count) exit 1
            printf "%.0f %.3f %.0f %.0f %d\n", rate, cpu / count, p50, p99, rss
        }' "$out" || fail "no figures from wrk: $(cat "$out")"
}

read -r -a proxies <<< "$names"

under_load() {
    local round turn name
    for name in "${proxies[@]}"; do
        start "$name"
        measure "$name" 1 > /dev/null # caches, pools and branch predictors are warm
    done
    for ((round = 0; round < rounds; round++)); do
        for ((turn = 0; turn < ${#proxies[@]}; turn++)); do
            name=${proxies[$(((round + turn) % ${#proxies[@]}))]}
            measure "$name" "$seconds" | tee -a "$dir/figures.$name" > /dev/null
        done
        echo "round $((round + 1)) of $rounds" >&2
    done
    for name in "${proxies[@]}"; do
        case "$name" in pingora | single-2 | stealing-2) continue ;; esac
        grep -q '"request_id":' "$dir/$name/access.log" || fail "$name wrote no access log"
    done
}

# --- Idle connections. ---

# Opens connections, asks each once, says when all are idle, and checks at the
# end that not one of them was closed.
cat > "$dir/idle.py" << 'PYTHON'
import selectors, socket, sys

port, count = int(sys.argv[1]), int(sys.argv[2])
request = b"GET /bench/1k?n=1 HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: idle\r\n\r\n"
held = []
for _ in range(count):
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(request)
    got = b""
    while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < 1024:
        piece = client.recv(65536)
        if not piece:
            sys.exit(f"connection {len(held) + 1} was closed: {got[:200]}")
        got += piece
    if not got.startswith(b"HTTP/1.1 200"):
        sys.exit(f"connection {len(held) + 1}: {got[:200]}")
    held.append(client)
print("idle", flush=True)
sys.stdin.read()
readable = selectors.DefaultSelector()
for client in held:
    readable.register(client, selectors.EVENT_READ)
closed = len(readable.select(timeout=0))
if closed:
    sys.exit(f"{closed} of {count} idle connections were closed")
PYTHON

idle_memory() { # NAME: KiB per idle connection, and the RSS before and after
    local name=$1 before after out said
    # A fresh process: memory kept from the load would hide what connections cost.
    end "${pids[$name]}"
    start "$name"
    for _ in $(seq 20); do ask "$name" || fail "$name does not answer"; done
    before=$(rss "$name")
    coproc clients { exec python3 "$dir/idle.py" "${ports[$name]}" "$idle"; }
    # shellcheck disable=SC2154 # coproc sets it.
    load=$clients_PID
    out=${clients[0]} said=
    read -r said <&"$out" || true
    [ "$said" = idle ] || fail "$name does not hold $idle idle connections"
    sleep 1 # what a proxy does after an answer is done
    after=$(rss "$name")
    local in=${clients[1]}
    exec {in}>&-
    wait "$load" || fail "$name closed idle connections"
    load=
    awk -v before="$before" -v after="$after" -v count="$idle" \
        'BEGIN { printf "%.2f %d %d\n", (after - before) / count, before, after }'
}

# --- The tables. ---

median() { # FILE COLUMN
    awk -v column="$2" '{ print $column }' "$1" | sort -g \
        | awk '{ all[NR] = $1 } END { print (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'
}

machine() {
    echo "Machine: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)," \
        "$(nproc) cores, Linux $(uname -r)"
    echo "Versions: $(nginx -v 2>&1 | sed 's/.*: //')," \
        "$(haproxy -v | sed -n '1s/^HAProxy version \([^ ]*\).*/haproxy \1/p')," \
        "$("$tidegate" --version)"
}

print_load() {
    local name column row
    local -a base=()
    for column in 1 2 3 4 5; do base+=("$(median "$dir/figures.${proxies[0]}" "$column")"); done
    echo "1 KiB answers, 64 keep-alive connections, one worker, access log to a file"
    echo "median of $rounds rounds of $seconds s; in brackets the ratio to ${proxies[0]}"
    echo
    echo '| proxy       | requests/s     | CPU us/request | p50 us         | p99 us         | RSS MiB        |'
    echo '|-------------|----------------|----------------|----------------|----------------|----------------|'
    for name in "${proxies[@]}"; do
        row=
        for column in 1 2 3 4 5; do
            row+="$(median "$dir/figures.$name" "$column") ${base[column - 1]} "
        done
        awk -v name="$name" -v row="$row" 'BEGIN {
            split(row, n, " ")
            printf "| %-11s |", name
            for (i = 1; i <= 5; i++) {
                value = n[2 * i - 1]
                if (i == 5) value = sprintf("%.1f", value / 1024)
                else if (i == 2) value = sprintf("%.2f", value)
                else value = sprintf("%.0f", value)
                printf " %-14s |", sprintf("%s (%.2f)", value, n[2 * i - 1] / n[2 * i])
            }
            print ""
        }'
    done
}

print_idle() {
    local name each before after
    echo "$idle idle keep-alive connections, one request each before"
    echo
    echo '| proxy       | KiB/connection | RSS before KiB | RSS after KiB  |'
    echo '|-------------|----------------|----------------|----------------|'
    for name in "${proxies[@]}"; do
        read -r each before after < "$dir/idle.$name"
        printf '| %-11s | %-14s | %-14s | %-14s |\n' "$name" "$each" "$before" "$after"
    done
}

start origin
under_load
for name in "${proxies[@]}"; do
    idle_memory "$name" > "$dir/idle.$name"
done
machine
echo
print_load
echo
print_idle
