//! Countries and autonomous systems that clients are from, by databases that
//! the test makes.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::support::mmdb::{Entry, database};
use crate::support::{Client, Edge};

const SITE: &str = "
clients:
  trusted_proxies: [127.0.0.1]
  geo: { country: '{made}/country.mmdb', asn: '{made}/asn.mmdb' }
listeners: [{ address: '127.0.0.1:{port}' }]
routes:
  - match: { path: /in }
    respond: {}
    access: { countries: { allow: [DE, NO] } }
  - match: { path: /out }
    respond: {}
    access: { countries: { deny: [NO] } }
  - match: { path: /systems }
    respond: {}
    access: { asns: { allow: [64500, 64501], deny: [64501] } }
  - match: { path: /all }
    respond: {}
";

fn write_databases(dir: &Path) {
    let countries = database(
        "GeoLite2-Country",
        &[
            ("192.0.2.0/24", Entry::Country("DE")),
            ("192.0.2.128/25", Entry::Country("NO")),
            ("198.51.100.0/24", Entry::Country("FR")),
            ("2001:db8::/32", Entry::Country("NO")),
        ],
    );
    fs::write(dir.join("country.mmdb"), countries).unwrap();
    let systems = database(
        "GeoLite2-ASN",
        &[
            ("192.0.2.0/24", Entry::Asn(64_500)),
            ("198.51.100.0/24", Entry::Asn(64_501)),
            ("2001:db8::/32", Entry::Asn(4_200_000_000)),
        ],
    );
    fs::write(dir.join("asn.mmdb"), systems).unwrap();
}

async fn status(edge: &Edge, path: &str, client: &str) -> u16 {
    let fields = format!("host: a\r\nx-forwarded-for: {client}\r\n");
    Client::ask(edge.addr(), format!("GET {path} HTTP/1.1\r\n{fields}\r\n")).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_pass_by_the_place_that_they_are_from() {
    let made = tempfile::tempdir().unwrap();
    write_databases(made.path());
    let edge = Edge::start_with(SITE, &[("made", &made.path().display())]);
    for (client, expected) in [
        ("192.0.2.1", [200, 200, 200]),
        ("192.0.2.129", [200, 403, 200]),
        ("198.51.100.7", [403, 200, 403]),
        ("2001:db8::7", [200, 403, 403]),
        // Nobody knows where it is from.
        ("203.0.113.9", [403, 200, 403]),
        ("2001:db9::1", [403, 200, 403]),
    ] {
        for (path, expected) in ["/in", "/out", "/systems"].into_iter().zip(expected) {
            assert_eq!(status(&edge, path, client).await, expected, "{path} for {client}");
        }
    }
    assert_eq!(status(&edge, "/all", "192.0.2.1").await, 200);
    let records = edge.stop();
    let of = |path: &str, client: &str| -> &Json {
        let is_it = |record: &&Json| record["path"] == path && record["client_ip"] == client;
        records.iter().find(is_it).unwrap()
    };
    // What was looked up is in the record, and nothing else is looked up.
    for (path, client, expected) in [
        ("/in", "192.0.2.129", json!({ "country": "NO", "asn": null, "refusal": null })),
        ("/out", "192.0.2.129", json!({ "country": "NO", "refusal": "country" })),
        ("/systems", "198.51.100.7", json!({ "country": null, "asn": 64501, "refusal": "asn" })),
        ("/systems", "2001:db8::7", json!({ "asn": 4_200_000_000_u32, "room": "access" })),
        ("/in", "203.0.113.9", json!({ "country": null, "refusal": "country" })),
        ("/all", "192.0.2.1", json!({ "country": null, "asn": null })),
    ] {
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&of(path, client)[field], value, "{field} of {path} for {client}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_read_again_when_it_changes() {
    let made = tempfile::tempdir().unwrap();
    write_databases(made.path());
    let edge = Edge::start_with(SITE, &[("made", &made.path().display())]);
    let country = made.path().join("country.mmdb");
    assert_eq!(status(&edge, "/in", "203.0.113.9").await, 403);
    let moved = database("Test", &[("203.0.113.0/24", Entry::Country("DE"))]);
    fs::write(&country, &moved).unwrap();
    edge.await_stderr("file replaced: ");
    assert_eq!(status(&edge, "/in", "203.0.113.9").await, 200);
    assert_eq!(status(&edge, "/in", "192.0.2.1").await, 403);

    // Cut off, and of another kind: neither is taken.
    let (half, _) = moved.split_at(moved.len() - 40);
    let asn = fs::read(made.path().join("asn.mmdb")).unwrap();
    for (bad, said) in [
        (half, format!("{}: ", country.display())),
        (&asn, "holds no countries; it is a database of GeoLite2-ASN".to_owned()),
    ] {
        fs::write(&country, bad).unwrap();
        edge.await_stderr(&said);
        assert_eq!(status(&edge, "/in", "203.0.113.9").await, 200);
    }
    let answer = edge.admin_post("/api/reload");
    let fault = format!("clients.geo.country: {}: holds no countries", country.display());
    assert!(answer.status == 422 && answer.text().contains(&fault), "{}", answer.text());
    edge.stop();
}
