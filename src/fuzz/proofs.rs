//! What proves something: links and tokens that somebody with a key has signed.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method};
use serde_json::Value as Json;

use super::{changed, reference, spell};
use crate::access::{Denied, Links, Tokens};

/// When links are looked at, in seconds since 1970.
const NOW: u64 = 1_800_000_000;
/// Keys of links.
const NEW: &str = "new-of-16-bytes.";
const OLD: &str = "old-of-16-bytes.";
/// Stands for the right signature.
const SIGNATURE: &str = "\u{1}";

/// A link as `METHOD PATH?QUERY`, where the byte 1 is the right signature.
pub fn signed_link(bytes: &[u8]) -> bool {
    let Some((method, target)) =
        std::str::from_utf8(bytes).ok().and_then(|text| text.split_once(' '))
    else {
        return false;
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return false;
    };
    let link = reference::Link::read(target);
    let signed_as = if method == Method::HEAD { Method::GET } else { method.clone() };
    let key = hmac::Key::new(hmac::HMAC_SHA256, OLD.as_bytes());
    let signature = hmac::sign(&key, format!("{signed_as} {}", link.unsigned()).as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let target = link.signed_by(SIGNATURE, &signature);

    let links = Links::by([NEW, OLD]);
    let check = |method: &Method, target: &str| {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        links.check(method, path, query, NOW)
    };
    let found = check(&method, &target);
    let is_signed = match link.signatures().as_slice() {
        [one] => {
            let shown = one.replace(SIGNATURE, &signature);
            shown == signature || shown == format!("{signature}=")
        }
        _ => false,
    };
    let until = match link.ends().as_slice() {
        [one] if is_signed => reference::number(one.as_bytes()),
        _ => None,
    };
    match (&found, until) {
        (Ok(left), Some(until)) => {
            assert!(until >= NOW, "it was over at {until}");
            assert_eq!(*left, link.left());
        }
        (Err(Denied::Expired), Some(until)) => assert!(until < NOW, "it is good until {until}"),
        (Err(Denied::Signature), None) => {}
        _ => panic!("{target}: {found:?}, good until {until:?}"),
    }
    if found.is_err() {
        return false;
    }
    for other in [Method::GET, Method::POST, Method::HEAD, Method::DELETE] {
        let is_same = other == method || (signed_as == Method::GET && other == Method::HEAD);
        let is_same = is_same || (method == Method::HEAD && other == Method::GET);
        assert_eq!(check(&other, &target).is_ok(), is_same, "{other}, signed for {method}");
    }
    for other in changed(target.as_bytes()) {
        let Ok(other) = String::from_utf8(other) else { continue };
        assert!(check(&method, &other).is_err(), "{other}, signed was {target}");
    }
    true
}

/// Two keys, of which a set of keys has both.
struct Signer {
    ours: Ed25519KeyPair,
    other: Ed25519KeyPair,
}

impl Signer {
    fn new() -> Self {
        let [ours, other] =
            [7, 8].map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed"));
        Signer { ours, other }
    }

    /// As RFC 8037 writes them.
    fn set(&self) -> String {
        let key = |id: &str, pair: &Ed25519KeyPair| {
            let x = URL_SAFE_NO_PAD.encode(pair.public_key());
            format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{id}","x":"{x}"}}"#)
        };
        format!(r#"{{"keys":[{},{}]}}"#, key("a", &self.ours), key("b", &self.other))
    }
}

/// A token, of which bytes below 9 are parts of good ones; or, if it begins
/// with `{`, its head and its claims in two lines, which are then signed.
pub fn jwt(bytes: &[u8]) -> bool {
    let signer = Signer::new();
    let tokens = Tokens::of(&signer.set(), "quay", "ships");
    match bytes.first() {
        Some(b'{') => {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            let (head, claims) = bytes.split_at(end);
            signed_token(&tokens, &signer, head, claims.get(1..).unwrap_or_default())
        }
        _ => forged_token(&tokens, &signer, bytes),
    }
}

/// However its parts are put together, no token is good but those signed.
fn forged_token(tokens: &Tokens, signer: &Signer, bytes: &[u8]) -> bool {
    let good = ["ann", "ben"].map(|subject| {
        let claims =
            format!(r#"{{"sub":"{subject}","iss":"quay","aud":"ships","exp":{}}}"#, 2 * NOW);
        sign(signer, br#"{"alg":"EdDSA"}"#, claims.as_bytes())
    });
    let mut words: Vec<&[u8]> = Vec::new();
    for token in &good {
        words.push(token.as_bytes());
        words.extend(token.split('.').map(str::as_bytes));
    }
    let text = spell(bytes, &words);
    let Some(found) = tokens.check(&text) else {
        return false;
    };
    // White space around it is none of the token.
    let is_good = good.iter().any(|good| good.as_bytes() == text.trim_ascii());
    assert_eq!(found.is_ok(), is_good, "{found:?}: {}", text.escape_ascii());
    is_good
}

/// A token is good only if it says so of itself, and not with another signature.
fn signed_token(tokens: &Tokens, signer: &Signer, head: &[u8], claims: &[u8]) -> bool {
    let token = sign(signer, head, claims);
    let check = |token: &str| tokens.check(token.as_bytes()).expect("base64 is text");
    let before = now();
    let found = check(&token);
    assert_eq!(check(&token), found, "once it was remembered");
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    for key in [signer.ours.public_key().as_ref(), signer.set().as_bytes(), b""] {
        let by = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
        let by = URL_SAFE_NO_PAD.encode(by);
        assert!(check(&format!("{signed}.{by}")).is_err(), "what all know is no secret");
    }
    assert!(check(&format!("{signed}.")).is_err(), "no signature is none");
    let Ok((subject, told)) = found else {
        return false;
    };
    let head: Json = serde_json::from_slice(head).expect("a head in JSON");
    let claims: Json = serde_json::from_slice(claims).expect("claims in JSON");
    let (head, claims) = (head.as_object().expect("a map"), claims.as_object().expect("a map"));
    assert!(matches!(head["alg"].as_str(), Some("EdDSA" | "Ed25519")), "{head:?}");
    let id = head.get("kid").unwrap_or(&Json::Null);
    assert!(id.is_null() || *id == "a", "another key");
    assert!(!head.contains_key("crit") && !head.contains_key("b64"), "{head:?}");
    let end = claims["exp"].as_f64().expect("a time");
    assert!(end > before && end.is_finite(), "over, or without an end");
    let has_begun = |start: &Json| start.as_f64().is_some_and(|start| start <= now());
    assert!(claims.get("nbf").is_none_or(has_begun), "{claims:?}");
    assert_eq!(claims["iss"], "quay");
    let audience = &claims["aud"];
    let is_ships = |one: &Json| *one == "ships";
    assert!(is_ships(audience) || audience.as_array().is_some_and(|all| all.iter().any(is_ships)));
    if let Some(Json::String(text)) = claims.get("sub") {
        assert_eq!(subject.as_deref(), Some(text.as_str()));
    }
    let is_told = subject.is_some_and(|text| HeaderValue::try_from(&*text).is_ok());
    assert_eq!(told, usize::from(is_told));
    let other = URL_SAFE_NO_PAD.encode(signer.other.sign(signed.as_bytes()));
    assert_eq!(check(&format!("{signed}.{other}")).is_ok(), id.is_null(), "by the other key");
    for other in changed(token.as_bytes()) {
        let found = tokens.check(&other);
        assert!(!matches!(found, Some(Ok(_))), "{}, signed was {token}", other.escape_ascii());
    }
    true
}

fn sign(signer: &Signer, head: &[u8], claims: &[u8]) -> String {
    let signed = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let by = signer.ours.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(by))
}

/// In seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
