//! The parts of `support` themselves: a request from each client to each server.

use crate::support::origin::{self, Origin};
use crate::support::{Authority, Client, Edge, H2Client, Nginx, curl, s_client};

const PLAIN: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c] }
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

const TLS: &str = "
listeners:
  - address: '127.0.0.1:{tls_port}'
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

#[tokio::test(flavor = "multi_thread")]
async fn every_client_reaches_a_scripted_server() {
    let origin = Origin::answering(origin::ok("hello")).await;
    let edge = Edge::start_with(PLAIN, &[("origin", &origin.addr)]);

    let answer = Client::ask(edge.addr(), "GET /1 HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    edge.access_log(1);
    let answer = H2Client::connect(edge.addr()).await.get("http://a.example/2").await.response;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    edge.access_log(2);
    let url = format!("http://{}/3", edge.addr());
    assert_eq!(curl(&[&url]).good().stdout, "hello");

    assert_eq!(origin.requests(), 3);
    let paths: Vec<_> = edge.stop().iter().map(|record| record["path"].clone()).collect();
    assert_eq!(paths, ["/1", "/2", "/3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tls_client_reaches_nginx() {
    let nginx = Nginx::start("location /hello { return 200 'from nginx'; }");
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let edge = Edge::start_with(TLS, &[("origin", &nginx.addr), ("certs", &certs.dir().display())]);
    let config = certs.client(&["h2"]);

    let mut client = H2Client::tls(edge.tls_addr(), config, "a.example").await;
    assert_eq!(client.get("https://a.example/hello").await.response.text(), "from nginx");
    let mut client = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
    client.send("GET /hello HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "from nginx");
    let at = edge.tls_addr().to_string();
    let said = s_client(&["-connect", &at, "-servername", "a.example"], "").said();
    assert!(said.contains("CN = a.example"), "{said}");
}
