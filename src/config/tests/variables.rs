//! `${NAME}` in values, and what faults say of them.

use super::*;
use crate::fault::{Faults, KeyPath};

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
