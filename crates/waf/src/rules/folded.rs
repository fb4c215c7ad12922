//! Some bytes at once, in lower case: those around a place of a value.

/// Bytes of a piece.
pub(super) const SIZE: usize = 4;

/// Bytes in lower case.
pub(super) const FOLDED: [u32; 256] = {
    let mut folded = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        folded[byte] = (byte as u8).to_ascii_lowercase() as u32;
        byte += 1;
    }
    folded
};

/// The bytes before a place, in lower case, the last one highest.
pub(super) fn last(value: &[u8], end: usize) -> u32 {
    let four = end.checked_sub(SIZE).and_then(|start| value.get(start..)?.first_chunk::<SIZE>());
    match four {
        Some(four) => in_lower_case(u32::from_le_bytes(*four)),
        None => value
            .get(..end)
            .unwrap_or_default()
            .iter()
            .fold(0, |last, byte| last >> 8 | FOLDED[usize::from(*byte)] << 24),
    }
}

/// The bytes behind a place, in lower case, the first one lowest; and which of the four are there.
pub(super) fn next(value: &[u8], end: usize) -> (u32, u32) {
    let rest = value.get(end..).unwrap_or_default();
    match rest.first_chunk::<SIZE>() {
        Some(four) => (in_lower_case(u32::from_le_bytes(*four)), u32::MAX),
        None => rest.iter().rev().fold((0, 0), |(next, mask), byte| {
            (next << 8 | FOLDED[usize::from(*byte)], mask << 8 | 0xff)
        }),
    }
}

/// Four bytes, their letters in lower case.
const fn in_lower_case(four: u32) -> u32 {
    const EACH: u32 = 0x0101_0101;
    const HIGH: u32 = 0x80 * EACH;
    let low = four & !HIGH;
    // The high bit of each byte tells; no sum of two bytes below 0x80 goes over to the next.
    let from_a = low + (0x80 - b'A' as u32) * EACH;
    let past_z = low + (0x7f - b'Z' as u32) * EACH;
    let is_upper = from_a & !past_z & !four & HIGH;
    four | is_upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bytes_are_folded_each_by_itself() {
        for byte in 0..=255_u8 {
            for four in [[byte, 0, 255, b'Z'], [b'@', byte, b'[', byte], [255, 255, 255, byte]] {
                let expected = u32::from_le_bytes(four.map(|byte| byte.to_ascii_lowercase()));
                assert_eq!(in_lower_case(u32::from_le_bytes(four)), expected, "{four:?}");
            }
        }
    }
}
