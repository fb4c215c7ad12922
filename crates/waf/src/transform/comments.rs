//! Comments of C, SQL and HTML, in which a value hides parts of itself.

use std::borrow::Cow;

use memchr::memmem;

use super::rewrite::{find, rewrite};

/// Takes out `/*…*/` and `<!--…-->`, which may end each other, and all from `--` or `#` on.
///
/// Like ModSecurity it leaves the byte behind a comment unread, a NUL if there is none, and
/// puts a space for a comment without an end.
pub(super) fn remove(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite(value, find(value, is_lead), |mut rest, out| {
        loop {
            rest = match rest {
                [] | [b'-', b'-', ..] | [b'#', ..] => return,
                [b'/', b'*', inside @ ..] | [b'<', b'!', b'-', b'-', inside @ ..] => {
                    let Some(after) = skip_to_end(inside) else {
                        out.push(b' ');
                        return;
                    };
                    let (unread, after) = after.split_first().unwrap_or((&0, &[]));
                    out.push(*unread);
                    after
                }
                [byte, after @ ..] => {
                    out.push(*byte);
                    after
                }
            };
        }
    })
}

/// Takes out the marks of comments, and leaves what stands between them.
pub(super) fn remove_marks(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite(value, find_mark(value), |mut rest, out| {
        loop {
            let (copied, from) = rest.split_at(find_mark(rest).unwrap_or(rest.len()));
            out.extend_from_slice(copied);
            rest = match from {
                [] => return,
                [b'/', b'*', after @ ..] | [b'*', b'/', after @ ..] => after,
                [b'<', b'!', b'-', b'-', after @ ..] | [b'-', b'-', b'>', after @ ..] => after,
                [b'-', b'-', after @ ..] | [b'#', after @ ..] => after,
                [byte, after @ ..] => {
                    out.push(*byte);
                    after
                }
            };
        }
    })
}

/// Where two bytes are those with which a mark begins.
fn find_mark(text: &[u8]) -> Option<usize> {
    let pairs = text.iter().zip(text.iter().skip(1).chain(&[0]));
    pairs
        .into_iter()
        .position(|(first, next)| FIRST[usize::from(*first)] & NEXT[usize::from(*next)] != 0)
}

/// The first bytes of marks, each with a bit, and which of them a byte may stand behind.
const FIRST: [u8; 256] = of_pairs([b'/', b'*', b'<', b'-', b'#'], 0);
const NEXT: [u8; 256] = of_pairs([b'*', b'/', b'!', b'-', b'#'], 1 << 4);

const fn of_pairs(bytes: [u8; 5], others: u8) -> [u8; 256] {
    let (mut table, mut bit) = ([others; 256], 0);
    while bit < bytes.len() {
        table[bytes[bit] as usize] |= 1 << bit;
        bit += 1;
    }
    table
}

/// Puts a space for each `/*…*/`, whether it ends or not.
pub(super) fn replace(value: &[u8]) -> Cow<'_, [u8]> {
    let first = memmem::find(value, b"/*");
    rewrite(value, first, |mut rest, out| {
        while let Some((before, inside)) = split_around(rest, b"/*") {
            out.extend_from_slice(before);
            out.push(b' ');
            rest = split_around(inside, b"*/").map(|(_, after)| after).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    })
}

pub(super) fn is_trigger(byte: u8) -> bool {
    is_lead(byte) || byte == b'*'
}

fn is_lead(byte: u8) -> bool {
    matches!(byte, b'/' | b'<' | b'-' | b'#')
}

fn skip_to_end(inside: &[u8]) -> Option<&[u8]> {
    let mut rest = inside;
    loop {
        rest = match rest {
            [] => return None,
            [b'*', b'/', after @ ..] | [b'-', b'-', b'>', after @ ..] => return Some(after),
            [_, after @ ..] => after,
        };
    }
}

/// What stands before the first `mark`, and what behind it.
fn split_around<'a>(text: &'a [u8], mark: &[u8; 2]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(text, mark)?;
    text.get(at + 2..).map(|after| (text.split_at(at).0, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn removes_comments() {
        check(remove, b"a/*b*/c<!--d-->e<!--f*/g", b"aceg");
        check(remove, b"a--b", b"a");
        check(remove, b"a#b", b"a");
        check(remove, b"a/*b", b"a ");
        check(remove, b"a/*b*/", b"a\0");
        check(remove, b"/**//*b*/", b"/*b*/");
        check(remove, b"/*/a", b" ");
    }

    #[test]
    fn removes_marks() {
        check(remove_marks, b"/*a*/<!--b-->--c#d", b"abcd");
        check(remove_marks, b"/-*-/", b"/-*-/");
        check(remove_marks, b"//**a", b"/*a");
    }

    #[test]
    fn marks_are_removed_wherever_they_stand() {
        let mut random = 7_u32;
        for length in 0..400 {
            let value: Vec<u8> = (0..length % 20)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b"/*<!-->#a"[(random >> 16) as usize % 9]
                })
                .collect();
            let (mut rest, mut expected) = (value.as_slice(), Vec::new());
            while let Some((first, after)) = rest.split_first() {
                let marks = ["/*", "*/", "<!--", "-->", "--", "#"];
                let mark = marks.iter().find(|mark| rest.starts_with(mark.as_bytes()));
                if mark.is_none() {
                    expected.push(*first);
                }
                rest = mark.map_or(after, |mark| rest.split_at(mark.len()).1);
            }
            check(remove_marks, &value, &expected);
        }
    }

    #[test]
    fn replaces_comments() {
        check(replace, b"a/*b*/c/**/d/*/e", b"a c d ");
        check(replace, b"--a#b*/", b"--a#b*/");
    }

    #[test]
    fn leaves_what_is_no_comment() {
        for change in [remove, remove_marks, replace] {
            for value in ["", "a", "a/b*c-d<!-e", "-", "<!-"] {
                check(change, value.as_bytes(), value.as_bytes());
            }
        }
    }
}
