//! Which bytes a Range asks for, and how several of them are sent (RFC 9110 §14).

use bytes::Bytes;
use http::HeaderMap;
use http::header::RANGE;

use crate::values::only;

/// More parts than any player or reader asks for; a longer list gets everything.
const MOST_SPANS: usize = 16;

/// Consecutive bytes. Invariant: not empty, and inside what they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) length: u64,
}

/// A part of a body: bytes at hand, or those of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Bytes),
    Span(Span),
}

impl Span {
    pub(crate) fn last(self) -> u64 {
        self.first + self.length - 1
    }

    /// What Content-Range says of it, of `length` bytes in all.
    pub(crate) fn content_range(self, length: u64) -> String {
        format!("bytes {}-{}/{length}", self.first, self.last())
    }

    fn overlaps(self, other: Span) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }
}

impl Part {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Part::Text(text) => text.len() as u64,
            Part::Span(span) => span.length,
        }
    }
}

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    Whole,
    /// Not empty, in the order of the request.
    Spans(Vec<Span>),
    Unsatisfiable,
}

/// Reads the Range of a GET against `length` bytes.
///
/// Whatever is malformed, of another unit, or of many or overlapping parts gets
/// all of them: a server may ignore any Range, and those only cost.
pub(crate) fn select(request: &HeaderMap, length: u64) -> Selection {
    let Some(line) = only(request.get_all(RANGE)) else { return Selection::Whole };
    // Clients that always ask for a range cannot know that there is nothing.
    if length == 0 {
        return Selection::Whole;
    }
    line.to_str().ok().and_then(|text| parse(text, length)).unwrap_or(Selection::Whole)
}

/// The first byte that a Range asks for of what nobody knows the length of; 0 for its end. None
/// where it is not to be followed.
pub(crate) fn first_byte(request: &HeaderMap) -> Option<u64> {
    let text = only(request.get_all(RANGE))?.to_str().ok()?;
    let (_, list) = text.split_once('=')?;
    match parse(text, u64::MAX)? {
        Selection::Spans(_) if list.trim_start().starts_with('-') => Some(0),
        Selection::Spans(spans) => spans.first().map(|span| span.first),
        Selection::Whole | Selection::Unsatisfiable => None,
    }
}

/// Reads `bytes=0-99, -500`; `None` where it is not to be followed.
fn parse(text: &str, length: u64) -> Option<Selection> {
    let (unit, list) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut spans: Vec<Span> = Vec::new();
    for (count, part) in list.split(',').enumerate() {
        if count == MOST_SPANS {
            return None;
        }
        let Some(span) = parse_span(part.trim(), length)? else {
            continue;
        };
        if spans.iter().any(|other| other.overlaps(span)) {
            return None;
        }
        spans.push(span);
    }
    Some(if spans.is_empty() { Selection::Unsatisfiable } else { Selection::Spans(spans) })
}

/// Reads `0-99`, `100-` or `-500`: `None` is malformed, `Some(None)` beyond the end.
fn parse_span(text: &str, length: u64) -> Option<Option<Span>> {
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        let span = Span { first: length - suffix, length: suffix };
        return Some((suffix > 0).then_some(span));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    let span = (first < length).then(|| Span { first, length: last.min(length - 1) - first + 1 });
    Some(span)
}

/// Reads digits; a number too large for us is beyond the end of every file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Several spans of `length` bytes in one body: its media type, and its parts (RFC 9110 §14.6).
pub(crate) fn multipart(spans: &[Span], media_type: &str, length: u64) -> (String, Vec<Part>) {
    // Unguessable, so that nothing can contain it on purpose.
    let boundary = format!("{:032x}", fastrand::u128(..));
    let mut parts = Vec::with_capacity(2 * spans.len() + 1);
    for span in spans {
        let range = span.content_range(length);
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {range}\r\n\r\n"
        );
        parts.push(Part::Text(Bytes::from(head)));
        parts.push(Part::Span(*span));
    }
    parts.push(Part::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    (format!("multipart/byteranges; boundary={boundary}"), parts)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(range: &'static str, length: u64, expected: &Selection) {
        let request = HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))]);
        assert_eq!(&select(&request, length), expected, "{range} of {length}");
    }

    fn spans(list: &[(u64, u64)]) -> Selection {
        Selection::Spans(list.iter().map(|&(first, length)| Span { first, length }).collect())
    }

    #[test]
    fn single_ranges_end_with_the_file() {
        check("bytes=0-0", 10, &spans(&[(0, 1)]));
        check("bytes=2-5", 10, &spans(&[(2, 4)]));
        check("bytes=2-", 10, &spans(&[(2, 8)]));
        check("bytes=2-99", 10, &spans(&[(2, 8)]));
        check("bytes=-3", 10, &spans(&[(7, 3)]));
        check("bytes=-99", 10, &spans(&[(0, 10)]));
        check("BYTES=9-99999999999999999999999", 10, &spans(&[(9, 1)]));
    }

    #[test]
    fn nothing_left_is_unsatisfiable() {
        check("bytes=10-", 10, &Selection::Unsatisfiable);
        check("bytes=10-20, 99999999999999999999999-", 10, &Selection::Unsatisfiable);
        check("bytes=-0", 10, &Selection::Unsatisfiable);
    }

    #[test]
    fn several_ranges_keep_their_order() {
        check("bytes=5-6, 0-1 ,-1", 10, &spans(&[(5, 2), (0, 2), (9, 1)]));
        check("bytes=0-1,20-30", 10, &spans(&[(0, 2)]));
        check("bytes=0-4,5-9", 10, &spans(&[(0, 5), (5, 5)]));
    }

    #[test]
    fn what_only_costs_gets_the_whole_file() {
        check("bytes=0-5,5-9", 10, &Selection::Whole);
        check("bytes=0-,0-,0-", 10, &Selection::Whole);
        check(
            "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15,16-16",
            99,
            &Selection::Whole,
        );
        check("bytes=0-", 0, &Selection::Whole);
    }

    #[test]
    fn a_range_of_an_unknown_length_begins_somewhere() {
        let check = |range: &'static str, expected| {
            let request = HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))]);
            assert_eq!(first_byte(&request), expected, "{range}");
        };
        check("bytes=5-9", Some(5));
        check("bytes=7-", Some(7));
        check("bytes=7-8, 0-1", Some(7));
        check("bytes= -500", Some(0));
        for bad in ["bytes=", "bytes=9-5", "items=0-1", "bytes=0-5,5-9"] {
            check(bad, None);
        }
        assert_eq!(first_byte(&HeaderMap::new()), None);
    }

    #[test]
    fn malformed_ranges_get_the_whole_file() {
        for bad in [
            "bytes",
            "bytes=",
            "bytes=a-b",
            "bytes=1",
            "bytes=5-2",
            "bytes=--1",
            "bytes=-",
            "items=0-1",
            "bytes=0-1,",
            "bytes=0-1,x",
            "bytes=+0-1",
            "bytes=0 - 1",
            "0-1",
            "",
        ] {
            check(bad, 10, &Selection::Whole);
        }
        let two = [HeaderValue::from_static("bytes=0-1"), HeaderValue::from_static("bytes=2-3")];
        let mut request = HeaderMap::new();
        for line in two {
            request.append(RANGE, line);
        }
        assert_eq!(select(&request, 10), Selection::Whole);
        assert_eq!(select(&HeaderMap::new(), 10), Selection::Whole);
    }
}
