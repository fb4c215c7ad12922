//! Accept-Encoding in a few classes, so that clients that can be sent the same
//! share what is stored (RFC 9110 §12.5.3).

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use crate::encoding::{Accepted, Coding, Weight, weighted};

/// Reduces what a request accepts to the codings that servers have in common.
///
/// Its server must be sent the same, or it could answer in a coding that
/// others of the class do not know. A request that refuses what is not encoded,
/// or has a dictionary to decode by, stays as it is.
pub(crate) fn simplify(request: &mut HeaderMap) {
    if !request.contains_key(ACCEPT_ENCODING) || is_particular(request) {
        return;
    }
    let accepted = Accepted::new(request);
    let has = |coding: Coding| accepted.choose(&[coding]).is_some();
    let class = match (has(Coding::Zstd), has(Coding::Brotli), has(Coding::Gzip)) {
        (true, true, true) => "zstd, br, gzip",
        (true, true, false) => "zstd, br",
        (true, false, true) => "zstd, gzip",
        (true, false, false) => "zstd",
        (false, true, true) => "br, gzip",
        (false, true, false) => "br",
        (false, false, true) => "gzip",
        (false, false, false) => "identity",
    };
    request.insert(ACCEPT_ENCODING, HeaderValue::from_static(class));
}

fn is_particular(request: &HeaderMap) -> bool {
    let mut lines = request.get_all(ACCEPT_ENCODING).into_iter();
    let refuses_plain = lines.any(|line| {
        let list = line.to_str().unwrap_or_default();
        weighted(list).any(|(name, weight)| {
            weight == Weight::UNWANTED && (name == "*" || name.eq_ignore_ascii_case("identity"))
        })
    });
    refuses_plain || request.contains_key("available-dictionary")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&'static str], expected: &[&str]) {
        let line = |line: &&'static str| (ACCEPT_ENCODING, HeaderValue::from_static(line));
        let mut request: HeaderMap = lines.iter().map(line).collect();
        simplify(&mut request);
        let found: Vec<_> = request.get_all(ACCEPT_ENCODING).iter().collect();
        assert_eq!(found, expected, "{lines:?}");
    }

    #[test]
    fn clients_that_can_be_sent_the_same_are_one_class() {
        check(&["gzip, deflate, br, zstd"], &["zstd, br, gzip"]);
        check(&["zstd;q=0.5, br, gzip;q=0.1, foo"], &["zstd, br, gzip"]);
        check(&["gzip, deflate, br"], &["br, gzip"]);
        check(&["br", "gzip"], &["br, gzip"]);
        check(&["gzip;q=0.9, deflate"], &["gzip"]);
        check(&["x-gzip"], &["gzip"]);
        check(&["zstd"], &["zstd"]);
        check(&["br"], &["br"]);
        check(&["zstd, br"], &["zstd, br"]);
        check(&["zstd, gzip, br;q=0"], &["zstd, gzip"]);
        check(&["*"], &["zstd, br, gzip"]);
        for nothing in ["", "identity", "deflate", "gzip;q=0", "gzip;q=0.1, identity"] {
            check(&[nothing], &["identity"]);
        }
        check(&[], &[]);
    }

    #[test]
    fn particular_clients_are_their_own_class() {
        for line in ["gzip, identity;q=0", "gzip, *;q=0", "br, Identity;q=0.0"] {
            check(&[line], &[line]);
        }
        let mut request = HeaderMap::from_iter([
            (ACCEPT_ENCODING, HeaderValue::from_static("gzip, dcb")),
            (
                http::HeaderName::from_static("available-dictionary"),
                HeaderValue::from_static(":x:"),
            ),
        ]);
        let before = request.clone();
        simplify(&mut request);
        assert_eq!(request, before);
    }
}
