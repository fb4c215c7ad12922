//! Versions, protocols, key exchange and resumption.

use std::path::Path;

use rustls::NamedGroup;
use rustls::crypto::aws_lc_rs;

use super::{await_failed, knock, start, start_with};
use crate::support::{Client, Edge, H2Client, client, curl, s_client};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

#[test]
fn both_versions_are_spoken_unless_told_otherwise() {
    let (edge, _certs) = start("");
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let ran = knock(&edge, &[version]).good();
        assert!(ran.stdout.contains(&format!("New, {name}, Cipher is")), "{ran:?}");
    }
    // OpenSSL itself speaks what is older only at level 0.
    let ran = knock(&edge, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert!(ran.said().contains("SSL alert number"), "{ran:?}");
    await_failed(&edge, "no_shared_version", 1.0);
}

#[test]
fn min_version_1_3_refuses_1_2() {
    let (edge, _certs) = start("min_version: 1.3");
    knock(&edge, &["-tls1_3"]).good();
    let ran = knock(&edge, &["-tls1_2"]);
    assert!(ran.said().contains("alert protocol version"), "{ran:?}");
    await_failed(&edge, "no_shared_version", 1.0);
}

#[test]
fn alpn_picks_h2_then_http_1_1() {
    let (edge, _certs) = start("");
    for (offered, expected) in
        [("http/1.1,h2", "ALPN protocol: h2"), ("http/1.1", "ALPN protocol: http/1.1")]
    {
        let ran = knock(&edge, &["-alpn", offered]).good();
        assert!(ran.stdout.contains(expected), "{offered}: {ran:?}");
    }
    assert!(knock(&edge, &[]).good().stdout.contains("No ALPN negotiated"));
    let ran = knock(&edge, &["-alpn", "spdy/1"]);
    assert!(ran.said().contains("alert no application protocol"), "{ran:?}");
    await_failed(&edge, "alpn", 1.0);
}

#[test]
fn alpn_offers_what_the_listener_speaks() {
    let (edge, _certs) = start_with("", "protocols: [h1]");
    let ran = knock(&edge, &["-alpn", "h2,http/1.1"]).good();
    assert!(ran.stdout.contains("ALPN protocol: http/1.1"), "{ran:?}");

    let (edge, _certs) = start_with("", "protocols: [h2]");
    let ran = knock(&edge, &["-alpn", "http/1.1,h2"]).good();
    assert!(ran.stdout.contains("ALPN protocol: h2"), "{ran:?}");
    let ran = knock(&edge, &["-alpn", "http/1.1"]);
    assert!(ran.said().contains("alert no application protocol"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_alone_refuses_h1_of_a_client_without_alpn() {
    let (edge, certs) = start_with("", "protocols: [h2]");
    let mut client = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 505);
    client.expect_closed().await;
    let records = edge.stop();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["status"], &records[0]["refusal"]), (&505.into(), &"protocol".into()));
    assert_eq!((&records[0]["method"], &records[0]["path"]), (&"GET".into(), &"/".into()));
}

#[test]
fn curl_speaks_h1_and_h2() {
    let (edge, certs) = start("");
    let port = edge.tls_addr().port();
    let (resolve, ca) = (format!("a.example:{port}:127.0.0.1"), certs.ca().display().to_string());
    let url = format!("https://a.example:{port}/");
    let cases = [
        ("--http1.1", "1.2", "ok 1.1"),
        ("--http2", "1.2", "ok 2"),
        ("--http1.1", "1.3", "ok 1.1"),
        ("--http2", "1.3", "ok 2"),
    ];
    for (index, (version, tls, expected)) in cases.into_iter().enumerate() {
        let fixed = ["--resolve", &resolve, "--cacert", &ca, "-w", " %{http_version}", &url];
        let ran = curl(&[&[version, "--tls-max", tls], &fixed[..]].concat()).good();
        assert_eq!(ran.stdout, expected, "{version} {tls}");
        edge.access_log(index + 1);
    }
    let records = edge.stop();
    let of = |field: &str| {
        records.iter().map(|record| record[field].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("tls_version"), ["TLSv1.2", "TLSv1.2", "TLSv1.3", "TLSv1.3"]);
    assert_eq!(of("protocol"), ["HTTP/1.1", "HTTP/2.0", "HTTP/1.1", "HTTP/2.0"]);
    assert_eq!(of("sni"), ["a.example"; 4]);
    assert!(of("tls_cipher").iter().all(|cipher| cipher.starts_with("TLS_")), "{records:?}");
}

/// One request with `openssl s_client`; what it says of the session.
fn ask(edge: &Edge, arguments: &[&str]) -> String {
    let at = edge.tls_addr().to_string();
    let fixed = ["-connect", &at, "-servername", "a.example", "-ign_eof"];
    let ran = s_client(&[&fixed[..], arguments].concat(), GET).good();
    assert!(ran.stdout.contains("HTTP/1.1 200 OK"), "{ran:?}");
    ran.stdout
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn sessions_are_resumed_by_ticket() {
    let (edge, certs) = start("");
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let session = text(&certs.dir().join(name));
        let first = ask(&edge, &[version, "-sess_out", &session]);
        assert!(first.contains(&format!("New, {name}")), "{first}");
        let second = ask(&edge, &[version, "-sess_in", &session]);
        assert!(second.contains(&format!("Reused, {name}")), "{second}");
    }
    let said = knock(&edge, &["-tls1_2", "-reconnect"]).good().stdout;
    assert_eq!(said.matches("Reused, TLSv1.2").count(), 5, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_exchange_resists_quantum_computers_where_the_client_can() {
    let (edge, certs) = start("");
    // Of these a client sends shares for the first, and for X25519 besides.
    for (groups, expected) in [
        (aws_lc_rs::DEFAULT_KX_GROUPS.to_vec(), NamedGroup::X25519MLKEM768),
        (vec![aws_lc_rs::kx_group::X25519], NamedGroup::X25519),
        (vec![aws_lc_rs::kx_group::SECP256R1], NamedGroup::secp256r1),
    ] {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = groups;
        let config = certs.client_of(&[], rustls::ALL_VERSIONS, provider, None);
        let stream = client::tls(edge.tls_addr(), config, "a.example").await.unwrap();
        let group = stream.get_ref().1.negotiated_key_exchange_group().map(|group| group.name());
        assert_eq!(group, Some(expected));
        let mut client = Client::over(stream);
        client.send(GET).await;
        assert_eq!(client.response().await.text(), "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_h2_requests() {
    let (edge, certs) = start("");
    let config = certs.client(&["h2"]);
    let mut client = H2Client::tls(edge.tls_addr(), config, "a.example").await;
    for _ in 0..10 {
        assert_eq!(client.get("https://a.example/").await.response.text(), "ok");
    }
    drop(client);
    assert_eq!(edge.metric("tidegate_listen_connections_accepted_total"), 1.0);
    assert_eq!(edge.stop().len(), 10);
}
