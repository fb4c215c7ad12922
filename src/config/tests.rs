//! A whole load, from the text to the value or every fault.

mod files;
mod fixture;
mod kinds;
mod profiles;
mod text;
mod variables;

use std::ffi::OsString;

use super::*;
use crate::units::{OrOff, Period, Switch};

use fixture::{
    Balance, Fixture, GOOD, HashBy, Health, NoLimits, ProxyProtocol, RateLimits, Status, TlsVersion,
};

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
