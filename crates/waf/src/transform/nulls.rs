//! NUL bytes, at which a program behind may take a value to end.

use std::borrow::Cow;

use super::rewrite::{self, map};

pub(super) fn is_null(byte: u8) -> bool {
    byte == 0
}

pub(super) fn remove(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite::remove(value, is_null)
}

/// Puts a space for each.
pub(super) fn replace(value: &[u8]) -> Cow<'_, [u8]> {
    map(value, |byte| if byte == 0 { b' ' } else { byte })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn every_nul_is_removed_or_replaced() {
        check(remove, b"\0a\0\0b\0", b"ab");
        check(replace, b"\0a\0\0b\0", b" a  b ");
        check(remove, b"ab", b"ab");
        check(replace, b"ab", b"ab");
    }
}
