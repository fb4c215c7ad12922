//! Finds which of thousands of texts stand in a value, in any case of letters.
//!
//! Of each text one piece of at most four bytes is looked up at every place of a value, in a map of
//! bits that fits into the processor's first cache; only where it has one are texts compared.

use hashbrown::HashMap;

/// Bytes of a piece.
const PIECE: usize = 4;
/// Bytes of a text that are compared.
const LENGTH: usize = 64;
/// The map has two to this many bits, and there are fewer lists of texts by this many.
const MAP_BITS: u32 = 18;
const FEWER_BITS: u32 = 4;
const WORDS: usize = (1 << MAP_BITS) / 64;
const LISTS: usize = 1 << (MAP_BITS - FEWER_BITS);

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

#[derive(Debug)]
pub(crate) struct Finder {
    map: Box<[u64; WORDS]>,
    /// Where the list of each start of a hash begins in `entries`.
    lists: Vec<u32>,
    entries: Vec<Entry>,
    texts: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    piece: u32,
    /// Where its text is in `texts`.
    start: u32,
    length: u16,
    /// Where the piece ends in it.
    offset: u16,
    number: u32,
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
        let (mut found, mut texts) = (Vec::new(), Vec::new());
        for (number, text) in (0..).zip(all) {
            // The rarest piece, so that few texts have the same.
            let rarest = (0..).zip(pieces(text)).min_by_key(|(_, piece)| times.get(piece));
            let Some((offset, piece)) = rarest else { continue };
            let offset = offset + text.len().min(PIECE) as u16;
            // Texts come from rules, whose size the parser bounds.
            let (start, length) = (texts.len() as u32, text.len() as u16);
            texts.extend_from_slice(text);
            found.push(Entry { piece, start, length, offset, number });
        }
        found.sort_by_key(|entry| (hash(entry.piece), entry.number));
        let mut map = Box::new([0; WORDS]);
        let mut lists = vec![0; LISTS + 1];
        for entry in &found {
            let hash = hash(entry.piece);
            map[hash / 64 % WORDS] |= 1 << (hash % 64);
            if let Some(count) = lists.get_mut((hash >> FEWER_BITS) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut lists {
            sum += *start;
            *start = sum;
        }
        Self { map, lists, entries: found, texts }
    }

    /// Calls `found` with each text in `value`, perhaps often, unless `is_known` says so of it.
    pub(crate) fn find<T>(
        &self,
        value: &[u8],
        state: &mut T,
        is_known: impl Fn(&T, u32) -> bool,
        found: impl Fn(&mut T, u32),
    ) {
        let mut last = 0_u32;
        for (at, byte) in value.iter().enumerate() {
            last = last >> 8 | FOLDED[usize::from(*byte)] << 24;
            let keys = [last, last >> 8, last >> 16];
            let [four, three, two] = keys.map(|key| self.may_have(key));
            // No branch between them: mostly none is there.
            if !(four | three | two) {
                continue;
            }
            for (key, may_have) in keys.into_iter().zip([four, three, two]) {
                for entry in if may_have { self.list(key) } else { &[] } {
                    if entry.piece == key
                        && !is_known(state, entry.number)
                        && self.stands(entry, value, at + 1)
                    {
                        found(state, entry.number);
                    }
                }
            }
        }
    }

    fn may_have(&self, piece: u32) -> bool {
        let hash = hash(piece);
        self.map[hash / 64 % WORDS] >> (hash % 64) & 1 == 1
    }

    /// Entries among which are those of a piece.
    fn list(&self, piece: u32) -> &[Entry] {
        let list = hash(piece) >> FEWER_BITS;
        match self.lists.get(list..list + 2) {
            Some([start, end]) => self.entries.get(*start as usize..*end as usize),
            _ => None,
        }
        .unwrap_or_default()
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

/// The pieces of a text, one for each place.
fn pieces(text: &[u8]) -> impl Iterator<Item = u32> {
    text.windows(text.len().clamp(1, PIECE))
        .map(|piece| piece.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// Below two to the power of `MAP_BITS`.
fn hash(piece: u32) -> usize {
    (piece.wrapping_mul(0x9e37_79b1) >> (32 - MAP_BITS)) as usize
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
        for _ in 0..2000 {
            let mut text = |length: u32| -> Vec<u8> {
                (0..length).map(|_| b"abAB\0-"[roll(6) as usize]).collect()
            };
            let texts: Vec<Vec<u8>> =
                [2, 2, 3, 3, 4, 5, 6, 9].map(|length| text(length).to_ascii_lowercase()).into();
            let value = text(40);
            let lower = value.to_ascii_lowercase();
            let has = |text: &Vec<u8>| lower.windows(text.len()).any(|part| part == text);
            let expected: Vec<u32> =
                (0..).zip(&texts).filter(|(_, text)| has(text)).map(|(number, _)| number).collect();
            let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            assert_eq!(found(&slices, &value), expected, "{}", value.escape_ascii());
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
