//! Follows the frames of an h2 connection, to see which its client leaves open,
//! and which are too many.
//!
//! The h2 library waits without end for the rest of a frame or of a header
//! block. A head has as long over h2 as over h1, so somebody must know where
//! one begins and ends; only the nine bytes before each frame are looked at.

use std::time::Duration;

use tokio::time::Instant;

use super::h2::UNSEEN;
use super::h2_flood::{Allowances, Flood, Flooded};
use super::hpack::Fields;
use super::listener::Listener;

/// What comes before the first frame (RFC 9113 §3.4).
const PREFACE: u32 = 24;
/// Length, type, flags and stream of a frame (RFC 9113 §4.1).
const HEAD: usize = 9;
/// The largest frame that we allow; the protocol's default.
const MOST_FRAME: u64 = 16 * 1024;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PRIORITY: u8 = 0x2;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
/// How a browser says PRIORITY now (RFC 9218 §7.1).
const PRIORITY_UPDATE: u8 = 0x10;
const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;
const END_HEADERS: u8 = 0x4;
const WITH_PRIORITY: u8 = 0x20;

/// Where a client is in what it sends, and where we are in what we send.
#[derive(Debug)]
pub(super) struct Frames {
    patience: Duration,
    // The most frames of a header block between its first and its last one.
    fragments: u64,
    head: [u8; HEAD],
    // Bytes of `head` that have come. Invariant: fewer than HEAD.
    have: usize,
    // Bytes of the current frame's payload, or of the preface, still to come.
    left: u32,
    is_data: bool,
    // Of the current frame, if it is one of a header block.
    piece: Option<Piece>,
    // Whether the next byte is the length of the padding of DATA without end.
    at_padding: bool,
    // The most fields of a header block.
    most_fields: usize,
    fields: Fields,
    // Frames of a header block that has begun and not ended.
    in_block: Option<u64>,
    // When what is open now began; none between two units, and within DATA,
    // whose silence is that of a body.
    open_since: Option<Instant>,
    allowances: Allowances,
    // Resets by the client, or because of it, less the answers that it took.
    wasted: u32,
    // Answers that it took to the end, and no reset yet has used up.
    answered: u32,
    flooded: Flooded,
    ours: Ours,
}

impl Frames {
    /// Follows a connection of `listener`, whose bounds it has to keep, and on
    /// which so many streams may be reset.
    pub(super) fn new(listener: &Listener, resets_per_minute: u32, now: Instant) -> Self {
        // As many frames as the bytes of the largest head that is answered
        // fill, and a quarter more; the h2 library counts so, too.
        let full = (listener.limits.headers.0.saturating_mul(UNSEEN) / MOST_FRAME).max(1);
        Frames {
            patience: listener.timeouts.header.0,
            fragments: (full + full / 4).max(LEAST_FRAGMENTS),
            head: [0; HEAD],
            have: 0,
            left: PREFACE,
            is_data: false,
            piece: None,
            at_padding: false,
            most_fields: listener.limits.header_count.saturating_mul(UNSEEN as usize) + UNCOUNTED,
            fields: Fields::default(),
            in_block: None,
            open_since: None,
            allowances: Allowances::new(resets_per_minute, now),
            wasted: 0,
            answered: 0,
            flooded: Flooded::default(),
            ours: Ours::default(),
        }
    }

    /// Where it is said that there were too many of some kind.
    pub(super) fn flooded(&self) -> &Flooded {
        &self.flooded
    }

