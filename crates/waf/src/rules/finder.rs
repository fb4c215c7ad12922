//! Finds which of thousands of texts stand in a value, in any case of letters.
//!
//! Of each text one piece of at most four bytes is looked up at every place of a value, in maps of
//! bits that fit into the processor's first caches; only where one has it are texts compared.

use hashbrown::HashMap;

/// Bytes of a piece.
const PIECE: usize = 4;
/// Bytes of a text that are compared.
const LENGTH: usize = 64;
/// The maps, behind each other, have two to so many bits: pieces of two bytes have one each.
const FOURS_BITS: u32 = 18;
const THREES_BITS: u32 = 15;
const THREES: usize = 1 << FOURS_BITS;
const TWOS: usize = THREES + (1 << THREES_BITS);
const BITS: usize = TWOS + (1 << 16);
const WORDS: usize = BITS / 64;
/// Bits that share one list of texts.
const SHARED: usize = 16;
/// In a longer value pieces are forgotten once their texts are found.
const LONG: usize = 2 << 10;

/// Bytes in lower case.
const FOLDED: [u32; 256] = {
    let mut folded = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        folded[byte] = (byte as u8).to_ascii_lowercase() as u32;
        byte += 1;
    }
    folded
};

type Map = [u64; WORDS];

#[derive(Debug)]
pub(crate) struct Finder {
    map: Box<Map>,
    /// Where the list of each row of bits begins in `entries`.
    lists: Vec<u32>,
    entries: Vec<Entry>,
    texts: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The bit of its piece.
    bit: u32,
    piece: u32,
    /// Where its text is in `texts`.
    start: u32,
    length: u16,
    /// Where the piece ends in it.
    offset: u16,
    number: u32,
}

/// The last bytes of a value up to a place.
#[derive(Clone, Copy)]
struct Place {
    end: usize,
    last: u32,
}

impl Place {
    /// The bits of the pieces of four, three and two bytes that end here.
    fn bits(self) -> [usize; 3] {
        [bit(self.last, 4), bit(self.last >> 8, 3), bit(self.last >> 16, 2)]
    }
}

