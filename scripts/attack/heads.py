"""Attacks with requests of HTTP/1."""

import re
from collections import Counter

from crowd import Crowd, Steady, address

# Connections at once, where each request has its own.
MOST_LINES = 2000

STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")


class Answers:
    """What a target answers, by status."""

    def __init__(self):
        self.statuses, self.crowd = Counter(), None

    def hear(self, line, piece):
        seen = (line.state or b"") + piece
        for status in STATUS.findall(seen):
            self.statuses[status.decode()] += 1
        # The start of a status line may lie in this piece, and its end in the next.
        line.state = seen[-12:] if not STATUS.search(seen[-12:]) else b""

    def hear_once(self, line, piece):
        self.hear(line, piece)
        if piece.startswith(b"HTTP/1.1 200 "):
            self.crowd.give_up(line)


def flood(port, seconds, rate, make, lines=20, what="requests", source=None):
    """Sends `make(n)`, `rate` times a second over a few connections that are kept."""
    answers = Answers()
    crowd = Crowd(port, seconds, answers.hear)
    steady = Steady(crowd, lines, source=source)
    sent = held_back = 0
    for due in crowd.ticks(rate):
        for _ in range(due):
            line = steady.next()
            if line is None:
                held_back += 1
                continue
            line.send(make(sent))
            sent += 1
    return judge(crowd, answers, sent, int(rate * seconds), held_back, what)


def flood_anew(port, seconds, rate, make, addresses=20, what="requests"):
    """Sends `make(n)`, `rate` times a second, each over a connection of its own."""
    answers = Answers()
    answers.crowd = crowd = Crowd(port, seconds, answers.hear_once)
    sent = held_back = 0
    for due in crowd.ticks(rate):
        for _ in range(due):
            if len(crowd.lines) >= MOST_LINES:
                held_back += 1
                continue
            crowd.open(address(sent % addresses), make(sent))
            sent += 1
    return judge(crowd, answers, sent, int(rate * seconds), held_back, what)


def judge(crowd, answers, sent, planned, held_back, what):
    crowd.turn(crowd.until + 0.5)
    ended = sum(crowd.ends.values())
    silent = sent - sum(answers.statuses.values())
    words = [f"took {sent:,} of {planned:,} {what}"]
    words += [f"{count:,} answers {status}" for status, count in sorted(answers.statuses.items())]
    words.append(f"closed {ended:,} of {crowd.opened + crowd.unopened:,} connections")
    if silent > 0:
        words.append(f"{silent:,} without an answer")
    return {
        "planned": planned, "sent": sent, "stopped": held_back + ended, "did": "; ".join(words),
    }  # fmt: skip


def request(path="/small", fields=""):
    return f"GET {path} HTTP/1.1\r\nHost: site.example\r\n{fields}\r\n".encode()


def many_fields(port, seconds):
    """10,000 small fields in each head."""
    bomb = request(fields="".join(f"x-{n}: y\r\n" for n in range(10_000)))
    return flood_anew(port, seconds, 200, lambda _: bomb, what="heads with 10,000 fields")


def large_fields(port, seconds):
    """A field of 1 MB in each head."""
    bomb = request(fields=f"x-large: {'y' * 1_000_000}\r\n")
    return flood_anew(port, seconds, 50, lambda _: bomb, what="heads of 1 MB")


def banned(port, seconds):
    """Requests from a network that the list of bans has."""
    page = request()
    return flood(port, seconds, 2000, lambda _: page, source="127.1.0.1")


def malformed(port, seconds):
    """Requests that nobody should take, over and over."""
    bad = request(fields="Content-Length: 5\r\nTransfer-Encoding: chunked\r\nX-A : b\r\n")
    return flood_anew(port, seconds, 2000, lambda _: bad)


def not_found(port, seconds):
    """Paths that are not there, as a scanner tries them."""
    return flood(port, seconds, 2000, lambda n: request(f"/missing/{n}.php"), lines=4)
