//! How a transformation leaves alone what it does not change: nothing is copied before the
//! first byte that may change, and a copy that turns out equal is dropped.

use std::borrow::Cow;

use memchr::memchr;

/// Bytes decoded from an escape, and what stands behind it.
pub(super) type Decoded<'a> = Option<(u8, &'a [u8])>;

/// Bytes that are written at once.
pub(super) const PIECE: usize = 64;

/// Writes `value` anew from `first` on; without one it is unchanged.
///
/// `write` gets the bytes from `first` on, and appends what becomes of them.
pub(super) fn rewrite(
    value: &[u8],
    first: Option<usize>,
    write: impl FnOnce(&[u8], &mut Vec<u8>),
) -> Cow<'_, [u8]> {
    let Some((kept, rest)) = first.and_then(|at| value.split_at_checked(at)) else {
        return Cow::Borrowed(value);
    };
    let mut out = Vec::with_capacity(value.len());
    out.extend_from_slice(kept);
    write(rest, &mut out);
    settle(value, out)
}

/// Puts one byte in place of each escape that `escape` can read.
///
/// `escape` is asked at each byte that `lead` finds; where it reads none, that byte is kept.
pub(super) fn decode(
    value: &[u8],
    lead: impl Fn(&[u8]) -> Option<usize>,
    escape: impl Fn(&[u8]) -> Decoded<'_>,
) -> Cow<'_, [u8]> {
    rewrite(value, lead(value), |mut rest, out| {
        while let Some((plain, from)) = lead(rest).map(|at| rest.split_at(at)) {
            out.extend_from_slice(plain);
            let Some((byte, after)) = escape(from).or_else(|| keep(from)) else { return };
            out.push(byte);
            rest = after;
        }
        out.extend_from_slice(rest);
    })
}

/// Puts another byte in place of each.
pub(super) fn map(value: &[u8], change: impl Fn(u8) -> u8) -> Cow<'_, [u8]> {
    let first = find(value, |byte| change(byte) != byte);
    rewrite(value, first, |rest, out| out.extend(rest.iter().map(|&byte| change(byte))))
}

/// Takes out each byte that is `unwanted`.
pub(super) fn remove(value: &[u8], unwanted: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    rewrite(value, find(value, &unwanted), |rest, out| {
        sift(rest, out, |byte| (byte, !unwanted(byte)));
    })
}

/// Appends what stands for each byte, and whether it does.
///
/// No branch depends on it: which bytes go is chance in what was made to take long.
pub(super) fn sift(bytes: &[u8], out: &mut Vec<u8>, mut sifted: impl FnMut(u8) -> (u8, bool)) {
    for piece in bytes.chunks(PIECE) {
        let (mut kept, mut count) = ([0; PIECE], 0);
        for byte in piece {
            let (byte, is_kept) = sifted(*byte);
            // Never more than have been read.
            kept[count % PIECE] = byte;
            count += usize::from(is_kept);
        }
        out.extend_from_slice(kept.get(..count).unwrap_or(&kept));
    }
}

pub(super) fn settle(value: &[u8], out: Vec<u8>) -> Cow<'_, [u8]> {
    if out == value { Cow::Borrowed(value) } else { Cow::Owned(out) }
}

pub(super) fn find(value: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    value.iter().position(|&byte| wanted(byte))
}

/// The same for one byte, which mostly is far away or comes next.
pub(super) fn find_byte(value: &[u8], wanted: u8) -> Option<usize> {
    if value.first() == Some(&wanted) { Some(0) } else { memchr(wanted, value) }
}

fn keep(text: &[u8]) -> Decoded<'_> {
    text.split_first().map(|(&byte, rest)| (byte, rest))
}

/// Fails unless `change` turns `input` into `expected`, and borrows what it leaves alone.
#[cfg(test)]
#[track_caller]
pub(super) fn check(change: impl Fn(&[u8]) -> Cow<'_, [u8]>, input: &[u8], expected: &[u8]) {
    let found = change(input);
    let shown = (input.escape_ascii(), found.escape_ascii());
    assert_eq!(found.as_ref(), expected, "{} became {}", shown.0, shown.1);
    let is_borrowed = matches!(found, Cow::Borrowed(_));
    assert_eq!(is_borrowed, input == expected, "{} is borrowed", shown.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_goes_from_every_place_of_a_piece() {
        for length in [PIECE, 3 * PIECE, 3 * PIECE + 1] {
            // The first piece begins with what goes.
            let mut value = vec![b'a'; length];
            value[0] = 0;
            let expected = vec![b'a'; length - 2];
            for at in 1..length {
                value[at] = 0;
                check(|value| remove(value, |byte| byte == 0), &value, &expected);
                value[at] = b'a';
            }
        }
    }
}
