"""What was seen, as a table in Markdown, and whether the promises were kept."""

import datetime
import statistics

# What is between these lines of a page is replaced.
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"

# A good client's p99 may be this many times its quiet p99 ...
MOST_TIMES = 3
# ... which counts as this many ms where it is less: below it, the clock of a
# shared machine is measured, and not the target.
FLOOR_MS = 2
# A target may have this much memory at its peak, in MiB.
MOST_MIB = 512


class Row:
    """One attack on one target, all rounds together."""

    def __init__(self, attack, target, is_promised):
        self.attack, self.target, self.is_promised = attack, target, is_promised
        self.rounds, self.fault = [], None

    def middle(self, of):
        values = [of(each) for each in self.rounds]
        if any(value is None for value in values):
            return None
        return statistics.median(values)

    def broken(self):
        """The promises that it broke, in words."""
        if self.fault:
            return [self.fault]
        faults = []
        for each in self.rounds:
            hostile = each["attacker"]
            if not hostile["stopped"] and hostile["sent"] < hostile["planned"] / 2:
                faults.append("the attack was too weak to say anything")
            if each["died"]:
                faults.append("the process ended")
        if not self.is_promised:
            return faults
        lost = sum(each["hostile"]["lost"] for each in self.rounds)
        if lost:
            faults.append(f"{lost} requests were lost")
        quiet, hostile = self.p99("quiet"), self.p99("hostile")
        if hostile is None or hostile >= MOST_TIMES * max(quiet or 0, FLOOR_MS):
            faults.append(f"p99 of {ms(hostile)} against {ms(quiet)} ms")
        if self.peak() > MOST_MIB:
            faults.append(f"{self.peak():.0f} MiB")
        return faults

    def p99(self, phase):
        return self.middle(lambda each: each[phase]["p99"])

    def peak(self):
        return max(each["peak"] for each in self.rounds)

    def line(self):
        if self.fault:
            said = " ".join(self.fault.split()).replace("|", "/")
            return f"| {self.attack} | {self.target} | | | | | **{said}** |"
        lost = sum(each["hostile"]["lost"] for each in self.rounds)
        sent = sum(each["hostile"]["sent"] for each in self.rounds)
        cells = [
            self.attack,
            self.target,
            f"{lost:,} of {sent:,}" if lost else "0",
            f"{ms(self.p99('hostile'))} ({ms(self.p99('quiet'))})",
            f"{self.peak():.0f}",
            f"{self.middle(lambda each: each['cpu']):.1f} "
            f"({self.middle(lambda each: each['quiet_cpu']):.1f})",
            self.did(),
        ]
        return "| " + " | ".join(cells) + " |"

    def did(self):
        """What the target did to the attacker, in the last round."""
        last = self.rounds[-1]
        words = [last["attacker"]["did"]]
        if last["passed_on"] > 0:
            words.append(f"{last['passed_on']:,} requests reached the origin")
        why = last["hostile"]["why"]
        if why:
            words.append("the good client: " + ", ".join(f"{n} {what}" for what, n in why.items()))
        if last["died"]:
            words.append("**the process ended**")
        return "; ".join(words)


def ms(value):
    if value is None:
        return "none"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def markdown(rows):
    heads = ["attack", "target", "lost", "p99 ms (quiet)", "peak MiB", "CPU s (quiet)"]
    heads.append("what the target did to the attacker")
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield row.line()


def write(path, seen):
    """Puts figures of today into a page."""
    with open(path, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no place for figures: {BEGIN.strip()} to {END.strip()}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}{datetime.date.today()}, {seen}{END}{after}")
