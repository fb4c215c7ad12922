//! Lends the header fields of pingora's messages to the rooms, as plain maps.
//!
//! Pingora keeps a second map for the case in which names were written, and
//! looks every name up by its letters to keep both in step. Names have no case
//! (RFC 9110 §5.1) and h2 has them in lower case anyway, so the second map is
//! given up; the two of them cost a fifth of a request's instructions.

use http::request::Parts as ReqParts;
use http::response::Parts as RespParts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use pingora::Result;
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

/// Puts the cookies of a request into one field.
///
/// HTTP/2 may send each in a field of its own, which servers of HTTP/1 do not
/// all understand (RFC 9113 §8.2.3).
pub(super) fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let cookies = request.headers.get_all(header::COOKIE);
    if request.version < Version::HTTP_2 || cookies.iter().count() < 2 {
        return Ok(());
    }
    let cookies: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    let joined = cookies.join(&b"; "[..]);
    request.insert_header(header::COOKIE, joined)?;
    Ok(())
}

/// Forgets in which case a client wrote the names of its fields.
pub(super) fn forget_request_case(request: &mut RequestHeader) {
    if request.has_case() {
        change_request(request, |_| ());
    }
}
