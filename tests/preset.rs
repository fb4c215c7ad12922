//! The fields of `preset: secure`, as clients see them.

use crate::support::{Authority, Client, Edge, Origin};

const SITE: &str = "
listeners:
  - { address: '127.0.0.1:{port}' }
  - address: '127.0.0.1:{tls_port}'
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
upstreams: { app: { servers: ['{origin}'] } }
defaults: { headers: { response: { preset: secure } } }
routes:
  - { match: { path_prefix: /app }, upstream: app }
  - { match: { path: /fixed }, respond: { status: 200, body: ok } }
  - match: { path: /own }
    respond: { status: 200, body: ok }
    headers: { response: { preset: secure, set: { x-frame-options: DENY }, remove: [referrer-policy] } }
  - match: { path: /off }
    respond: { status: 200, body: ok }
    headers: { response: { preset: off, set: { x-a: a } } }
";

const NAMES: [&str; 4] =
    ["strict-transport-security", "x-content-type-options", "x-frame-options", "referrer-policy"];

#[tokio::test(flavor = "multi_thread")]
async fn the_preset_is_on_every_answer_and_can_be_overridden() {
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let own = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nreferrer-policy: no-referrer\r\n\r\n";
    let origin = Origin::answering(own).await;
    let edge =
        Edge::start_with(SITE, &[("origin", &origin.addr), ("certs", &certs.dir().display())]);
    let year = Some("max-age=31536000");
    let (nosniff, same) = (Some("nosniff"), Some("SAMEORIGIN"));
    let strict = Some("strict-origin-when-cross-origin");
    for (path, status, expected) in [
        ("/app", 200, [year, nosniff, same, Some("no-referrer")]),
        ("/fixed", 200, [year, nosniff, same, strict]),
        ("/none", 404, [year, nosniff, same, strict]),
        ("/own", 200, [year, nosniff, Some("DENY"), None]),
        ("/off", 200, [None; 4]),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n");
        let mut tls = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
        tls.send(&request).await;
        let answer = tls.response().await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(NAMES.map(|name| answer.header(name)), expected, "{path}");
        // Without TLS, nobody may promise it.
        let answer = Client::ask(edge.addr(), &request).await;
        let [_, rest @ ..] = expected;
        assert_eq!(
            NAMES.map(|name| answer.header(name)),
            [&[None], &rest[..]].concat()[..],
            "{path}"
        );
    }
    edge.stop();
}
