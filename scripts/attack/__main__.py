"""Tries every attack on nginx and on Tidegate, and prints what was seen. See ../attack.sh."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile

import attacks
import machine
import table
import targets

HERE = os.path.dirname(os.path.abspath(__file__))
VISITOR = "127.9.9.9"
# How often the good client is measured alone again if others disturb it: in one round, and
# in all, which is 5 minutes.
TRIES, ALL_TRIES = 2, 80


class Bench:
    def __init__(self, folder, quick):
        self.folder, self.quick, self.count, self.tries = folder, quick, 0, ALL_TRIES
        self.pair = targets.Pair(os.path.join(folder, "pair"))
        self.origin = targets.Origin(os.path.join(folder, "origin"))
        self.running = [self.origin.process]

    def end(self):
        for process in self.running:
            process.end()

    def try_once(self, attack, make, options):
        """One round: a fresh process, a good client alone, then beside the attack."""
        self.count += 1
        folder = os.path.join(self.folder, f"target-{self.count}")
        target = make(folder, self.origin, self.pair, options)
        self.running.append(target.process)
        try:
            return self.watch(attack, target)
        finally:
            target.process.end()
            self.running.remove(target.process)

    def watch(self, attack, target):
        # Over TLS where the attack is: what it wears out, the good client needs.
        over = "tls" if attack.over == "tls" else "h1"
        port = target.ports[over]
        visit(port, 0.5, over)
        quiet = self.watch_quiet(target, port, over)
        seconds = attack.quick_seconds if self.quick else attack.seconds
        cpu, before, peak = target.process.cpu(), self.origin.requests(), target.process.peak()
        attacker = start("attacker.py", attack.name, target.ports[attack.over], seconds)
        try:
            hostile = visit(port, seconds - 0.5, over)
            said = finish(attacker, seconds + 30)
        finally:
            end(attacker)
        # Who was answered too late may have come as far as the origin; all others lost did not.
        came = hostile["sent"] - hostile["lost"] + hostile["why"].get("no answer in time", 0)
        passed_on = self.origin.requests() - before - 1 - came
        died = not target.process.is_there
        return {
            "quiet": quiet, "hostile": hostile, "attacker": said, "passed_on": passed_on,
            "cpu": target.process.cpu() - cpu, "quiet_cpu": quiet["cpu"] * seconds,
            "peak": target.process.peak(), "grown": target.process.peak() - peak,
            "keys": None if died else target.keys(), "died": died,
        }  # fmt: skip

    def watch_quiet(self, target, port, over):
        """The good client alone; once more while somebody else has the machine, within bounds."""
        for last in (*[False] * TRIES, True):
            cpu = target.process.cpu()
            quiet = visit(port, attacks.QUIET, over)
            quiet["cpu"] = (target.process.cpu() - cpu) / attacks.QUIET
            if last or not self.tries or not table.is_noisy(quiet):
                return quiet
            self.tries -= 1


class Failed(Exception):
    """An attacker or a good client that could not do its work."""


def start(script, *words):
    command = [sys.executable, os.path.join(HERE, script), *map(str, words)]
    # With a group of its own: an attacker may have a child.
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def end(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def finish(process, seconds):
    said, _ = process.communicate(timeout=seconds)
    if process.returncode:
        raise Failed(f"{os.path.basename(process.args[1])} ended with {process.returncode}")
    return json.loads(said)


def visit(port, seconds, over):
    visitor = start("visitor.py", port, VISITOR, seconds, over)
    try:
        return finish(visitor, seconds + 30)
    finally:
        end(visitor)


def run(bench, chosen, rounds, has_promises_alone):
    """Every attack on every target; the targets of one attack take turns."""
    rows = []
    for attack in chosen:
        tried = [] if has_promises_alone else [(targets.NginxProxy, {})]
        own = [table.Row(attack.name, "nginx") for _ in tried]
        beside = None
        for setting in attack.settings:
            if has_promises_alone and not setting.is_promised:
                continue
            tried.append((targets.Tidegate, setting.options))
            name = f"Tidegate, {setting.words}"
            row = table.Row(attack.name, name, setting.is_promised, setting.most_mib)
            # The first of them has the defaults.
            beside = row.beside = beside or row
            own.append(row)
        rows += own
        for number in range(rounds):
            for row, (make, options) in zip(own, tried, strict=True):
                if row.fault:
                    continue
                try:
                    row.rounds.append(bench.try_once(attack, make, options))
                except targets.Refused as refused:
                    row.fault = f"does not start: {refused}"
                except (Failed, OSError, subprocess.TimeoutExpired) as failed:
                    # What stands still in an attack may be the server behind, too.
                    row.fault = f"could not be watched: {failed}"
                say(f"{attack.name}, round {number + 1} of {rounds}: {row.line()}")
    return rows


def say(text):
    print(f"attack: {text}", file=sys.stderr, flush=True)


def read_arguments():
    names = [attack.name for attack in attacks.ALL]
    parser = argparse.ArgumentParser(prog="scripts/attack.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tidegate", required=True, help="the program")
    parser.add_argument("--folder", help="where files are made; they are left there")
    parser.add_argument("--rules", action="store_true", help="with the WAF, which is a default")
    parser.add_argument("--promises", action="store_true", help="only where one is made")
    parser.add_argument("--write", help="a page; its figures are replaced")
    parser.add_argument("--list", action="store_true", help="name the attacks")
    parser.add_argument("names", nargs="*", help="attacks; all if absent")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        parser.error(f"no such attack: {', '.join(unknown)}; there are {', '.join(names)}")
    return arguments


def command(arguments):
    """What was asked for, as it is written in the page."""
    rounds = "--quick" if arguments.quick else f"--rounds {arguments.rounds}"
    options = [f"--{name}" for name in ("rules", "promises") if getattr(arguments, name)]
    return " ".join([rounds, *options, *arguments.names])


def minutes(chosen, rounds):
    return round(sum(attack.duration(rounds) for attack in chosen) / 60)


def stop(*_):
    raise KeyboardInterrupt


def main():
    arguments = read_arguments()
    if arguments.list:
        for attack in attacks.ALL:
            print(f"{attack.name}: {attack.words}")
        print(f"about {minutes(attacks.ALL, arguments.rounds)} minutes in all")
        return 0
    signal.signal(signal.SIGTERM, stop)
    targets.Tidegate.program = os.path.abspath(arguments.tidegate)
    targets.Tidegate.has_rules = arguments.rules
    chosen = [each for each in attacks.ALL if not arguments.names or each.name in arguments.names]
    rounds = 1 if arguments.quick else arguments.rounds
    say(f"{len(chosen)} attacks, {rounds} rounds, about {minutes(chosen, rounds)} minutes")
    with tempfile.TemporaryDirectory() as made:
        bench = Bench(arguments.folder or made, arguments.quick)
        try:
            rows = run(bench, chosen, rounds, arguments.promises)
        finally:
            bench.end()
    seen = machine.words(targets.find_nginx(), targets.Tidegate.program)
    seen += "\n\n" + "\n".join(table.markdown(rows)) + "\n"
    print(seen)
    if arguments.write:
        table.write(arguments.write, f"`scripts/attack.sh {command(arguments)}`. {seen}")
    words, code = table.verdict(rows)
    for line in words:
        say(line)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
