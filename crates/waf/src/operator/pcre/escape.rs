//! What follows a backslash, in and outside of brackets.

use regex_syntax::hir::Look;

use crate::operator::byte_set::ByteSet;
use crate::operator::pcre::{GROUPS, Refusal};

/// What an escape stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    Byte(u8),
    Set(ByteSet),
    Look(Look),
    /// What this group matched.
    Back(u32),
    /// `\Q`: what follows, up to `\E`, is text.
    Quote,
    /// `\E` without `\Q`.
    Nothing,
}

/// Where an escape stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    Text,
    Brackets,
}

pub(crate) const DIGIT: ByteSet = ByteSet::of(b"0123456789");
pub(crate) const SPACE: ByteSet = ByteSet::of(b"\t\n\x0b\x0c\r ");
pub(crate) const BLANK: ByteSet = ByteSet::of(b"\t ");
const HORIZONTAL: ByteSet = ByteSet::of(b"\t \xa0");
const VERTICAL: ByteSet = ByteSet::of(b"\n\x0b\x0c\r\x85");
const LINE_FEED: ByteSet = ByteSet::of(b"\n");

pub(crate) fn word() -> ByteSet {
    alpha().or(DIGIT).with(b'_')
}

pub(crate) fn alpha() -> ByteSet {
    ByteSet::range(b'a'..=b'z').fold()
}

/// Reads the escape at the start of `rest`, behind its backslash; also says how long it is.
///
/// `groups` have been opened before it; they decide whether `\12` refers back.
pub(crate) fn read(
    rest: &[u8],
    within: Within,
    groups: u32,
) -> Result<(Escape, usize), &'static str> {
    let Some((&first, after)) = rest.split_first() else {
        return Err("a backslash ends it: write \\\\ for one");
    };
    let in_brackets = within == Within::Brackets;
    let escape = match first {
        b'a' => Escape::Byte(0x07),
        b'b' if in_brackets => Escape::Byte(0x08),
        b'b' => Escape::Look(Look::WordAscii),
        b'e' => Escape::Byte(0x1b),
        b'f' => Escape::Byte(0x0c),
        b'n' => Escape::Byte(b'\n'),
        b'r' => Escape::Byte(b'\r'),
        b't' => Escape::Byte(b'\t'),
        b'd' => Escape::Set(DIGIT),
        b'D' => Escape::Set(DIGIT.not()),
        b's' => Escape::Set(SPACE),
        b'S' => Escape::Set(SPACE.not()),
        b'w' => Escape::Set(word()),
        b'W' => Escape::Set(word().not()),
        b'h' => Escape::Set(HORIZONTAL),
        b'H' => Escape::Set(HORIZONTAL.not()),
        b'v' => Escape::Set(VERTICAL),
        b'V' => Escape::Set(VERTICAL.not()),
        b'Q' => Escape::Quote,
        b'E' => Escape::Nothing,
        b'x' => return hexadecimal(after).map(|(byte, length)| (byte, length + 1)),
        b'c' => return control(after).map(|byte| (byte, 2)),
        b'0'..=b'9' => return number(rest, within, groups),
        b'B' if !in_brackets => Escape::Look(Look::WordAsciiNegate),
        b'A' if !in_brackets => Escape::Look(Look::Start),
        b'z' if !in_brackets => Escape::Look(Look::End),
        b'N' if !in_brackets && after.first() != Some(&b'{') => Escape::Set(LINE_FEED.not()),
        b'C' if !in_brackets => Escape::Set(ByteSet::ALL),
        b'A'..=b'Z' | b'a'..=b'z' => return Err(refused(first)),
        _ => Escape::Byte(first),
    };
    Ok((escape, 1))
}

const fn refused(letter: u8) -> &'static str {
    match letter {
        b'g' | b'k' => "a reference back to a group by name is not supported: write \\1",
        b'G' | b'K' => "\\G and \\K are not supported: matches start where they start",
        b'p' | b'P' | b'X' => "Unicode properties are not supported: values are bytes",
        b'R' => "\\R never gives back what it took: write (?:\\r\\n|\\n|\\r)",
        b'Z' => "\\Z looks ahead over a line feed: write $ or \\z, or \\n?$",
        _ => "a backslash stands before a letter that it gives no meaning",
    }
}

fn control(after: &[u8]) -> Result<Escape, &'static str> {
    match after.first() {
        Some(byte @ b' '..=b'~') => Ok(Escape::Byte(byte.to_ascii_uppercase() ^ 0x40)),
        _ => Err("\\c stands before something else than a printable character"),
    }
}

/// `\xh`, `\xhh` and `\x{h…}`.
fn hexadecimal(after: &[u8]) -> Result<(Escape, usize), &'static str> {
    const WRONG: &str = "\\x{…} holds something else than one byte: write \\x{00} to \\x{ff}";
    if let Some(inside) = after.strip_prefix(b"{") {
        let end = inside.iter().position(|byte| *byte == b'}').ok_or(WRONG)?;
        let digits = inside.get(..end).unwrap_or_default();
        let byte = digits.iter().try_fold(0_u8, |byte, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            byte.checked_mul(16)?.checked_add(u8::try_from(digit).ok()?)
        });
        let byte = byte.filter(|_| !digits.is_empty()).ok_or(WRONG)?;
        return Ok((Escape::Byte(byte), end + 2));
    }
    let digits = after.iter().take(2).map_while(|digit| char::from(*digit).to_digit(16));
    let (byte, length) = digits.fold((0, 0), |(byte, length), digit| {
        (byte << 4 | u8::try_from(digit).unwrap_or(0), length + 1)
    });
    Ok((Escape::Byte(byte), length))
}

/// A reference to a group, or an octal code.
fn number(rest: &[u8], within: Within, groups: u32) -> Result<(Escape, usize), &'static str> {
    const BACK: &str = "a reference back is supported to the groups 1 to 9 that start before it";
    const EIGHT: &str = "\\8 and \\9 are read in different ways: write the digit alone";
    let first = rest.first().copied().unwrap_or(b'0');
    if within == Within::Text && first != b'0' {
        let digits = rest.iter().take_while(|digit| digit.is_ascii_digit());
        let (decimal, length) = digits.fold((0_u32, 0), |(sum, length), digit| {
            (sum.saturating_mul(10).saturating_add(u32::from(*digit - b'0')), length + 1)
        });
        if decimal <= GROUPS.min(groups) {
            return Ok((Escape::Back(decimal), length));
        }
        if decimal <= GROUPS.max(groups) {
            return Err(BACK);
        }
    }
    if first >= b'8' {
        return Err(EIGHT);
    }
    let digits = rest.iter().take(3).take_while(|digit| (b'0'..=b'7').contains(digit));
    let (code, length) = digits
        .fold((0_u16, 0), |(code, length), digit| (code * 8 + u16::from(digit - b'0'), length + 1));
    let byte = u8::try_from(code).map_err(|_| "an octal code is above \\377")?;
    Ok((Escape::Byte(byte), length))
}

/// The end of a `\Q…\E` whose text starts `rest`: its length, and with its `\E`.
pub(crate) fn quoted(rest: &[u8]) -> (usize, usize) {
    let end = rest.windows(2).position(|pair| pair == b"\\E");
    end.map_or((rest.len(), rest.len()), |end| (end, end + 2))
}

pub(crate) fn refuse(at: usize, why: &'static str) -> Refusal {
    Refusal { at, why }
}
