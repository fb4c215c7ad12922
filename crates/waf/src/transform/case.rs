//! Letters of ASCII in one case; other bytes have none.

use std::borrow::Cow;

use super::rewrite::map;

pub(super) fn lower(value: &[u8]) -> Cow<'_, [u8]> {
    map(value, |byte| byte.to_ascii_lowercase())
}

pub(super) fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase()
}

pub(super) fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase()
}

pub(super) fn upper(value: &[u8]) -> Cow<'_, [u8]> {
    map(value, |byte| byte.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn only_letters_of_ascii_have_a_case() {
        check(lower, b"aB[\xc0\x00", b"ab[\xc0\x00");
        check(upper, b"aB{\xe0\x00", b"AB{\xe0\x00");
        check(lower, b"ab\xc0", b"ab\xc0");
        check(upper, b"AB\xe0", b"AB\xe0");
    }
}