    /// Whether nothing more is to be read.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.get().is_some()
    }

    /// When what the client has left open must have come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open_since.map(|since| since + self.patience)
    }

    /// Looks at what the client sent next, at `now`.
    pub(super) fn follow(&mut self, mut bytes: &[u8], now: Instant) {
        while let Some((first, rest)) = bytes.split_first() {
            if std::mem::take(&mut self.at_padding)
                && let Err(flood) = self.begin_padded(*first, now)
            {
                return self.flood(flood);
            }
            if self.left > 0 {
                let (come, rest) = bytes.split_at(bytes.len().min(self.left as usize));
                self.left -= come.len() as u32;
                bytes = rest;
                self.open(now);
                if let Err(flood) = self.count_fields(come) {
                    return self.flood(flood);
                }
            } else {
                self.head[self.have] = *first;
                self.have += 1;
                bytes = rest;
                self.open(now);
                if self.have == HEAD
                    && let Err(flood) = self.begin_frame(now)
                {
                    return self.flood(flood);
                }
            }
            self.close();
        }
    }

    /// Looks at what was sent to the client next.
    pub(super) fn follow_ours(&mut self, bytes: &[u8]) {
        for _ in 0..self.ours.useful_in(bytes) {
            self.allowances.useful();
        }
        let ended = std::mem::take(&mut self.ours.ended);
        self.answered = (self.answered + ended).min(MOST_ANSWERED);
        for _ in 0..std::mem::take(&mut self.ours.blames) {
            if let Err(flood) = self.reset(Instant::now()) {
                self.flood(flood);
            }
        }
    }

    /// How many streams were opened for nothing since this was asked.
    pub(super) fn take_wasted(&mut self) -> u32 {
        std::mem::take(&mut self.wasted)
    }

    /// Notes that a stream was reset, for which the client is to blame.
    fn reset(&mut self, now: Instant) -> Result<(), Flood> {
        match self.answered.checked_sub(1) {
            Some(left) => self.answered = left,
            None => self.wasted += 1,
        }
        self.allowances.take(Flood::Resets, now)
    }

    /// Nothing more is to be read, for too much of this.
    pub(super) fn flood(&self, flood: Flood) {
        self.flooded.get_or_init(|| flood);
    }

    /// Notes that a unit has begun; within DATA, [`Frames::close`] ends it at once.
    fn open(&mut self, now: Instant) {
        self.open_since.get_or_insert(now);
    }

    /// Notes the end of a unit: of a frame, or of all frames of a header block.
    fn close(&mut self) {
        let is_open = self.have > 0 || self.in_block.is_some() || (self.left > 0 && !self.is_data);
        if !is_open {
            self.open_since = None;
        }
        if self.left == 0 {
            self.is_data = false;
        }
    }

    fn begin_frame(&mut self, now: Instant) -> Result<(), Flood> {
        let [l0, l1, l2, kind, flags, ..] = self.head;
        self.have = 0;
        self.left = u32::from_be_bytes([0, l0, l1, l2]);
        self.is_data = kind == DATA;
        self.piece = Piece::of(kind, flags);
        if kind == HEADERS {
            self.fields = Fields::default();
        }
        let flood = match kind {
            DATA if self.left == 0 && flags & END_STREAM == 0 => Flood::EmptyData,
            HEADERS | CONTINUATION => return self.piece_of_block(flags),
            DATA if flags & PADDED != 0 && flags & END_STREAM == 0 => {
                self.at_padding = true;
                return Ok(());
            }
            DATA => {
                self.allowances.useful();
                return Ok(());
            }
            RST_STREAM => return self.reset(now),
            SETTINGS => Flood::Settings,
            PING => Flood::Pings,
            PRIORITY | PRIORITY_UPDATE => Flood::Priorities,
            WINDOW_UPDATE => Flood::WindowUpdates,
            _ => Flood::Others,
        };
        self.allowances.take(flood, now)
    }

    /// Looks whether DATA of which so much is padding holds anything else
    /// (RFC 9113 §6.1).
    fn begin_padded(&mut self, padding: u8, now: Instant) -> Result<(), Flood> {
        if u32::from(padding) + 1 >= self.left {
            return self.allowances.take(Flood::EmptyData, now);
        }
        self.allowances.useful();
        Ok(())
    }

    /// Counts the fields of a header block, so far as it has come. More than
    /// anybody is answered for are not even decoded.
    fn count_fields(&mut self, come: &[u8]) -> Result<(), Flood> {
        let Some(piece) = &mut self.piece else { return Ok(()) };
        self.fields.follow(piece.fragment(come, self.left));
        if self.fields.count() > self.most_fields { Err(Flood::Fields) } else { Ok(()) }
    }

    fn piece_of_block(&mut self, flags: u8) -> Result<(), Flood> {
        if flags & END_HEADERS != 0 {
            self.in_block = None;
            self.allowances.useful();
            return Ok(());
        }
        let pieces = self.in_block.map_or(0, |pieces| pieces + 1);
        self.in_block = Some(pieces);
        if pieces > self.fragments { Err(Flood::Fragments) } else { Ok(()) }
    }
}

