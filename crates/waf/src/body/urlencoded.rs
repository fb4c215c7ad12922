//! Query strings and bodies of forms.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// One argument, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair<'a> {
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) value: Cow<'a, [u8]>,
    /// A `%` in it is not followed by two hexadecimal digits; it was kept (`URLENCODED_ERROR`).
    pub(crate) is_malformed: bool,
}

/// The arguments of `bytes`, in order.
///
/// An argument without `=` has an empty value, and nothing between two separators is an argument
/// with an empty name; nothing behind the last separator is none.
#[must_use]
pub(crate) fn split(bytes: &[u8], separator: u8) -> Pairs<'_> {
    Pairs { rest: bytes, separator }
}

#[derive(Clone, Debug)]
pub(crate) struct Pairs<'a> {
    rest: &'a [u8],
    separator: u8,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (argument, rest) = cut(self.rest, self.separator);
        self.rest = rest;
        let (name, value) = cut(argument, b'=');
        let mut is_malformed = false;
        let name = decode(name, &mut is_malformed);
        let value = decode(value, &mut is_malformed);
        Some(Pair { name, value, is_malformed })
    }
}

/// What stands before and behind the first `mark`.
pub(super) fn cut(text: &[u8], mark: u8) -> (&[u8], &[u8]) {
    match memchr(mark, text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

fn decode<'a>(text: &'a [u8], is_malformed: &mut bool) -> Cow<'a, [u8]> {
    let mut decoded = Vec::new();
    // What stands before `done` is in `decoded`; it stays 0 as long as nothing changes.
    let (mut at, mut done) = (0, 0);
    while let Some(found) = memchr2(b'%', b'+', &text[at..]) {
        let lead = at + found;
        let (byte, width) = match &text[lead..] {
            [b'+', ..] => (b' ', 1),
            tail => match escaped(tail) {
                Some(byte) => (byte, 3),
                None => {
                    *is_malformed = true;
                    at = lead + 1;
                    continue;
                }
            },
        };
        decoded.extend_from_slice(&text[done..lead]);
        decoded.push(byte);
        at = lead + width;
        done = at;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    decoded.extend_from_slice(&text[done..]);
    Cow::Owned(decoded)
}

/// The byte of a `%hh` at the start of `text`.
pub(super) fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// The value of a hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::fixture::{Dice, check_linear};

    #[track_caller]
    fn check(text: &[u8], expected: &[(&[u8], &[u8])]) {
        let pairs: Vec<_> = split(text, b'&').collect();
        let found: Vec<_> = pairs.iter().map(|pair| (&*pair.name, &*pair.value)).collect();
        assert_eq!(found, expected, "{}", text.escape_ascii());
    }

    #[test]
    fn splits_at_the_first_equals_sign() {
        check(b"", &[]);
        check(b"a=1&b=2", &[(b"a", b"1"), (b"b", b"2")]);
        check(b"a", &[(b"a", b"")]);
        check(b"a=", &[(b"a", b"")]);
        check(b"=b", &[(b"", b"b")]);
        check(b"=", &[(b"", b"")]);
        check(b"a=b=c", &[(b"a", b"b=c")]);
        check(b"a&b", &[(b"a", b""), (b"b", b"")]);
    }

    #[test]
    fn nothing_between_separators_is_an_argument() {
        check(b"a=1&&b=2", &[(b"a", b"1"), (b"", b""), (b"b", b"2")]);
        check(b"&", &[(b"", b"")]);
        check(b"&&", &[(b"", b""), (b"", b"")]);
        check(b"a=1&", &[(b"a", b"1")]);
        check(b"&a=1", &[(b"", b""), (b"a", b"1")]);
    }

    #[test]
    fn decodes_after_it_splits() {
        check(b"a%3db%26=c+d%2B%00&%61=\0", &[(b"a=b&", b"c d+\0"), (b"a", b"\0")]);
        check(b"a=%25%34%31", &[(b"a", b"%41")]);
        check(b"a=%fF%Ff", &[(b"a", b"\xff\xff")]);
    }

    #[test]
    fn separates_where_it_is_told_to() {
        let pairs: Vec<_> = split(b"a=1;b=2&c", b';').collect();
        assert_eq!(pairs.len(), 2);
        assert_eq!(&*pairs[1].value, b"2&c");
    }

    #[test]
    fn keeps_and_reports_an_invalid_escape() {
        for (text, value) in [
            ("a=%", "%"),
            ("a=%4", "%4"),
            ("a=%g1", "%g1"),
            ("a=%1g", "%1g"),
            ("a=%%41", "%A"),
            ("a=%u0041", "%u0041"),
            ("a=+%zz+", " %zz "),
        ] {
            let pair = split(text.as_bytes(), b'&').next().unwrap();
            assert!(pair.is_malformed, "{text}");
            assert_eq!(&*pair.value, value.as_bytes(), "{text}");
        }
        assert!(split(b"%=1", b'&').next().unwrap().is_malformed);
        assert!(!split(b"a=%41+b", b'&').next().unwrap().is_malformed);
    }

    #[test]
    fn borrows_what_it_does_not_change() {
        for (text, is_borrowed) in [("a=b", true), ("a=%zz", true), ("a=+", false)] {
            let pair = split(text.as_bytes(), b'&').next().unwrap();
            assert_eq!(matches!(pair.value, Cow::Borrowed(_)), is_borrowed, "{text}");
        }
    }

    #[test]
    fn random_text_is_safe_and_gets_no_longer() {
        let pieces: [&[u8]; 6] = [b"&", b"=", b"%", b"%41", b"+", b"\xff"];
        let mut dice = Dice::new();
        for _ in 0..20_000 {
            let text = dice.mutate(b"a=1&b=%20+2&&c", &pieces);
            let pairs = split(&text, b'&');
            let length: usize = pairs.map(|pair| pair.name.len() + pair.value.len()).sum();
            assert!(length <= text.len());
        }
    }

    #[test]
    fn time_is_linear() {
        for piece in ["&", "=", "%", "+", "%4", "%41", "a"] {
            check_linear(piece, |times| {
                let text = piece.repeat(times);
                assert!(split(text.as_bytes(), b'&').count() <= text.len());
            });
        }
    }
}
