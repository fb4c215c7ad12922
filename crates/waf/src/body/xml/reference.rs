use memchr::memchr;

use super::XmlError;

/// `&#x10FFFF;` with some leading zeros.
const LONGEST: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// Line ends become LF (XML 1.0 §2.11).
    Text,
    /// White space becomes spaces (XML 1.0 §3.3.3).
    Attribute,
}

/// Adds `raw` to `out` with its references replaced.
pub(super) fn resolve(raw: &[u8], within: Within, out: &mut Vec<u8>) -> Result<(), XmlError> {
    let mut rest = raw;
    while let Some(at) = memchr(b'&', rest) {
        add(&rest[..at], within, out);
        let reference = &rest[at + 1..];
        let end = memchr(b';', &reference[..reference.len().min(LONGEST)]);
        let (name, behind) = reference.split_at(end.ok_or(XmlError::Reference)?);
        let character = find(name).ok_or(XmlError::Reference)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &behind[1..];
    }
    add(rest, within, out);
    Ok(())
}

fn add(raw: &[u8], within: Within, out: &mut Vec<u8>) {
    let mut follows_cr = false;
    for &byte in raw {
        match (byte, within) {
            (b'\n', _) if follows_cr => {}
            (b'\r', Within::Text) => out.push(b'\n'),
            (b'\r' | b'\n' | b'\t', Within::Attribute) => out.push(b' '),
            _ => out.push(byte),
        }
        follows_cr = byte == b'\r';
    }
}

fn find(name: &[u8]) -> Option<char> {
    Some(match name {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x', digits @ ..] => character(digits, 16)?,
        [b'#', digits @ ..] => character(digits, 10)?,
        _ => return None,
    })
}

fn character(digits: &[u8], radix: u32) -> Option<char> {
    if digits.is_empty() {
        return None;
    }
    let code = digits.iter().try_fold(0_u32, |code, byte| {
        code.checked_mul(radix)?.checked_add(char::from(*byte).to_digit(radix)?)
    });
    char::from_u32(code?).filter(|character| is_allowed(*character))
}

/// XML 1.0 §2.2.
fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
