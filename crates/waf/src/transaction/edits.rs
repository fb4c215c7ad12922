//! What a transformation left as it was: of a value that differs from another in a few places, only
//! what is around those has to be looked through.

use std::ops::Range;

use memchr::memmem;

/// Bytes by which the place is found where two values go on alike.
const PROBE: usize = 24;
/// Bytes that are passed over to find it, one of these.
const SKIPPED: [usize; 3] = [0, 1, 2 * PROBE];
/// Of so many bytes of a value at most one is looked through, or in one place left out; else it is
/// another value.
const PART: usize = 8;
/// Bytes that are compared at once.
const PIECE: usize = 64;

/// The places of `value` which have all in them that is in it and not in `before`, if that is not
/// longer than `seam` by more than a byte; None if they are much of it.
pub(crate) fn edits(before: &[u8], value: &[u8], seam: usize) -> Option<Vec<Range<usize>>> {
    let most = value.len() / PART;
    let mut edits = Vec::<Range<usize>>::new();
    let (mut looked, mut searched) = (0, 0);
    let (mut old, mut new) = (before, value);
    loop {
        let same = same(old, new);
        (old, new) = (old.get(same..)?, new.get(same..)?);
        if new.is_empty() {
            return Some(edits);
        }
        let window = old.get(..most).unwrap_or(old);
        let next = SKIPPED.into_iter().find_map(|skipped| {
            let found = memmem::find(window, new.get(skipped..skipped + PROBE)?);
            searched += found.unwrap_or(window.len());
            Some((found?, skipped))
        });
        // Else all of the rest is another.
        let (left_out, skipped) = next.unwrap_or((old.len(), new.len()));
        let at = value.len() - new.len();
        let edit = at.saturating_sub(seam)..(at + skipped + seam).min(value.len());
        looked += edit.len();
        if looked > most || searched > value.len() {
            return None;
        }
        match edits.last_mut() {
            Some(last) if last.end >= edit.start => last.end = edit.end,
            _ => edits.push(edit),
        }
        (old, new) = (old.get(left_out..)?, new.get(skipped..)?);
    }
}

/// How many bytes at their starts are the same.
fn same(a: &[u8], b: &[u8]) -> usize {
    let pieces = a.chunks_exact(PIECE).zip(b.chunks_exact(PIECE));
    let start = PIECE * pieces.take_while(|(a, b)| a == b).count();
    let rest = a.iter().zip(b).skip(start);
    start + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pieces of `value` of `seam` and one byte that `before` does not have are in the places
    /// that are told; whether there are any.
    fn check(before: &[u8], value: &[u8], seam: usize) -> bool {
        let Some(edits) = edits(before, value, seam) else { return false };
        for (at, piece) in value.windows(seam + 1).enumerate() {
            let is_told = edits.iter().any(|edit| edit.start <= at && at + piece.len() <= edit.end);
            let about = (at, value.escape_ascii());
            assert!(is_told || memmem::find(before, piece).is_some(), "{about:?}");
        }
        true
    }

    #[test]
    fn what_is_new_is_told() {
        let mut random = 7_u32;
        let mut roll = |sides: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % sides
        };
        let mut told = 0;
        for round in 0..3_000 {
            let letters: &[u8] = [&b"abcdefgh"[..], b"ab", b"a"][round % 3];
            let before: Vec<u8> = (0..600).map(|_| letters[roll(letters.len())]).collect();
            let mut value = before.clone();
            for _ in 0..roll(5) {
                let at = roll(value.len() - 90);
                let removed = [0, 1, 3, 80][roll(4)];
                let put = [&b""[..], b" ", b"xy", b"abab"][roll(4)];
                value.splice(at..at + removed, put.iter().copied());
            }
            told += usize::from(check(&before, &value, [1, 4, 9][roll(3)]));
        }
        assert!((1_500..3_000).contains(&told), "{told}");
    }

    #[test]
    fn another_value_is_all_new() {
        assert_eq!(edits(&[b'a'; 900], &[b'b'; 900], 4), None);
        assert_eq!(edits(b"", b"", 4), Some(Vec::new()));
        assert_eq!(edits(&[b'a'; 900], &[b'a'; 800], 4), Some(Vec::new()));
    }
}
