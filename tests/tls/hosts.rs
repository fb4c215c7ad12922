//! Requests for another host than their TLS connection stands for.

use serde_json::json;

use super::{start, start_at};
use crate::support::{Authority, Client, Edge, H2Client, Origin, curl};

/// What a client asks for in its handshake and in its request, and the status.
type Case = (Option<&'static str>, &'static str, u64);

/// Asks with curl: `1.1` or `2`, a name for the handshake, a Host.
fn ask(edge: &Edge, version: &str, (sni, host, _): Case, more: &[&str]) -> String {
    let port = edge.tls_addr().port();
    // For an address, curl names nothing in the handshake.
    let name = sni.unwrap_or("127.0.0.1");
    let (resolve, url) = (format!("{name}:{port}:127.0.0.1"), format!("https://{name}:{port}/"));
    let (version, host) = (format!("--http{version}"), format!("host: {host}"));
    let said = "%{stderr}%{http_version} %{http_code}";
    let fixed = ["--insecure", &version, "--resolve", &resolve, "-H", &host, "-w", said, &url];
    curl(&[&fixed, more].concat()).good().stderr
}

/// Asks each case over both protocols; what the log says of them, in order.
fn check(edge: &Edge, cases: &[Case], more: &[&str]) {
    let mut asked = edge.records().len();
    for case in cases {
        for version in ["1.1", "2"] {
            assert_eq!(
                ask(edge, version, *case, more),
                format!("{version} {}", case.2),
                "{case:?}"
            );
            asked += 1;
            let records = edge.access_log(asked);
            let record = records.last().unwrap();
            let (refusal, route) = match case.2 {
                421 => (json!("wrong_host"), json!(null)),
                _ => (json!(null), json!("all")),
            };
            assert_eq!(record["status"], case.2, "{record}");
            assert_eq!((&record["refusal"], &record["route"]), (&refusal, &route), "{record}");
            assert_eq!(record["sni"], json!(case.0), "{record}");
        }
    }
}

/// A proxy before a server, with the certificates of `super::SITE`.
async fn behind(tls: &str) -> (Edge, Authority, Origin) {
    let origin = Origin::ok().await;
    let site = format!(
        "upstreams: {{ app: {{ servers: ['{}'] }} }}\nroutes: [{{ name: all, upstream: app }}]\n",
        origin.addr
    );
    let (edge, certs) = start_at(&site, tls);
    (edge, certs, origin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_neither_asked_for_nor_certified_never_reaches_a_server() {
    let (edge, _certs, origin) = behind("").await;
    let refused: &[Case] = &[
        (Some("a.example"), "b.example", 421),
        (Some("a.example"), "unknown.example", 421),
        (Some("a.example"), "x.a.example", 421),
        (Some("a.example"), "127.0.0.1", 421),
        (Some("a.example"), "[::1]", 421),
        (Some("any.b.example"), "a.example", 421),
        (Some("b.example"), "too.deep.b.example", 421),
        // The first certificate answers: that of a.example.
        (Some("unknown.example"), "b.example", 421),
        (Some("unknown.example"), "other.example", 421),
    ];
    check(&edge, refused, &[]);
    assert_eq!(origin.connections(), 0);
    assert_eq!(edge.stop().len(), 2 * refused.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_asked_for_or_certified_is_served() {
    let (edge, _certs, origin) = behind("").await;
    let served: &[Case] = &[
        (Some("a.example"), "a.example", 200),
        (Some("a.example"), "A.Example.:1", 200),
        // Browsers share a connection among the names of its certificate.
        (Some("b.example"), "any.b.example", 200),
        (Some("any.b.example"), "b.example", 200),
        (Some("any.b.example"), "other.b.example", 200),
        // Whoever asks for a name that has no certificate gets what it asked for.
        (Some("unknown.example"), "unknown.example", 200),
        (Some("unknown.example"), "a.example", 200),
    ];
    check(&edge, served, &[]);
    assert_eq!(origin.requests(), 2 * served.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_no_name_may_ask_for_any_host() {
    let (edge, _certs, origin) = behind("").await;
    let served: &[Case] = &[
        (None, "127.0.0.1", 200),
        (None, "[::1]:8443", 200),
        (None, "a.example", 200),
        (None, "b.example", 200),
        (None, "unknown.example", 200),
    ];
    check(&edge, served, &[]);
    assert_eq!(origin.requests(), 2 * served.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_must_show_a_certificate_a_name_must_be_asked_for_or_certified() {
    for (mode, unnamed) in [("require", 421), ("request", 200)] {
        let auth = format!("client_auth: {{ ca: '{{certs}}/ca.pem', mode: {mode} }}");
        let (edge, certs, origin) = behind(&auth).await;
        certs.write("alice", &["alice.example"]);
        let file = |name: &str| certs.dir().join(name).display().to_string();
        let own = ["--cert", &file("alice.pem"), "--key", &file("alice.key")];
        let cases: &[Case] = &[
            (Some("a.example"), "a.example", 200),
            (Some("a.example"), "b.example", 421),
            (None, "a.example", 200),
            (None, "b.example", unnamed),
            // Nobody can ask for an address by name.
            (None, "127.0.0.1", 200),
        ];
        check(&edge, cases, &own);
        let served = cases.iter().filter(|case| case.2 == 200).count();
        assert_eq!(origin.requests(), 2 * served, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_may_name_addresses() {
    let (edge, certs) = start("");
    certs.write("a", &["a.example", "127.0.0.1", "::1"]);
    edge.await_stderr("certificate replaced:");
    let mut client = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
    for (host, status) in [("127.0.0.1", 200), ("[::1]:8443", 200), ("127.0.0.2", 421)] {
        client.send(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_goes_on_and_every_form_of_the_host_is_looked_at() {
    let (edge, certs) = start("");
    let mut client = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
    for (head, status) in [
        ("GET / HTTP/1.1\r\nhost: b.example\r\n\r\n", 421),
        ("GET https://b.example/ HTTP/1.1\r\nhost: b.example\r\n\r\n", 421),
        ("GET https://a.example/ HTTP/1.1\r\nhost: a.example\r\n\r\n", 200),
    ] {
        client.send(head).await;
        assert_eq!(client.response().await.status, status, "{head}");
    }
    for (head, status) in [
        ("GET / HTTP/1.0\r\nhost: b.example\r\n\r\n", 421),
        // It names no other host.
        ("GET / HTTP/1.0\r\n\r\n", 200),
    ] {
        let mut client = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
        client.send(head).await;
        assert_eq!(client.response().await.status, status, "{head}");
    }
    let mut client = H2Client::tls(edge.tls_addr(), certs.client(&["h2"]), "a.example").await;
    for (url, status) in [
        ("https://b.example/", 421),
        ("https://a.example/", 200),
        ("https://c.example/", 421),
        ("https://a.example:1/", 200),
    ] {
        assert_eq!(client.get(url).await.response.status, status, "{url}");
    }
    drop(client);
    assert_eq!(edge.metric("tidegate_listen_connections_accepted_total"), 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_is_the_certificate_that_the_connection_was_served_with() {
    let (edge, certs) = start("");
    let other = "GET / HTTP/1.1\r\nhost: new.example\r\n\r\n";
    let mut old = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
    old.send(other).await;
    assert_eq!(old.response().await.status, 421);

    certs.write("a", &["a.example", "new.example"]);
    edge.await_stderr("certificate replaced:");
    let mut new = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
    for (client, status) in [(&mut old, 421), (&mut new, 200)] {
        client.send(other).await;
        assert_eq!(client.response().await.status, status);
    }
}
