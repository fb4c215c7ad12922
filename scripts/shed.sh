#!/usr/bin/env bash
# Shows what load shedding is for: three times the load that can be borne, with
# and without it. Prints a table.
#
#   scripts/shed.sh [--rounds N] [--seconds N] [--tidegate PATH] [--cases "NAME..."]
#
# Clients send at random moments whether or not they are answered: a tenth of
# the requests is for a route of high priority, three tenths for one of low.
# What is not answered within a second is no use to them. The load is measured
# first: as many answers as clients get who ask again as soon as they are
# answered is the peak, a half of that is quiet.
#
#   slow   servers that bear 20 requests at a time, 50 ms each
#   cpu    a quick server; one worker of ours compresses what it says
#   plain  a quick server; wrk asks one worker of ours over 1000 connections
#          for the route of low priority, beside 100 requests a second for the
#          one of high. Here a refusal costs a good part of what an answer does.
#
# Every run has a fresh process. Rounds are interleaved; figures are medians.

set -euo pipefail
cd "$(dirname "$0")/.."

rounds=3
seconds=12
tidegate=
cases="slow cpu plain"

fail() { echo "shed: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case "$1" in
        --rounds | --seconds | --tidegate | --cases)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case "$1" in
                --rounds) rounds=$2 ;;
                --seconds) seconds=$2 ;;
                --tidegate) tidegate=$2 ;;
                --cases) cases=$2 ;;
            esac
            shift 2
            ;;
        -h | --help) sed -n '2,22s/^# \{0,1\}//p' "$0"; exit 0 ;;
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
defaults: { $compress }
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

# open RATE HIGH LOW: so many requests a second at random moments, of which
# these parts are of high and of low priority. closed N: N clients that ask
# again as soon as they are answered. Says: answers in time a second, refusals a
# second, and of those of high priority answered in time the share, and p50 and
# p99 of all that were answered, in ms; the first two seconds are left out.
cat > "$dir/clients.py" << 'PYTHON'
import asyncio, collections, random, sys, time

port, seconds, kind = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
numbers = [float(word) for word in sys.argv[4:]]
PATIENCE, WARM, MOST = 1.0, 2.0, 8000
idle = collections.deque()
opened = 0
done = []

def request(path):
    return f"GET /{path} HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n".encode()

REQUESTS = {path: request(path) for path in ("high", "normal", "low")}

class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.got, self.answer = transport, bytearray(), None
    def data_received(self, data):
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        if end < 0 or not self.is_whole(end):
            return
        status, self.got = int(self.got[9:12]), bytearray()
        answer, self.answer = self.answer, None
        if answer and not answer.done():
            answer.set_result(status)
    def is_whole(self, end):
        head = bytes(self.got[:end]).lower()
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            return len(self.got) >= end + 4 + int(head[at + 17:].split(b"\r\n", 1)[0])
        return self.got.endswith(b"0\r\n\r\n")
    def connection_lost(self, error):
        if self.answer and not self.answer.done():
            self.answer.set_result(0)
        self.answer = None

async def ask(path, since):
    global opened
    status = 0
    try:
        if idle:
            connection = idle.pop()
        else:
            if opened >= MOST:
                raise OSError("all connections are in use")
            opened += 1
            _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        connection.answer = answer = loop.create_future()
        connection.transport.write(REQUESTS[path])
        status = await answer
        if status and not connection.transport.is_closing():
            idle.append(connection)
        else:
            opened -= 1
    except OSError:
        pass
    done.append((since - began, path, status, time.monotonic() - since))

async def at_random(rate, high, low):
    following = began
    while following < began + seconds:
        now = time.monotonic()
        while following <= now:
            drawn = random.random()
            path = "high" if drawn < high else "low" if drawn < high + low else "normal"
            task = loop.create_task(ask(path, following))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            following += random.expovariate(rate)
        await asyncio.sleep(max(0.0, following - time.monotonic()))

async def again_and_again():
    while time.monotonic() < began + seconds:
        await ask("normal", time.monotonic())

