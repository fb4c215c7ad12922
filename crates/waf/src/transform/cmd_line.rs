//! A command line, without what its shell would not see.

use std::borrow::Cow;

use super::rewrite::{PIECE, rewrite};

/// Drops `"`, `'`, `\` and `^`, puts one space for a run of white space, `,` and `;`, drops
/// that space before `/` and `(`, and makes the rest lower case.
pub(super) fn simplify(value: &[u8]) -> Cow<'_, [u8]> {
    let first = (0..value.len()).find(|&at| may_change(value, at));
    rewrite(value, first, |rest, out| {
        // A gap is written with the byte behind it, unless it is dropped there.
        let mut is_in_gap = false;
        for piece in rest.chunks(PIECE) {
            let (mut made, mut count) = ([0; 2 * PIECE], 0);
            for byte in piece {
                let kind = KINDS[usize::from(*byte)];
                // No branch depends on the byte; never more than twice as many as have been read.
                made[count % (2 * PIECE)] = b' ';
                count += usize::from(is_in_gap & (kind == Kind::Plain));
                made[count % (2 * PIECE)] = byte.to_ascii_lowercase();
                count += usize::from((kind == Kind::Plain) | (kind == Kind::Opening));
                is_in_gap = (kind == Kind::Gap) | is_in_gap & (kind == Kind::Dropped);
            }
            out.extend_from_slice(made.get(..count).unwrap_or(&made));
        }
        if is_in_gap {
            out.push(b' ');
        }
    })
}

/// What becomes of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Only its case changes.
    Plain,
    /// No gap stands before it.
    Opening,
    Gap,
    Dropped,
}

const KINDS: [Kind; 256] = {
    let (mut kinds, mut byte) = ([Kind::Plain; 256], 0);
    while byte < 256 {
        let one = byte as u8;
        if is_dropped(one) {
            kinds[byte] = Kind::Dropped;
        } else if is_gap(one) {
            kinds[byte] = Kind::Gap;
        } else if matches!(one, b'/' | b'(') {
            kinds[byte] = Kind::Opening;
        }
        byte += 1;
    }
    kinds
};

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
    fn drops_the_same_wherever_a_line_is_cut() {
        let expected = |rest: &[u8]| {
            let mut out = Vec::new();
            let mut is_after_space = false;
            for byte in rest {
                match byte {
                    b'"' | b'\'' | b'\\' | b'^' => {}
                    b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                        if !is_after_space {
                            out.push(b' ');
                        }
                        is_after_space = true;
                    }
                    _ => {
                        if is_after_space && b"/(".contains(byte) {
                            out.pop();
                        }
                        is_after_space = false;
                        out.push(byte.to_ascii_lowercase());
                    }
                }
            }
            out
        };
        let mut random = 7_u32;
        for length in 0..600 {
            let letters = b"aB ,;\t^\\\"'/(";
            let value: Vec<u8> = (0..length)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    letters[(random >> 16) as usize % letters.len()]
                })
                .collect();
            check(simplify, &value, &expected(&value));
        }
    }

    #[test]
    fn leaves_a_plain_line() {
        for value in ["", " ", "cat a/b(c) -d", "mozilla 5.0 x", "\u{e9}\u{b}"] {
            check(simplify, value.as_bytes(), value.as_bytes());
        }
    }
}
