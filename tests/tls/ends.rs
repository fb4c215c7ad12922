//! Certificates that have ended, or soon will: served, and warned of.

use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::*;
use crate::support::poll;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority with a pair for each of these ends, and `a`, which is good.
fn ended() -> Authority {
    let (certs, now) = (Authority::new(), SystemTime::now());
    certs.write("a", &["a.example"]);
    certs.write_valid("past", &["past.example"], [now - DAY * 90, now - DAY]);
    certs.write_valid("soon", &["soon.example"], [now - DAY * 80, now + DAY * 9 + DAY / 2]);
    certs.write_valid("later", &["later.example"], [now - DAY, now + DAY * 16]);
    certs.write_valid("early", &["early.example"], [now + DAY, now + DAY * 91]);
    certs
}

const SITE: &str = "
listeners:
  - address: '127.0.0.1:{tls_port}'
    tls:
      certificates:
        - { cert: '{certs}/a.pem', key: '{certs}/a.key' }
        - { cert: '{certs}/past.pem', key: '{certs}/past.key' }
        - { cert: '{certs}/soon.pem', key: '{certs}/soon.key' }
        - { cert: '{certs}/later.pem', key: '{certs}/later.key' }
        - { cert: '{certs}/early.pem', key: '{certs}/early.key' }
routes: [{ respond: { status: 200, body: ok } }]
";

/// The warnings of certificates in a text, each as its file and what is said of it.
fn warnings(text: &str) -> Vec<(String, String)> {
    let said = text.lines().filter_map(|line| line.split_once(": the certificate "));
    let file = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let found = said.map(|(path, what)| (file(path), what.to_owned()));
    found.collect()
}

#[track_caller]
fn check(text: &str) {
    let found = warnings(text);
    let expected = [
        ("past.pem", "has expired on ", ": renew it"),
        ("soon.pem", "ends on ", ", in 9 days: renew it"),
        ("early.pem", "is not valid before ", ""),
    ];
    assert_eq!(found.len(), expected.len(), "{text}");
    for ((file, what), (expected, start, end)) in found.iter().zip(expected) {
        let is_right = file == expected && what.starts_with(start) && what.ends_with(end);
        assert!(is_right, "{text}");
    }
}

/// Waits for the last warning after what was said `before`, and checks them all.
fn await_warnings(edge: &Edge, before: &str) -> String {
    let new = poll("the warnings", || {
        let new = edge.stderr().strip_prefix(before)?.to_owned();
        new.contains("early.pem: the certificate").then_some(new)
    });
    check(&new);
    new
}

#[test]
fn certificates_that_end_are_warned_of_at_the_start_by_a_test_and_by_a_reload() {
    let certs = ended();
    let mut edge = Edge::start_with(SITE, &[("certs", &certs.dir().display())]);
    await_warnings(&edge, "");

    let before = edge.stderr();
    assert!(edge.spawn_beside(&["-t"]).wait().unwrap().success());
    let said = await_warnings(&edge, &before);
    assert_eq!(said.lines().filter(|line| line.starts_with("warning: ")).count(), 3, "{said}");
    assert!(said.ends_with("good\n"), "{said}");

    let before = edge.stderr();
    edge.signal(Signal::HUP);
    await_warnings(&edge, &before);
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
}
