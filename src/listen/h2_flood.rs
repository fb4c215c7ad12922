//! How much an h2 client may ask of us that is no request.
//!
//! Each of these frames costs it nothing and us some work; honest clients send
//! few of them, or many beside much that is of use. The h2 library bounds what
//! they make us hold, here is bounded what they make us do.

use std::sync::Arc;

use tokio::time::Instant;

use super::bucket::Bucket;

/// Frames a minute that clients send once or twice in a connection: SETTINGS,
/// and DATA without a byte and without an end.
const RARE: u32 = 60;
/// Frames a minute that clients send at will, though nothing is under way:
/// PING, WINDOW_UPDATE, PRIORITY, and extensions (RFC 9113 §5.5).
const FREE: u32 = 1000;
/// How many more of those one frame of use allows, ours or theirs. A client
/// gives a window back for the stream and for the connection, gRPC measures its
/// path by a PING at the same time; Envoy allows ten WINDOW_UPDATE as well.
const FREE_PER_USEFUL: u32 = 10;

/// What a client sent too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    Resets,
    Settings,
    Pings,
    Priorities,
    WindowUpdates,
    EmptyData,
    /// A header block in more pieces than any needs.
    Fragments,
    /// A header block of more fields than any needs.
    Fields,
    /// Frames of no or of other use.
    Others,
    /// Heads that were refused.
    Malformed,
    /// Requests after it was told to go away.
    Overstaying,
    /// What the h2 library counts.
    Library,
}

impl Flood {
    /// The word of a closed set.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Flood::Resets => "resets",
            Flood::Settings => "settings",
            Flood::Pings => "pings",
            Flood::Priorities => "priorities",
            Flood::WindowUpdates => "window_updates",
            Flood::EmptyData => "empty_data",
            Flood::Fragments => "continuations",
            Flood::Fields => "fields",
            Flood::Others => "other_frames",
            Flood::Malformed => "malformed",
            Flood::Overstaying => "overstaying",
            Flood::Library => "h2",
        }
    }
}

/// What a connection is cut off for, once it is; told by who reads and writes
/// frames to who serves streams.
#[expect(clippy::disallowed_types, reason = "it is of one connection, and no global")]
pub(super) type Flooded = Arc<std::sync::OnceLock<Flood>>;

/// What a client may still send.
#[derive(Debug)]
pub(super) struct Allowances {
    resets: Bucket,
    rare: Bucket,
    free: Bucket,
}

impl Allowances {
    pub(super) fn new(resets_per_minute: u32, now: Instant) -> Self {
        Allowances {
            resets: Bucket::new(resets_per_minute, now),
            rare: Bucket::new(RARE, now),
            free: Bucket::new(FREE, now),
        }
    }

    /// A frame that carries a request or an answer on.
    pub(super) fn useful(&mut self) {
        self.free.give(FREE_PER_USEFUL);
    }

    /// A frame of the kind of `flood`; it is one if there were too many.
    pub(super) fn take(&mut self, flood: Flood, now: Instant) -> Result<(), Flood> {
        let bucket = match flood {
            Flood::Resets => &mut self.resets,
            Flood::Settings | Flood::EmptyData => &mut self.rare,
            _ => &mut self.free,
        };
        if bucket.take(1, now) { Ok(()) } else { Err(flood) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `flood` pass at `now`.
    fn pass(allowances: &mut Allowances, flood: Flood, now: Instant) -> u32 {
        (0..).find(|_| allowances.take(flood, now).is_err()).unwrap()
    }

    #[test]
    fn frames_of_one_kind_take_nothing_from_those_of_another() {
        let began = Instant::now();
        let mut allowances = Allowances::new(200, began);
        for (flood, most) in
            [(Flood::Resets, 200), (Flood::Settings, RARE), (Flood::WindowUpdates, FREE)]
        {
            assert_eq!(pass(&mut allowances, flood, began), most, "{flood:?}");
            assert_eq!(pass(&mut allowances, flood, began), 0, "{flood:?}");
        }
    }

    #[test]
    fn frames_of_use_allow_more_of_what_comes_beside_them() {
        let began = Instant::now();
        let mut allowances = Allowances::new(200, began);
        for _ in 0..100_000 {
            allowances.useful();
            for _ in 0..FREE_PER_USEFUL {
                assert_eq!(allowances.take(Flood::WindowUpdates, began), Ok(()));
            }
        }
        for _ in 0..100_000 {
            allowances.useful();
        }
        assert_eq!(pass(&mut allowances, Flood::Pings, began), FREE, "none is saved up");
        assert_eq!(pass(&mut allowances, Flood::Settings, began), RARE);
        allowances.useful();
        assert_eq!(pass(&mut allowances, Flood::Settings, began), 0);
    }
}
