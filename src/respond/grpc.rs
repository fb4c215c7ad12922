//! What gRPC clients understand instead of an HTTP status.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

/// Whether a message carries gRPC, by its Content-Type.
pub(super) fn is_grpc(message: &HeaderMap) -> bool {
    const PREFIX: &[u8] = b"application/grpc";
    let media_type = message.get(CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
    media_type.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The gRPC status for an HTTP status (grpc/doc/http-grpc-status-mapping.md).
pub(super) fn grpc_status(status: StatusCode) -> u16 {
    const UNKNOWN: u16 = 2;
    const PERMISSION_DENIED: u16 = 7;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn knows_grpc_by_its_media_type() {
        for (media_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC; charset=x", true),
            ("application/grpc-web+proto", true),
            ("application/json", false),
            ("", false),
        ] {
            let message =
                HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
            assert_eq!(is_grpc(&message), expected, "{media_type}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
