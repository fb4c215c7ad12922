"""Every attack: what it does, for how long, and the settings of Tidegate that it is tried with."""

import connections
import floods
import heads
import slow

# Longer than the deadlines that end slow clients by default; an attack has at most 20 s.
LONG, SHORT = 16, 8

# Ten thousand networks, and the attacker's.
BANNED = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(10_000)] + ["127.1.0.0/16"]
# More than the good client asks, which shows no cookie and is limited as a client.
LIMIT = {"key": {"cookie": "id"}, "rate": "250/s", "burst": 500, "over": "reject"}
LIMIT_BY_CLIENT = LIMIT | {"key": "client_ip"}


class Setting:
    """`words` name it in the table; `is_promised` where the good client must see nothing."""

    def __init__(self, words, options, is_promised):
        self.words, self.options, self.is_promised = words, options, is_promised


DEFAULT = Setting("default", {}, True)


def weak(words, **options):
    return Setting(words, options, False)


def strong(words, **options):
    return Setting(words, options, True)


class Attack:
    """`run(port, seconds)` attacks, and tells what it sent and what the target did."""

    def __init__(self, name, run, seconds, *settings, is_h2=False, words=None):
        self.name, self.run, self.seconds, self.is_h2 = name, run, seconds, is_h2
        self.settings = [DEFAULT, *settings]
        self.words = words or " ".join(run.__doc__.split())


def slowly(name, words, *settings):
    return Attack(
        name, lambda port, seconds: slow.attack(name, port, seconds), LONG, *settings, words=words
    )


def over_h2(name, run, *settings):
    return Attack(name, run, SHORT, *settings, is_h2=True)


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
    Attack("connections-many-addresses", connections.many_addresses, SHORT),
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
        heads.collisions,
        SHORT,
        LARGE_HEADS,
    ),
    Attack(
        "many-keys",
        heads.many_keys,
        SHORT,
        strong(
            "a `rate` for each cookie, X-Forwarded-For believed",
            rate_limits={"limit": LIMIT},
            clients={"trusted_proxies": ["127.1.0.0/16"]},
            defaults={"rate_limits": ["limit"]},
        ),
    ),
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
            rate_limits={"limit": LIMIT_BY_CLIENT},
            defaults={"rate_limits": ["limit"]},
        ),
    ),
]
