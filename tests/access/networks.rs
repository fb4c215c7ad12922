//! Networks that may, and that may not.

use crate::support::{Client, Edge};

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_for_the_networks_that_it_allows() {
    let edge = Edge::start(
        "
clients: { trusted_proxies: [127.0.0.9] }
listeners: [{ address: '127.0.0.1:{port}' }]
routes:
  - match: { path: /some }
    respond: {}
    access: { allow: [127.0.0.2/31, '2001:db8::/32'] }
  - match: { path: /others }
    respond: {}
    access: { deny: [127.0.0.2/31, '2001:db8::/32'] }
  - match: { path: /most }
    respond: {}
    access: { allow: [127.0.0.0/8], deny: [127.0.0.3] }
",
    );
    for (from, forwarded, expected) in [
        ("127.0.0.2", "", [200, 403, 200]),
        ("127.0.0.3", "", [200, 403, 403]),
        ("127.0.0.4", "", [403, 200, 200]),
        // Who is no proxy of ours speaks for nobody.
        ("127.0.0.4", "x-forwarded-for: 127.0.0.2\r\n", [403, 200, 200]),
        ("127.0.0.9", "x-forwarded-for: 127.0.0.3\r\n", [200, 403, 403]),
        ("127.0.0.9", "x-forwarded-for: 2001:db8::7\r\n", [200, 403, 403]),
        ("127.0.0.9", "x-forwarded-for: 192.0.2.1\r\n", [403, 200, 403]),
    ] {
        for (path, status) in ["/some", "/others", "/most"].into_iter().zip(expected) {
            let mut client = Client::connect_from(from, edge.addr()).await;
            client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{forwarded}\r\n")).await;
            let answer = client.response().await;
            assert_eq!(answer.status, status, "{path} of {from} {forwarded}");
        }
    }
    let records = edge.stop();
    let refused: Vec<_> = records.iter().filter(|record| record["status"] == 403).collect();
    assert_eq!(refused.len(), 11);
    for record in refused {
        assert_eq!((&record["room"], &record["refusal"]), (&"access".into(), &"network".into()));
    }
}
