use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::fault::KeyPath;
use crate::networks::Network;
use crate::units::{ByteSize, OrOff, Period, Share, Switch};

// A configuration with every form that the rooms use.

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Fixture {
    server: Server,
    clients: Clients,
    listeners: Vec<Listener>,
    upstreams: BTreeMap<String, Upstream>,
    cache: Cache,
    routes: Vec<Route>,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Server {
    threads: Option<u16>,
    daemon: bool,
    error_log: Option<PathBuf>,
    token: String,
    key: Option<String>,
    drain: Period,
    share: Option<Share>,
    ratio: f64,
    offset: i8,
    connections: u64,
    watch: Switch,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Clients {
    trusted_proxies: Vec<Network>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Listener {
    address: String,
    #[serde(default)]
    protocols: Vec<Protocol>,
    #[serde(default)]
    proxy_protocol: ProxyProtocol,
    #[serde(default)]
    min_version: Option<TlsVersion>,
    #[serde(default)]
    https_redirect: Option<Redirect>,
    #[serde(default)]
    timeouts: Timeouts,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    H1,
    H2,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ProxyProtocol {
    /// Never.
    #[default]
    Off,
    /// If there is one.
    Accept,
    /// Always.
    Require,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Redirect {
    Name(String),
    Port(u16),
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Timeouts {
    header: Period,
    total: OrOff<Period>,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Upstream {
    servers: Vec<Backend>,
    discover: Option<Discover>,
    balance: Balance,
    health: Option<Health>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Backend {
    Address(String),
    Full(FullBackend),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullBackend {
    address: String,
    #[serde(default)]
    weight: u16,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Discover {
    Dns(Dns),
    Srv(Srv),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dns {
    dns: String,
    port: u16,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Srv {
    srv: String,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Balance {
    #[default]
    RoundRobin,
    Random,
    ConsistentHash(HashBy),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum HashBy {
    ClientIp,
    Uri,
    Header(String),
    Cookie(String),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Health {
    Http { path: String },
    Tcp { rise: u8 },
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Cache {
    memory: ByteSize,
    disks: Vec<String>,
    profiles: BTreeMap<String, Profile>,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Profile {
    statuses: BTreeMap<String, Period>,
    max_object: OrOff<ByteSize>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Route {
    upstream: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    rate_limits: RateLimits,
    #[serde(default)]
    range: Option<(u8, u8)>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RateLimits {
    None(NoLimits),
    Names(Vec<String>),
}

impl Default for RateLimits {
    fn default() -> Self {
        RateLimits::Names(Vec::new())
    }
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NoLimits {
    None,
}

/// Says nothing in its schema of what it refuses.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "u16")]
#[schemars(with = "u16")]
struct Status(u16);

impl TryFrom<u16> for Status {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, String> {
        if status < 600 { Ok(Status(status)) } else { Err(format!("`{status}` is no status")) }
    }
}

fn environment(name: &str) -> Option<OsString> {
    let value = match name {
        "TWO" => "2",
        "EMPTY" => "",
        "SECRET" => "hunter2-and-more",
        "STRUCTURE" => "a: [b]\nc: {d",
        "STATUS" => "7777",
        "FAULTY_NETWORK" => "10.1.2.3/8",
        "ON" => "on",
        _ => return None,
    };
    Some(value.into())
}

const LOADER: Loader<'static> = Loader {
    environment: &environment,
    not_yet: &["waf", "routes[].access", "upstreams.*.sticky", "upstreams.*.discover.consul"],
    not_empty: &["listeners[].protocols"],
};

fn load(text: &str) -> Result<Loaded<Fixture>, Report> {
    LOADER.load_str("t.yaml", text)
}

/// The configuration, if nothing is wrong with the file.
fn whole<T>(loaded: Loaded<T>) -> Result<T, Report> {
    loaded.build(|_| Ok(())).map(|(config, ())| config)
}

fn good(text: &str) -> Fixture {
    load(text).and_then(whole).unwrap_or_else(|report| panic!("{text}\n{report}"))
}

/// The faults as printed, without the name of the file.
fn check(text: &str, expected: &[&str]) {
    let report = load(text).and_then(whole).expect_err(text);
    let lines: Vec<_> =
        report.lines().iter().map(|line| line.strip_prefix("t.yaml:").expect("file")).collect();
    assert_eq!(lines, expected, "{text}");
}

const GOOD: &str = r#"
server:
  threads: ${TWO}
  daemon: off
  error_log: ~
  token: ${SECRET}
  key: ${UNSET:-}
  drain: 10s
  share: 20%
  ratio: 1
  offset: -3
  connections: 18446744073709551615
  watch: on
clients: { trusted_proxies: [10.0.0.0/8, "::1"] }
listeners:
  - address: 0.0.0.0:8080
    protocols: [h1, h2]
    proxy_protocol: false
    min_version: 1.2
    https_redirect: 8443
    timeouts: &timeouts { header: 10s, total: off }
  - address: 0.0.0.0:8081
    https_redirect: on
    timeouts: *timeouts
upstreams:
  app:
    servers: ["127.0.0.1:1", { address: "127.0.0.1:2", weight: 3 }]
    balance: { consistent_hash: { header: x-user } }
    health: { kind: tcp, rise: 2 }
  other:
    discover: { dns: app.internal, port: 9001 }
    balance: { consistent_hash: uri }
  third: {}
cache:
  memory: 64KiB
  profiles:
    media: { statuses: { 404: 1m }, max_object: false }
routes:
  - upstream: app
    headers: { x-version: 1.20, x-flag: true, x-empty: "" }
    rate_limits: none
    range: [1, 2]
    status: 404
  - upstream: other
    rate_limits: [a, b]
"#;

#[test]
fn loads_every_form() {
    let config = good(GOOD);
    assert_eq!(config.server.threads, Some(2));
    assert!(!config.server.daemon);
    assert_eq!(config.server.error_log, None);
    assert_eq!(config.server.token, "hunter2-and-more");
    assert_eq!(config.server.key, None);
    assert_eq!(config.server.drain, Period::from_secs(10));
    assert_eq!(config.server.ratio, 1.0);
    assert_eq!(config.server.connections, u64::MAX);
    assert_eq!(config.server.watch, Switch::ON);
    assert_eq!(config.clients.trusted_proxies.len(), 2);
    let [first, second] = config.listeners.as_slice() else { panic!("two listeners") };
    assert_eq!(first.proxy_protocol, ProxyProtocol::Off);
    assert_eq!(first.min_version, Some(TlsVersion::Tls12));
    assert_eq!(first.timeouts, second.timeouts);
    let app = &config.upstreams["app"];
    assert_eq!(app.balance, Balance::ConsistentHash(HashBy::Header("x-user".to_owned())));
    assert_eq!(app.health, Some(Health::Tcp { rise: 2 }));
    let media = &config.cache.profiles["media"];
    assert_eq!(media.statuses["404"], Period::from_secs(60));
    assert_eq!(media.max_object, OrOff::Off);
    assert_eq!(config.routes[0].headers["x-version"], "1.20");
    assert_eq!(config.routes[0].headers["x-flag"], "true");
    assert_eq!(config.routes[0].rate_limits, RateLimits::None(NoLimits::None));
    assert_eq!(config.routes[0].status, Some(Status(404)));
}

#[test]
fn an_empty_file_is_an_empty_mapping() {
    for empty in ["", "\n", "# nothing\n", "---\n", "{}", "~"] {
        if empty == "~" {
            check(empty, &["1:1: expected a mapping, found nothing"]);
        } else {
            assert_eq!(good(empty), Fixture::default(), "{empty:?}");
        }
    }
}

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
fn refuses_what_yaml_would_let_pass() {
    check(
        "server: {}\ncache: { memory: 1, memory: 2 }\nserver: {}\n",
        &[
            "2:21: cache.memory: is given twice; first at t.yaml:2:10",
            "3:1: server: is given twice; first at t.yaml:1:1",
        ],
    );
    check("a: 1\n---\nb: 2\n", &["2:1: a second document starts here; a file holds one"]);
    check(
        "server:\n\tdaemon: on\n",
        &["2:2: tabs disallowed within this context (block indentation)"],
    );
    check(
        "server: { daemon: on\n",
        &["1:21: while parsing a flow mapping, did not find expected ',' or '}'"],
    );
    check("é: \"ü\" x\n", &["1:8: invalid trailing content after double-quoted scalar"]);
    check(
        "server: &s { daemon: on }\ncache:\n  <<: *s\n",
        &["3:3: merge keys (`<<`) are not supported; write the keys out"],
    );
    check(
        "server: { token: !!str 5 }",
        &["1:18: tags are not supported; quote a value to make it a string"],
    );
    check(
        "server: &s { token: *s }",
        &["1:21: the anchor of this alias is not on a whole value before it"],
    );
    check("? [a]\n: b\n", &["1:3: a key must be one word, not a list or a mapping"]);
    check("server: { : b }", &["1:11: a key is missing before the colon"]);
    check("server: {} # \0\nx: y\n", &["1:14: a character here is unprintable or not UTF-8"]);
}

#[test]
fn nesting_and_values_are_bounded() {
    let deep = "[".repeat(100);
    check(&deep, &["1:65: nested deeper than 64 levels"]);
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let report = load(&laughs).and_then(whole).expect_err("too many");
    assert_eq!(report.lines().len(), 1);
    assert!(report.to_string().ends_with("the configuration has too many values"), "{report}");
}

#[test]
fn variables_are_replaced_inside_values_only() {
    let token = |written: &str| good(&format!("server: {{ token: {written} }}")).server.token;
    assert_eq!(token("${STRUCTURE}"), "a: [b]\nc: {d");
    assert_eq!(token("x-${TWO}-${TWO}"), "x-2-2");
    assert_eq!(token("\"${TWO}\""), "2");
    assert_eq!(token("${TWO}"), "2");
    assert_eq!(token("${UNSET:-plain}"), "plain");
    assert_eq!(token("${EMPTY:-plain}"), "plain");
    assert_eq!(token("'${UNSET:-a: {b}'"), "a: {b");
    assert_eq!(token("${EMPTY}"), "");
    assert_eq!(token("$${TWO}"), "${TWO}");
    assert_eq!(token("$$ $x"), "$$ $x");
    let server =
        good("server:\n  threads: ${TWO}\n  daemon: ${ON}\n  error_log: ${EMPTY}\n").server;
    assert_eq!((server.threads, server.daemon, server.error_log), (Some(2), true, None));
    check(
        "server: { threads: \"${TWO}\" }",
        &["1:20: server.threads: expected a whole number, found the value of `${TWO}`"],
    );
    check("\"${TWO}\": x", &["1:1: ${TWO}: unknown key"]);
}

#[test]
fn refuses_variables_that_cannot_be_replaced() {
    check(
        "server: { token: ${UNSET}, threads: x }",
        &[
            "1:18: server.token: the variable `UNSET` is not set; set it or write `${UNSET:-default}`",
            "1:37: server.threads: expected a whole number, found `x`",
        ],
    );
    check(
        "server: { token: '${TWO' }",
        &["1:18: server.token: `${` without its `}`; write `$${` for a plain `${`"],
    );
    check(
        "server: { token: '${1x}' }",
        &["1:18: server.token: `${1x}` names no variable; write `$${` for a plain `${`"],
    );
}

#[test]
fn a_fault_never_shows_a_variables_value() {
    let text = "\
server:
  drain: ${SECRET}
  threads: ${STATUS}0
  share: ${UNSET:-none}
listeners:
  - { address: x, protocols: ['${SECRET}'] }
clients: { trusted_proxies: ['${FAULTY_NETWORK}'] }
";
    check(
        text,
        &[
            "2:10: server.drain: expected a duration, found the value of `${SECRET}`",
            "3:12: server.threads: the value of `${STATUS}0` is more than 65535",
            "4:10: server.share: expected a share, found the value of `${UNSET:-none}`",
            "6:31: listeners[0].protocols[0]: expected `h1` or `h2`, found the value of `${SECRET}`",
            "7:30: clients.trusted_proxies[0]: expected a network, found the value of `${FAULTY_NETWORK}`",
        ],
    );
    let route = "routes: [{ upstream: a, status: ${STATUS} }]";
    check(route, &["1:33: routes[0].status: `${STATUS}` is no status"]);
    let loaded = load("server: { token: 'x${SECRET}', key: '${TWO}' }").expect("good");
    let token: KeyPath = ["server", "token"].into_iter().collect();
    let faults = Faults::none()
        .with(token, "`xhunter2-and-more` and \"hunter2-and-more\" are short")
        .with(KeyPath::root().child("server").child("key"), "`2` is not 12");
    assert!(!format!("{:?}", loaded.source).contains("hunter2"));
    assert_eq!(
        loaded.build(|_| Err::<(), _>(faults)).map(drop).expect_err("faults").to_string(),
        "t.yaml:1:18: server.token: `x${SECRET}` and \"${SECRET}\" are short\n\
         t.yaml:1:37: server.key: `${TWO}` is not 12"
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
fn locates_any_key_or_its_nearest_parent() {
    let loaded = load("server:\n  drain: 5s\nroutes:\n  - upstream: app\n").expect("good");
    let check = |path: &KeyPath, expected: &str| {
        assert_eq!(loaded.source.locate(path).to_string(), format!("t.yaml:{expected}"), "{path}");
    };
    let root = KeyPath::root();
    check(&root, "1:1");
    check(&root.child("server"), "1:1");
    check(&root.child("server").child("drain"), "2:10");
    check(&root.child("server").child("token"), "1:1");
    check(&root.child("routes").child(0), "4:5");
    check(&root.child("routes").child(0).child("upstream"), "4:15");
    check(&root.child("routes").child(7).child("upstream"), "3:1");
    check(&root.child("cache").child("memory"), "1:1");
}

#[test]
fn a_fault_is_one_line_and_steers_no_terminal() {
    check("\"a\\nb\\e[31m\": x", &["1:1: a\\nb\\u{1b}[31m: unknown key"]);
}

#[test]
fn no_change_of_a_line_panics_or_points_outside_the_file() {
    let lines: Vec<&str> = GOOD.lines().collect();
    let replacements =
        ["", "\t", "- x", "x: [", "  }", "? ", ": ", "&a", "*timeouts", "é: |", "---", "${X", "!t"];
    for index in 0..lines.len() {
        let mut deleted = lines.clone();
        deleted.remove(index);
        positions_exist(&deleted.join("\n"));
        for replacement in replacements {
            let mut replaced = lines.clone();
            replaced[index] = replacement;
            positions_exist(&replaced.join("\n"));
            // The same at the indentation of the line.
            let indent = lines[index].len() - lines[index].trim_start().len();
            let indented = format!("{}{replacement}", " ".repeat(indent));
            replaced[index] = &indented;
            positions_exist(&replaced.join("\n"));
        }
    }
    // Every beginning of the file, as of a copy that was cut short.
    for end in (0..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        positions_exist(GOOD.split_at(end).0);
    }
}

fn positions_exist(text: &str) {
    let Err(report) = load(text).and_then(whole) else { return };
    assert!(!report.lines().is_empty());
    for line in report.lines() {
        let mut parts = line.split(':').skip(1).map(|part| part.parse::<usize>().unwrap_or(0));
        let (row, column) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let width = text.lines().nth(row.wrapping_sub(1)).unwrap_or("").chars().count();
        let exists = row >= 1 && row <= text.lines().count().max(1);
        assert!(exists && (1..=width + 1).contains(&column), "{line}\n{text}");
    }
}

/// A folder of files that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn with(test: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("tidegate-{}-{test}", std::process::id()));
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        Folder(root)
    }

    fn load(&self) -> Result<Fixture, Vec<String>> {
        let loaded = LOADER.load::<Fixture>(&self.0.join("main.yaml"));
        let folder = format!("{}/", self.0.display());
        loaded
            .and_then(whole)
            .map_err(|report| report.lines().iter().map(|line| line.replace(&folder, "")).collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

#[test]
fn included_files_are_merged() {
    let folder = Folder::with(
        "merge",
        &[
            (
                "main.yaml",
                "include: [conf.d/*.yaml, 'none/*.yaml', '${UNSET:-last}.yml']\n\
                 server: { daemon: on }\n\
                 upstreams: { a: {} }\n\
                 routes: [{ upstream: a }]\n",
            ),
            ("conf.d/2.yaml", "routes: [{ upstream: c }]\ncache: { disks: [y] }\n"),
            (
                "conf.d/1.yaml",
                "include: [sub/x.yaml]\n\
                 server: { drain: 5s }\n\
                 upstreams: { b: {} }\n\
                 routes: [{ upstream: b }]\n\
                 cache: { disks: [x] }\n",
            ),
            ("conf.d/.hidden.yaml", "nonsense: 1\n"),
            ("conf.d/other.txt", "nonsense: 1\n"),
            ("conf.d/sub/x.yaml", "cache: { profiles: { p: {} } }\n"),
            ("last.yml", ""),
        ],
    );
    let config = folder.load().expect("good");
    assert!(config.server.daemon);
    assert_eq!(config.server.drain, Period::from_secs(5));
    assert_eq!(config.upstreams.keys().collect::<Vec<_>>(), ["a", "b"]);
    let routes: Vec<_> = config.routes.iter().map(|route| route.upstream.as_str()).collect();
    assert_eq!(routes, ["a", "b", "c"]);
    assert_eq!(config.cache.disks, ["x", "y"]);
    assert!(config.cache.profiles.contains_key("p"));
}

#[test]
fn what_two_files_give_is_a_fault_with_both_places() {
    let folder = Folder::with(
        "twice",
        &[
            (
                "main.yaml",
                "include: [a.yaml]\n\
                 server: { drain: 5s }\n\
                 upstreams: { app: { servers: [x] } }\n\
                 cache: { profiles: { p: {} } }\n",
            ),
            (
                "a.yaml",
                "server: { drain: 6s, daemon: perhaps }\n\
                 upstreams:\n  app: { servers: [y] }\n\
                 cache: { profiles: { p: {} } }\n\
                 routes: [{ upstream: [] }]\n",
            ),
        ],
    );
    assert_eq!(
        folder.load().expect_err("faults"),
        [
            "a.yaml:1:11: server.drain: is given twice; first at main.yaml:2:11",
            "a.yaml:1:30: server.daemon: expected on or off, found `perhaps`",
            "a.yaml:3:3: upstreams.app: is given twice; first at main.yaml:3:14",
            "a.yaml:4:22: cache.profiles.p: is given twice; first at main.yaml:4:22",
            "a.yaml:5:12: routes[0].upstream: expected a string, found a list",
        ]
    );
}

#[test]
fn refuses_includes_that_cannot_be_followed() {
    let folder = Folder::with(
        "follow",
        &[
            ("main.yaml", "include: [a.yaml, none.yaml, '*/x.yaml', [], list.yaml, latin.yaml]\n"),
            ("a.yaml", "include:\n  - b.yaml\n"),
            ("b.yaml", "include: [main.yaml, a.yaml]\n"),
            ("list.yaml", "- a\n"),
        ],
    );
    fs::write(folder.0.join("latin.yaml"), b"server:\n  token: caf\xe9\n").expect("written");
    assert_eq!(
        folder.load().expect_err("faults"),
        [
            "b.yaml:1:11: include[0]: `main.yaml` is read already; first named at main.yaml:1:1",
            "b.yaml:1:22: include[1]: `a.yaml` is read already; first named at main.yaml:1:11",
            "latin.yaml:2:13: a character here is unprintable or not UTF-8",
            "list.yaml:1:1: an included file must be a mapping",
            "main.yaml:1:19: include[1]: `none.yaml` cannot be read: No such file or directory (os error 2)",
            "main.yaml:1:30: include[2]: `*` may stand only in the last part of a path",
            "main.yaml:1:42: include[3]: expected the name of a file",
        ]
    );
    let missing = LOADER.load::<Fixture>(Path::new("/nonexistent/t.yaml"));
    let missing = missing.map(drop).expect_err("missing");
    assert_eq!(
        missing.to_string(),
        "/nonexistent/t.yaml:1:1: cannot be read: No such file or directory (os error 2)"
    );
    check("include: x.yaml", &["1:10: include: expected a list of files"]);
}
