"""What was seen, as a table in Markdown, and whether the promises were kept."""

import datetime
import statistics

# What is between these lines of a page is replaced.
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"

# A good client's p99 may be this many times its quiet p99 in the same round ...
MOST_TIMES = 3
# ... which counts as this many ms where it is less: below it, the clock of a
# shared machine is measured, and not the target.
FLOOR_MS = 2
# Where the quiet p99 is more than this, somebody else had the machine: three times
# of it would be a promise of nothing, so the round is not judged by it.
NOISY_MS = MOST_TIMES * FLOOR_MS
# A target may have this much memory at its peak, in MiB.
MOST_MIB = 512


def is_noisy(quiet):
    return quiet["p99"] is None or quiet["p99"] > NOISY_MS


class Row:
    """One attack on one target, all rounds together."""

    def __init__(self, attack, target, is_promised=False, most_mib=None):
        self.attack, self.target, self.is_promised = attack, target, is_promised
        self.rounds, self.fault = [], None
        # It may grow by so much more than the row beside it.
        self.most_mib, self.beside = most_mib, self

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
        if self.is_judged and self.times() >= MOST_TIMES:
            faults.append(f"p99 of {ms(self.p99('hostile'))} against {ms(self.p99('quiet'))} ms")
        if self.peak() > MOST_MIB:
            faults.append(f"{self.peak():.0f} MiB")
        if self.most_mib is not None:
            faults += self.broken_growth()
        return faults

    def broken_growth(self):
        if any(each["attacker"]["has_few_keys"] for each in self.rounds):
            yield "too few keys came to say anything of memory"
        more = self.grown() - self.beside.grown()
        if more > self.most_mib:
            yield f"grew by {more:.0f} MiB more than with the defaults"

    def judged(self):
        return [each for each in self.rounds if not is_noisy(each["quiet"])]

    @property
    def is_judged(self):
        """Whether most rounds had the machine for themselves."""
        return bool(self.fault) or 2 * len(self.judged()) > len(self.rounds)

    def times(self):
        """How many times its quiet p99 the good client's was, in the middle of such rounds."""

        def of(each):
            hostile = each["hostile"]["p99"]
            return (
                float("inf") if hostile is None else hostile / max(each["quiet"]["p99"], FLOOR_MS)
            )

        return statistics.median(of(each) for each in self.judged())

    def p99(self, phase):
        return self.middle(lambda each: each[phase]["p99"])

    def peak(self):
        return max((each["peak"] for each in self.rounds), default=0)

    def grown(self):
        """By how much the peak grew in the attack, in MiB."""
        return max((each["grown"] for each in self.rounds), default=0)

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
            f"{self.peak():.0f} (+{self.grown():.0f})",
            f"{self.middle(lambda each: each['cpu']):.1f} "
            f"({self.middle(lambda each: each['quiet_cpu']):.1f})",
            self.did(),
        ]
        return "| " + " | ".join(cells) + " |"

    def did(self):
        """What the target did to the attacker, in the last round."""
        last = self.rounds[-1]
        words = [last["attacker"]["did"]]
        if last["keys"] and max(last["keys"]) > 10_000:
            known, forgotten = last["keys"]
            words.append(f"knows {known:,} keys, has forgotten {forgotten:,}")
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


def verdict(rows):
    """What is to be said of the promises, and the exit code: 3 where nothing but noise keeps
    one from being judged."""
    faults = [(row, fault) for row in rows for fault in row.broken()]
    words = [f"BROKEN: {row.attack}, {row.target}: {fault}" for row, fault in faults]
    noisy = [row for row in rows if row.is_promised and not row.is_judged]
    for row in noisy:
        why = f"alone the good client's p99 was {ms(row.p99('quiet'))} ms"
        words.append(f"NOT JUDGED: {row.attack}, {row.target}: {why}")
    words.append(f"{len(rows)} rows, {len(faults)} broken promises, {len(noisy)} rows not judged")
    if faults:
        return words, 1
    return words, 3 if noisy else 0


def markdown(rows):
    heads = ["attack", "target", "lost", "p99 ms (quiet)", "peak MiB (growth)", "CPU s (quiet)"]
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
