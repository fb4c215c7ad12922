#!/usr/bin/env python3
"""What a hit of the cache costs: nginx, Varnish, HAProxy and Tidegate side by side.

    scripts/bench.sh cache [--rounds N] [--seconds N] [--size BYTES]... [--tidegate PATH]
                           [--only one|many]

Each proxy has one worker (Varnish a pool of threads, as it is made for) and has fetched files of
1 KiB, 64 KiB and 1 MiB from one nginx. That server is ended before anything is measured, so that
whoever asks it fails. Each proxy is asked for one file over 64 connections (8 for 1 MiB) by
h2load, in rounds whose order turns. The table has processor time, user and system, of the proxy's
processes per request, as medians, and in brackets the ratio to nginx in the same round.

nginx has its cache in files, which the kernel holds in memory, keeps them open and sends them with
sendfile; Varnish and HAProxy have theirs in memory. Tidegate has its own in memory, with the
policy, Cache-Status, metrics and an access log on, and is measured once more with a fixed answer,
which is the floor. nginx writes an access log in batches, HAProxy logs to a file, and Varnish
writes its log of shared memory, which nobody reads.

A second table is of hits from a disk, whose files the kernel holds in memory: wrk asks for one of
many files at random, of which Tidegate's memory is too small to hold more than a few. nginx and
Tidegate with enough memory are asked for the same.
Needs what `scripts/setup.sh bench-cache` installs.
"""

import argparse
import http.client
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "waf"))

import proxies  # noqa: E402
from proxies import fail  # noqa: E402
from through import Running, built, print_machine  # noqa: E402

SIZES = [1 << 10, 64 << 10, 1 << 20]
# The kernel tells processor time by the hundredth of a second; less than this says little.
ENOUGH_US = 100_000
LASTS_S = 3600
MEMORY_MIB = 512
# Files of each size, one of which is asked for at random.
MANY = {1 << 10: 8_000, 64 << 10: 512, 1 << 20: 128}
# Memory that holds few of them, yet is to be eight times as large as one.
LITTLE_MIB = {1 << 10: 1, 64 << 10: 1, 1 << 20: 8}
PACKAGES = ["nginx", "varnish", "haproxy"]


def connections(size):
    return 8 if size >= 1 << 20 else 64


