//! What a server says about where its answer ends, said once.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The answer has a transfer coding that nobody here undoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer has a transfer coding other than chunked")]
pub(crate) struct UnknownCoding;

/// Whether [`settle`] would change nothing, as is so for nearly every answer.
pub(crate) fn is_settled(status: StatusCode, answer: &HeaderMap) -> bool {
    let one = |name, is_plain: fn(&[u8]) -> bool| {
        let mut values = answer.get_all(name).iter();
        values.next().is_none_or(|value| is_plain(value.as_bytes()) && values.next().is_none())
    };
    if status == StatusCode::NO_CONTENT {
        return !answer.contains_key(CONTENT_LENGTH) && !answer.contains_key(TRANSFER_ENCODING);
    }
    one(TRANSFER_ENCODING, |coding| coding.eq_ignore_ascii_case(b"chunked"))
        && one(CONTENT_LENGTH, |length| !length.contains(&b','))
}

/// Leaves at most one Content-Length, and nothing of framing where there is no
/// body (RFC 9110 §8.6, RFC 9112 §6.1). That lengths agree has been checked.
pub(crate) fn settle(status: StatusCode, answer: &mut HeaderMap) -> Result<(), UnknownCoding> {
    if status == StatusCode::NO_CONTENT {
        answer.remove(CONTENT_LENGTH);
        answer.remove(TRANSFER_ENCODING);
        return Ok(());
    }
    let is = |coding: &HeaderValue, name: &[u8]| {
        coding.as_bytes().trim_ascii().eq_ignore_ascii_case(name)
    };
    let codings = answer.get_all(TRANSFER_ENCODING);
    if codings.iter().any(|coding| !is(coding, b"chunked") && !is(coding, b"identity")) {
        return Err(UnknownCoding);
    }
    if codings.iter().any(|coding| is(coding, b"identity")) {
        // No coding at all, as servers before RFC 7230 put it.
        answer.remove(TRANSFER_ENCODING);
    }
    let mut lengths = answer.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    let is_list = first.as_bytes().contains(&b',');
    if is_list || lengths.next().is_some() {
        let one = first.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
        if let Ok(one) = HeaderValue::from_bytes(one.trim_ascii()) {
            answer.insert(CONTENT_LENGTH, one);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn check(status: u16, fields: &[(HeaderName, &str)], expected: Option<&[(HeaderName, &str)]>) {
        let map = |fields: &[(HeaderName, &str)]| -> HeaderMap {
            let field = |(name, value): &(HeaderName, &str)| {
                (name.clone(), HeaderValue::from_str(value).expect("a value"))
            };
            fields.iter().map(field).collect()
        };
        let mut answer = map(fields);
        let status = StatusCode::from_u16(status).expect("a status");
        let is_settled = is_settled(status, &answer);
        assert_eq!(is_settled, expected == Some(fields), "{status} {fields:?}");
        let settled = settle(status, &mut answer).ok().map(|()| answer);
        assert_eq!(settled, expected.map(map), "{status} {fields:?}");
    }

    #[test]
    fn a_length_is_said_once() {
        let one = [(CONTENT_LENGTH, "5")];
        check(200, &one, Some(&one));
        check(200, &[(CONTENT_LENGTH, "5"), (CONTENT_LENGTH, "5")], Some(&one));
        check(200, &[(CONTENT_LENGTH, "5 , 5")], Some(&one));
        check(204, &[(CONTENT_LENGTH, "5"), (TRANSFER_ENCODING, "chunked")], Some(&[]));
    }

    #[test]
    fn no_coding_but_chunks_is_known() {
        let chunked = [(TRANSFER_ENCODING, "Chunked")];
        check(200, &chunked, Some(&chunked));
        check(200, &[(TRANSFER_ENCODING, "identity")], Some(&[]));
        for unknown in ["xchunked", "gzip, chunked", "gzip", "chunked, chunked"] {
            check(200, &[(TRANSFER_ENCODING, unknown)], None);
        }
    }
}
