"""An attack that shows as many keys of limits as it can."""

from crowd import Crowd, address

# Each request is a key of four limits: 1,000,000 keys in 20 s.
RATE, KEYS = 12_600, 4
# The share of the keys without which nothing is said of memory.
ENOUGH = 0.95
LINES, BATCH = 20, 50
# Batches without an answer, on one line: past it, the target is too slow for our pace.
MOST_WAITING = 2

ASK = b"GET /own HTTP/1.1\r\nHost: site.example\r\nX-Forwarded-For: 11.%d.%d.%d\r\n"
ASK += b"X-User: u%07x\r\nX-Token: t%07x\r\nCookie: id=%07x\r\n\r\n"


def batch(first):
    """Requests from number `first` on, in the order of their numbers."""
    return b"".join(
        ASK % (n >> 16, n >> 8 & 255, n & 255, n, n, n) for n in range(first, first + BATCH)
    )


def waiting(line):
    """How many requests of it have no answer."""
    return line.asked - line.state[b"200"] - line.state[b"429"]


def hear(line, piece):
    # The start of a status line may lie in this piece, and its end in the next.
    seen = line.state["rest"] + piece
    line.state["rest"] = seen[-12:]
    for status in (b"200", b"429"):
        found = b"HTTP/1.1 " + status
        line.state[status] += seen.count(found) - seen[: len(seen) - len(piece)].count(found)


class Sender:
    """Lines with a few batches under way on each; one that is closed is opened anew."""

    def __init__(self, crowd):
        self.crowd, self.lines = crowd, [None] * LINES
        self.sent, self.ended = 0, {b"200": 0, b"429": 0}

    def send(self, due):
        """Sends batches as long as so many requests are due; says how many were sent."""
        before = self.sent
        for at in range(LINES):
            while self.sent - before + BATCH <= due:
                line = self.line(at)
                if line is None or waiting(line) > BATCH * (MOST_WAITING - 1):
                    break
                line.send(batch(self.sent))
                line.asked += BATCH
                self.sent += BATCH
        return self.sent - before

    def line(self, at):
        line = self.lines[at]
        if line and not line.is_over:
            return line
        self.count(line)
        self.lines[at] = line = self.crowd.open(address(at))
        if line:
            line.asked, line.state = 0, {"rest": b"", b"200": 0, b"429": 0}
        return line

    def count(self, line):
        for status in self.ended if line else ():
            self.ended[status] += line.state[status]

    def end(self):
        for line in self.lines:
            self.count(line)


def many_keys(port, seconds):
    """Another client by X-Forwarded-For, another cookie, and two more fields with another
    value in each request: a million keys, of four limits. The page needs no server."""
    crowd = Crowd(port, seconds, hear)
    sender, due = Sender(crowd), 0
    for more in crowd.ticks(RATE):
        due = min(due + more, int(RATE * 0.2))
        due -= sender.send(due)
    crowd.turn(crowd.until + 0.5)
    sender.end()
    good, over = sender.ended[b"200"], sender.ended[b"429"]
    words = [f"took {sender.sent:,} of {int(RATE * seconds):,} requests, each with {KEYS} keys"]
    words += [f"{good:,} answers 200, {good * KEYS:,} keys"]
    words += [f"{over:,} answers 429"] if over else []
    words.append(f"closed {sum(crowd.ends.values()):,} of {crowd.opened:,} connections")
    return {
        "planned": int(RATE * seconds), "sent": sender.sent, "stopped": over,
        "has_few_keys": good < ENOUGH * RATE * seconds, "did": "; ".join(words),
    }  # fmt: skip
