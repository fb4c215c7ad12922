//! Which bytes may begin and end one of thousands of pieces of text: a table that fits into the
//! processor's first cache.

/// Bytes that pieces have are told apart, but for the last of so many.
pub(super) const CLASSES: usize = 64;
pub(super) const CLASS_BITS: usize = CLASSES.trailing_zeros() as usize;
/// The pieces of four bytes are in so many groups, each with a bit, then those of three; those of
/// two are in one.
const GROUPS_OF_FOUR: u64 = 25;
const GROUPS_OF_THREE: u64 = 6;
pub(super) const FOUR: u64 = (1 << GROUPS_OF_FOUR) - 1;
pub(super) const TWO: u64 = 1 << (GROUPS_OF_FOUR + GROUPS_OF_THREE);
pub(super) const THREE: u64 = TWO - 1 - FOUR;
/// Above the groups of pieces that end with two bytes are those of pieces that begin with them.
pub(super) const BEGIN: u32 = 32;

/// Which groups have a piece that ends or begins with two bytes.
#[derive(Debug)]
pub(super) struct Pairs {
    /// Of each byte; 0 if no piece has it. Those of the two cases of a letter are equal.
    pub(super) classes: Box<[u8; 256]>,
    pub(super) groups: Box<[u64; CLASSES * CLASSES]>,
}

/// Bytes of a text in lower case, the first one lowest.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) text: u32,
    pub(super) size: usize,
}

impl Piece {
    fn bytes(self) -> impl Iterator<Item = u8> {
        self.text.to_le_bytes().into_iter().take(self.size)
    }
}

impl Pairs {
    /// Of pieces in lower case, by their size.
    pub(super) fn new(pieces: impl Iterator<Item = Piece> + Clone) -> Self {
        let mut classes = Box::new([0; 256]);
        let mut known = 0;
        for byte in pieces.clone().flat_map(Piece::bytes) {
            let upper = usize::from(byte.to_ascii_uppercase());
            let class = &mut classes[usize::from(byte)];
            if *class == 0 {
                known = CLASSES.min(known + 1);
                *class = (CLASSES - 1).min(known) as u8;
                classes[upper] = *class;
            }
        }
        let mut all = Self { classes, groups: Box::new([0; CLASSES * CLASSES]) };
        for piece in pieces {
            let [first, second, third, fourth] = piece.text.to_le_bytes();
            let begin = all.pair(first, second);
            // By the first pair, so that each has one group.
            let hash = begin as u64;
            let (end, group) = match piece.size {
                0..=2 => (begin, TWO),
                3 => (all.pair(second, third), 1 << (GROUPS_OF_FOUR + hash % GROUPS_OF_THREE)),
                _ => (all.pair(third, fourth), 1 << (hash % GROUPS_OF_FOUR)),
            };
            all.groups[end % (CLASSES * CLASSES)] |= group;
            all.groups[begin % (CLASSES * CLASSES)] |= group << BEGIN;
        }
        all
    }

    fn pair(&self, first: u8, second: u8) -> usize {
        let class = |byte: u8| usize::from(self.classes[usize::from(byte)]);
        class(first) << CLASS_BITS | class(second)
    }
}