/// The payload of HEADERS or CONTINUATION (RFC 9113 §6.2, §6.10).
#[derive(Debug)]
struct Piece {
    // What is before the piece of the block.
    is_padded: bool,
    skip: usize,
    // What is behind it.
    padding: u32,
}

impl Piece {
    fn of(kind: u8, flags: u8) -> Option<Piece> {
        let (is_padded, skip) = match kind {
            HEADERS => (flags & PADDED != 0, if flags & WITH_PRIORITY != 0 { 5 } else { 0 }),
            CONTINUATION => (false, 0),
            _ => return None,
        };
        Some(Piece { is_padded, skip, padding: 0 })
    }

    /// What of `come`, after which so much of the frame is `left`, is of the block.
    fn fragment<'a>(&mut self, mut come: &'a [u8], left: u32) -> &'a [u8] {
        if self.is_padded
            && let Some((padding, rest)) = come.split_first()
        {
            (self.is_padded, self.padding, come) = (false, (*padding).into(), rest);
        }
        let (skipped, rest) = come.split_at(come.len().min(self.skip));
        self.skip -= skipped.len();
        let of_padding = self.padding.saturating_sub(left) as usize;
        rest.get(..rest.len().saturating_sub(of_padding)).unwrap_or_default()
    }
}

/// Fields that `limits.header_count` does not count: four pseudo-fields, and
/// cookies, of which browsers send each as a field (RFC 9113 §8.2.3), up to 180.
const UNCOUNTED: usize = 4 + 180;
/// Answers that a client may save up to reset as many streams later.
const MOST_ANSWERED: u32 = 1000;
/// Pieces of a header block that every client may send.
const LEAST_FRAGMENTS: u64 = 5;

/// Where we are in what we send. A client can have the library reset its
/// streams, and thus do what it could do by resets of its own.
#[derive(Debug, Default)]
pub(super) struct Ours {
    // With the reason of a reset.
    head: [u8; HEAD + REASON],
    have: usize,
    left: u32,
    // Resets for what the client did.
    pub(super) blames: u32,
    // Answers that came to their ends.
    pub(super) ended: u32,
}

/// The payload of a reset (RFC 9113 §6.4).
const REASON: usize = 4;

/// Reasons of resets that are not the client's: the answer came before the end
/// of the request, it broke off, or nobody is there to give it.
const OURS: [h2::Reason; 3] =
    [h2::Reason::NO_ERROR, h2::Reason::INTERNAL_ERROR, h2::Reason::CANCEL];

impl Ours {
    /// How many of these frames carry an answer on; notes resets.
    pub(super) fn useful_in(&mut self, mut bytes: &[u8]) -> u32 {
        let mut useful = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let sent = bytes.len().min(self.left as usize);
                self.left -= sent as u32;
                bytes = bytes.get(sent..).unwrap_or_default();
                continue;
            }
            let whole = if self.is_reset() { HEAD + REASON } else { HEAD };
            let (come, rest) = bytes.split_at(bytes.len().min(whole - self.have));
            self.head[self.have..self.have + come.len()].copy_from_slice(come);
            self.have += come.len();
            bytes = rest;
            if self.have < HEAD || (self.is_reset() && self.have < HEAD + REASON) {
                continue;
            }
            let [l0, l1, l2, kind, flags, _, _, _, _, r0, r1, r2, r3] = self.head;
            let length = u32::from_be_bytes([0, l0, l1, l2]);
            let reason = h2::Reason::from(u32::from_be_bytes([r0, r1, r2, r3]));
            let is_reset = self.is_reset();
            self.have = 0;
            self.left = if is_reset { 0 } else { length };
            if is_reset && !OURS.contains(&reason) {
                self.blames += 1;
            }
            if kind == HEADERS || (kind == DATA && length > 0) {
                useful += 1;
            }
            if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                self.ended += 1;
            }
        }
        useful
    }

    fn is_reset(&self) -> bool {
        self.have >= HEAD && self.head[3] == RST_STREAM
    }
}

#[cfg(test)]
mod tests {
    use super::super::listener::Config;
    use super::*;
    use crate::units::ByteSize;

