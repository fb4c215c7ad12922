//! Sites that may lead to a route.

use crate::support::{Client, Edge};

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_do_not_lead_to_a_route() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
# Pages elsewhere get none of their visitors banned.
bans: { after: 1 }
routes:
  - match: { path: /strict }
    respond: {}
    access: { referers: [example.com, '*.example.com'] }
  - match: { path: /lenient }
    respond: {}
    access: { referers: [none, example.com] }
  - match: { path: /open }
    respond: {}
    access: { referers: [] }
",
    );
    for (referer, expected) in [
        (Some("https://example.com/page"), [200, 200, 200]),
        (Some("https://www.example.com/"), [200, 403, 200]),
        (Some("https://example.com.evil.example/"), [403, 403, 200]),
        (Some("https://evil.example/?https://example.com/"), [403, 403, 200]),
        (None, [403, 200, 200]),
    ] {
        let line = referer.map(|referer| format!("referer: {referer}\r\n")).unwrap_or_default();
        for (path, status) in ["/strict", "/lenient", "/open"].into_iter().zip(expected) {
            let request = format!("GET {path} HTTP/1.1\r\nhost: example.com\r\n{line}\r\n");
            let answer = Client::ask(edge.addr(), request).await;
            assert_eq!(answer.status, status, "{path} {referer:?}");
        }
    }
    let records = edge.stop();
    let refused: Vec<_> = records.iter().filter(|record| record["status"] == 403).collect();
    assert_eq!(refused.len(), 6);
    for record in refused {
        assert_eq!((&record["room"], &record["refusal"]), (&"access".into(), &"referer".into()));
    }
}
