"""Attacks with connections that do nothing."""

from collections import Counter

from crowd import Crowd, address

RATE = 1500
COUNT = 6000

ASK = b"GET /small HTTP/1.1\r\nHost: site.example\r\n\r\n"


def hold(port, seconds, source, first=b""):
    """Opens COUNT connections and holds them as long as the target lets us."""
    answers = Counter()

    def hear(line, piece):
        if not line.state and piece.startswith(b"HTTP/1.1 "):
            line.state = piece[9:12].decode()
            answers[line.state] += 1

    crowd = Crowd(port, seconds, hear)
    tried = 0
    for due in crowd.ticks(RATE):
        for _ in range(min(due, COUNT - tried)):
            crowd.open(source(tried), first)
            tried += 1
    held = sum(line.is_open for line in crowd.lines.values())
    unanswered = sum(not line.is_open for line in crowd.lines.values())
    closed = sum(crowd.ends.values())
    words = [f"of {tried:,} connections held {held:,} to the end"]
    if closed:
        words.append(f"closed {closed:,} {crowd.life()}")
    if unanswered:
        words.append(f"did not accept {unanswered:,}")
    words += [f"{count:,} answers {status}" for status, count in sorted(answers.items())]
    return {"planned": COUNT, "sent": tried, "stopped": closed, "did": "; ".join(words)}


def one_address(port, seconds):
    """Never a byte, all from one address."""
    return hold(port, seconds, lambda _: "127.1.0.1")


def many_addresses(port, seconds):
    """Never a byte, two from each address."""
    return hold(port, seconds, lambda n: address(n // 2))


def kept_alive(port, seconds):
    """One request, then nothing, two from each address."""
    return hold(port, seconds, lambda n: address(n // 2), ASK)