impl Finder {
    /// Texts in lower case, each of two bytes or more; they are known by their place.
    pub(crate) fn new<'a>(all: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        // A text stands only where its start does.
        let all = all.map(|text| text.get(..LENGTH).unwrap_or(text));
        let mut times: HashMap<u32, u32> = HashMap::new();
        for piece in all.clone().flat_map(pieces) {
            *times.entry(piece).or_default() += 1;
        }
        let (mut entries, mut texts) = (Vec::new(), Vec::new());
        for (number, text) in (0..).zip(all) {
            // The rarest piece, so that few texts have the same.
            let rarest = (0..).zip(pieces(text)).min_by_key(|(_, piece)| times.get(piece));
            let Some((before, piece)) = rarest else { continue };
            let size = text.len().min(PIECE);
            // Texts come from rules, whose size the parser bounds.
            let (start, length) = (texts.len() as u32, text.len() as u16);
            texts.extend_from_slice(text);
            let (bit, offset) = (bit(piece, size) as u32, before + size as u16);
            entries.push(Entry { bit, piece, start, length, offset, number });
        }
        entries.sort_by_key(|entry| (entry.bit, entry.number));
        let mut map = Box::new([0; WORDS]);
        let mut lists = vec![0; BITS / SHARED + 1];
        for entry in &entries {
            let bit = entry.bit as usize;
            map[bit / 64 % WORDS] |= 1 << (bit % 64);
            if let Some(count) = lists.get_mut(bit / SHARED + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut lists {
            sum += *start;
            *start = sum;
        }
        Self { map, lists, entries, texts }
    }

    /// Calls `found` with each text in `value`, perhaps often, unless `is_known` says so of it.
    pub(crate) fn find<T>(
        &self,
        value: &[u8],
        state: &mut T,
        is_known: impl Fn(&T, u32) -> bool,
        mut found: impl FnMut(&mut T, u32),
    ) {
        let mut place = Place { end: 0, last: 0 };
        if value.len() > LONG {
            return self.find_once(value, state, is_known, found);
        }
        while let Some(next) = next(&self.map, value, place) {
            place = next;
            for bit in place.bits().into_iter().filter(|bit| has(&self.map, *bit)) {
                self.meet(bit, value, place, state, &is_known, &mut found);
            }
        }
    }

    /// The same for a long value: what is known is not looked for again.
    #[inline(never)]
    fn find_once<T>(
        &self,
        value: &[u8],
        state: &mut T,
        is_known: impl Fn(&T, u32) -> bool,
        mut found: impl FnMut(&mut T, u32),
    ) {
        let mut left = *self.map;
        let mut place = Place { end: 0, last: 0 };
        while let Some(next) = next(&left, value, place) {
            place = next;
            for bit in place.bits() {
                if has(&left, bit) && self.meet(bit, value, place, state, &is_known, &mut found) {
                    left[bit / 64 % WORDS] &= !(1 << (bit % 64));
                }
            }
        }
    }

    /// Compares the texts of a bit; says whether all of them are known now.
    fn meet<T>(
        &self,
        bit: usize,
        value: &[u8],
        place: Place,
        state: &mut T,
        is_known: &impl Fn(&T, u32) -> bool,
        found: &mut impl FnMut(&mut T, u32),
    ) -> bool {
        let list = match self.lists.get(bit / SHARED..bit / SHARED + 2) {
            Some([start, end]) => self.entries.get(*start as usize..*end as usize),
            _ => None,
        };
        let mut all_known = true;
        for entry in list.unwrap_or_default().iter().filter(|entry| entry.bit as usize == bit) {
            if is_known(state, entry.number) {
                continue;
            }
            if self.stands(entry, value, place) {
                found(state, entry.number);
            } else {
                all_known = false;
            }
        }
        all_known
    }

    /// Whether the text of an entry is around a piece that ends here.
    fn stands(&self, entry: &Entry, value: &[u8], place: Place) -> bool {
        let piece = match entry.length {
            0..=2 => place.last >> 16,
            3 => place.last >> 8,
            _ => place.last,
        };
        if piece != entry.piece {
            return false;
        }
        let start = entry.start as usize;
        let text = self.texts.get(start..start + usize::from(entry.length)).unwrap_or_default();
        let first = place.end.checked_sub(usize::from(entry.offset));
        let there = first.and_then(|first| value.get(first..first + text.len()));
        there.is_some_and(|there| there.eq_ignore_ascii_case(text))
    }
}

/// The next place of a value where a piece ends that the map has.
///
/// By itself, so that all it needs is in registers: every byte of every value goes through it.
#[inline(never)]
fn next(map: &Map, value: &[u8], from: Place) -> Option<Place> {
    let mut last = from.last;
    for (at, byte) in value.get(from.end..)?.iter().enumerate() {
        last = last >> 8 | FOLDED[usize::from(*byte)] << 24;
        let place = Place { end: from.end + at + 1, last };
        let [four, three, two] = place.bits().map(|bit| has(map, bit));
        // No branch between them: mostly none is there.
        if four | three | two {
            return Some(place);
        }
    }
    None
}

fn has(map: &Map, bit: usize) -> bool {
    map[bit / 64 % WORDS] >> (bit % 64) & 1 == 1
}

/// The pieces of a text, one for each place.
fn pieces(text: &[u8]) -> impl Iterator<Item = u32> {
    text.windows(text.len().clamp(1, PIECE))
        .map(|piece| piece.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// The bit of a piece of so many bytes.
fn bit(piece: u32, size: usize) -> usize {
    let hash = piece.wrapping_mul(0x9e37_79b1);
    match size {
        0..=2 => TWOS + (piece & 0xffff) as usize,
        3 => THREES + (hash >> (32 - THREES_BITS)) as usize,
        _ => (hash >> (32 - FOURS_BITS)) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&[u8]], value: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        let finder = Finder::new(texts.iter().copied());
        let is_known = |found: &Vec<u32>, number| found.contains(&number);
        finder.find(value, &mut found, is_known, |found, number| found.push(number));
        found.sort_unstable();
        found
    }

    #[test]
    fn finds_exactly_the_texts_that_a_value_has() {
        let mut random = 7_u32;
        let mut roll = |sides: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % sides
        };
        for round in 0..2000 {
            let roll_is_long = round % 100 == 0;
            let mut text = |length: u32| -> Vec<u8> {
                (0..length).map(|_| b"abAB\0-"[roll(6) as usize]).collect()
            };
            let texts: Vec<Vec<u8>> =
                [2, 2, 3, 3, 4, 5, 6, 9].map(|length| text(length).to_ascii_lowercase()).into();
            // Now and then long enough to forget what is found.
            let value = text(if roll_is_long { 3_000 } else { 40 });
            let lower = value.to_ascii_lowercase();
            let has = |text: &Vec<u8>| lower.windows(text.len()).any(|part| part == text);
            let expected: Vec<u32> =
                (0..).zip(&texts).filter(|(_, text)| has(text)).map(|(number, _)| number).collect();
            let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            assert_eq!(found(&slices, &value), expected, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn long_values_are_looked_through_once_for_each_text() {
        let texts: [&[u8]; 5] = [b"ab", b"abc", b"abcd", b"xabcd", b"bcde"];
        let filler = b"ab.abc.".repeat(LONG / 4);
        for (end, expected) in [
            (&b""[..], &[0, 1][..]),
            (b"abcd", &[0, 1, 2]),
            (b"abcdXABCDbcd", &[0, 1, 2, 3]),
            (b"abcde", &[0, 1, 2, 4]),
        ] {
            let found = found(&texts, &[&filler, end].concat());
            assert_eq!(found, expected, "{}", end.escape_ascii());
        }
    }

    #[test]
    fn texts_stand_at_both_ends() {
        let texts: [&[u8]; 4] = [b"ab", b"abc", b"select", b"\xffx"];
        for (value, expected) in [
            (&b"AB"[..], &[0][..]),
            (b"xabC", &[0, 1]),
            (b"SELECT", &[2]),
            (b"select\xffX", &[2, 3]),
            (b"", &[]),
            (b"a", &[]),
            (b"\0\0ab", &[0]),
        ] {
            assert_eq!(found(&texts, value), expected, "{}", value.escape_ascii());
        }
    }
}
