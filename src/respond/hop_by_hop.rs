//! Takes away what a server said about its connection only (RFC 9110 §7.6.1).

use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::values::remove_rare;

/// Fields that old servers send without naming them in Connection.
const UNNAMED: [HeaderName; 3] =
    [HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection"), TE];
const SWITCHING: [HeaderName; 2] = [CONNECTION, UPGRADE];

/// Removes the hop-by-hop fields of a server's response.
///
/// Transfer-Encoding stays for whoever frames the body anew; Trailer stays, as
/// it tells of fields that go to the end. A 101 keeps what switches protocols.
pub(crate) fn remove_hop_by_hop(status: StatusCode, response: &mut HeaderMap) {
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    for name in nominated(response) {
        if !(switches && name == UPGRADE) {
            response.remove(&name);
        }
    }
    remove_rare(response, &UNNAMED);
    if !switches {
        remove_rare(response, &SWITCHING);
    }
}

/// The fields that Connection names, but for those that say where the body
/// ends: no server may take these away from whoever reads the body.
fn nominated(response: &HeaderMap) -> Vec<HeaderName> {
    let lines = response.get_all(CONNECTION).into_iter().filter_map(|line| line.to_str().ok());
    let options = lines.flat_map(|line| line.split(',')).map(str::trim);
    // What nearly every server says names no field that is not removed anyway.
    let is_about_it = |option: &&str| ["keep-alive", "close"].contains(option);
    let names = options.filter(|option| !is_about_it(option)).filter_map(|name| name.parse().ok());
    names.filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(status: u16, fields: &[(&str, &str)], expected: &[&str]) {
        let mut response = HeaderMap::new();
        for (name, value) in fields {
            let name: HeaderName = name.parse().expect("a name");
            response.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        remove_hop_by_hop(status, &mut response);
        let names: Vec<_> = response.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, expected, "{status} {fields:?}");
    }

    #[test]
    fn removes_what_is_about_the_connection() {
        check(
            200,
            &[("connection", "close"), ("keep-alive", "5"), ("upgrade", "h2c"), ("etag", "x")],
            &["etag"],
        );
        check(
            200,
            &[("proxy-connection", "close"), ("te", "trailers"), ("trailer", "x-sum")],
            &["trailer"],
        );
    }

    #[test]
    fn removes_what_connection_names() {
        check(
            200,
            &[
                ("connection", "X-A , x-b"),
                ("connection", "x-c"),
                ("x-a", ""),
                ("x-b", ""),
                ("x-c", ""),
                ("x-d", ""),
            ],
            &["x-d"],
        );
    }

    #[test]
    fn framing_stays_whatever_connection_names() {
        check(
            200,
            &[("connection", "content-length, transfer-encoding"), ("content-length", "3")],
            &["content-length"],
        );
    }

    #[test]
    fn switching_protocols_keeps_what_switches_them() {
        let fields = [("connection", "upgrade, x-a"), ("upgrade", "websocket"), ("x-a", "")];
        check(101, &fields, &["connection", "upgrade"]);
        check(426, &fields, &[]);
    }
}
