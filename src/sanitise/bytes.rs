//! Which bytes may stand where.

/// A set of bytes, asked with one load.
pub(super) struct ByteSet([bool; 256]);

impl ByteSet {
    /// The visible ASCII bytes without `except`.
    const fn visible_without(except: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = b'!';
        while byte <= b'~' {
            set[byte as usize] = true;
            byte += 1;
        }
        let mut index = 0;
        while index < except.len() {
            set[except[index] as usize] = false;
            index += 1;
        }
        ByteSet(set)
    }

    pub(super) const fn contains(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// The first byte of `text` that is not in the set.
    pub(super) fn find_other(&self, text: &[u8]) -> Option<u8> {
        text.iter().copied().find(|byte| !self.contains(*byte))
    }

    /// Whether `text` has a byte and no byte outside the set.
    pub(super) fn covers(&self, text: &[u8]) -> bool {
        !text.is_empty() && self.find_other(text).is_none()
    }
}

/// The bytes of a token (RFC 9110 §5.6.2).
pub(super) static TOKEN: ByteSet = ByteSet::visible_without(b"\"(),/:;<=>?@[\\]{}");

/// The bytes of a host's name: letters, digits, `-`, `.`, and `_`, which names have in practice.
pub(super) static NAME: ByteSet = ByteSet::visible_without(b"!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// The bytes that may be written in a path: RFC 3986 §3.3, and `[`, `]`, `^`
/// and `|`, which browsers do not escape.
pub(super) static PATH: ByteSet = ByteSet::visible_without(b"\"#<>?\\`{}");

/// The bytes that stand for themselves in a path (RFC 3986 §3.3): not `%`, and
/// none that only browsers leave as they are.
pub(super) static PLAIN: ByteSet = ByteSet::visible_without(b"\"#%<>?[\\]^`{|}");

/// The bytes of a query: those of a path, and what browsers do not escape
/// there (WHATWG URL, query percent-encode set) save the backslash.
pub(super) static QUERY: ByteSet = ByteSet::visible_without(b"\"#<>\\");

/// Whether a header value is free of control bytes (RFC 9110 §5.5).
///
/// Bytes from 0x80 on are opaque data there, and harmless.
pub(super) fn is_value(value: &[u8]) -> bool {
    // No early exit: so the loop becomes vector code.
    !value.iter().fold(false, |bad, &byte| bad | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f))
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    TOKEN.covers(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: &ByteSet) -> String {
        (0..=255).filter(|byte| set.contains(*byte)).map(char::from).collect()
    }

    #[test]
    fn sets_are_those_of_the_standards() {
        assert_eq!(
            members(&NAME),
            "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
        );
        assert_eq!(
            members(&TOKEN),
            "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~"
        );
        assert_eq!(
            members(&PATH),
            "!$%&'()*+,-./0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz|~"
        );
        let escaped: String =
            members(&PATH).chars().filter(|c| !members(&PLAIN).contains(*c)).collect();
        assert_eq!(escaped, "%[]^|");
        let extra: String =
            members(&QUERY).chars().filter(|c| !members(&PATH).contains(*c)).collect();
        assert_eq!(extra, "?`{}");
    }

    #[test]
    fn values_may_hold_tabs_and_opaque_bytes_but_no_control_bytes() {
        for byte in 0..=255_u8 {
            let good = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            assert_eq!(is_value(&[b'a', byte, b'b']), good, "{byte:#x}");
        }
    }
}