def shown(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


class Target:
    """A proxy that is measured."""

    def __init__(self, proxy, title):
        self.proxy, self.title, self.times = proxy, title, {}

    def warm(self, size, files):
        """Asks for files until they are stored: some caches store what is asked for twice."""
        client = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=30)
        for name in [0] * 3 + list(range(files)):
            client.request("GET", f"/{size}/{name}")
            answer = client.getresponse()
            got = (answer.status, len(answer.read()))
            if got != (200, size):
                fail(f"{self.title}: {shown(size)} got {got}")
        client.close()

    def estimate(self, size, seconds):
        """How many requests for one file take it so long."""
        count = 2 * connections(size)
        time_us = self.measure(size, count)
        while count * time_us < ENOUGH_US:
            count *= 4
            time_us = self.measure(size, count)
        return int(max(count, seconds * 1_000_000 / time_us))

    def measure(self, size, count):
        """Asks for one file so often; us of processor time of each."""
        before = self.cpu_us()
        command = ["h2load", "--h1", "-t1", f"-c{connections(size)}", f"-n{count}"]
        command += [f"http://127.0.0.1:{self.proxy.port}/{size}/0"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        used = self.cpu_us() - before
        expected = f"status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx"
        if said.returncode != 0 or expected not in said.stdout:
            fail(f"{self.title}: not {expected}\n{said.stdout}{said.stderr}")
        return used / count

    def measure_many(self, size, seconds, script):
        """Asks for files at random for so long; us of processor time of each."""
        before = self.cpu_us()
        command = ["wrk", "-t1", f"-c{connections(size)}", f"-d{seconds}", "-s", script]
        command += [f"http://127.0.0.1:{self.proxy.port}/", "--", str(size), str(MANY[size])]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        used = self.cpu_us() - before
        asked = re.search(r"(\d+) requests in", said.stdout)
        if said.returncode != 0 or not asked or "Non-2xx" in said.stdout:
            fail(f"{self.title}: {shown(size)} at random\n{said.stdout}{said.stderr}")
        return used / int(asked[1])

    def cpu_us(self):
        """Of the process and its children: Varnish answers in a child."""
        pids, used = [self.proxy.process.pid], 0
        for pid in pids:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                fields = file.read().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
            with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
                pids += [int(child) for child in file.read().split()]
        return used * 1_000_000 / proxies.TICKS


def origin(folder, sizes):
    files = os.path.join(folder, "files")
    for size in sizes:
        os.makedirs(os.path.join(files, str(size)))
        for name in range(MANY[size]):
            with open(os.path.join(files, str(size), str(name)), "wb") as file:
                file.write(os.urandom(size))
    return proxies.nginx(
        folder,
        "origin",
        f"""  access_log off;
  server {{
    listen 127.0.0.1:PORT;
    root {files}; default_type application/octet-stream; expires {LASTS_S}s;
  }}""",
    )


def nginx(folder, server):
    return proxies.nginx(
        folder,
        "nginx",
        f"""  log_format plain '$time_iso8601 $remote_addr "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent" $request_time $upstream_cache_status $request_id';
  access_log DIR/access.log plain buffer=64k flush=1s;
  sendfile on; tcp_nopush on;
  open_file_cache max=10000; open_file_cache_valid 1h;
  proxy_cache_path DIR/cache levels=1:2 keys_zone=all:64m max_size=2g inactive=1h;
  server {{
    listen 127.0.0.1:PORT backlog=1024;
    location / {{
      proxy_pass http://127.0.0.1:{server.port};
      proxy_cache all; proxy_cache_valid 200 1h;
      add_header X-Cache $upstream_cache_status;
    }}
  }}""",
    )


def varnish(folder, server):
    proxy = proxies.Proxy(folder, "varnish", [])
    program = shutil.which("varnishd", path=os.environ["PATH"] + ":/usr/sbin")
    proxy.command = [program, "-F", "-n", proxy.folder, "-a", f"127.0.0.1:{proxy.port}"]
    proxy.command += ["-b", f"127.0.0.1:{server.port}", "-s", f"malloc,{MEMORY_MIB}m"]
    proxy.command += ["-t", str(LASTS_S), "-p", "thread_pools=1"]
    return proxy


def haproxy(folder, server):
    proxy = proxies.Proxy(folder, "haproxy", [])
    config = f"""global
  nbthread 1
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 600s
  timeout server 30s
cache all
  total-max-size {MEMORY_MIB}
  max-object-size {2 << 20}
  max-age {LASTS_S}
frontend in
  bind 127.0.0.1:{proxy.port} backlog 1024
  default_backend server
backend server
  http-request cache-use all
  http-response cache-store all
  server one 127.0.0.1:{server.port}
"""
    written = proxies.write(os.path.join(proxy.folder, "haproxy.cfg"), config)
    program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
    proxy.command = [program, "-db", "-f", written]
    return proxy


def tidegate(folder, name, server, program, cache, route="upstream: app, cache: standard"):
    proxy = proxies.Proxy(folder, name, [program, "-c", "tidegate.yaml"])
    proxy.admin = proxies.free_port()
    proxies.write(
        os.path.join(proxy.folder, "tidegate.yaml"),
        f"""server:
  threads: 1
  pid_file: {proxy.folder}/run/tidegate.pid
  upgrade_sock: {proxy.folder}/run/tidegate.sock
admin: {{ listen: "127.0.0.1:{proxy.admin}", token: only-for-this-bench-0 }}
log: {{ level: error, access: {{ to: {proxy.folder}/access.log, format: json }} }}
listeners:
  - address: 127.0.0.1:{proxy.port}
    timeouts: {{ idle: 10m }}
    limits: {{ requests_per_connection: 1000000000 }}
upstreams:
  app: {{ servers: ["127.0.0.1:{server.port}"] }}
cache: {{ {cache} }}
defaults: {{ waf: off }}
routes:
  - {{ name: bench, match: {{ path_prefix: / }}, {route} }}
""",
    )
    return proxy


def hits_of_one(options, folder, server, program):
    memory = f"memory: {MEMORY_MIB}MiB"
    fixed = f"respond: {{ status: 200, body: {'x' * 1024}, content_type: text/plain }}"
    floor = Target(tidegate(folder, "fixed", server, program, memory, fixed), "Tidegate, fixed")
    targets = [
        Target(nginx(folder, server), "nginx"),
        Target(varnish(folder, server), "Varnish"),
        Target(haproxy(folder, server), "HAProxy"),
        Target(tidegate(folder, "one", server, program, memory), "Tidegate"),
    ]
    with Running([server, floor.proxy, *(target.proxy for target in targets)]):
        for target in targets:
            for size in options.size:
                target.warm(size, 1)
        server.end()
        asked = {size: targets + [floor] * (size == SIZES[0]) for size in options.size}
        counts = {
            (target, size): target.estimate(size, options.seconds)
            for size in options.size
            for target in asked[size]
        }
        in_turns(
            options, asked, lambda target, size: target.measure(size, counts[target, size])
        )
    print("A hit of one file that all ask for\n")
    print_table(options, [*targets, floor])


def hits_of_many(options, folder, server, program):
    script = proxies.write(
        os.path.join(folder, "random.lua"),
        """function init(args)
  prefix, many = "/" .. args[1] .. "/", tonumber(args[2])
end
function request()
  return wrk.format("GET", prefix .. math.random(0, many - 1))
end
""",
    )
    files = os.path.join(folder, "many")
    os.makedirs(files)
    memory = Target(
        tidegate(files, "memory", server, program, f"memory: {MEMORY_MIB}MiB"), "Tidegate, memory"
    )
    others = [Target(nginx(files, server), "nginx"), memory]
    disks = {
        size: Target(
            tidegate(files, f"disk-{size}", server, program, on_disk(size)), "Tidegate, disk"
        )
        for size in options.size
    }
    with Running([server, *(target.proxy for target in [*others, *disks.values()])]):
        for size in options.size:
            for target in [*others, disks[size]]:
                target.warm(size, MANY[size])
        server.end()
        asked = {size: [*others, disks[size]] for size in options.size}
        in_turns(
            options,
            asked,
            lambda target, size: target.measure_many(size, 2 * options.seconds, script),
        )
        print("A hit of one of many files, at random\n")
        disk = Target(None, "Tidegate, disk")
        disk.times = {size: target.times[size] for size, target in disks.items()}
        print_table(options, [*others, disk])
        for size in options.size:
            print(f"{shown(size)}: {from_disk(disks[size].proxy)} % of the last column from a disk")
    print()


def on_disk(size):
    return f"memory: {LITTLE_MIB[size]}MiB, disks: [{{ path: cache/, size: 1GiB }}]"


def from_disk(proxy):
    """Percent of the hits of a process of Tidegate that its disk had."""
    client = http.client.HTTPConnection("127.0.0.1", proxy.admin, timeout=30)
    headers = {"Authorization": "Bearer only-for-this-bench-0"}
    client.request("GET", "/metrics", headers=headers)
    told = client.getresponse().read().decode()
    client.close()
    hits = dict(re.findall(r'cache_requests_total{result="hit",source="(\w+)"} (\d+)', told))
    disk, memory = int(hits.get("disk", 0)), int(hits.get("memory", 0))
    return round(100 * disk / max(1, disk + memory))


def in_turns(options, asked, measure):
    for round_ in range(options.rounds):
        for size, targets in asked.items():
            for turn in range(len(targets)):
                target = targets[(round_ + turn) % len(targets)]
                target.times.setdefault(size, []).append(measure(target, size))
        print(f"round {round_ + 1} of {options.rounds}", file=sys.stderr)


def print_table(options, targets):
    base = targets[0]
    print("us of processor time; in brackets the ratio to nginx, medians")
    print(f"of {options.rounds} rounds of {options.seconds} s of that time each\n")
    print("| size | " + " | ".join(target.title for target in targets) + " |")
    print("|---|" + "---:|" * len(targets))
    for size in options.size:
        cells = []
        for target in targets:
            times = target.times.get(size)
            if not times:
                cells.append("")
                continue
            ratio = statistics.median(a / b for a, b in zip(times, base.times[size]))
            cells.append(f"{statistics.median(times):.1f} ({ratio:.2f})")
        print(f"| {shown(size)} | " + " | ".join(cells) + " |")
    print()


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/bench.sh cache", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--size", action="append", type=int, metavar="BYTES", choices=SIZES)
    parser.add_argument("--tidegate", metavar="PATH")
    parser.add_argument("--only", choices=["one", "many"])
    options = parser.parse_args()
    options.size = options.size or SIZES
    if min(options.rounds, options.seconds) < 1:
        parser.error("--rounds and --seconds must be above 0")
    needed = ["h2load", "wrk", "varnishd", "haproxy", "nginx"]
    places = os.environ["PATH"] + ":/usr/sbin"
    missing = [name for name in needed if not shutil.which(name, path=places)]
    if missing:
        fail(f"missing: {', '.join(missing)}; run scripts/setup.sh bench-cache")
    # nginx keeps each file open that it sends.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    program = built(options.tidegate, "--bin", "tidegate")
    print_machine(program, PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        server = origin(folder, options.size)
        if options.only in (None, "one"):
            hits_of_one(options, folder, server, program)
        if options.only in (None, "many"):
            hits_of_many(options, folder, server, program)


if __name__ == "__main__":
    main()
