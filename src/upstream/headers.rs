//! What a server is told of a request besides what the client said.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::client::Outgoing;

/// Fields that only a trusted proxy may set; from others they are a lie.
const ONLY_TRUSTED: [HeaderName; 3] = [
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
];

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The most fields that a request gains.
const ADDED: usize = 8;

/// Our name in `Via` (RFC 9110 §7.6.3).
pub(crate) const VIA: HeaderValue = HeaderValue::from_static("1.1 tidegate");

/// Sets the forwarding fields (RFC 7239 and the X- ones), the request id and
/// `Via`; what the client sent of them is gone unless `outgoing` holds it.
pub(crate) fn identify(
    request: &mut HeaderMap,
    outgoing: Outgoing,
    request_id: HeaderValue,
    is_peer_trusted: bool,
) {
    request.reserve(ADDED);
    if !is_peer_trusted {
        for name in &ONLY_TRUSTED {
            request.remove(name);
        }
    }
    request.insert(X_FORWARDED_FOR, outgoing.x_forwarded_for);
    request.insert(X_FORWARDED_PROTO, outgoing.x_forwarded_proto);
    match outgoing.x_forwarded_host {
        Some(host) => request.insert(X_FORWARDED_HOST, host),
        None => request.remove(X_FORWARDED_HOST),
    };
    request.insert(header::FORWARDED, outgoing.forwarded);
    request.insert(X_REQUEST_ID, request_id);
    request.append(header::VIA, VIA);
}

/// Whether a message belongs to a call of gRPC, its form for browsers
/// (gRPC-Web) included, by its content type.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    has_type(headers, b"application/grpc")
}

/// Whether a message is gRPC itself, which needs trailers; gRPC-Web has none.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const PREFIX: &[u8] = b"application/grpc";
    let value = headers.get(CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
    is_call(headers) && value.get(PREFIX.len()).is_none_or(|next| *next != b'-')
}

/// Whether an answer may rightly be silent for long: event streams and calls.
pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    has_type(headers, b"text/event-stream") || is_call(headers)
}

fn has_type(headers: &HeaderMap, media_type: &[u8]) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let (start, _) = value.as_bytes().split_at(value.len().min(media_type.len()));
    start.eq_ignore_ascii_case(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_web_is_a_call_but_no_grpc() {
        for (media_type, call, grpc) in [
            ("application/grpc", true, true),
            ("Application/gRPC+proto", true, true),
            ("application/grpc;x=y", true, true),
            ("application/grpc-web+proto", true, false),
            ("application/json", false, false),
            ("", false, false),
        ] {
            let value = HeaderValue::from_static(media_type);
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert_eq!((is_call(&headers), is_grpc(&headers)), (call, grpc), "{media_type}");
        }
    }
}
