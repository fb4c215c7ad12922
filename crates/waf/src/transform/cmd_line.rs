//! A command line, without what its shell would not see.

use std::borrow::Cow;

use super::rewrite::{find, rewrite};

/// Drops `"`, `'`, `\` and `^`, puts one space for a run of white space, `,` and `;`, drops
/// that space before `/` and `(`, and makes the rest lower case.
pub(super) fn simplify(value: &[u8]) -> Cow<'_, [u8]> {
    let first = (0..value.len()).find(|&at| may_change(value, at));
    rewrite(value, first, |mut rest, out| {
        let mut is_after_space = false;
        loop {
            let plain = find(rest, |byte| !is_plain(byte)).unwrap_or(rest.len());
            let (copied, from) = rest.split_at(plain);
            out.extend(copied.iter().map(u8::to_ascii_lowercase));
            is_after_space &= copied.is_empty();
            let Some((&byte, after)) = from.split_first() else { return };
            rest = after;
            if is_gap(byte) {
                if !is_after_space {
                    out.push(b' ');
                }
                is_after_space = true;
            } else if !is_dropped(byte) {
                if is_after_space {
                    out.pop();
                }
                out.push(byte);
                is_after_space = false;
            }
        }
    })
}

/// Whether only its case changes.
fn is_plain(byte: u8) -> bool {
    const OTHERS: [bool; 256] = {
        let (mut others, mut byte) = ([false; 256], 0);
        while byte < 256 {
            let one = byte as u8;
            others[byte] = is_dropped(one) || is_gap(one) || matches!(one, b'/' | b'(');
            byte += 1;
        }
        others
    };
    !OTHERS[usize::from(byte)]
}

/// A space only changes with what stands behind it.
fn may_change(value: &[u8], at: usize) -> bool {
    match value.split_at(at).1 {
        [] | [b' '] => false,
        [b' ', next, ..] => is_dropped(*next) || is_gap(*next) || matches!(next, b'/' | b'('),
        [byte, ..] => is_dropped(*byte) || is_gap(*byte) || byte.is_ascii_uppercase(),
    }
}

pub(super) fn is_trigger(byte: u8) -> bool {
    is_dropped(byte) || is_gap(byte) || byte.is_ascii_uppercase()
}

const fn is_dropped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'\\' | b'^')
}

const fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b',' | b';' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn drops_what_hides_a_command() {
        check(simplify, b"C^m\"D\" ;,\t/c  'd\\Ir'", b"cmd/c dir");
        check(simplify, b"echo ^(1)", b"echo(1)");
        check(simplify, b"a ^ ^ b", b"a b");
        check(simplify, b" /a", b"/a");
    }

    #[test]
    fn leaves_a_plain_line() {
        for value in ["", " ", "cat a/b(c) -d", "mozilla 5.0 x", "\u{e9}\u{b}"] {
            check(simplify, value.as_bytes(), value.as_bytes());
        }
    }
}
