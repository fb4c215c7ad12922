//! Fields that this room fills for servers, and nobody else may.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};

/// What a server is told; a name may be there more than once.
pub(crate) type Fields = Arc<[(HeaderName, HeaderValue)]>;

/// Fields that say where a message begins and ends, and who sends it on.
const NOT_TO_FILL: [HeaderName; 14] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::FORWARDED,
    header::VIA,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("x-request-id"),
];

/// What follows `x-forwarded-` in names that are about the connection.
const FORWARDING: [&str; 14] = [
    "by",
    "client-cert",
    "for",
    "host",
    "method",
    "path",
    "port",
    "prefix",
    "proto",
    "protocol",
    "scheme",
    "server",
    "ssl",
    "uri",
];

/// Reads the name of a field to fill.
pub(super) fn read_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::try_from(text).map_err(|_| format!("`{text}` is no name of a field"))?;
    if text == "*" {
        return Err("`*` stands for no field here; write their names".to_owned());
    }
    // Those that proxies write; `x-forwarded-user` and the like say who asks.
    let forwarding = name.as_str().strip_prefix("x-forwarded-");
    if NOT_TO_FILL.contains(&name) || forwarding.is_some_and(|rest| FORWARDING.contains(&rest)) {
        return Err(format!("`{name}` is a field of the connection; choose another name"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_connections_are_not_filled() {
        for good in ["x-user", "X-User", "authorization", "cookie", "X-Forwarded-User"] {
            assert!(read_name(good).is_ok(), "{good}");
        }
        for bad in ["", "x user", "x-user:", "host", "Content-Length", "X-Forwarded-For", "te", "*"]
        {
            assert!(read_name(bad).is_err(), "{bad}");
        }
    }
}
