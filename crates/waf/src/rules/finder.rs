//! Finds which of thousands of texts stand in a value, in any case of letters.
//!
//! Of each text one piece of at most four bytes is looked for at every place of a value: first its
//! first and last two bytes, in a table that fits into the processor's first cache, then the piece,
//! in maps of bits; only where one has it are texts compared.

use hashbrown::HashMap;

use crate::rules::folded::{FOLDED, SIZE, last, next};
use crate::rules::pairs::{BEGIN, CLASS_BITS, CLASSES, FOUR, Pairs, Piece, THREE, TWO};

/// Bytes of a text that are compared.
pub(super) const LENGTH: usize = 64;
/// The maps, behind each other, have two to so many bits: pieces of two bytes have one each.
const FOURS_BITS: u32 = 18;
const THREES_BITS: u32 = 15;
const THREES: usize = 1 << FOURS_BITS;
const TWOS: usize = THREES + (1 << THREES_BITS);
const BITS: usize = TWOS + (1 << 16);
const WORDS: usize = BITS / 64;
/// Bits that share one list of texts.
const SHARED: usize = 16;
/// Pieces that are met in a value before they are forgotten once their texts are found.
const MET: usize = 64;
/// Of them the last so many, where it is not worth it to forget more.
const KNOWN: usize = 256;
/// Bytes for which a map is copied.
const LONG: usize = 8 << 10;

/// Bytes that are looked at ahead.
const BLOCK: usize = 64;
/// Pairs of which one has a group, where that is often; and bytes before that is told.
const OFTEN: usize = 6;
const TELLING: usize = 256;

type Map = [u64; WORDS];

#[derive(Debug)]
pub(crate) struct Finder {
    pairs: Pairs,
    map: Box<Map>,
    /// Where the list of each row of bits begins.
    lists: Vec<u32>,
    /// The piece of each entry, by itself: mostly it is another one.
    pieces: Vec<u32>,
    entries: Vec<Entry>,
    texts: Vec<u8>,
}

/// A text, at one of its pieces.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where its text is in `texts`.
    start: u32,
    length: u16,
    /// Where the piece ends in it.
    offset: u16,
    number: u32,
    /// Up to four bytes of it beside the piece: most texts differ there from a value.
    beside: u32,
    mask: u32,
    is_before: bool,
}

/// The last bytes of a value up to a place, and what is known of those behind it.
#[derive(Clone, Copy, Default)]
struct Place {
    end: usize,
    last: u32,
    /// Up to here was looked ahead, from `block` on.
    read: usize,
    block: usize,
    /// For each of these bytes a bit, the first one highest, that says whether a piece may end there
    /// which was not looked for yet.
    ahead: u64,
    /// The class of the last byte that was read.
    class: usize,
    /// The groups of pieces that may have begun with the last two bytes, and with those before.
    begun: u64,
    begun_before: u64,
    /// How many pairs had a group.
    met: usize,
    /// Since more had than it takes to look for all pieces everywhere, that is done.
    is_dense: bool,
}

impl Piece {
    /// Its bit in the map.
    fn bit(self) -> usize {
        let hash = self.text.wrapping_mul(0x9e37_79b1);
        match self.size {
            0..=2 => TWOS + (self.text & 0xffff) as usize,
            3 => THREES + (hash >> (32 - THREES_BITS)) as usize,
            _ => (hash >> (32 - FOURS_BITS)) as usize,
        }
    }
}

