//! What scanners send to a TLS port: counted, and nobody's business.

use super::{await_failed, failed, start_with};
use crate::support::{Client, curl};

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_counted_and_leaves_no_line_at_error_level() {
    let (edge, certs) = start_with("", "timeouts: { header: 5s }");
    let noise: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n",
        b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
        b"SSH-2.0-Go\r\n",
        &[0xff; 4096],
    ];
    for bytes in noise {
        let mut client = Client::connect(edge.tls_addr()).await;
        client.try_send(bytes).await.ok();
        client.read_to_end().await;
    }
    await_failed(&edge, "not_tls", 4.0);
    // The start of a hello, then nothing: closed at once, and kept open.
    let mut leaves = Client::connect(edge.tls_addr()).await;
    leaves.send(b"\x16\x03\x01\x02\x00\x01").await;
    drop(leaves);
    await_failed(&edge, "cut_off", 1.0);
    let mut stays = Client::connect(edge.tls_addr()).await;
    stays.send(b"\x16\x03\x01\x02\x00\x01").await;
    stays.expect_closed().await;
    await_failed(&edge, "too_slow", 1.0);
    // A client that does not trust the certificate is no fault of ours either.
    let port = edge.tls_addr().port();
    let resolve = format!("a.example:{port}:127.0.0.1");
    let url = format!("https://a.example:{port}/");
    let ran = curl(&["--resolve", &resolve, &url]);
    assert_eq!(ran.code, Some(60), "{ran:?}");
    await_failed(&edge, "client_refused", 1.0);

    // The listener still serves, and nothing is counted that did not fail.
    let ca = certs.ca().display().to_string();
    assert_eq!(curl(&["--resolve", &resolve, "--cacert", &ca, &url]).good().stdout, "ok");
    assert_eq!(failed(&edge, "other"), 0.0);
    let stderr = edge.stderr();
    for level in [" ERROR ", " WARN "] {
        assert!(!stderr.contains(level), "{stderr}");
    }
    assert_eq!(edge.stop().len(), 1);
}
