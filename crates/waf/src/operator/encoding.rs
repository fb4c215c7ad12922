//! Operators that match values which are not encoded as they must be.

use crate::operator::byte_set::ByteSet;

/// The bytes and ranges of @validateByteRange, `9,10,32-126`; Err has the one that is wrong.
pub(crate) fn byte_ranges(list: &[u8]) -> Result<ByteSet, &[u8]> {
    let number = |text: &[u8]| -> Option<u8> {
        let text = std::str::from_utf8(text.trim_ascii()).ok()?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    list.split(|byte| *byte == b',').try_fold(ByteSet::EMPTY, |all, entry| {
        let mut ends = entry.splitn(2, |byte| *byte == b'-');
        let first = ends.next().and_then(number).ok_or(entry)?;
        let last = ends.next().map_or(Some(first), number).ok_or(entry)?;
        if first > last {
            return Err(entry);
        }
        Ok(all.or(ByteSet::range(first..=last)))
    })
}

/// The first byte that is not in `allowed`.
pub(crate) fn outside(allowed: ByteSet, value: &[u8]) -> Option<usize> {
    value.iter().position(|byte| !allowed.contains(*byte))
}

/// Whether a percent sign stands before something else than two hexadecimal digits.
pub(crate) fn is_url_broken(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'%', rest) {
        match rest.get(at + 1..).unwrap_or_default() {
            [first, second, after @ ..]
                if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() =>
            {
                rest = after;
            }
            _ => return true,
        }
    }
    false
}

/// Whether it is not UTF-8 (RFC 3629); ModSecurity 2 lets bytes above U+10FFFF pass, too.
pub(crate) fn is_utf8_broken(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_ranges_are_read() {
        let set = byte_ranges(b"9, 10,32-126").unwrap();
        assert_eq!(set, ByteSet::range(32..=126).with(9).with(10));
        assert_eq!(byte_ranges(b"0-255"), Ok(ByteSet::ALL));
        for wrong in ["", "x", "1-", "-1", "256", "9-1", "1-2-3", "+1"] {
            let list = format!("1,{wrong}");
            assert_eq!(byte_ranges(list.as_bytes()), Err(wrong.as_bytes()));
        }
    }

    #[test]
    fn broken_escapes_are_found() {
        for broken in ["%", "%1", "a%zz", "%41%4", "%%41"] {
            assert!(is_url_broken(broken.as_bytes()), "{broken}");
        }
        for whole in ["", "a+b", "%41", "%00%ffx"] {
            assert!(!is_url_broken(whole.as_bytes()), "{whole}");
        }
    }

    #[test]
    fn overlong_and_surrogate_bytes_are_broken() {
        for broken in [
            b"\xc0\xaf".as_slice(),
            b"\xe0\x80\x80",
            b"\xed\xa0\x80",
            b"\xf5\x80\x80\x80",
            b"\xf4\x90\x80\x80",
            b"a\x80",
            b"\xe2\x82",
        ] {
            assert!(is_utf8_broken(broken), "{broken:?}");
        }
        assert!(!is_utf8_broken("aä€😀".as_bytes()));
    }
}
