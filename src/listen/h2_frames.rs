//! Follows the frames that an h2 client sends, to see which it leaves open.
//!
//! The h2 library waits without end for the rest of a frame or of a header
//! block. A head has as long over h2 as over h1, so somebody must know where
//! one begins and ends; only the nine bytes before each frame are looked at.

use std::time::Duration;

use tokio::time::Instant;

/// What comes before the first frame (RFC 9113 §3.4).
const PREFACE: u32 = 24;
/// Length, type, flags and stream of a frame (RFC 9113 §4.1).
const HEAD: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// Where a client is in what it sends.
#[derive(Debug)]
pub(super) struct Frames {
    patience: Duration,
    head: [u8; HEAD],
    // Bytes of `head` that have come. Invariant: fewer than HEAD.
    have: usize,
    // Bytes of the current frame's payload, or of the preface, still to come.
    left: u32,
    is_data: bool,
    // A header block has begun, and its last frame has not.
    in_block: bool,
    // When what is open now began; none between two units, and within DATA,
    // whose silence is that of a body.
    open_since: Option<Instant>,
}

impl Frames {
    /// Whatever begins must end within `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Frames {
            patience,
            head: [0; HEAD],
            have: 0,
            left: PREFACE,
            is_data: false,
            in_block: false,
            open_since: None,
        }
    }

    /// When what the client has left open must have come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open_since.map(|since| since + self.patience)
    }

    /// Looks at what the client sent next, at `now`.
    pub(super) fn follow(&mut self, mut bytes: &[u8], now: Instant) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let come = bytes.len().min(self.left as usize);
                self.left -= come as u32;
                bytes = bytes.get(come..).unwrap_or_default();
                self.open(now);
            } else {
                self.head[self.have] = *first;
                self.have += 1;
                bytes = rest;
                self.open(now);
                if self.have == HEAD {
                    self.begin_frame();
                }
            }
            self.close();
        }
    }

    fn open(&mut self, now: Instant) {
        if !self.is_data {
            self.open_since.get_or_insert(now);
        }
    }

    /// Notes the end of a unit: of a frame, or of all frames of a header block.
    fn close(&mut self) {
        let is_open = self.have > 0 || self.in_block || (self.left > 0 && !self.is_data);
        if !is_open {
            self.open_since = None;
        }
        if self.left == 0 {
            self.is_data = false;
        }
    }

    fn begin_frame(&mut self) {
        let [l0, l1, l2, kind, flags, ..] = self.head;
        self.have = 0;
        self.left = u32::from_be_bytes([0, l0, l1, l2]);
        self.is_data = kind == DATA;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], &vec![0xff; payload]].concat()
    }

    /// Whether something is open after these bytes, in whatever pieces they
    /// come, and since which piece.
    fn check(frames: &[Vec<u8>], cut: usize, is_open: bool) {
        let mut bytes = vec![b'p'; PREFACE as usize];
        bytes.extend(frames.concat());
        bytes.truncate(bytes.len() - cut);
        let now = Instant::now();
        for step in [1, 2, 7, bytes.len()] {
            let mut follow = Frames::new(PATIENCE);
            for piece in bytes.chunks(step) {
                follow.follow(piece, now);
            }
            let what = format!("{frames:?} without {cut} in steps of {step}");
            assert_eq!(follow.deadline(), is_open.then_some(now + PATIENCE), "{what}");
        }
    }

    #[test]
    fn frames_and_header_blocks_are_open_until_their_ends() {
        const SETTINGS: u8 = 0x4;
        let whole = frame(HEADERS, END_HEADERS, 20);
        let begun = frame(HEADERS, 0, 20);
        let last = frame(CONTINUATION, END_HEADERS, 5);
        let empty = frame(SETTINGS, 0, 0);
        let data = frame(DATA, 0, 30);
        check(&[], 0, false);
        check(&[], 23, true);
        check(std::slice::from_ref(&whole), 0, false);
        check(std::slice::from_ref(&whole), 1, true);
        check(std::slice::from_ref(&whole), 28, true);
        check(std::slice::from_ref(&begun), 0, true);
        check(&[begun.clone(), last.clone()], 0, false);
        check(&[begun.clone(), last], 1, true);
        check(&[begun, frame(CONTINUATION, 0, 0)], 0, true);
        check(std::slice::from_ref(&empty), 0, false);
        check(std::slice::from_ref(&empty), 8, true);
        check(&[empty.clone(), whole.clone()], 19, true);
        // A body has deadlines of its own; the nine bytes before it have not.
        check(std::slice::from_ref(&data), 0, false);
        check(std::slice::from_ref(&data), 1, false);
        check(std::slice::from_ref(&data), 30, false);
        check(std::slice::from_ref(&data), 31, true);
        check(&[data, empty, whole], 0, false);
    }

    #[test]
    fn each_of_them_has_the_whole_time() {
        let mut follow = Frames::new(PATIENCE);
        let began = Instant::now();
        let later = began + Duration::from_secs(7);
        follow.follow(&[b'p'; 24], began);
        follow.follow(&frame(HEADERS, 0, 20), began);
        follow.follow(&frame(CONTINUATION, 0, 20), later);
        assert_eq!(follow.deadline(), Some(began + PATIENCE), "a block is one");
        // The end of one and the beginning of the next come at once.
        let end = frame(CONTINUATION, END_HEADERS, 1);
        follow.follow(&[end, frame(HEADERS, 0, 0)].concat(), later);
        assert_eq!(follow.deadline(), Some(later + PATIENCE));
    }
}
