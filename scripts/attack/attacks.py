"""Every attack: what it does, for how long, and the settings of Tidegate that it is tried with."""

import collisions
import connections
import floods
import heads
import keys
import slow
import targets
import tls

# Longer than the deadlines that end slow clients by default; an attack has at most 20 s.
LONG, SHORT, MOST = 16, 6, 20
# Of a round: how long the good client is alone, and what starting and ending takes.
QUIET, AROUND = 3, 3

# Ten thousand networks, and the attacker's.
BANNED = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(10_000)] + ["127.1.0.0/16"]
# More than the good client asks.
LIMIT = {"key": "client_ip", "rate": "250/s", "burst": 500, "over": "reject"}
# A key of them is known for 6 minutes.
LASTING = {"rate": "10/h", "over": "reject"}
KEYS = {
    "by-client": "client_ip",
    "by-user": {"header": "x-user"},
    "by-token": {"header": "x-token"},
    "by-cookie": {"cookie": "id"},
}


class Setting:
    """`words` name it in the table; `is_promised` where the good client must see nothing, and
    where memory may grow by `most_mib` more than it does with the defaults."""

    def __init__(self, words, options, is_promised, most_mib=None):
        self.words, self.options, self.is_promised = words, options, is_promised
        self.most_mib = most_mib


DEFAULT = Setting("default", {}, True)


def weak(words, **options):
    return Setting(words, options, False)


def strong(words, most_mib=None, **options):
    return Setting(words, options, True, most_mib)


class Attack:
    """`run(port, seconds)` attacks what is spoken at a port, and tells what it sent and what
    the target did."""

    def __init__(self, name, run, seconds, *settings, over="h1", words=None):
        self.name, self.run, self.seconds, self.over = name, run, seconds, over
        self.settings = [DEFAULT, *settings]
        self.words = words or " ".join(run.__doc__.split())

    @property
    def quick_seconds(self):
        return {LONG: LONG - 3, SHORT: SHORT - 1}.get(self.seconds, self.seconds)

    def duration(self, rounds):
        """Of nginx and every setting, in seconds; about."""
        return rounds * (1 + len(self.settings)) * (self.seconds + QUIET + AROUND)


def slowly(name, words, *settings):
    return Attack(
        name, lambda port, seconds: slow.attack(name, port, seconds), LONG, *settings, words=words
    )


def over_h2(name, run, *settings):
    return Attack(name, run, SHORT, *settings, over="h2")


def over_tls(name, run, seconds, *settings):
    return Attack(name, run, seconds, *settings, over="tls")


def listener(words, keys, server=None):
    options = {"listener": keys} | ({"server": server} if server else {})
    return weak(words, **options)


# The most that these keys take.
LARGE_HEADS = listener(
    "`limits.headers: 1023KiB`, `limits.header_count: 256`",
    {"limits": {"headers": "1023KiB", "header_count": 256}},
)

# Requests of one client at the same time.
AT_ONCE = strong(
    "`limits.concurrency_per_client: 200`",
    routes=[{"upstream": "app", "limits": {"concurrency_per_client": 200}}],
)

# With as many as nginx has for two workers, they are the attackers' after a second.
FEW_SEATS = strong("`connections: 1536`", server={"connections": 1536})

ALL = [
    slowly(
        "slow-head",
        "slowhttptest -H: 2,000 heads that never end",
        listener(
            "`timeouts.header: 1h`, `connections_per_client: 65536`",
            {"timeouts": {"header": "1h"}},
            {"connections_per_client": 65536},
        ),
    ),
    slowly(
        "slow-body",
        "slowhttptest -B: 2,000 bodies that never end",
        listener(
            "`timeouts.body: 1h`, `limits.min_rate: off`, `connections_per_client: 65536`",
            {"timeouts": {"body": "1h"}, "limits": {"min_rate": "off"}},
            {"connections_per_client": 65536},
        ),
        AT_ONCE,
    ),
    slowly("ranges", "slowhttptest -R: 2,000 requests for hundreds of ranges of one file"),
    slowly(
        "slow-read",
        "slowhttptest -X: 2,000 clients that read 5 bytes a second of 1 MiB",
        listener(
            "`timeouts.write: 1h`, `limits.min_rate: off`, `connections_per_client: 65536`",
            {"timeouts": {"write": "1h"}, "limits": {"min_rate": "off"}},
            {"connections_per_client": 65536},
        ),
        AT_ONCE,
    ),
    over_h2(
        "h2-rapid-reset",
        floods.rapid_reset,
        listener("`h2.resets_per_minute: 1000000`", {"h2": {"resets_per_minute": 1000000}}),
    ),
    over_h2(
        "h2-continuation",
        floods.continuation,
        LARGE_HEADS,
    ),
    over_h2("h2-settings", floods.settings),
    over_h2("h2-ping", floods.ping),
    over_h2("h2-empty-data", floods.empty_data),
    over_h2(
        "h2-hpack-bomb",
        floods.hpack_bomb,
        LARGE_HEADS,
    ),
    Attack(
        "connections-one-address",
        connections.one_address,
        SHORT,
        weak("`connections_per_client: 65536`", server={"connections_per_client": 65536}),
    ),
    Attack("connections-many-addresses", connections.many_addresses, SHORT, FEW_SEATS),
    Attack("connections-kept-alive", connections.kept_alive, SHORT),
    Attack(
        "heads-many-fields",
        heads.many_fields,
        SHORT,
        LARGE_HEADS,
    ),
    Attack(
        "heads-large-fields",
        heads.large_fields,
        SHORT,
        LARGE_HEADS,
    ),
    Attack(
        "hash-collisions",
        collisions.fields,
        SHORT,
        LARGE_HEADS,
        strong(
            "a `rate` for each X-User",
            rate_limits={"limit": LIMIT | {"key": {"header": "x-user"}}},
            defaults={"rate_limits": ["limit"]},
        ),
    ),
    over_h2("h2-hash-collisions", collisions.fields_over_h2, LARGE_HEADS),
    Attack(
        "many-keys",
        keys.many_keys,
        MOST,
        strong(
            "`rate: 10/h` by client, cookie and two fields, X-Forwarded-For believed",
            most_mib=64,
            rate_limits={name: LASTING | {"key": key} for name, key in KEYS.items()},
            clients={"trusted_proxies": ["127.1.0.0/16"]},
            routes=[targets.OWN_ROUTE | {"rate_limits": [*KEYS]}, {"upstream": "app"}],
        ),
    ),
    over_tls("tls-handshakes", tls.handshakes, SHORT),
    over_tls(
        "tls-half-hello",
        tls.half_hello,
        LONG,
        listener("`timeouts.header: 1h`", {"timeouts": {"header": "1h"}}),
        FEW_SEATS,
    ),
    over_tls("tls-tiny-records", tls.tiny_records, SHORT),
    Attack(
        "banned-10000",
        heads.banned,
        SHORT,
        strong("`bans.list` of 10,001 networks", bans={"list": BANNED}),
    ),
    Attack(
        "malformed",
        heads.malformed,
        SHORT,
        strong("`bans.after: 20`", bans={"after": 20}),
    ),
    Attack(
        "not-found",
        heads.not_found,
        SHORT,
        strong("`bans.after: 20`", bans={"after": 20}),
        strong(
            "`rate: 250/s` for each client",
            rate_limits={"limit": LIMIT},
            defaults={"rate_limits": ["limit"]},
        ),
    ),
]
