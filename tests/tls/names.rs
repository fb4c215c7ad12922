//! Certificates by the name that a client asks for.

use super::{await_failed, knock, start};

/// The common name of the certificate that a client is shown.
fn shown(said: &str) -> Option<&str> {
    let line = said.lines().find(|line| line.starts_with("subject="))?;
    line.split("CN = ").nth(1)
}

#[test]
fn names_pick_their_certificate_and_the_first_answers_the_rest() {
    let (edge, _certs) = start("");
    for (name, expected) in [
        (Some("a.example"), "a.example"),
        (Some("b.example"), "b.example"),
        (Some("B.EXAMPLE"), "b.example"),
        (Some("any.b.example"), "b.example"),
        (Some("too.deep.b.example"), "a.example"),
        (Some("unknown.example"), "a.example"),
        (None, "a.example"),
    ] {
        let name = name.map_or_else(|| vec!["-noservername"], |name| vec!["-servername", name]);
        let ran = knock(&edge, &name);
        assert_eq!(shown(&ran.stdout), Some(expected), "{name:?}: {ran:?}");
    }
}

#[test]
fn strict_sni_refuses_other_names() {
    let (edge, _certs) = start("strict_sni: on");
    for name in ["a.example", "any.b.example"] {
        let ran = knock(&edge, &["-servername", name]).good();
        assert!(shown(&ran.stdout).is_some(), "{ran:?}");
    }
    for name in [&["-servername", "unknown.example"][..], &["-noservername"]] {
        let ran = knock(&edge, name);
        assert!(ran.said().contains("unrecognized name"), "{ran:?}");
        assert_eq!(shown(&ran.stdout), None, "{ran:?}");
    }
    await_failed(&edge, "unknown_name", 2.0);
    // What was refused in its handshake never was a request.
    assert_eq!(edge.stop().len(), 0);
}
