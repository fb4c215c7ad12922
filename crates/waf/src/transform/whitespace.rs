//! White space: less of it, or none.

use std::borrow::Cow;

use super::rewrite::{self, rewrite, sift};

const NO_BREAK_SPACE: u8 = 0xa0;

/// Puts one space for each run of white space and 0xa0, the no-break space of Latin-1.
pub(super) fn compress(value: &[u8]) -> Cow<'_, [u8]> {
    let is_extra = |at: usize, byte: u8| match byte {
        b' ' => value.get(at + 1).is_some_and(|&next| is_blank(next)),
        _ => is_blank(byte),
    };
    let first = value.iter().enumerate().position(|(at, &byte)| is_extra(at, byte));
    rewrite(value, first, |rest, out| {
        let mut is_in_run = false;
        sift(rest, out, |byte| {
            let (is_blank, was_in_run) = (is_blank(byte), is_in_run);
            is_in_run = is_blank;
            (if is_blank { b' ' } else { byte }, !(is_blank & was_in_run))
        });
    })
}

/// Takes out white space and 0xa0, the no-break space of Latin-1.
pub(super) fn remove(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite::remove(value, is_blank)
}

/// Takes white space off both ends. A 0xa0 stays, as in ModSecurity.
pub(super) fn trim(value: &[u8]) -> Cow<'_, [u8]> {
    shorten(value, strip_left(strip_right(value)))
}

pub(super) fn trim_left(value: &[u8]) -> Cow<'_, [u8]> {
    shorten(value, strip_left(value))
}

pub(super) fn trim_right(value: &[u8]) -> Cow<'_, [u8]> {
    shorten(value, strip_right(value))
}

/// The `isspace` of C.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

pub(super) fn is_blank(byte: u8) -> bool {
    is_space(byte) || byte == NO_BREAK_SPACE
}

fn strip_left(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && is_space(*first)
    {
        value = rest;
    }
    value
}

fn strip_right(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., last] = value
        && is_space(*last)
    {
        value = rest;
    }
    value
}

/// Owned when shorter, since what is borrowed is unchanged.
fn shorten<'a>(value: &'a [u8], part: &[u8]) -> Cow<'a, [u8]> {
    if part.len() == value.len() { Cow::Borrowed(value) } else { Cow::Owned(part.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn a_run_of_white_space_becomes_one_space() {
        check(compress, b" \t a\xa0b \x0b\x0c\r\nc  ", b" a b c ");
        check(compress, b"a\tb", b"a b");
        check(compress, b" a b ", b" a b ");
        check(compress, b"", b"");
    }

    #[test]
    fn white_space_of_long_values_goes_the_same() {
        for length in 0..300 {
            let value: Vec<u8> = (0..length).map(|at| b"ab \t\xa0 c"[at * at % 31 % 7]).collect();
            let removed: Vec<u8> = value.iter().copied().filter(|byte| !is_blank(*byte)).collect();
            check(remove, &value, &removed);
            let mut compressed = Vec::new();
            for byte in &value {
                match is_blank(*byte) {
                    true if compressed.ends_with(b" ") => {}
                    true => compressed.push(b' '),
                    false => compressed.push(*byte),
                }
            }
            check(compress, &value, &compressed);
        }
    }

    #[test]
    fn white_space_is_removed() {
        check(remove, b" \t a\xa0b\x00 ", b"ab\x00");
        check(remove, b"ab", b"ab");
    }

    #[test]
    fn trims_the_ends_alone() {
        check(trim, b"\t a b\r\n", b"a b");
        check(trim_left, b"\t a b\r\n", b"a b\r\n");
        check(trim_right, b"\t a b\r\n", b"\t a b");
        check(trim, b" \n ", b"");
        for trim in [trim, trim_left, trim_right] {
            check(trim, b"", b"");
            check(trim, b"a b", b"a b");
            check(trim, b"\xa0a\xa0", b"\xa0a\xa0");
        }
    }
}
