#!/usr/bin/env python3
"""What rules against attacks cost through a proxy: nginx with ModSecurity, and Tidegate.

    scripts/bench.sh waf [--rounds N] [--seconds N] [--request PART]... [--crs DIRECTORY]
                         [--newer-crs DIRECTORY] [--tidegate PATH] [--judge PATH]
                         [--only proxies|memory|engine]

Five proxies with one worker each stand before the same nginx, which answers 1 KiB: nginx, nginx
with ModSecurity, Tidegate without rules, with the same rules, and with its profile `standard`.
The rules are those of Debian's package modsecurity-crs, blocking, at paranoia level 1; answers
are not judged, and ModSecurity keeps no audit log. Each proxy is asked the requests of
requests.jsonl over 64 connections, by h2load, in rounds whose order turns. The tables have
processor time, user and system, of the proxy's process per request, as medians; "added" is the
median of what a round costs more than the same round of the same proxy without rules.

Before anything is measured, each proxy has to let pass what is harmless and, with rules, to
refuse an attack in a query, a form and a JSON body. While it is measured, each answer counts.

Then it prints how much memory Tidegate has with profiles of those rules and of --newer-crs, if
there is such a directory, and what the engine alone costs beside libmodsecurity, by bench.py.
Needs what `scripts/setup.sh bench-waf` installs.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import proxies
from proxies import fail

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CONNECTIONS = 64
ATTACK = "1%27%20UNION%20SELECT%20username,password%20FROM%20users--%20-"
# Requests that are asked in a row at least.
FEWEST = 2 * CONNECTIONS
# The kernel tells processor time by the hundredth of a second; less than this says little.
ENOUGH_US = 100_000
# Requests of each kind before memory is read.
ASKED = 20
# What is compared, as Debian calls it.
PACKAGES = ["libnginx-mod-http-modsecurity", "nginx", "libmodsecurity3", "modsecurity-crs"]
# Where Debian's package has its settings.
DEBIAN_SETUP = "/etc/modsecurity/crs"


def read_requests(parts):
    with open(os.path.join(HERE, "requests.jsonl"), encoding="utf-8") as file:
        requests = [json.loads(line) for line in file]
    chosen = [r for r in requests if not parts or any(part in r["name"] for part in parts)]
    return chosen or fail("no request has such a name")


def files_of(crs):
    """The files of a directory of rules, in the order in which Debian's own list has them."""
    if os.path.basename(crs) != "modsecurity-crs":
        return [os.path.join(crs, "crs-setup.conf.example"), os.path.join(crs, "rules", "*.conf")]
    own = [os.path.join(DEBIAN_SETUP, name) for name in sorted(os.listdir(DEBIAN_SETUP))]
    setup = [path for path in own if path.endswith("crs-setup.conf")]
    before = [path for path in own if "BEFORE-CRS" in path]
    after = [path for path in own if "AFTER-CRS" in path]
    return setup + before + [os.path.join(crs, "rules", "*.conf")] + after


def attacks(requests):
    """The same attack wherever a request may have one."""
    get = next(r for r in requests if r["method"] == "GET" and not r["is_refused"])
    yield {**get, "name": "attack in a query", "target": f"/products?id={ATTACK}"}
    for kind, body in [
        ("application/x-www-form-urlencoded", f"first_name=Anna&id={ATTACK}"),
        ("application/json", json.dumps({"a": {"id": "1' UNION SELECT password FROM users-- -"}})),
    ]:
        headers = [header for header in get["headers"] if not header[0].startswith("Content-")]
        headers += [["Content-Type", kind], ["Content-Length", str(len(body))]]
        name = f"attack in {kind}"
        yield {"name": name, "method": "POST", "target": "/a", "headers": headers, "body": body}


