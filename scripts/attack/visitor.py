"""The good client: asks for a page so many times a second, whatever comes of it.

A request is sent at its time even if earlier ones are still without an answer
(an open loop), and its latency counts from that time: a target that stands
still for a second is seen as slow by every request of that second. As browsers
do, it keeps connections, opens a new one when none is free, and asks once more
where a kept connection was closed without a byte of an answer. It gives up a
connection after a few requests, so that some always find the door.

    visitor.py PORT SOURCE SECONDS h1|tls    prints one line of JSON
"""

import errno
import gc
import json
import select
import socket
import ssl
import sys
import time
from collections import Counter

import tls

RATE = 200
REQUESTS_PER_CONNECTION = 20
TIMEOUT = 5.0
PAGE = "/small"
PAGE_BYTES = 1024


class Line:
    """One connection and the request on it."""

    def __init__(self, visitor, due):
        self.visitor, self.used, self.is_open = visitor, 0, False
        # Of TLS, if there is any.
        self.is_shaken = visitor.tls is None
        self.begin(due)
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The port is picked when it connects: a source has as many as there are targets.
        self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        self.socket.bind((visitor.source, 0))

    def begin(self, due):
        self.due, self.got, self.used = due, b"", self.used + 1

    def connect(self):
        code = self.socket.connect_ex(("127.0.0.1", self.visitor.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")

    def shake(self):
        """One more step of the handshake; `is_shaken` when there is none left."""
        if not isinstance(self.socket, ssl.SSLSocket):
            self.socket = self.visitor.tls.wrap_socket(
                self.socket, server_hostname="site.example", do_handshake_on_connect=False
            )
        self.socket.do_handshake()
        self.is_shaken = True

    def send(self):
        request = f"GET {PAGE} HTTP/1.1\r\nHost: site.example\r\nUser-Agent: visitor\r\n\r\n"
        self.socket.send(request.encode())


class Visitor:
    def __init__(self, port, source, seconds, over):
        self.port, self.source = port, source
        self.tls = tls.trusting() if over == "tls" else None
        self.start = time.monotonic()
        self.dues = [self.start + n / RATE for n in range(int(seconds * RATE))]
        self.next = 0
        self.poll = select.epoll()
        self.lines = {}
        self.idle = []
        self.latencies, self.lost = [], Counter()

    def run(self):
        gc.disable()
        while self.next < len(self.dues) or self.waiting():
            now = time.monotonic()
            while self.next < len(self.dues) and self.dues[self.next] <= now:
                self.ask(self.dues[self.next])
                self.next += 1
            for line in [line for line in self.waiting() if now - line.due > TIMEOUT]:
                self.lose(line, "no answer in time")
            until = self.dues[self.next] if self.next < len(self.dues) else now + 0.1
            # select keeps time in microseconds, epoll in milliseconds.
            pause = max(0, min(until - time.monotonic(), 0.1))
            if select.select([self.poll.fileno()], [], [], pause)[0]:
                for number, event in self.poll.poll(0):
                    self.hear(self.lines[number], event)
        return self.report()

    def waiting(self):
        return [line for line in self.lines.values() if line.due]

    def ask(self, due):
        if self.idle:
            line = self.idle.pop()
            line.begin(due)
            try:
                line.send()
            except OSError:
                self.again(line)
            return
        self.ask_anew(due)

    def ask_anew(self, due):
        try:
            line = Line(self, due)
            line.connect()
        except OSError as error:
            self.lost[error.strerror] += 1
            return
        self.lines[line.socket.fileno()] = line
        self.poll.register(line.socket, select.EPOLLOUT)

    def hear(self, line, event):
        try:
            if not line.is_open:
                code = line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, errno.errorcode.get(code))
                line.is_open = True
                self.poll.modify(line.socket, select.EPOLLIN)
                self.begin(line)
                return
            if not line.is_shaken:
                self.begin(line)
                return
            piece = line.socket.recv(65536)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self.broken(line, f"TLS broken ({error.reason})")
            return
        except OSError as error:
            self.broken(line, f"connection broken ({errno.errorcode.get(error.errno)})")
            return
        if not piece:
            self.broken(line, "connection closed")
            return
        line.got += piece
        head, end, body = line.got.partition(b"\r\n\r\n")
        if not end:
            return
        status = head[9:12].decode("latin-1")
        if status != "200":
            self.lose(line, f"status {status}")
        elif len(body) >= PAGE_BYTES:
            self.answered(line, head)

    def begin(self, line):
        if not line.is_shaken:
            line.shake()
        line.send()

    def answered(self, line, head):
        self.latencies.append(time.monotonic() - line.due)
        line.due = None
        if line.used >= REQUESTS_PER_CONNECTION or b"\r\nconnection: close" in head.lower():
            self.close(line)
        else:
            self.idle.append(line)

    def broken(self, line, reason):
        if not line.due:
            self.close(line)
        elif line.used > 1 and not line.got:
            self.again(line)
        else:
            self.lose(line, reason)

    def again(self, line):
        due = line.due
        self.close(line)
        self.ask_anew(due)

    def lose(self, line, reason):
        self.lost[reason] += 1
        self.close(line)

    def close(self, line):
        if line in self.idle:
            self.idle.remove(line)
        del self.lines[line.socket.fileno()]
        line.socket.close()

    def report(self):
        times = sorted(self.latencies)

        def at(share):
            return round(times[min(len(times) - 1, int(len(times) * share))] * 1000, 3)

        return {
            "sent": len(self.dues),
            "lost": sum(self.lost.values()),
            "why": dict(self.lost),
            "p50": at(0.5) if times else None,
            "p99": at(0.99) if times else None,
        }


if __name__ == "__main__":
    port, source, seconds, over = sys.argv[1:]
    print(json.dumps(Visitor(int(port), source, float(seconds), over).run()))
