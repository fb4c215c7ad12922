//! What comes in pieces: the pieces must not change what is made of it.

use super::streams;
use crate::listen::{follow_answer, follow_chunks, follow_frames};

/// What comes before the first frame of a client (RFC 9113 §3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often frames are repeated, less one: so many that any bound is reached.
const MOST_TIMES: usize = 32;
/// No stream is longer.
const LONGEST: usize = 64 * 1024;

/// Frames of HTTP/2 after a byte that says how often they are repeated.
pub fn h2_frames(bytes: &[u8]) -> bool {
    let Some((times, frames)) = bytes.split_first() else {
        return false;
    };
    let times = 1 + usize::from(*times) % MOST_TIMES;
    let mut theirs = PREFACE.to_vec();
    theirs.extend(frames.repeat(times));
    theirs.truncate(LONGEST);
    let ours = theirs.get(PREFACE.len()..).unwrap_or_default();
    let answer = streams::answer(ours);
    let whole = follow_frames([theirs.as_slice()]);
    // A plain reader of header blocks there is not.
    if whole.2 != Some("fields") {
        assert_eq!(whole, streams::frames(&theirs));
    }
    for cut in Cut::all(bytes) {
        assert_eq!(follow_frames(cut.pieces(&theirs)), whole, "{cut:?}");
        assert_eq!(follow_answer(cut.pieces(ours)), answer, "{cut:?}");
    }
    whole.2.is_none() && !whole.0
}

/// A chunked body, and what comes after it.
pub fn chunks(bytes: &[u8]) -> bool {
    let end = streams::end_of_chunks(bytes);
    let whole = follow_chunks([bytes]);
    for cut in Cut::all(bytes) {
        assert_eq!(follow_chunks(cut.pieces(bytes)), whole, "{cut:?}");
    }
    match (whole, end) {
        (Ok((used, true)), Some(end)) => assert_eq!(used, end, "it ends elsewhere"),
        (Ok((used, false)), None) => assert_eq!(used, bytes.len(), "it is not over"),
        (Err(_), None) => {}
        (whole, end) => panic!("{whole:?}, expected an end at {end:?}"),
    }
    // What comes after it, and what came before, are other messages.
    if let Some(end) = end {
        let (own, _) = bytes.split_at(end);
        for after in [b"".as_slice(), b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0"] {
            assert_eq!(follow_chunks([own, after]), Ok((end, true)));
        }
        let (less, _) = own.split_at(end - 1);
        assert!(matches!(follow_chunks([less]), Ok((_, false))), "it ends earlier, too");
    }
    end.is_some()
}

/// How bytes are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Nowhere,
    Everywhere,
    /// Into pieces of up to 31 bytes, which depend on a number.
    Somewhere(u32),
}

impl Cut {
    /// Other inputs are cut in other places, the same one always in the same.
    fn all(bytes: &[u8]) -> [Cut; 4] {
        let sum = bytes
            .iter()
            .fold(1_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        [Cut::Nowhere, Cut::Everywhere, Cut::Somewhere(sum), Cut::Somewhere(!sum)]
    }

    fn pieces(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut left = bytes;
        let mut state = self;
        std::iter::from_fn(move || {
            if left.is_empty() {
                return None;
            }
            let length = match &mut state {
                Cut::Nowhere => left.len(),
                Cut::Everywhere => 1,
                Cut::Somewhere(number) => {
                    *number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    1 + (*number >> 27) as usize
                }
            };
            let (piece, rest) = left.split_at(length.min(left.len()));
            left = rest;
            Some(piece)
        })
    }
}