impl Place {
    /// The pieces of four, three and two bytes that end here.
    fn pieces(self) -> [Piece; 3] {
        [
            Piece { text: self.last, size: 4 },
            Piece { text: self.last >> 8, size: 3 },
            Piece { text: self.last >> 16, size: 2 },
        ]
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
        let (mut all_entries, mut texts) = (Vec::new(), Vec::new());
        for (number, text) in (0..).zip(all) {
            // The rarest piece, so that few texts have the same.
            let rarest = (0_usize..).zip(pieces(text)).min_by_key(|(_, piece)| times.get(piece));
            let Some((before, piece)) = rarest else { continue };
            let size = text.len().min(SIZE);
            // Texts come from rules, whose size the parser bounds.
            let (start, length) = (texts.len() as u32, text.len() as u16);
            texts.extend_from_slice(text);
            let offset = before + size;
            let is_before = before > text.len() - offset;
            let (beside, mask) = match is_before {
                true => {
                    // The first of them is the lowest, and those that are not there are 0.
                    let missing = SIZE.saturating_sub(before) as u32;
                    (last(text, before), u32::MAX << (8 * missing))
                }
                false => next(text, offset),
            };
            let offset = offset as u16;
            let entry = Entry { start, length, offset, number, beside, mask, is_before };
            all_entries.push((Piece { text: piece, size }, piece, entry));
        }
        let pairs = Pairs::new(all_entries.iter().map(|(piece, ..)| *piece));
        let all_entries = all_entries.into_iter();
        let mut all_entries: Vec<_> =
            all_entries.map(|(piece, text, entry)| (piece.bit(), text, entry)).collect();
        all_entries.sort_by_key(|(bit, piece, entry)| (*bit, *piece, entry.number));
        let mut map = Box::new([0; WORDS]);
        let mut lists = vec![0; BITS / SHARED + 1];
        for (bit, ..) in &all_entries {
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
        let (pieces, entries) =
            all_entries.into_iter().map(|(_, piece, entry)| (piece, entry)).unzip();
        Self { pairs, map, lists, pieces, entries, texts }
    }

    /// Calls `found` with each text in `value`, perhaps often, unless `is_known` says so of it.
    pub(crate) fn find<T>(
        &self,
        value: &[u8],
        state: &mut T,
        is_known: impl Fn(&T, u32) -> bool,
        mut found: impl FnMut(&mut T, u32),
    ) {
        let mut place = Place::default();
        let mut met = 0;
        while let Some(next) = self.next(&self.map, value, place) {
            place = next;
            for piece in place.pieces().into_iter().filter(|piece| has(&self.map, piece.bit())) {
                self.meet(piece, value, place.end, state, &is_known, &mut found);
                met += 1;
            }
            if met > MET {
                return match value.len() - place.end {
                    0..LONG => self.find_new(value, place, state, is_known, found),
                    _ => self.find_once(value, place, state, is_known, found),
                };
            }
        }
    }

    /// The same behind a place: some of what is known is not looked for again.
    #[inline(never)]
    fn find_new<T>(
        &self,
        value: &[u8],
        mut place: Place,
        state: &mut T,
        is_known: impl Fn(&T, u32) -> bool,
        mut found: impl FnMut(&mut T, u32),
    ) {
        // Bits of the map, each where its last digits say, if no other is there, and 1 more.
        let mut known = [0; KNOWN];
        while let Some(next) = self.next(&self.map, value, place) {
            place = next;
            for piece in place.pieces().into_iter().filter(|piece| has(&self.map, piece.bit())) {
                let bit = piece.bit();
                if known[bit % KNOWN] != bit + 1
                    && self.meet(piece, value, place.end, state, &is_known, &mut found)
                {
                    known[bit % KNOWN] = bit + 1;
                }
            }
        }
    }

    /// The same for many bytes, which are worth a map without all that is known.
    #[inline(never)]
    fn find_once<T>(
        &self,
        value: &[u8],
        mut place: Place,
        state: &mut T,
        is_known: impl Fn(&T, u32) -> bool,
        mut found: impl FnMut(&mut T, u32),
    ) {
        let mut left = *self.map;
        while let Some(next) = self.next(&left, value, place) {
            place = next;
            for piece in place.pieces() {
                let bit = piece.bit();
                if has(&left, bit)
                    && self.meet(piece, value, place.end, state, &is_known, &mut found)
                {
                    left[bit / 64 % WORDS] &= !(1 << (bit % 64));
                }
            }
        }
    }

    /// The next place of a value where a piece ends that the map has.
    ///
    /// By itself, so that all it needs is in registers: every byte of every value goes through it.
    #[inline(never)]
    fn next(&self, map: &Map, value: &[u8], from: Place) -> Option<Place> {
        let mut place = from;
        while !place.is_dense {
            while place.ahead != 0 {
                let bit = place.ahead.leading_zeros();
                place.ahead &= !(1 << (63 - bit));
                place.end = place.block + bit as usize + 1;
                place.last = last(value, place.end);
                let [four, three, two] = place.pieces().map(|piece| has(map, piece.bit()));
                if four | three | two {
                    return Some(place);
                }
            }
            place = self.look_ahead(value, place)?;
        }
        next_piece(map, value, place)
    }

    /// Finds in which of the next bytes a piece may end. A branch for each would mostly be
    /// foreseen wrongly where one may, and the map be waited for.
    fn look_ahead(&self, value: &[u8], from: Place) -> Option<Place> {
        let Place { read: block, mut class, mut begun, mut begun_before, met, .. } = from;
        let bytes = value.get(block..)?;
        let bytes = bytes.get(..BLOCK).unwrap_or(bytes);
        if bytes.is_empty() {
            return None;
        }
        let mut ahead = 0;
        for byte in bytes {
            let next = usize::from(self.pairs.classes[usize::from(*byte)]);
            let groups = self.pairs.groups[(class << CLASS_BITS | next) % (CLASSES * CLASSES)];
            let ended = groups & (begun_before & FOUR | begun & THREE | TWO);
            (class, begun, begun_before) = (next, groups >> BEGIN, begun);
            ahead = ahead << 1 | u64::from(ended != 0);
        }
        ahead <<= BLOCK - bytes.len();
        let (read, met) = (block + bytes.len(), met + ahead.count_ones() as usize);
        let place = Place { read, block, ahead, class, begun, begun_before, met, ..from };
        Some(match met * OFTEN > read + TELLING {
            true => Place { end: block, last: last(value, block), is_dense: true, ..place },
            false => place,
        })
    }

    /// Compares the texts of a piece that ends here; says whether all of its bit are known now.
    fn meet<T>(
        &self,
        piece: Piece,
        value: &[u8],
        end: usize,
        state: &mut T,
        is_known: &impl Fn(&T, u32) -> bool,
        found: &mut impl FnMut(&mut T, u32),
    ) -> bool {
        let bit = piece.bit();
        let Some(&[start, stop]) = self.lists.get(bit / SHARED..bit / SHARED + 2) else {
            return false;
        };
        let (start, stop) = (start as usize, stop as usize);
        let (before, (after, _)) = (last(value, end.saturating_sub(piece.size)), next(value, end));
        let mut all_known = true;
        for (at, text) in (start..).zip(self.pieces.get(start..stop).unwrap_or_default()) {
            if *text != piece.text {
                all_known &= Piece { text: *text, ..piece }.bit() != bit;
                continue;
            }
            let Some(entry) = self.entries.get(at) else { continue };
            let there = if entry.is_before { before } else { after };
            if (there ^ entry.beside) & entry.mask != 0 {
                all_known = all_known && is_known(state, entry.number);
                continue;
            }
            if is_known(state, entry.number) {
                continue;
            }
            if self.stands(entry, value, end) {
                found(state, entry.number);
            } else {
                all_known = false;
            }
        }
        all_known
    }

    /// Whether the text of an entry is around a piece that ends here.
    fn stands(&self, entry: &Entry, value: &[u8], end: usize) -> bool {
        let start = entry.start as usize;
        let text = self.texts.get(start..start + usize::from(entry.length)).unwrap_or_default();
        let first = end.checked_sub(usize::from(entry.offset));
        let there = first.and_then(|first| value.get(first..first + text.len()));
        there.is_some_and(|there| there.eq_ignore_ascii_case(text))
    }
}

/// The same for a value in which pieces are met so often that it is better to look for all at once.
fn next_piece(map: &Map, value: &[u8], from: Place) -> Option<Place> {
    let mut last = from.last;
    for (at, byte) in (from.end..).zip(value.get(from.end..)?) {
        last = last >> 8 | FOLDED[usize::from(*byte)] << 24;
        let place = Place { end: at + 1, last, ..from };
        let [four, three, two] = place.pieces().map(|piece| has(map, piece.bit()));
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
    text.windows(text.len().clamp(1, SIZE))
        .map(|piece| piece.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Dice;

    fn found(texts: &[&[u8]], value: &[u8]) -> Vec<u32> {
        found_by(&Finder::new(texts.iter().copied()), value)
    }

    fn found_by(finder: &Finder, value: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        let is_known = |found: &Vec<u32>, number| found.contains(&number);
        finder.find(value, &mut found, is_known, |found, number| found.push(number));
        found.sort_unstable();
        found
    }

    /// The same by a look for each.
    fn expected(texts: &[Vec<u8>], value: &[u8]) -> Vec<u32> {
        let lower = value.to_ascii_lowercase();
        let stands = |text: &[u8]| memchr::memmem::find(&lower, text).is_some();
        let all = (0..).zip(texts);
        let there = all.filter(|(_, text)| stands(text.get(..LENGTH).unwrap_or(text)));
        there.map(|(number, _)| number).collect()
    }

    #[test]
    fn finds_exactly_the_texts_that_a_value_has() {
        let mut random = 7_u32;
        let mut roll = |sides: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % sides
        };
        for round in 0..2000 {
            let mut text = |length: u32| -> Vec<u8> {
                (0..length).map(|_| b"abAB\0-"[roll(6) as usize]).collect()
            };
            let texts: Vec<Vec<u8>> =
                [2, 2, 3, 3, 4, 5, 6, 9].map(|length| text(length).to_ascii_lowercase()).into();
            // Now and then long enough to forget what is found, or for a map without it.
            let value = text(match round % 100 {
                0 => 3_000,
                1 => 2 * LONG as u32,
                _ => 40,
            });
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
        for filler in [b"ab.abc.".repeat(MET), b"ab.abc.".repeat(LONG)] {
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

    #[test]
    fn texts_stand_at_every_place_of_a_value() {
        let long: Vec<u8> = (0..LENGTH + 6).map(|at| b"long of-\xe9"[at * at % 9]).collect();
        let mut texts: Vec<Vec<u8>> =
            [&b"ab"[..], b"\xff\x80", b"abc", b"q\0z", b"wxyz", b"\xe4\xf6\xfc\xdf", b"select"]
                .map(<[u8]>::to_vec)
                .to_vec();
        texts.extend([long[..LENGTH - 1].to_vec(), long[..LENGTH].to_vec(), long]);
        // Only the last piece of the first is no other's.
        texts.extend([[&b"-".repeat(LENGTH - 4)[..], b"z7q!"].concat(), b"---z7q".to_vec()]);
        let finder = Finder::new(texts.iter().map(Vec::as_slice));
        // Of the last each place begins and ends something.
        for filler in [&b"-"[..], b"\0", b"ab xyz", b"wxwxzzyz"] {
            let plain = filler.repeat(3 * BLOCK / filler.len() + 1);
            for text in &texts {
                for (at, length) in (0..=plain.len() - text.len()).map(|at| (at, text.len())) {
                    let mut value = plain.clone();
                    value[at..at + length].copy_from_slice(&text.to_ascii_uppercase());
                    let there = expected(&texts, &value);
                    assert_eq!(found_by(&finder, &value), there, "{}", value.escape_ascii());
                    value.truncate(at + length);
                    let there = expected(&texts, &value);
                    assert_eq!(found_by(&finder, &value), there, "{}", value.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn thousands_of_texts_are_told_apart() {
        let mut dice = Dice::new(9);
        // More bytes than there are classes, pieces that many have, and texts within others.
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for number in 0..3_000 {
            let length = 2 + dice.roll([2, 4, 9, 80][number % 4]);
            let mut text: Vec<u8> = match texts.get(dice.roll(2 * number + 1)) {
                Some(other) => other[dice.roll(other.len())..].to_vec(),
                None => Vec::new(),
            };
            while text.len() < length {
                text.push(if number % 3 == 0 { dice.byte() } else { b"aeinst -_/"[dice.roll(10)] });
            }
            text.make_ascii_lowercase();
            texts.push(text);
        }
        let finder = Finder::new(texts.iter().map(Vec::as_slice));
        let mut all = 0;
        for round in 0..150 {
            let length = dice.roll([3, BLOCK + 3, 4 * BLOCK, 4_000][round % 4]);
            let (often, few) = (dice.roll(4), 1 + dice.roll(texts.len()));
            let mut value = Vec::new();
            while value.len() < length {
                let mut text = texts[dice.roll(few)].clone();
                match dice.roll(4) {
                    0 => text.make_ascii_uppercase(),
                    1 => text.truncate(dice.roll(text.len())),
                    2 => drop(text.remove(dice.roll(text.len()))),
                    _ => {}
                }
                let between = (0..often * dice.roll(9)).map(|_| dice.byte());
                value.extend(between.collect::<Vec<_>>());
                value.extend(text);
            }
            value.truncate(length);
            let there = expected(&texts, &value);
            assert_eq!(found_by(&finder, &value), there, "{}", value.escape_ascii());
            all += there.len();
        }
        assert!(all > 10_000, "{all}");
    }
}
