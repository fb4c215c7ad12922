//! Connections to servers are kept for those that would have made the same.

use crate::support::{Authority, Client, Edge, Origin};

const SITE: &str = "
server: { threads: 1 }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams:
  a: { servers: ['{origin}'], tls: { sni: a.example, ca: '{certs}/ca.pem' } }
  b: { servers: ['{origin}'], tls: { sni: b.example, ca: '{certs}/ca.pem' } }
  unverified: { servers: ['{origin}'], tls: { sni: a.example, verify: false } }
  other_ca: { servers: ['{origin}'], tls: { sni: a.example, ca: '{others}/ca.pem' } }
  other_name: { servers: ['{origin}'], tls: { sni: c.example, ca: '{certs}/ca.pem' } }
  with_cert:
    servers: ['{origin}']
    tls:
      sni: a.example
      ca: '{certs}/ca.pem'
      cert: '{certs}/me.pem'
      key: '{certs}/me.key'
routes:
  - { match: { path: /a }, upstream: a }
  - { match: { path: /b }, upstream: b }
  - { match: { path: /unverified }, upstream: unverified }
  - { match: { path: /other_ca }, upstream: other_ca }
  - { match: { path: /other_name }, upstream: other_name }
  - { match: { path: /with_cert }, upstream: with_cert }
";

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_with_other_tls_settings_never_share_a_connection() {
    let (certs, others) = (Authority::new(), Authority::new());
    certs.write("me", &["me.example"]);
    let server = certs.server(&["a.example", "b.example"]);
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let origin = Origin::scripted_tls(server, move |mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(answer).await;
        }
    })
    .await;
    let places: [(&str, &dyn std::fmt::Display); 3] = [
        ("origin", &origin.addr),
        ("certs", &certs.dir().display()),
        ("others", &others.dir().display()),
    ];
    let edge = Edge::start_with(SITE, &places);

    // The connection that nobody verified is there first.
    let good = ["/unverified", "/a", "/b", "/with_cert"];
    for _ in 0..3 {
        for path in good {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x.example\r\n\r\n");
            assert_eq!(Client::ask(edge.addr(), request).await.status, 200, "{path}");
        }
        for path in ["/other_ca", "/other_name"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x.example\r\n\r\n");
            assert_eq!(Client::ask(edge.addr(), request).await.status, 502, "{path}");
        }
    }
    let used: Vec<String> = origin
        .received()
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .filter(|text| !text.is_empty())
        .collect();
    // One connection each, and each used for its own upstream alone.
    assert_eq!(used.len(), good.len(), "{used:?}");
    for (text, path) in used.iter().zip(good) {
        assert_eq!(text.matches(&format!("GET {path} HTTP/1.1")).count(), 3, "{text}");
        assert_eq!(text.matches("GET ").count(), 3, "{text}");
    }
}
