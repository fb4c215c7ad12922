//! Certificates that are replaced while the proxy runs.

use super::start;
use crate::support::{Authority, Client, Edge, client, poll};

/// The certificate that a new connection is shown, in DER.
async fn served(edge: &Edge, certs: &Authority) -> Vec<u8> {
    let config = certs.client(&[]);
    let stream = client::tls(edge.tls_addr(), config, "a.example").await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_served_without_a_restart_and_bad_ones_never() {
    let (edge, certs) = start("");
    let get = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let mut open = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
    let first = served(&edge, &certs).await;

    let new = certs.write("a", &["a.example"]);
    edge.await_stderr("certificate replaced:");
    let second = served(&edge, &certs).await;
    assert_ne!(first, second);
    assert_eq!(second, new.leaf());

    // A key that is not the certificate's, then no key at all.
    let other = certs.issue(&["a.example"]);
    for (bad, complaint) in [(other.key.as_str(), "is not the key of"), ("gone", "no private key")]
    {
        std::fs::write(certs.dir().join("a.key"), bad).unwrap();
        edge.await_stderr(complaint);
        assert_eq!(served(&edge, &certs).await, second);
    }

    let third = certs.write("a", &["a.example"]);
    poll("the mended files", || {
        (edge.stderr().matches("certificate replaced:").count() >= 2).then_some(())
    });
    assert_eq!(served(&edge, &certs).await, third.leaf());
    // Who was connected all the time has noticed nothing.
    open.send(get).await;
    assert_eq!(open.response().await.status, 200);
}
