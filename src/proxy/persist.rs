//! Whether a connection of HTTP/1 stays after an answer: decided before its
//! head is written, so that its `Connection` field tells the truth.

use http::{HeaderMap, Version, header};
use pingora_proxy::Session;

use crate::values::announced;

/// The rest of a request body for which a connection is kept: to read so much
/// costs less than a new connection.
const SMALL: u64 = 64 * 1024;

/// Leaves it to [`settle`] whether a connection stays whose request has not
/// ended when its answer begins.
///
/// Pingora would close each, at a mere 100 already: every form that is answered
/// by a redirect, every upload of a careful client would cost a connection.
pub(super) fn begin(session: &mut Session) {
    session.set_close_on_response_before_downstream_finish(false);
}

/// Lets the connection end where it is not to stay.
///
/// Pingora looks at the first `Connection` field alone.
pub(super) fn settle(session: &mut Session) {
    let request = session.req_header();
    if request.version >= Version::HTTP_2 {
        return;
    }
    if asks_to_close(&request.headers) || (!session.is_body_done() && !ends_soon(session)) {
        session.set_keepalive(None);
    }
}

/// `close` wins over whatever else the client says (RFC 9112 §9.3).
fn asks_to_close(request: &HeaderMap) -> bool {
    let fields = request.get_all(header::CONNECTION).iter();
    let mut options = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// Whether the client is about to send the rest of its body, and that is short.
fn ends_soon(session: &Session) -> bool {
    let request = session.req_header();
    let Some(length) = announced(&request.headers) else { return false };
    // Who expects 100 and gets something else may send its body or not.
    let is_waiting =
        request.headers.contains_key(header::EXPECT) && session.response_written().is_none();
    !is_waiting && length.saturating_sub(session.body_bytes_read() as u64) <= SMALL
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn close_is_heard_in_every_field() {
        for (fields, expected) in [
            (&[][..], false),
            (&["keep-alive"], false),
            (&["close"], true),
            (&["keep-alive, Close"], true),
            (&["x-mine", "te,close"], true),
            (&["closed"], false),
        ] {
            let fields = fields.iter().map(|field| HeaderValue::from_static(field));
            let request = fields.map(|value| (header::CONNECTION, value)).collect();
            assert_eq!(asks_to_close(&request), expected, "{request:?}");
        }
    }
}
