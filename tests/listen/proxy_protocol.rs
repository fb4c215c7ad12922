//! PROXY headers, versions 1 and 2, from whoever is and is not trusted.

use super::outcomes;
use crate::support::{Authority, Client, Edge, Origin, curl};

const SITE: &str = "
clients: { trusted_proxies: ['{trusted}'] }
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c], proxy_protocol: '{mode}' }
  - address: '127.0.0.1:{tls_port}'
    proxy_protocol: '{mode}'
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

const TRUSTED: &str = "127.0.0.0/8";
const STRANGERS: &str = "192.0.2.0/24";
const GET: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
const V1: &str = "PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n";
const REFUSED: &str = "tidegate_listen_connections_refused_total{reason=\"proxy_header\"}";

struct Parts {
    edge: Edge,
    origin: Origin,
    certs: Authority,
}

async fn start(mode: &str, trusted: &str) -> Parts {
    let origin = Origin::ok().await;
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let places: [(&str, &dyn std::fmt::Display); 4] = [
        ("mode", &mode),
        ("trusted", &trusted),
        ("origin", &origin.addr),
        ("certs", &certs.dir().display()),
    ];
    Parts { edge: Edge::start_with(SITE, &places), origin, certs }
}

/// A version 2 header for a TCP connection over IPv4 from 203.0.113.7:4711.
fn v2(command: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, 0x11, 0, 12]);
    header.extend([203, 0, 113, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 187]);
    header
}

/// The status that a request after `header` gets, if any, and the one record's client.
async fn ask(mode: &str, trusted: &str, header: &[u8]) -> (Option<u16>, Option<String>) {
    let Parts { edge, origin, .. } = start(mode, trusted).await;
    let mut client = Client::connect(edge.addr()).await;
    client.try_send([header, GET.as_bytes()].concat()).await.ok();
    let status = client.response_or_closed().await.map(|answer| answer.status);
    drop(client);
    if status.is_none() {
        edge.await_metric(REFUSED, 1.0);
    }
    let records = edge.stop();
    assert!(records.len() <= 1, "{records:?}");
    let client = records.first().map(|record| record["client_ip"].as_str().unwrap().to_owned());
    if let Some(client) = client.as_ref().filter(|_| status == Some(200)) {
        let sent = origin.received_text().to_lowercase();
        assert!(sent.contains(&format!("x-forwarded-for: {client}\r\n")), "{sent}");
    }
    (status, client)
}

async fn check(mode: &str, trusted: &str, header: &[u8], expected: (Option<u16>, Option<&str>)) {
    let (status, client) = ask(mode, trusted, header).await;
    let shown = String::from_utf8_lossy(header).into_owned();
    assert_eq!((status, client.as_deref()), expected, "{mode} {trusted} {shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_proxies_speak_for_clients() {
    let client = (Some(200), Some("203.0.113.7"));
    let itself = (Some(200), Some("127.0.0.1"));
    for mode in ["accept", "require"] {
        check(mode, TRUSTED, V1.as_bytes(), client).await;
        check(mode, TRUSTED, &v2(1), client).await;
        // LOCAL: the proxy's own health check.
        check(mode, TRUSTED, &v2(0), itself).await;
    }
    check("require", TRUSTED, b"PROXY UNKNOWN\r\n", itself).await;
    check("accept", TRUSTED, b"", itself).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_header_that_is_missing_or_wrong_ends_the_connection() {
    for header in [
        &b""[..],
        b"PROXY TCP4 203.0.113.7 198.51.100.1 4711\r\n",
        b"PROXY TCP4 999.0.113.7 198.51.100.1 4711 443\r\n",
        b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\n",
        &v2(7),
    ] {
        check("require", TRUSTED, header, (None, None)).await;
    }
    // A header that starts well and goes wrong is no request either.
    check("accept", TRUSTED, b"PROXY TCP9 x\r\n", (None, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_speak_for_nobody() {
    let refused = (Some(400), Some("127.0.0.1"));
    check("require", STRANGERS, V1.as_bytes(), (None, None)).await;
    check("require", STRANGERS, b"", (None, None)).await;
    check("accept", STRANGERS, V1.as_bytes(), refused).await;
    check("accept", STRANGERS, b"", (Some(200), Some("127.0.0.1"))).await;
    check("off", STRANGERS, V1.as_bytes(), refused).await;
    check("off", TRUSTED, V1.as_bytes(), refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_does_not_end_is_not_waited_for() {
    let Parts { edge, .. } = start("require", TRUSTED).await;
    let mut client = Client::connect(edge.addr()).await;
    client.try_send(format!("PROXY TCP4 {}", "1".repeat(200))).await.ok();
    client.expect_closed().await;
    edge.await_metric(REFUSED, 1.0);
    assert_eq!(edge.stop().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_announces_itself_before_tls() {
    let Parts { edge, certs, origin: _origin } = start("require", TRUSTED).await;
    let at = edge.tls_addr();
    let resolve = format!("a.example:{}:127.0.0.1", at.port());
    let ca = certs.ca().display().to_string();
    let url = format!("https://a.example:{}/", at.port());
    for version in ["--http1.1", "--http2"] {
        let fixed = ["--haproxy-protocol", version, "--resolve", &resolve, "--cacert", &ca, &url];
        assert_eq!(curl(&fixed).good().stdout, "ok");
    }
    let plain = format!("http://{}/", edge.addr());
    assert_eq!(
        curl(&["--haproxy-protocol", "--http2-prior-knowledge", &plain]).good().stdout,
        "ok"
    );
    assert_eq!(outcomes(&edge.stop()), [(200, ""); 3]);
}

/// Whether a request after this header is answered.
async fn is_answered(client: &mut Client, header: &str) -> bool {
    client.try_send(format!("{header}{GET}")).await.ok();
    client.response_or_closed().await.is_some_and(|answer| answer.status == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_announced_counts_as_if_it_came_by_itself() {
    let origin = Origin::ok().await;
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let places: [(&str, &dyn std::fmt::Display); 4] = [
        ("mode", &"accept"),
        ("trusted", &"127.0.0.0/8, 198.51.100.9"),
        ("origin", &origin.addr),
        ("certs", &certs.dir().display()),
    ];
    let site = SITE.replace("'{trusted}'", "{trusted}");
    let head = "server: { connections_per_client: 2 }\nbans: { list: [203.0.113.8] }\n";
    let edge = Edge::start_with(&format!("{head}{site}"), &places);
    let mut held = Vec::new();
    for (client, expected) in [
        ("203.0.113.7", true),
        ("203.0.113.7", true),
        ("203.0.113.7", false),
        ("203.0.113.8", false),
        ("203.0.113.9", true),
        // A proxy behind a proxy brings many.
        ("198.51.100.9", true),
        ("198.51.100.9", true),
        ("198.51.100.9", true),
    ] {
        let header = V1.replace("203.0.113.7", client);
        let mut connection = Client::connect(edge.addr()).await;
        assert_eq!(is_answered(&mut connection, &header).await, expected, "{client}");
        held.push(connection);
    }
    let refused = |reason| {
        edge.metric(&format!("tidegate_listen_connections_refused_total{{reason=\"{reason}\"}}"))
    };
    assert_eq!((refused("full"), refused("banned")), (1.0, 1.0));
    assert_eq!(origin.requests(), 6);
    // Who has left has left its seats.
    held.clear();
    edge.await_metric("tidegate_listen_connections_open", 0.0);
    let mut again = Client::connect(edge.addr()).await;
    assert!(is_answered(&mut again, V1).await);
}
