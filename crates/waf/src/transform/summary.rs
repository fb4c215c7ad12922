//! What stands for a whole value: its length, or a digest as raw bytes.

use std::borrow::Cow;

use ::md5::Md5;
use ::sha1::{Digest, Sha1};

use super::rewrite::settle;

/// The number of bytes, in decimal digits.
pub(super) fn length(value: &[u8]) -> Cow<'_, [u8]> {
    settle(value, value.len().to_string().into_bytes())
}

pub(super) fn md5(value: &[u8]) -> Cow<'_, [u8]> {
    settle(value, Md5::digest(value).to_vec())
}

pub(super) fn sha1(value: &[u8]) -> Cow<'_, [u8]> {
    settle(value, Sha1::digest(value).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::hex::encode;
    use crate::transform::rewrite::check;

    #[test]
    fn length_counts_bytes() {
        check(length, "n\u{e9}\0".as_bytes(), b"4");
        check(length, b"", b"0");
        check(length, b"1", b"1");
    }

    #[test]
    fn digests_are_raw() {
        let shown = |digest: Cow<'_, [u8]>| String::from_utf8(encode(&digest).into_owned());
        assert_eq!(shown(md5(b"abc")).as_deref(), Ok("900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(shown(sha1(b"abc")).as_deref(), Ok("a9993e364706816aba3e25717850c26c9cd0d89d"));
    }
}