class Target:
    """A proxy that is measured."""

    def __init__(self, proxy, title, base=None):
        self.proxy, self.title, self.base = proxy, title, base
        self.times = {}

    def verify(self, requests):
        expected = [(r, 403 if r["is_refused"] and self.base else 200) for r in requests]
        expected += [(r, 403 if self.base else 200) for r in attacks(requests)]
        for request, status in expected:
            got = self.proxy.ask(request)
            if got != status:
                fail(f"{self.title}: {request['name']} got {got}, not {status}")

    def estimate(self, request, seconds):
        """How many requests take it so long; caches and pools are warm then."""
        count, time_us = FEWEST, self.measure(request, FEWEST)
        while count * time_us < ENOUGH_US:
            count *= 4
            time_us = self.measure(request, count)
        return max(FEWEST, int(seconds * 1_000_000 / time_us))

    def measure(self, request, count):
        """Asks one request so often; us of processor time of each."""
        with tempfile.NamedTemporaryFile() as body:
            body.write(request.get("body", "").encode())
            body.flush()
            before = self.proxy.cpu_us()
            command = h2load(request, count, self.proxy.port, body.name)
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            used = self.proxy.cpu_us() - before
        refused = 403 if request["is_refused"] and self.base else 200
        expected = f"status codes: {count if refused == 200 else 0} 2xx, 0 3xx, "
        expected += f"{0 if refused == 200 else count} 4xx, 0 5xx"
        if said.returncode != 0 or expected not in said.stdout:
            fail(f"{self.title}: {request['name']}: not {expected}\n{said.stdout}{said.stderr}")
        return used / count


def h2load(request, count, port, body):
    """What asks a request so often, over connections that stay."""
    command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-n{count}"]
    command += ["-H", f":method: {request['method']}"]
    for name, value in request["headers"]:
        name = {"host": ":authority", "content-length": None}.get(name.lower(), name)
        command += ["-H", f"{name}: {value}"] if name else []
    command += ["-d", body] if request.get("body") else []
    return [*command, f"http://127.0.0.1:{port}{request['target']}"]


def through_proxies(options, program, folder, server):
    requests = read_requests(options.request)
    rules = f"core: {{ rules: {{ crs: {options.crs} }} }}"
    plain = Target(proxies.nginx_proxy(folder, "nginx", server), "nginx")
    judged = proxies.nginx_proxy(folder, "modsecurity", server, files_of(options.crs))
    off = Target(proxies.tidegate(folder, "off", server, program), "Tidegate")
    core = proxies.tidegate(folder, "core", server, program, rules, "core")
    standard = proxies.tidegate(folder, "standard", server, program, "", "standard")
    targets = [
        plain,
        Target(judged, "nginx, ModSecurity", plain),
        off,
        Target(core, "Tidegate, the same rules", off),
        Target(standard, "Tidegate, `standard`", off),
    ]
    with Running([target.proxy for target in targets]):
        for target in targets:
            target.verify(read_requests([]))
        counts = {
            (target, request["name"]): target.estimate(request, options.seconds)
            for request in requests
            for target in targets
        }
        for round_ in range(options.rounds):
            for request in requests:
                name = request["name"]
                for turn in range(len(targets)):
                    target = targets[(round_ + turn) % len(targets)]
                    time_us = target.measure(request, counts[target, name])
                    target.times.setdefault(name, []).append(time_us)
            print(f"round {round_ + 1} of {options.rounds}", file=sys.stderr)
    print_costs(options, requests, targets)


def print_costs(options, requests, targets):
    print(f"us of processor time per request, {CONNECTIONS} connections, one worker;")
    print(f"median of {options.rounds} rounds, of {options.seconds} s of that time each\n")
    print(f"| request | {' | '.join(target.title for target in targets)} |")
    print("|---|" + "---:|" * len(targets))
    for request in requests:
        times = [statistics.median(target.times[request["name"]]) for target in targets]
        print(f"| {request['name']} | {' | '.join(f'{time_us:.1f}' for time_us in times)} |")
    guarded = [target for target in targets if target.base]
    print("\nadded to the same proxy without rules, in brackets the least and the most\n")
    print(f"| request | {' | '.join(target.title for target in guarded)} | ratio |")
    print("|---|" + "---:|" * (len(guarded) + 1))
    for request in requests:
        name = request["name"]
        added = [
            [with_ - without for with_, without in zip(t.times[name], t.base.times[name])]
            for t in guarded
        ]
        medians = [statistics.median(times) for times in added]
        cells = [
            f"{median:.1f} ({min(times):.0f} to {max(times):.0f})"
            for median, times in zip(medians, added)
        ]
        # Of the two that have the same rules; a refused request asks no server, and may cost less.
        ratio = f"{medians[0] / medians[1]:.0f}" if medians[1] > 0 else ""
        print(f"| {name} | {' | '.join(cells)} | {ratio} |")
    print()


