//! Lends the header fields of pingora's messages to the rooms, as plain maps.
//!
//! Pingora keeps a second map for the case in which names were written, and
//! looks every name up by its letters to keep both in step. Names have no case
//! (RFC 9110 §5.1) and h2 has them in lower case anyway, so the second map is
//! given up; the two of them cost a fifth of a request's instructions.

use http::request::Parts as ReqParts;
use http::response::Parts as RespParts;
use http::{HeaderMap, Request, Response, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};

/// Lets `change` change the fields of a request. The target must be one that
/// its `Uri` says whole, as every origin-form is.
pub(super) fn change_request<T>(
    request: &mut RequestHeader,
    change: impl FnOnce(&mut HeaderMap) -> T,
) -> T {
    let (empty, ()) = Request::new(()).into_parts();
    let mut parts = ReqParts::from(std::mem::replace(request, empty.into()));
    let changed = change(&mut parts.headers);
    *request = parts.into();
    changed
}

/// Lets `change` change the fields of an answer, which loses a reason phrase
/// of its own.
pub(super) fn change_response<T>(
    response: &mut ResponseHeader,
    change: impl FnOnce(&mut HeaderMap) -> T,
) -> T {
    let (empty, ()) = Response::new(()).into_parts();
    let mut parts = RespParts::from(std::mem::replace(response, empty.into()));
    let changed = change(&mut parts.headers);
    *response = parts.into();
    changed
}

/// The head of an answer of ours.
pub(super) fn response(status: StatusCode, headers: HeaderMap) -> ResponseHeader {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers;
    parts.into()
}

/// Forgets in which case a client wrote the names of its fields.
pub(super) fn forget_request_case(request: &mut RequestHeader) {
    if request.has_case() {
        change_request(request, |_| ());
    }
}

/// The same for a server's answer; its reason phrase goes as well.
pub(super) fn forget_response_case(response: &mut ResponseHeader) {
    if response.has_case() {
        change_response(response, |_| ());
    }
}