    /// What a listener has where nothing is written.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn following(now: Instant) -> Frames {
        let config = Config::<()> { address: "127.0.0.1:1".into(), ..Config::default() };
        let listener = Listener::new(&config).unwrap();
        Frames::new(&listener, listener.h2.resets_per_minute, now)
    }

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
            let mut follow = following(now);
            for piece in bytes.chunks(step) {
                follow.follow(piece, now);
            }
            let what = format!("{frames:?} without {cut} in steps of {step}");
            assert_eq!(follow.deadline(), is_open.then_some(now + PATIENCE), "{what}");
        }
    }

    #[test]
    fn frames_and_header_blocks_are_open_until_their_ends() {
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
        let began = Instant::now();
        let mut follow = following(began);
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

    /// How many times `frame` may come, or be sent, in whatever pieces.
    fn most(frame: &[u8], follow: impl Fn(&mut Frames, &[u8], Instant), flood: Flood) -> usize {
        let now = Instant::now();
        let counts = [1, 2, 7, frame.len()].map(|step| {
            let mut frames = following(now);
            frames.follow(&[b'p'; PREFACE as usize], now);
            let count = (0..).find(|_| {
                frame.chunks(step).for_each(|piece| follow(&mut frames, piece, now));
                frames.is_flooded()
            });
            assert_eq!(frames.flooded().get(), Some(&flood));
            count.unwrap()
        });
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        counts[0]
    }

    #[test]
    fn frames_of_no_use_are_counted() {
        let theirs = |frame: Vec<u8>, flood| most(&frame, Frames::follow, flood);
        assert_eq!(theirs(frame(RST_STREAM, 0, 4), Flood::Resets), 200);
        assert_eq!(theirs(frame(SETTINGS, 0, 0), Flood::Settings), 60);
        assert_eq!(theirs(frame(DATA, 0, 0), Flood::EmptyData), 60);
        assert_eq!(theirs(frame(PING, 0, 8), Flood::Pings), 1000);
        assert_eq!(theirs(frame(PRIORITY, 0, 5), Flood::Priorities), 1000);
        assert_eq!(theirs(frame(PRIORITY_UPDATE, 0, 9), Flood::Priorities), 1000);
        assert_eq!(theirs(frame(WINDOW_UPDATE, 0, 4), Flood::WindowUpdates), 1000);
        assert_eq!(theirs(frame(0xfa, 0, 1), Flood::Others), 1000);
        // Twice 64 KiB fill eight frames; two more are for those that are not full.
        assert_eq!(theirs(frame(CONTINUATION, 0, 0), Flood::Fragments), 11);
        assert_eq!(theirs(frame(HEADERS, 0, 0), Flood::Fragments), 11);
    }

    #[test]
    fn more_fields_than_anybody_is_answered_for_are_too_many() {
        // `accept-encoding` from the table, a byte each.
        let block = |count: usize| vec![0x90; count];
        let headers = |flags, before: &[u8], fields: usize, after: usize| {
            let payload = [before, &block(fields), &vec![0x90; after]].concat();
            let mut frame = frame(HEADERS, flags, payload.len());
            frame.truncate(HEAD);
            [frame, payload].concat()
        };
        let continued = |fields| {
            let mut frame = frame(CONTINUATION, END_HEADERS, fields);
            frame.truncate(HEAD);
            [frame, block(fields)].concat()
        };
        let padded = [200];
        let both = [&[0][..], &[0x90; 5]].concat();
        for (frames, is_flood) in [
            (headers(END_HEADERS, &[], 384, 0), false),
            (headers(END_HEADERS, &[], 385, 0), true),
            (headers(END_HEADERS | PADDED, &padded, 384, 200), false),
            (headers(END_HEADERS | PADDED, &padded, 385, 200), true),
            (headers(END_HEADERS | PADDED | WITH_PRIORITY, &both, 384, 0), false),
            (headers(END_HEADERS | PADDED | WITH_PRIORITY, &both, 385, 0), true),
            (headers(END_HEADERS, &[], 384, 0).repeat(3), false),
            ([headers(0, &[], 150, 0), continued(234)].concat(), false),
            ([headers(0, &[], 150, 0), continued(235)].concat(), true),
        ] {
            for step in [1, 2, 7, frames.len()] {
                let now = Instant::now();
                let mut follow = following(now);
                follow.follow(&[b'p'; PREFACE as usize], now);
                frames.chunks(step).for_each(|piece| follow.follow(piece, now));
                let told = follow.flooded().get().copied();
                assert_eq!(told, is_flood.then_some(Flood::Fields), "{frames:?} by {step}");
            }
        }
    }

    #[test]
    fn resets_of_ours_count_where_the_client_has_us_reset() {
        let ours = |frames: &mut Frames, bytes: &[u8], _| frames.follow_ours(bytes);
        for reason in [1, 3, 5, 7, 0xb] {
            let mut reset = frame(RST_STREAM, 0, 4);
            reset[HEAD..].copy_from_slice(&[0, 0, 0, reason]);
            assert_eq!(most(&reset, ours, Flood::Resets), 200, "{reason}");
        }
        let now = Instant::now();
        let mut frames = following(now);
        for reason in OURS {
            let mut reset = frame(RST_STREAM, 0, 4);
            reset[HEAD..].copy_from_slice(&u32::from(reason).to_be_bytes());
            (0..1000).for_each(|_| frames.follow_ours(&reset));
        }
        // What stands in a body is no frame.
        let mut body = frame(DATA, 0, 0);
        body[..3].copy_from_slice(&[0, 0, 130]);
        body.extend(frame(RST_STREAM, 0, 4).repeat(10));
        (0..1000).for_each(|_| frames.follow_ours(&body));
        assert!(!frames.is_flooded());
    }

    #[test]
    fn every_listener_takes_a_few_pieces_of_a_header_block() {
        let mut config = Config::<()> { address: "127.0.0.1:1".into(), ..Config::default() };
        config.limits.headers = ByteSize::kib(1);
        let now = Instant::now();
        let listener = Listener::new(&config).unwrap();
        let mut frames = Frames::new(&listener, listener.h2.resets_per_minute, now);
        frames.follow(&[b'p'; PREFACE as usize], now);
        frames.follow(&frame(HEADERS, 0, 9), now);
        for _ in 0..LEAST_FRAGMENTS {
            frames.follow(&frame(CONTINUATION, 0, 9), now);
            assert!(!frames.is_flooded());
        }
        frames.follow(&frame(CONTINUATION, 0, 9), now);
        assert!(frames.is_flooded());
    }

    #[test]
    fn what_carries_an_answer_on_allows_more_and_an_empty_frame_does_not() {
        let now = Instant::now();
        let pings = |frames: &mut Frames| {
            let ping = frame(PING, 0, 8);
            (0..).find(|_| {
                frames.follow(&ping, now);
                frames.is_flooded()
            })
        };
        for (ours, more) in [
            (frame(HEADERS, END_HEADERS, 9), 10),
            (frame(DATA, 0, 9), 10),
            (frame(DATA, END_STREAM, 0), 0),
            (frame(WINDOW_UPDATE, 0, 4), 0),
        ] {
            let mut frames = following(now);
            frames.follow(&[b'p'; PREFACE as usize], now);
            frames.follow(&frame(PING, 0, 8).repeat(500), now);
            frames.follow_ours(&ours);
            assert_eq!(pings(&mut frames), Some(500 + more), "{ours:?}");
        }
        // The end of a body is no empty frame.
        let mut frames = following(now);
        frames.follow(&[b'p'; PREFACE as usize], now);
        frames.follow(&frame(DATA, END_STREAM, 0).repeat(1000), now);
        assert!(!frames.is_flooded());
    }

    #[test]
    fn much_may_come_beside_much_that_is_of_use() {
        let now = Instant::now();
        let mut frames = following(now);
        frames.follow(&[b'p'; PREFACE as usize], now);
        let update = [frame(WINDOW_UPDATE, 0, 4).repeat(2), frame(PING, 0, 8)].concat();
        for _ in 0..100_000 {
            frames.follow_ours(&frame(DATA, 0, 10));
            frames.follow(&update, now);
            frames.follow(&frame(DATA, 0, 10), now);
            frames.follow(&update, now);
        }
        assert!(!frames.is_flooded());
    }
}
