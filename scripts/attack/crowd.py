"""Many connections of an attacker, from as many addresses as wanted, in one loop.

Everything is bounded: connections by who opens them, bytes by a pace, time by
`seconds`. What a target does to them is counted: how many it closed, and when.
"""

import errno
import gc
import select
import socket
import statistics
import time
from collections import Counter

# A target that takes no more than this from us holds us back; nothing is sent on top.
MOST_UNSENT = 1 << 18
# Connections opened anew in a second, however often a target closes them.
REOPENED_A_SECOND = 50


def address(number):
    """The source of the attacker's connection `number`; the visitor has another one."""
    return f"127.1.{number // 250 % 250}.{number % 250 + 1}"


class Line:
    def __init__(self, crowd, source, first=b"", small=False):
        self.crowd, self.out, self.sent, self.heard = crowd, bytearray(first), 0, 0
        self.born, self.state = time.monotonic(), None
        self.is_open = self.is_over = False
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.bind((source, 0))
        code = self.socket.connect_ex(("127.0.0.1", crowd.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, errno.errorcode.get(code))

    @property
    def is_full(self):
        return len(self.out) > MOST_UNSENT

    def send(self, piece):
        self.out += piece
        if self.is_open and not self.is_over:
            self.flush()

    def flush(self):
        try:
            while self.out:
                done = self.socket.send(self.out[:MOST_UNSENT])
                self.sent += done
                del self.out[:done]
        except BlockingIOError:
            pass
        except OSError as error:
            self.crowd.end(self, errno.errorcode.get(error.errno))
            return
        self.crowd.watch(self)


class Crowd:
    """Lines to one port. `hear(line, piece)` is called with what a target says."""

    def __init__(self, port, seconds, hear=None, reads=True):
        gc.disable()
        self.port, self.hear, self.reads = port, hear, reads
        self.start = time.monotonic()
        self.until = self.start + seconds
        self.poll = select.epoll()
        self.lines = {}
        self.opened = self.unopened = 0
        self.ends, self.lives = Counter(), []

    @property
    def now(self):
        return time.monotonic() - self.start

    def open(self, source, first=b"", small=False):
        """A new line, or none if the kernel of the target refuses at once."""
        try:
            line = Line(self, source, first, small)
        except OSError as error:
            self.unopened += 1
            self.ends[error.strerror] += 1
            return None
        self.opened += 1
        self.lines[line.socket.fileno()] = line
        self.poll.register(line.socket, select.EPOLLOUT)
        return line

    def watch(self, line):
        if line.is_over:
            return
        events = select.EPOLLRDHUP | (select.EPOLLIN if self.reads else 0)
        self.poll.modify(line.socket, events | (select.EPOLLOUT if line.out else 0))

    def turn(self, until):
        """Hears and writes until then."""
        while True:
            pause = until - time.monotonic()
            for number, event in self.poll.poll(max(0, pause)):
                line = self.lines.get(number)
                if line:
                    self.handle(line, event)
            if pause <= 0:
                return

    def handle(self, line, event):
        if not line.is_open:
            code = line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.end(line, errno.errorcode.get(code))
                return
            line.is_open = True
            line.flush()
            self.watch(line)
        elif event & (select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
            self.read(line)
        elif event & select.EPOLLOUT:
            line.flush()

    def read(self, line):
        try:
            piece = line.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(line, errno.errorcode.get(error.errno))
            return
        line.heard += len(piece)
        if not piece:
            self.end(line, "closed")
        elif self.hear:
            self.hear(line, piece)

    def end(self, line, reason):
        """The target has ended it; what it said before is still heard."""
        if line.is_over:
            return
        line.is_over = True
        if reason != "closed" and self.hear:
            try:
                while piece := line.socket.recv(1 << 18):
                    self.hear(line, piece)
            except OSError:
                pass
        self.ends[reason] += 1
        self.lives.append(time.monotonic() - line.born)
        self.drop(line)

    def give_up(self, line):
        """We end it."""
        line.is_over = True
        self.drop(line)

    def drop(self, line):
        del self.lines[line.socket.fileno()]
        line.socket.close()

    def ticks(self, rate):
        """How many things are due, every few milliseconds, until the time is over."""
        done, step = 0, 0.005
        while time.monotonic() < self.until:
            self.turn(min(self.until, time.monotonic() + step))
            due = int(self.now * rate) - done
            if due > 0:
                yield due
                done += due

    def life(self):
        """After how long the target ended connections, in words."""
        if not self.lives:
            return ""
        low, high = min(self.lives), max(self.lives)
        middle = statistics.median(self.lives)
        if high < 1:
            return "within 1 s"
        if high - low < 2:
            return f"after {middle:.0f} s"
        return f"after {low:.0f} to {high:.0f} s (median {middle:.0f} s)"


class Steady:
    """A few lines that are opened anew when a target closes them, within a bound."""

    def __init__(self, crowd, count, first=b"", small=False, source=None):
        self.crowd, self.first, self.small, self.source = crowd, first, small, source
        self.lines, self.turn, self.count = [None] * count, 0, count

    def next(self):
        """The next line that takes something, if there is one."""
        for _ in range(self.count):
            self.turn = (self.turn + 1) % self.count
            line = self.lines[self.turn]
            if line is None or line.is_over:
                line = self.lines[self.turn] = self.open()
            if line and not line.is_full:
                return line
        return None

    def open(self):
        tried, most = self.crowd.opened + self.crowd.unopened, self.crowd.now * REOPENED_A_SECOND
        if tried > self.count + most:
            return None
        return self.crowd.open(self.source or address(self.turn), self.first, self.small)
