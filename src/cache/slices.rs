//! Large objects in slices: which of them a span touches, and what a server
//! says of one that it was asked for.
//!
//! All slices of a version are of one size, but for its last.

use http::header::{CONTENT_ENCODING, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;

use super::policy::etag::Tag;
use crate::ranges::Span;
use crate::values::only;

/// How far a fetch of a slice has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Asking,
    /// The slice is in the store, or comes into it.
    Here,
    /// What the server said is no slice that was wanted.
    Otherwise,
    /// The server failed.
    Failed(StatusCode),
}

/// Who waits for a slice hears of it here.
pub(crate) type Told = watch::Sender<Progress>;

/// An object of so many bytes, cut at every `size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Invariant: a power of two.
    pub size: u64,
    pub total: u64,
}

/// A slice, and what of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub number: u64,
    /// All of it.
    pub whole: Span,
    /// Where in it the wanted bytes begin.
    pub skip: u64,
    pub wanted: u64,
}

impl Cut {
    /// The slices that a span touches, in their order.
    pub(crate) fn touched(self, span: Span) -> impl Iterator<Item = Slice> {
        let numbers = span.first / self.size..=span.last() / self.size;
        numbers.map(move |number| {
            let whole = self.slice(number);
            let first = span.first.max(whole.first);
            let last = span.last().min(whole.last());
            Slice { number, whole, skip: first - whole.first, wanted: last + 1 - first }
        })
    }

    /// The bytes of a slice, of which there has to be one.
    pub(crate) fn slice(self, number: u64) -> Span {
        let first = number * self.size;
        Span { first, length: self.size.min(self.total - first) }
    }
}

/// The slice that has a byte of an object whose length nobody knows yet.
pub(crate) fn around(byte: u64, size: u64) -> Span {
    Span { first: byte / size * size, length: size }
}

/// What a 206 brings: the bytes, and how many there are in all (RFC 9110 §14.4).
pub(crate) fn brought(response: &HeaderMap) -> Option<(Span, u64)> {
    let text = only(response.get_all(CONTENT_RANGE))?.to_str().ok()?;
    let (unit, rest) = text.split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| crate::units::digits::<u64>(text);
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    let is_sound = unit.eq_ignore_ascii_case("bytes") && first <= last && last < total;
    is_sound.then(|| (Span { first, length: last - first + 1 }, total))
}

/// What tells the versions of an object apart: slices are of one version if this
/// is equal. None where nothing does, and slices could be of any two.
///
/// RFC 9110 §15.3.7.3 asks for a strong validator. A date is one here, too, but
/// only with the length and the coding: who writes twice a second says so by a tag.
pub(crate) fn version(response: &HeaderMap, total: u64) -> Option<Vec<u8>> {
    let mut version = total.to_be_bytes().to_vec();
    let tag = only(response.get_all(ETAG)).map(|tag| tag.as_bytes());
    match tag.and_then(Tag::read) {
        Some(tag) if !tag.is_weak => version.extend_from_slice(tag.opaque),
        // Two versions may share it, and a date beside it says no more.
        Some(_) => return None,
        None => {
            version.push(b'@');
            version.extend_from_slice(only(response.get_all(LAST_MODIFIED))?.as_bytes());
        }
    }
    version.push(0);
    for coding in response.get_all(CONTENT_ENCODING) {
        version.extend_from_slice(coding.as_bytes());
        version.push(b',');
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const CUT: Cut = Cut { size: 4, total: 10 };

    fn fields(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(field).collect()
    }

    #[test]
    fn a_span_is_made_of_what_it_wants_of_each_slice() {
        let slice = |number, length, skip, wanted| Slice {
            number,
            whole: Span { first: number * 4, length },
            skip,
            wanted,
        };
        for (first, length, expected) in [
            (0, 1, vec![slice(0, 4, 0, 1)]),
            (3, 1, vec![slice(0, 4, 3, 1)]),
            (3, 2, vec![slice(0, 4, 3, 1), slice(1, 4, 0, 1)]),
            (4, 4, vec![slice(1, 4, 0, 4)]),
            (9, 1, vec![slice(2, 2, 1, 1)]),
            (0, 10, vec![slice(0, 4, 0, 4), slice(1, 4, 0, 4), slice(2, 2, 0, 2)]),
        ] {
            let touched: Vec<_> = CUT.touched(Span { first, length }).collect();
            assert_eq!(touched, expected, "{first} {length}");
        }
    }

    #[test]
    fn every_span_is_covered_once_and_in_order() {
        for first in 0..CUT.total {
            for length in 1..=CUT.total - first {
                let span = Span { first, length };
                let mut at = first;
                for slice in CUT.touched(span) {
                    assert_eq!(slice.whole.first + slice.skip, at, "{span:?}");
                    assert!(slice.wanted > 0 && slice.skip + slice.wanted <= slice.whole.length);
                    at += slice.wanted;
                }
                assert_eq!(at, first + length, "{span:?}");
            }
        }
    }

    #[test]
    fn a_byte_is_in_one_slice() {
        for (byte, first) in [(0, 0), (3, 0), (4, 4), (11, 8)] {
            assert_eq!(around(byte, 4), Span { first, length: 4 });
        }
    }

    #[test]
    fn a_part_says_what_it_is() {
        let check = |value, expected: Option<(u64, u64, u64)>| {
            let expected = expected.map(|(first, length, all)| (Span { first, length }, all));
            assert_eq!(brought(&fields(&[("content-range", value)])), expected, "{value}");
        };
        check("bytes 0-3/10", Some((0, 4, 10)));
        check("Bytes 9-9/10", Some((9, 1, 10)));
        for bad in [
            "bytes 0-3/*",
            "bytes */10",
            "bytes 3-2/10",
            "bytes 0-10/10",
            "items 0-3/10",
            "bytes 0-3",
            "bytes=0-3/10",
            "bytes +0-3/10",
            "",
        ] {
            check(bad, None);
        }
        let two = fields(&[("content-range", "bytes 0-3/10"), ("content-range", "bytes 4-7/10")]);
        assert_eq!((brought(&two), brought(&HeaderMap::new())), (None, None));
    }

    #[test]
    fn slices_of_two_versions_are_told_apart() {
        let version = |all: &[(&'static str, &'static str)]| version(&fields(all), 10);
        let date = ("last-modified", "Fri, 27 Nov 2026 12:00:00 GMT");
        let later = ("last-modified", "Fri, 27 Nov 2026 12:00:01 GMT");
        let tag = ("etag", "\"a\"");
        let all = [
            version(&[tag]),
            version(&[("etag", "\"b\"")]),
            version(&[tag, ("content-encoding", "gzip")]),
            version(&[date]),
            version(&[later]),
            super::version(&fields(&[tag]), 11),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(one.is_some(), "{at}");
            assert!(all.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
        // A date beside a tag says no more.
        assert_eq!(version(&[tag, date]), version(&[tag, later]));
        for none in [vec![], vec![("etag", "W/\"a\""), date], vec![date, later], vec![tag, tag]] {
            assert_eq!(version(&none), None, "{none:?}");
        }
    }
}
