//! What tests of several processors need.

use std::time::Instant;

/// A generator that starts the same each time (Marsaglia's xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("it is below a usize")
    }

    /// `sample` with some bytes and pieces changed, moved, doubled or left out.
    pub(crate) fn mutate(&mut self, sample: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
        let mut text = sample.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(text.len() + 1);
            let end = (at + self.roll(8)).min(text.len());
            let new = match self.roll(4) {
                0 => vec![self.roll(256).to_le_bytes()[0]],
                1 => pieces[self.roll(pieces.len())].to_vec(),
                2 => Vec::new(),
                _ => {
                    let from = self.roll(text.len() + 1);
                    text[from..(from + self.roll(40)).min(text.len())].to_vec()
                }
            };
            text.splice(at..end, new);
        }
        text
    }
}

const TIMES: usize = 8_000;
const TRIES: usize = 4;

/// Whether `work` on eight times as much takes about eight times as long, and not 64 times.
#[track_caller]
pub(crate) fn check_linear(what: &str, mut work: impl FnMut(usize)) {
    let mut seconds = |times| {
        let start = Instant::now();
        work(times);
        start.elapsed().as_secs_f64()
    };
    // A machine that does something else meanwhile slows some tries, and never all.
    let is_linear = (0..TRIES).any(|_| seconds(8 * TIMES) < 30.0 * (seconds(TIMES) + 0.01));
    assert!(is_linear, "{what}");
}
