//! Values of another kind than is wanted, and keys that there are not.

use serde::Deserialize;

use super::*;

#[test]
fn finds_every_fault_at_its_place() {
    let text = "\
serve: {}
server:
  thread: 2
  drain: 10 parsecs
  daemon: maybe
listeners:
  - protocols: [h1, h3]
    proxy_protocol: requires
routes: {}
";
    check(
        text,
        &[
            "1:1: serve: unknown key (did you mean `server`?)",
            "3:3: server.thread: unknown key (did you mean `threads`?)",
            "4:10: server.drain: `10 parsecs` is no duration; write 250ms, 5s, 10m, 1h or 7d",
            "5:11: server.daemon: expected on or off, found `maybe`",
            "7:5: listeners[0].address: is missing",
            "7:21: listeners[0].protocols[1]: expected `h1` or `h2`, found `h3` (did you mean `h1`?)",
            "8:21: listeners[0].proxy_protocol: expected `off`, `accept` or `require`, found `requires` (did you mean `require`?)",
            "9:1: routes: expected a list, found a mapping",
        ],
    );
}

#[test]
fn refuses_values_of_another_kind() {
    check("[]", &["1:1: expected a mapping, found a list"]);
    check("word", &["1:1: expected a mapping, found `word`"]);
    check("server:\n", &["1:1: server: expected a mapping, found nothing"]);
    check("server: { token: }", &["1:11: server.token: expected a string, found nothing"]);
    check("server: { token: ~ }", &["1:18: server.token: expected a string, found nothing"]);
    check("server: { drain: [] }", &["1:11: server.drain: expected a duration, found a list"]);
    check(
        "server: { threads: \"2\" }",
        &["1:20: server.threads: expected a whole number, found the string `2`"],
    );
    check(
        "server: { threads: 1.5 }",
        &["1:20: server.threads: expected a whole number, found `1.5`"],
    );
    check("server: { threads: 70000 }", &["1:20: server.threads: `70000` is more than 65535"]);
    check("server: { threads: -1 }", &["1:20: server.threads: `-1` is less than 0"]);
    check("server: { offset: -200 }", &["1:19: server.offset: `-200` is less than -128"]);
    check(
        "server: { connections: 99999999999999999999 }",
        &["1:24: server.connections: `99999999999999999999` is out of range"],
    );
    check("server: { ratio: x }", &["1:18: server.ratio: expected a number, found `x`"]);
    check("server: { share: 120% }", &["1:18: server.share: `120%` is no share; write 0% to 100%"]);
    check("server: { watch: yes }", &["1:18: server.watch: `yes` is neither on nor off"]);
    check(
        "clients: { trusted_proxies: [10.0.0.1/8] }",
        &[
            "1:30: clients.trusted_proxies[0]: `10.0.0.1/8` has bits set beyond its /8; write 10.0.0.0/8",
        ],
    );
    check(
        "routes: [{ upstream: a, range: [1] }]",
        &["1:25: routes[0].range: needs at least 2 items"],
    );
    check(
        "routes: [{ upstream: a, range: [1, 2, 3] }]",
        &["1:25: routes[0].range: takes at most 2 items"],
    );
}

