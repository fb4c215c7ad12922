//! The id that a request has in logs, pages and at servers.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::sanitise::is_token;
use crate::values::only;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_KEPT: usize = 128;

/// The id of a request: a token of at most 128 bytes, made without allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(Id);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    // Invariant: a token.
    Kept(HeaderValue),
    // Invariant: hexadecimal digits.
    Own([u8; 32]),
}

impl RequestId {
    /// A random id of 32 hexadecimal digits. It tells requests apart; it is no secret.
    pub(crate) fn new() -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut random = fastrand::u128(..);
        let own = std::array::from_fn(|_| {
            let digit = DIGITS[(random & 0xf) as usize];
            random >>= 4;
            digit
        });
        RequestId(Id::Own(own))
    }

    /// The id that came with the request, if there is one and it is a short token.
    pub(super) fn kept(headers: &HeaderMap) -> Option<Self> {
        let value = only(headers.get_all(X_REQUEST_ID))?;
        let is_sane = value.len() <= MAX_KEPT && is_token(value.as_bytes());
        is_sane.then(|| RequestId(Id::Kept(value.clone())))
    }

    /// The id as the value of a header.
    pub(crate) fn to_value(&self) -> HeaderValue {
        match &self.0 {
            Id::Kept(value) => value.clone(),
            Id::Own(digits) => HeaderValue::from_bytes(digits).expect("digits are visible"),
        }
    }
}

impl AsRef<str> for RequestId {
    fn as_ref(&self) -> &str {
        match &self.0 {
            Id::Kept(value) => value.to_str().expect("a token is visible ASCII"),
            Id::Own(digits) => str::from_utf8(digits).expect("digits are ASCII"),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{clients, headers};

    /// The id of a request with the X-Request-Id `lines`.
    fn id(peer: &str, lines: &[&str]) -> String {
        let id = clients().request_id(peer.parse().expect("an address"), &headers(lines));
        assert_eq!(id.to_value(), id.as_ref());
        id.to_string()
    }

    fn is_new(id: &str) -> bool {
        id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    #[test]
    fn keeps_the_id_of_a_trusted_proxy_alone() {
        let lines = ["x-request-id: 7d444840-9dc0-11d1-b245-5ffdce74fad2"];
        assert_eq!(id("10.0.0.1", &lines), "7d444840-9dc0-11d1-b245-5ffdce74fad2");
        assert!(is_new(&id("192.0.2.1", &lines)));
    }

    #[test]
    fn makes_a_new_id_in_place_of_nonsense() {
        let long = format!("x-request-id: {}", "a".repeat(129));
        for lines in [
            &[][..],
            &["x-request-id: "],
            &["x-request-id: a b"],
            &["x-request-id: a\"b"],
            &["x-request-id: <a>"],
            &["x-request-id: caf\u{e9}"],
            &["x-request-id: a", "x-request-id: b"],
            &[&long],
        ] {
            assert!(is_new(&id("10.0.0.1", lines)), "{lines:?}");
        }
        assert_ne!(id("10.0.0.1", &[]), id("10.0.0.1", &[]));
    }
}
