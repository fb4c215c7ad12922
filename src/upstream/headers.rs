//! What a server is told of a request besides what the client said.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::client::{Client, Outgoing, X_REQUEST_ID};
use crate::sanitise::{are_one_name, is_forwarding_name};
use crate::values::remove_rare;

/// Fields that only a trusted proxy may set; from others they are a lie.
const ONLY_TRUSTED: [HeaderName; 3] = [
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
];

/// Fields that name a client.
const WHO: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
    header::FORWARDED,
];

/// Fields that are not for servers: CGI hands the first on as `HTTP_PROXY`
/// (httpoxy), and what the second announces is not passed on.
const NOT_FOR_SERVERS: [HeaderName; 2] = [HeaderName::from_static("proxy"), header::TRAILER];

/// Names that a server must get from us alone, under any spelling; so are all
/// that begin with `x-forwarded-`.
const OURS: [HeaderName; 4] = [
    X_REQUEST_ID,
    HeaderName::from_static("x-real-ip"),
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// The most fields that a request gains.
const ADDED: usize = 8;

/// Our name in `Via` (RFC 9110 §7.6.3).
pub(crate) const VIA: HeaderValue = HeaderValue::from_static("1.1 tidegate");

/// Takes away what no server is to see, and what one could take for a field of
/// ours or of the route, whose names are `ruled`: CGI and its heirs read
/// `X_Forwarded_For` as `X-Forwarded-For`. Who sent it makes no difference:
/// trusted proxies, too, pass on what they do not know.
pub(crate) fn clean<'a, R>(request: &mut HeaderMap, ruled: impl Fn() -> R)
where
    R: Iterator<Item = &'a HeaderName>,
{
    remove_rare(request, &NOT_FOR_SERVERS);
    if !request.keys().any(may_be_twin) && !ruled().any(may_be_twin) {
        return;
    }
    let is_twin = |name: &HeaderName| {
        let is_twin_of = |other: &HeaderName| are_twins(name.as_str(), other.as_str());
        is_forwarding_twin(name.as_str()) || OURS.iter().any(is_twin_of) || ruled().any(is_twin_of)
    };
    let twins: Vec<HeaderName> = request.keys().filter(|name| is_twin(name)).cloned().collect();
    for name in &twins {
        request.remove(name);
    }
}

/// Whether a name holds what is `-` to somebody.
fn may_be_twin(name: &HeaderName) -> bool {
    name.as_str().bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-')
}

/// Whether two different names are one where all but letters and digits is the same.
fn are_twins(one: &str, other: &str) -> bool {
    one != other && are_one_name(one, other)
}

/// Whether a name is that of a forwarding field where all but letters and digits
/// is the same, and only there.
fn is_forwarding_twin(name: &str) -> bool {
    let is_odd = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'-';
    is_forwarding_name(name) && name.bytes().any(is_odd)
}

/// Sets the forwarding fields (RFC 7239 and the X- ones), the request id and
/// `Via`; what the client sent of them is gone unless `outgoing` holds it.
pub(crate) fn identify(
    request: &mut HeaderMap,
    client: &Client,
    outgoing: Outgoing,
    request_id: HeaderValue,
) {
    request.reserve(ADDED);
    if !client.peer_trusted {
        remove_rare(request, &ONLY_TRUSTED);
    }
    outgoing.write(request);
    request.insert(X_REQUEST_ID, request_id);
    request.append(header::VIA, VIA);
}

/// Takes away who asks, where nobody does.
pub(crate) fn name_nobody(request: &mut HeaderMap) {
    for name in &WHO {
        request.remove(name);
    }
}

/// Whether servers are told by a field who asks: its answer is for nobody else then.
pub(crate) fn tells_who(name: &HeaderName) -> bool {
    *name == X_REQUEST_ID || WHO.contains(name)
}

/// Whether a message belongs to a call of gRPC, its form for browsers
/// (gRPC-Web) included, by its content type.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    has_type(headers, CALL) && is_end(after(headers, CALL), b"+-")
}

/// Whether a message is gRPC itself, which needs trailers; gRPC-Web has none.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    has_type(headers, CALL) && is_end(after(headers, CALL), b"+")
}

const CALL: &[u8] = b"application/grpc";

/// The byte behind so much of a content type.
fn after(headers: &HeaderMap, start: &[u8]) -> Option<u8> {
    headers.get(CONTENT_TYPE)?.as_bytes().get(start.len()).copied()
}

/// Whether a name of a type ends before that byte, or goes on in one of these ways.
fn is_end(next: Option<u8>, ways: &[u8]) -> bool {
    next.is_none_or(|next| matches!(next, b';' | b' ' | b'\t') || ways.contains(&next))
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
    fn servers_get_neither_proxy_nor_trailer_nor_twins() {
        let ruled = ["x-env", "x_team", "x-gone"].map(HeaderName::from_static);
        for (name, stays) in [
            ("proxy", false),
            ("trailer", false),
            ("x_forwarded_for", false),
            ("x-forwarded_host", false),
            ("x_forwarded-anything", false),
            ("x_request_id", false),
            ("x-real_ip", false),
            ("content_length", false),
            ("transfer_encoding", false),
            ("x_env", false),
            ("x_gone", false),
            ("x-team", false),
            ("x_team", true),
            ("x-env", true),
            ("x-forwarded-for", true),
            ("x_forwarded", true),
            ("auth_token", true),
            ("x_environment", true),
            ("x.env", false),
            ("x!env", false),
            ("x~forwarded~for", false),
            ("x.forwarded.for", false),
            ("content.length", false),
            ("x.team", false),
            ("x.other", true),
        ] {
            let name = HeaderName::from_static(name);
            let mut request = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))]);
            request.append(name.clone(), HeaderValue::from_static("y"));
            clean(&mut request, || ruled.iter());
            assert_eq!(request.contains_key(&name), stays, "{name}");
        }
    }

    #[test]
    fn grpc_web_is_a_call_but_no_grpc() {
        for (media_type, call, grpc) in [
            ("application/grpc", true, true),
            ("Application/gRPC+proto", true, true),
            ("application/grpc;x=y", true, true),
            ("application/grpc-web+proto", true, false),
            ("application/grpc ;x=y", true, true),
            ("application/grpcx", false, false),
            ("application/json", false, false),
            ("", false, false),
        ] {
            let value = HeaderValue::from_static(media_type);
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert_eq!((is_call(&headers), is_grpc(&headers)), (call, grpc), "{media_type}");
        }
        let none = HeaderMap::new();
        assert_eq!((is_call(&none), is_grpc(&none)), (false, false));
    }
}
