"""Frames of HTTP/2 as bytes (RFC 9113), and just enough HPACK (RFC 7541) to write requests."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, _, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(
    10
)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4

ERRORS = {
    0: "NO_ERROR", 1: "PROTOCOL_ERROR", 2: "INTERNAL_ERROR", 3: "FLOW_CONTROL_ERROR",
    6: "FRAME_SIZE_ERROR", 7: "REFUSED_STREAM", 8: "CANCEL", 9: "COMPRESSION_ERROR",
    11: "ENHANCE_YOUR_CALM",
}  # fmt: skip


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, bits, first):
    """RFC 7541 §5.1, with the bits of `first` above the prefix."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value):
    return integer(len(value), 7, 0) + value


def field(name, value):
    """A field that no table keeps."""
    return b"\x00" + text(name) + text(value)


def kept(name, value):
    """A field that enters the dynamic table; `NEWEST` then stands for it."""
    return b"\x40" + text(name) + text(value)


NEWEST = b"\xbe"  # index 62


def request(method=b"GET", path=b"/small"):
    """The fields that every request has."""
    method = b"\x82" if method == b"GET" else b"\x83"
    return method + b"\x86" + b"\x04" + text(path) + b"\x01" + text(b"site.example")


class Reader:
    """What a target says, frame by frame."""

    def __init__(self):
        self.rest = b""

    def frames(self, piece):
        self.rest += piece
        while len(self.rest) >= 9:
            length = int.from_bytes(self.rest[:3], "big")
            if len(self.rest) < 9 + length:
                return
            kind, flags, stream = struct.unpack(">BBI", self.rest[3:9])
            payload, self.rest = self.rest[9 : 9 + length], self.rest[9 + length :]
            yield kind, flags, stream, payload


def error(payload, at):
    code = int.from_bytes(payload[at : at + 4], "big")
    return ERRORS.get(code, f"error {code}")