def memory(options, program, folder, server):
    requests = read_requests([])
    kinds = [("none", "", "off", []), ("`standard`", "", "standard", [])]
    for crs in [options.crs, options.newer_crs]:
        title = os.path.basename(crs)
        if not os.path.isdir(os.path.join(crs, "rules")):
            print(f"bench: no rules in {crs}: its memory is not measured", file=sys.stderr)
            continue
        rules = f"rules: {{ crs: {crs} }}"
        one = f"core: {{ {rules} }}"
        kinds += [
            (title, one, "core", []),
            (f"{title}, ten routes", one, "core", ["core"] * 9),
            (f"{title}, two profiles alike", f"{one}, other: {{ {rules} }}", "core", ["other"]),
            (
                f"{title}, two profiles, an exclusion in one",
                f"{one}, other: {{ {rules}, exclude: [942100] }}",
                "core",
                ["other"],
            ),
        ]
    print("Tidegate's memory, MiB resident, one worker; in brackets more than without rules\n")
    print("| profiles | as started | after some requests |")
    print("|---|---:|---:|")
    base = None
    for index, (title, profiles, default, others) in enumerate(kinds):
        name = f"memory-{index}"
        proxy = proxies.tidegate(folder, name, server, program, profiles, default, others)
        with Running([proxy]):
            time.sleep(1)  # what was freed is given back
            found = [proxy.rss_kib() / 1024]
            for request in requests * ASKED:
                proxy.ask(request)
            found.append(proxy.rss_kib() / 1024)
        base = base or found
        cells = [f"{mib:.1f} ({mib - without:.1f})" for mib, without in zip(found, base)]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
    print()


class Running:
    """Proxies that run until what is done with them ends."""

    def __init__(self, all_):
        self.all = all_

    def __enter__(self):
        try:
            for proxy in self.all:
                proxy.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for proxy in self.all:
            proxy.end()


def built(path, *target):
    """A program that is given, or one that cargo builds."""
    if not path:
        command = ["cargo", "build", "--release", "--locked", "--message-format=json", *target]
        said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        found = [json.loads(line).get("executable") for line in said.stdout.splitlines()]
        path = next((program for program in reversed(found) if program), None)
    if not path or not os.access(path, os.X_OK):
        fail(f"{path or target[-1]} is no program, or does not build")
    return os.path.abspath(path)


def engine(options):
    judge = built(options.judge, "-p", "tidegate-waf", "--example", "judge")
    if not os.path.isdir(os.path.join(options.newer_crs, "rules")):
        print(f"bench: no rules in {options.newer_crs}: the engine is not measured", file=sys.stderr)
        return
    print("The engine alone, us of processor time, median (least-most), CRS 4\n", flush=True)
    script = os.path.join(HERE, "bench.py")
    command = [sys.executable, script, "--judge", judge, "--crs", options.newer_crs]
    if subprocess.run(command, check=False).returncode != 0:
        fail("the engines do not agree")
    print()


def print_machine(program, packages=PACKAGES):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    model = models[0] if models else "unknown"
    print(f"Machine: {model}, {os.cpu_count()} cores, Linux {os.uname().release}")
    versions = [said.stdout.strip(), *map(version, packages)]
    print(f"Versions: {', '.join(filter(None, versions))}\n", flush=True)


def version(package):
    command = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}", package]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return said.stdout


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/bench.sh waf", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--request", action="append", metavar="PART", help="of a name")
    parser.add_argument("--crs", default="/usr/share/modsecurity-crs")
    parser.add_argument("--newer-crs", default=os.path.join(ROOT, "../shared/crs-4.28.0"))
    parser.add_argument("--tidegate", metavar="PATH")
    parser.add_argument("--judge", metavar="PATH")
    parser.add_argument("--only", choices=["proxies", "memory", "engine"])
    options = parser.parse_args()
    if min(options.rounds, options.seconds) < 1:
        parser.error("--rounds and --seconds must be above 0")
    options.crs = os.path.realpath(options.crs)
    options.newer_crs = os.path.realpath(options.newer_crs)
    if not os.path.isdir(os.path.join(options.crs, "rules")) or not shutil.which("h2load"):
        fail("h2load or the rules are missing; run scripts/setup.sh bench-waf")
    program = built(options.tidegate, "--bin", "tidegate")
    print_machine(program)
    with tempfile.TemporaryDirectory() as folder:
        server = proxies.origin(folder)
        with Running([server]):
            if options.only in (None, "proxies"):
                through_proxies(options, program, folder, server)
            if options.only in (None, "memory"):
                memory(options, program, folder, server)
    if options.only in (None, "engine"):
        engine(options)


if __name__ == "__main__":
    main()
