//! Certificates of clients.

use super::{await_failed, start};
use crate::support::tools::Ran;
use crate::support::{Authority, Edge, curl};

/// Asks with curl; `own` names the pair of a folder that it shows.
fn ask(edge: &Edge, certs: &Authority, own: Option<(&Authority, &str)>, tls: &str) -> Ran {
    let port = edge.tls_addr().port();
    let (resolve, ca) = (format!("a.example:{port}:127.0.0.1"), certs.ca().display().to_string());
    let url = format!("https://a.example:{port}/");
    let mut arguments = vec!["--tls-max", tls, "--resolve", &resolve, "--cacert", &ca, &url];
    let files = own.map(|(authority, name)| {
        let file = |ending| authority.dir().join(format!("{name}.{ending}")).display().to_string();
        (file("pem"), file("key"))
    });
    if let Some((cert, key)) = &files {
        arguments.extend(["--cert", cert, "--key", key]);
    }
    curl(&arguments)
}

#[test]
fn a_required_certificate_is_asked_for_and_verified() {
    let (edge, certs) = start("client_auth: { ca: '{certs}/ca.pem', mode: require }");
    let strangers = Authority::new();
    certs.write("alice", &["alice.example"]);
    strangers.write("mallory", &["alice.example"]);
    let mut refused = 0.0;
    for tls in ["1.2", "1.3"] {
        assert_eq!(ask(&edge, &certs, Some((&certs, "alice")), tls).good().stdout, "ok");
        for own in [None, Some((&strangers, "mallory"))] {
            let ran = ask(&edge, &certs, own, tls);
            assert_ne!(ran.code, Some(0), "{ran:?}");
            refused += 1.0;
            await_failed(&edge, "client_certificate", refused);
        }
    }
    assert_eq!(edge.stop().len(), 2);
}

#[test]
fn a_requested_certificate_may_be_missing_but_not_wrong() {
    let (edge, certs) = start("client_auth: { ca: '{certs}/ca.pem', mode: request }");
    let strangers = Authority::new();
    certs.write("alice", &["alice.example"]);
    strangers.write("mallory", &["alice.example"]);
    assert_eq!(ask(&edge, &certs, Some((&certs, "alice")), "1.3").good().stdout, "ok");
    assert_eq!(ask(&edge, &certs, None, "1.3").good().stdout, "ok");
    assert_ne!(ask(&edge, &certs, Some((&strangers, "mallory")), "1.3").code, Some(0));
    await_failed(&edge, "client_certificate", 1.0);
}
