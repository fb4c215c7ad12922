//! The rules for headers that a parser has already taken apart.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::bytes::is_value;
use super::framing::{check_expectation, list, read_length};
use super::malformed::Malformed;

/// Whether two names are one to some servers: CGI and its heirs take `_` for `-`,
/// lighttpd and others all but letters and digits.
pub(crate) fn are_one_name(one: &str, other: &str) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    one.bytes().map(fold).eq(other.bytes().map(fold))
}

/// Whether a name is that of a forwarding field to some servers.
pub(crate) fn is_forwarding_name(name: &str) -> bool {
    const PREFIX: &str = "x-forwarded-";
    name.get(..PREFIX.len()).is_some_and(|start| are_one_name(start, PREFIX))
}

/// Judges the headers of HTTP/2 and HTTP/3 (RFC 9113 §8.2).
///
/// There frames end a body, but the request may go on to a server in HTTP/1:
/// what would frame it there is judged as in HTTP/1.
pub(super) fn check_multiplexed(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = 0;
    for (name, value) in headers {
        check_value(value)?;
        match name.as_str() {
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                return Err(Malformed::ConnectionHeader);
            }
            "te" if !value.as_bytes().eq_ignore_ascii_case(b"trailers") => {
                return Err(Malformed::Te);
            }
            "expect" => check_expectation(value.as_bytes())?,
            "content-length" => {
                lengths += 1;
                if lengths > 1 {
                    return Err(Malformed::TwoContentLengths);
                }
                read_length(value.as_bytes())?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the headers of an HTTP/1.1 GET are those of a WebSocket handshake.
pub(super) fn ask_for_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let (Some(protocol), None) = (upgrades.next(), upgrades.next()) else {
        return false;
    };
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
        && headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| list(value.as_bytes()))
            .any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// The only value of `name`, if there is one; `None` if there are more.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    more: Malformed,
) -> Result<Option<&'a HeaderValue>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(more),
    }
}

fn check_value(value: &HeaderValue) -> Result<(), Malformed> {
    let value = value.as_bytes();
    if !is_value(value) {
        return Err(Malformed::HeaderValue);
    }
    if value.trim_ascii().len() != value.len() {
        return Err(Malformed::PaddedValue);
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::sanitise) fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn check(fields: &[(&'static str, &'static str)], expected: Result<(), Malformed>) {
        assert_eq!(check_multiplexed(&map(fields)), expected, "{fields:?}");
    }

    #[test]
    fn refuses_headers_of_http_1_connections() {
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]
        {
            check(&[(name, "x")], Err(Malformed::ConnectionHeader));
        }
        check(&[("te", "trailers")], Ok(()));
        check(&[("te", "gzip")], Err(Malformed::Te));
        check(&[("te", "trailers, gzip")], Err(Malformed::Te));
        check(&[("te", "trailers"), ("te", "gzip")], Err(Malformed::Te));
    }

    #[test]
    fn judges_lengths_and_expectations_as_in_http_1() {
        check(&[("content-length", "5"), ("expect", "100-continue")], Ok(()));
        check(&[("content-length", "05")], Err(Malformed::ContentLength));
        check(&[("content-length", "5, 5")], Err(Malformed::ContentLength));
        check(
            &[("content-length", "5"), ("content-length", "5")],
            Err(Malformed::TwoContentLengths),
        );
        check(&[("expect", "x")], Err(Malformed::Expectation));
    }

    #[test]
    fn refuses_values_with_white_space_around() {
        for value in [" a", "a ", "\ta", "a\t", " "] {
            check(&[("x", value)], Err(Malformed::PaddedValue));
        }
        check(&[("x", ""), ("y", "a b\tc")], Ok(()));
    }
}