async def main():
    global loop, began, tasks
    loop, began, tasks = asyncio.get_running_loop(), time.monotonic(), set()
    if kind == "open":
        await at_random(*numbers)
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)
        # Who still waits has waited too long.
        unanswered = len(tasks)
        for task in tasks:
            task.cancel()
    else:
        await asyncio.gather(*(again_and_again() for _ in range(int(numbers[0]))))
        unanswered = 0
    seen = [each for each in done if each[0] >= WARM]
    span = seconds - WARM
    good = sum(1 for each in seen if each[2] == 200 and each[3] <= PATIENCE)
    shed = sum(1 for each in seen if each[2] == 503)
    high = sorted(each[3] for each in seen if each[1] == "high" and each[2] == 200)
    asked = sum(1 for each in seen if each[1] == "high")
    intime = sum(1 for took in high if took <= PATIENCE)
    quantile = lambda part: high[min(len(high) - 1, int(len(high) * part))] * 1000 if high else 0
    print(f"{good / span:.1f} {shed / span:.1f} {100 * intime / max(1, asked):.1f}"
          f" {quantile(0.5):.1f} {quantile(0.99):.1f} {unanswered}")

random.seed(1)
asyncio.run(main())
PYTHON

clients() { python3 "$dir/clients.py" "$port" "$@"; }

# wrk on the low route beside the clients of the high one; its answers count.
plain() { # CONNECTIONS
    local out="$dir/wrk" told
    wrk --threads 1 --connections "$1" --duration "${seconds}s" "http://127.0.0.1:$port/low" > "$out" &
    pids[wrk]=$!
    told=$(clients "$seconds" open 100 1 0)
    wait "${pids[wrk]}" || fail "wrk: $(cat "$out")"
    unset "pids[wrk]"
    # shellcheck disable=SC2086 # split into fields
    set -- $told
    awk -v seconds="$seconds" -v high="$1" -v rest="$3 $4 $5 $6" '
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
        *) clients "$seconds" "$@" ;;
    esac | tee -a "$dir/figures.$name.$row" > "$dir/last"
    end tidegate
}

median() { # FILE COLUMN
    awk -v column="$2" '{ print $column }' "$1" | sort -g \
        | awk '{ all[NR] = $1 } END { print (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'
}

print_row() { # CASE ROW WHAT
    local file="$dir/figures.$1.$2" column figures=()
    for column in 1 2 3 4 5; do figures+=("$(median "$file" "$column")"); done
    printf '| %-5s | %-38s | %9s | %9s | %9s | %9s | %9s |\n' "$1" "$3" "${figures[@]}"
}

python3 "$dir/slow.py" "$slow" &
pids[slow]=$!
nginx -c "$dir/nginx/nginx.conf" -p "$dir/nginx" > "$dir/nginx/out" 2>&1 &
pids[nginx]=$!

# What is borne, and the shedding that keeps it.
latency_of() { case "$1" in slow) echo 75ms ;; cpu) echo 15ms ;; plain) echo 10ms ;; esac; }

for name in $cases; do
    case "$name" in
        slow | cpu)
            run "$name" peak "{}" closed 40
            peak=$(awk '{ print $1 }' "$dir/last")
            half=$(awk -v peak="$peak" 'BEGIN { print peak / 2 }')
            thrice=$(awk -v peak="$peak" 'BEGIN { print peak * 3 }')
            quiet=(open "$half" 0.1 0.3) load=(open "$thrice" 0.1 0.3)
            ;;
        plain)
            run "$name" peak "{}" plain 64
            quiet=(open 100 1 0) load=(plain 1000)
            ;;
        *) fail "no case \`$name\`" ;;
    esac
    latency=$(latency_of "$name")
    for ((round = 1; round <= rounds; round++)); do
        run "$name" quiet "{}" "${quiet[@]}"
        run "$name" off "{}" "${load[@]}"
        run "$name" latency "{ latency: $latency }" "${load[@]}"
        run "$name" both "{ latency: $latency, queue: 32 }" "${load[@]}"
        echo "$name: round $round of $rounds" >&2
    done
done

echo "Machine: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)," \
    "$(nproc) cores, Linux $(uname -r); $("$tidegate" --version)"
echo "median of $rounds rounds of $seconds s, the first 2 s of each left out"
echo
echo '| case  | load                                   | answers/s | refused/s | high in % | p50 ms    | p99 ms    |'
echo '|-------|----------------------------------------|-----------|-----------|-----------|-----------|-----------|'
for name in $cases; do
    latency=$(latency_of "$name")
    print_row "$name" peak "peak, asked again and again"
    print_row "$name" quiet "quiet"
    print_row "$name" off "overload, \`shed\` off"
    print_row "$name" latency "overload, \`latency: $latency\`"
    print_row "$name" both "overload, and \`queue: 32\`"
done
