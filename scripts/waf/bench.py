#!/usr/bin/env python3
"""What the requests of requests.jsonl cost libmodsecurity, and another judge beside it.

    scripts/waf/bench.py [--rounds N] [--level N] [--crs DIRECTORY] [--judge PROGRAM]

Both judge the same requests by the same rules, blocking, in turns, so that a machine that
is slow or busy for a while is so for both. A judge is a program that takes the arguments
of oracle.cpp and speaks its lines; that of Tidegate is target/release/examples/judge, by

    cargo build --release -p tidegate-waf --example judge

Prints a table in Markdown: the processor time of a request in microseconds, the median of
all rounds and their spread. The exit code is 1 where one refuses what is meant to pass, or
lets pass what is not.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# How often a request is judged in a row; the first few fill caches, and do not count.
AT_ONCE, WARM = 30, 5

BODIES = r"""
SecRuleEngine On
SecAuditEngine Off
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRule REQUEST_HEADERS:Content-Type "^application/json"
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
""".replace("\n    ", " ")


class Judge:
    def __init__(self, name, program, rules):
        self.name, self.times = name, {}
        self.process = subprocess.Popen(
            [program, *rules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line):
        self.process.stdin.write(line)
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"bench: {self.name} ended early, with {self.process.wait()}")
        return json.loads(answer)

    def measure(self, request, line):
        """Whether it refuses the request; the time of one round is kept."""
        answers = [self.ask(line) for _ in range(AT_ONCE)][WARM:]
        median = statistics.median(answer["cpu_ns"] for answer in answers) / 1000
        self.times.setdefault(request["name"], []).append(median)
        return answers[-1]["refused"] is not None

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def build_oracle(folder):
    program = os.path.join(folder, "oracle")
    source = os.path.join(HERE, "oracle.cpp")
    command = ["g++", "-O2", "-std=c++17", source, "-o", program, "-lmodsecurity"]
    try:
        built = subprocess.run(command, check=False)
    except FileNotFoundError:
        sys.exit("bench: there is no g++; run scripts/setup.sh test")
    if built.returncode != 0:
        sys.exit("bench: the driver does not build; scripts/setup.sh test installs the library")
    return program


def rules_of(crs, level):
    folder = os.path.join(crs, "rules")
    setup = os.path.join(crs, "crs-setup.conf.example")
    if not os.path.isdir(folder):
        sys.exit(f"bench: no rules in {crs}; --crs names a directory of CRS")
    action = f"phase:1,pass,nolog,t:none,setvar:tx.blocking_paranoia_level={level}"
    files = sorted(name for name in os.listdir(folder) if name.endswith(".conf"))
    files = [os.path.join(folder, name) for name in files]
    return ["--inline", BODIES, setup, "--inline", f'SecAction "id:900000,{action}"', *files]


def shown(times):
    return f"{statistics.median(times):.0f} ({min(times):.0f}-{max(times):.0f})"


def print_table(requests, judges):
    names = [judge.name for judge in judges]
    print(f"| request | {' | '.join(names)} |{' ratio |' if len(judges) > 1 else ''}")
    print("|---|" + "---:|" * (len(judges) + (len(judges) > 1)))
    for request, _ in requests:
        times = [judge.times[request["name"]] for judge in judges]
        cells = [request["name"], *map(shown, times)]
        if len(times) > 1:
            cells.append(f"{statistics.median(times[0]) / statistics.median(times[1]):.1f}")
        print(f"| {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--level", type=int, default=1, choices=[1, 2, 3, 4])
    parser.add_argument("--crs", default=os.path.join(HERE, "../../../shared/crs-4.28.0"))
    parser.add_argument("--judge", metavar="PROGRAM")
    options = parser.parse_args()
    rules = rules_of(options.crs, options.level)
    with open(os.path.join(HERE, "requests.jsonl"), encoding="utf-8") as file:
        requests = [(json.loads(line), line) for line in file]
    wrong = set()
    with tempfile.TemporaryDirectory() as folder:
        judges = [Judge("libmodsecurity", build_oracle(folder), rules)]
        if options.judge:
            judges.append(Judge(os.path.basename(options.judge), options.judge, rules))
        for _ in range(max(1, options.rounds)):
            for request, line in requests:
                for judge in judges:
                    if judge.measure(request, line) != request["is_refused"]:
                        wrong.add(f"{judge.name}: {request['name']}")
        for judge in judges:
            judge.end()
    print_table(requests, judges)
    for what in sorted(wrong):
        print(f"bench: decided otherwise than it should be: {what}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
