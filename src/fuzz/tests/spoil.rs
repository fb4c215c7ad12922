//! Good bytes, spoilt a little: the same ones in every run.

/// Changes to one input.
const MOST_CHANGES: usize = 4;
/// No input grows beyond this.
const LONGEST: usize = 8192;

/// What readers stumble over, whatever they read.
const ANYWHERE: &[&[u8]] = &[
    b"\0",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\"",
    b"#",
    b"%",
    b"%00",
    b"%0d%0a",
    b"%25",
    b"%252e",
    b"%2E",
    b"%2e%2e",
    b"%2f",
    b"%5c",
    b"%7f",
    b"%C0%AF",
    b"%c3%a9",
    b"%zz",
    b"*",
    b"+",
    b",",
    b"-",
    b".",
    b"..",
    b"/",
    b"/../",
    b"/./",
    b"//",
    b"0",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775808",
    b":",
    b":0",
    b":80",
    b"::1",
    b";",
    b"=",
    b"?",
    b"@",
    b"[",
    b"[::1]",
    b"\\",
    b"]",
    b"_",
    b"\x7f",
    b"\x80",
    b"\xc3\xa9",
    b"\xff",
    b"{",
    b"}",
    b"127.0.0.1",
    b"10.0.0.9",
    b"203.0.113.7",
    b"*.",
    b"a.example",
];

/// Numbers that are the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        // Small bounds: that low numbers are a little more likely is no matter.
        (self.next() >> 33) as usize % bound.max(1)
    }

    fn pick<'a>(&mut self, from: &[&'a [u8]]) -> &'a [u8] {
        from[self.below(from.len())]
    }

    /// A part of `bytes`: where it starts and ends.
    fn part(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.below(bytes.len() + 1);
        (start, start + self.below((bytes.len() - start + 1).min(32)))
    }

    /// One of the seeds, changed.
    fn spoil(&mut self, seeds: &[&[u8]], words: &[&[u8]]) -> Vec<u8> {
        let mut bytes = self.pick(seeds).to_vec();
        for _ in 0..self.below(MOST_CHANGES + 1) {
            let (start, end) = self.part(&bytes);
            let change = match self.below(7) {
                0 => Vec::new(),
                1 => vec![self.next() as u8],
                2 => bytes[start..end].repeat(2),
                3 => self.pick(ANYWHERE).to_vec(),
                4 => bytes[start..end].to_ascii_uppercase(),
                5 => {
                    let other = self.pick(seeds);
                    let (start, end) = self.part(other);
                    other[start..end].to_vec()
                }
                _ => self.pick(words).to_vec(),
            };
            bytes.splice(start..end, change);
            bytes.truncate(LONGEST);
        }
        bytes
    }
}

/// Shows what a reader was given when it panics.
pub(super) struct Given<'a>(pub(super) &'a [u8]);

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("given \"{}\"", self.0.escape_ascii());
        }
    }
}

/// Gives a reader `rounds` inputs; it must take every seed, and refuse some of
/// what came of them.
pub(super) fn drive(reader: fn(&[u8]) -> bool, rounds: usize, seeds: &[&[u8]], words: &[&[u8]]) {
    let give = |bytes: &[u8]| {
        let _given = Given(bytes);
        reader(bytes)
    };
    for seed in seeds {
        assert!(give(seed), "refused: {}", seed.escape_ascii());
    }
    let mut dice = Dice(0x7469_6465_6761_7465);
    let taken = (0..rounds).filter(|_| give(&dice.spoil(seeds, words))).count();
    // Only so are both sides of the reader looked at.
    assert!(taken > rounds / 50 && taken < rounds, "{taken} of {rounds} taken");
}