#[test]
fn reports_from_the_alternative_that_was_meant() {
    let upstream = |rest: &str| format!("upstreams:\n  app:\n    {rest}\n");
    let check = |rest: &str, expected: &[&str]| check(&upstream(rest), expected);
    check(
        "balance: rond_robin",
        &["3:14: upstreams.app.balance: expected `round_robin`, `random` or a mapping with \
           `consistent_hash`, found `rond_robin` (did you mean `round_robin`?)"],
    );
    check(
        "balance: { consistant_hash: uri }",
        &[
            "3:16: upstreams.app.balance.consistant_hash: unknown key (did you mean `consistent_hash`?)",
        ],
    );
    check(
        "balance: { consistent_hash: urn }",
        &["3:33: upstreams.app.balance.consistent_hash: expected `client_ip`, `uri` or a mapping \
           with `header` or `cookie`, found `urn` (did you mean `uri`?)"],
    );
    check(
        "balance: { consistent_hash: { heder: x } }",
        &[
            "3:35: upstreams.app.balance.consistent_hash.heder: unknown key (did you mean `header`?)",
        ],
    );
    check(
        "balance: { consistent_hash: { header: x, cookie: y } }",
        &["3:46: upstreams.app.balance.consistent_hash.cookie: is not allowed beside `header`"],
    );
    check(
        "balance: { consistent_hash: {} }",
        &["3:16: upstreams.app.balance.consistent_hash: expected `client_ip`, `uri` or a mapping \
           with `header` or `cookie`, found an empty mapping"],
    );
    check(
        "servers: [{ address: a, wieght: 2 }, { weight: x }, [a]]",
        &[
            "3:29: upstreams.app.servers[0].wieght: unknown key (did you mean `weight`?)",
            "3:42: upstreams.app.servers[1].address: is missing",
            "3:52: upstreams.app.servers[1].weight: expected a whole number, found `x`",
            "3:57: upstreams.app.servers[2]: expected a string or a mapping, found a list",
        ],
    );
    check("discover: { dns: a }", &["3:5: upstreams.app.discover.port: is missing"]);
    check(
        "discover: { srv: a, port: 1 }",
        &["3:25: upstreams.app.discover.port: is not allowed beside `srv`"],
    );
    check(
        "health: { kind: tcp, path: / }",
        &[
            "3:5: upstreams.app.health.rise: is missing",
            "3:26: upstreams.app.health.path: is not allowed beside `kind`",
        ],
    );
    check("servers: a:1", &["3:14: upstreams.app.servers: expected a list, found `a:1`"]);
}

#[test]
fn a_list_that_chooses_is_not_empty() {
    check(
        "listeners: [{ address: x, protocols: [] }]\nclients: { trusted_proxies: [] }",
        &["1:27: listeners[0].protocols: is empty; write at least one, or leave the key out"],
    );
}

#[test]
fn a_misspelt_required_key_is_one_fault() {
    check(
        "listeners: [{ adress: x }]",
        &["1:15: listeners[0].adress: unknown key (did you mean `address`?)"],
    );
}

#[test]
fn keys_of_rooms_to_come_are_not_supported_yet() {
    let text = "\
waf: { standard: {} }
upstreams: { app: { sticky: { cookie: x }, discover: { consul: {} } } }
routes: [{ upstream: app, access: {} }]
server: { waf: {} }
";
    check(
        text,
        &[
            "1:1: waf: is not supported yet",
            "2:21: upstreams.app.sticky: is not supported yet",
            "2:56: upstreams.app.discover.consul: is not supported yet",
            "3:27: routes[0].access: is not supported yet",
            "4:11: server.waf: unknown key",
        ],
    );
}

#[test]
fn a_bad_port_is_not_taken_for_a_name() {
    check(
        "listeners: [{ address: x, https_redirect: 70000 }]",
        &["1:43: listeners[0].https_redirect: `70000` is more than 65535"],
    );
}

#[test]
fn a_key_that_serde_would_ignore_is_unknown() {
    #[derive(Debug, Deserialize, JsonSchema)]
    struct Open {
        #[serde(rename = "known")]
        _known: u8,
    }
    let loaded = LOADER.load_str::<Open>("t.yaml", "known: 1\nother: 2\n");
    let report = loaded.and_then(whole).map(drop).expect_err("unknown");
    assert_eq!(report.to_string(), "t.yaml:2:1: other: unknown key");
}

#[test]
fn what_the_schema_cannot_say_is_a_fault_too() {
    check(
        "routes: [{ upstream: a, status: 600 }]",
        &["1:33: routes[0].status: `600` is no status"],
    );
}

#[test]
fn every_value_that_its_type_refuses_is_told_at_once() {
    check(
        "routes: [{ upstream: a, status: 600 }, { upstream: [], status: 601 }, { status: 602 }]",
        &[
            "1:33: routes[0].status: `600` is no status",
            "1:42: routes[1].upstream: expected a string, found a list",
            "1:64: routes[1].status: `601` is no status",
            "1:71: routes[2].upstream: is missing",
            "1:81: routes[2].status: `602` is no status",
        ],
    );
}
