//! Every transformation once more, byte by byte, as it is told in words: both make the same of
//! what chance makes, wherever a value is cut into pieces.

use std::borrow::Cow;

use super::best_fit::{UnicodeMap, narrow};
use super::hostile::{Dice, PIECES};
use super::rewrite::PIECE;
use super::{NAMES, Transformation};

const VALUES: usize = 1_500;

/// What the transformations tell apart, by whom it is read.
const LETTERS: [&[u8]; 9] = [
    b"aB \t\n\x0b\x0c\r\xa0,;^\"'\\/(",
    b"/*-<!>#a/*-",
    b"/\\..a/.",
    b"%u+04fFgG%%uU",
    b"\\uxX0147fFnrtabv \n\t",
    b"&#xX;0123aFglt&&#amponbsqu",
    b"0xX4aAgG1",
    b"QUJDab+/=-_ 9=",
    b"\0\x7f\x80\xbf\xc0\xc3\xa9\xe0\xe2\x82\xac\xed\xf0\x9f\x98\xf5\xf7\xf8\xffa\0",
];

fn value(dice: &mut Dice) -> Vec<u8> {
    let mut roll = |sides: usize| dice.roll(sides as u64) as usize;
    let lengths = [0, 1, 8, 24, 2 * PIECE - 2, 3 * PIECE + 7];
    let longest = lengths[roll(lengths.len())] + 6;
    let length = roll(longest);
    // Mostly nothing to change: the first change is anywhere in its piece.
    let plain = if roll(3) == 0 { roll(length + 1) } else { 0 };
    let letters = LETTERS[roll(LETTERS.len())];
    let mut value = vec![b'a'; plain];
    while value.len() < length {
        match roll(8) {
            0 => value.extend_from_slice(PIECES[roll(PIECES.len())]),
            1 => value.push(roll(256) as u8),
            _ => value.push(letters[roll(letters.len())]),
        }
    }
    value.truncate(length);
    value
}

#[test]
fn every_transformation_does_what_is_said_of_it() {
    let mut dice = Dice(3);
    let without_map = Transformation::UrlDecodeUni(UnicodeMap::Unset);
    let all = NAMES.into_iter().filter_map(|(_, one)| one).chain([without_map]);
    let all: Vec<Transformation> = all.collect();
    let mut changed = vec![0; all.len()];
    for _ in 0..VALUES {
        let value = value(&mut dice);
        for (one, changed) in all.iter().zip(&mut changed) {
            let Some(expected) = expected(*one, &value) else { continue };
            let made = one.apply(&value);
            let told = (made.escape_ascii().to_string(), expected.escape_ascii().to_string());
            assert_eq!(told.0, told.1, "{one:?} of {}", value.escape_ascii());
            assert_eq!(matches!(made, Cow::Borrowed(_)), *made == value, "{one:?}");
            *changed += usize::from(*made != value);
        }
    }
    for (one, changed) in all.iter().zip(changed) {
        let is_here = expected(*one, b"").is_some();
        assert!(!is_here || changed > VALUES / 50, "{one:?} changed {changed}");
    }
}

/// None of what other libraries make.
fn expected(one: Transformation, value: &[u8]) -> Option<Vec<u8>> {
    use Transformation as T;
    let each = |change: fn(u8) -> u8| value.iter().map(|byte| change(*byte)).collect();
    let kept = |is_kept: fn(u8) -> bool| value.iter().copied().filter(|b| is_kept(*b)).collect();
    let parity = |odd: u32| {
        let high = |byte: &u8| if byte.count_ones() % 2 == odd { 0x80 } else { 0 };
        value.iter().map(|byte| byte & 0x7f | high(byte)).collect()
    };
    Some(match one {
        T::Base64Decode => base64(&value[..end_of_base64(value)]),
        T::Base64DecodeExt => base64_forgiving(value),
        T::Base64Encode => {
            use ::base64::Engine;
            ::base64::engine::general_purpose::STANDARD.encode(value).into_bytes()
        }
        T::CmdLine => command(value),
        T::CompressWhitespace => compressed(value),
        T::CssDecode => css(value),
        T::EscapeSeqDecode => escapes(value, |value, at| match value[at] {
            b'x' | b'X' => Some((hex(value, at + 1, 2)? as u8, 3)),
            _ => octal(value, at, 3),
        }),
        T::HexDecode => {
            value.chunks_exact(2).map(|two| (digit(two[0]) * 16 + digit(two[1])) as u8).collect()
        }
        T::HexEncode => value.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        T::HtmlEntityDecode => html(value),
        T::JsDecode => escapes(value, |value, at| match value[at] {
            b'u' => Some((narrow(hex(value, at + 1, 4)? as u16), 5)),
            b'x' => Some((hex(value, at + 1, 2)? as u8, 3)),
            b'0'..=b'3' => octal(value, at, 3),
            _ => octal(value, at, 2),
        }),
        T::Length => value.len().to_string().into_bytes(),
        T::Lowercase => each(|b| if b.is_ascii_uppercase() { b + 32 } else { b }),
        T::NormalizePath => path(value),
        T::NormalizePathWin => {
            path(&value.iter().map(|b| if *b == b'\\' { b'/' } else { *b }).collect::<Vec<_>>())
        }
        T::ParityEven7bit => parity(1),
        T::ParityOdd7bit => parity(0),
        T::ParityZero7bit => each(|b| b % 128),
        T::RemoveComments => without_comments(value),
        T::RemoveCommentsChar => without_marks(value),
        T::RemoveNulls => kept(|b| b != 0),
        T::RemoveWhitespace => kept(|b| !is_blank(b)),
        T::ReplaceComments => replaced_comments(value),
        T::ReplaceNulls => each(|b| if b == 0 { b' ' } else { b }),
        T::SqlHexDecode => sql_hex(value),
        T::Trim => without_first_spaces(without_last_spaces(value)).to_vec(),
        T::TrimLeft => without_first_spaces(value).to_vec(),
        T::TrimRight => without_last_spaces(value).to_vec(),
        T::Uppercase => each(|b| if b.is_ascii_lowercase() { b - 32 } else { b }),
        T::UrlDecode => url(value, None),
        T::UrlDecodeUni(map) => url(value, Some(map)),
        T::UrlEncode => value
            .iter()
            .flat_map(|byte| match byte {
                b' ' => vec![b'+'],
                b'*' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => vec![*byte],
                _ => format!("%{byte:02x}").into_bytes(),
            })
            .collect(),
        T::Utf8ToUnicode => unicode(value),
        T::Md5 | T::Sha1 => return None,
    })
}

/// The number of so many digits from a place on.
fn hex(value: &[u8], at: usize, count: usize) -> Option<u32> {
    let digits = std::str::from_utf8(value.get(at..at + count)?).ok()?;
    // It takes a sign.
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_plain.then(|| u32::from_str_radix(digits, 16).ok())?
}

fn octal(value: &[u8], at: usize, most: usize) -> Option<(u8, usize)> {
    let count = (0..most).take_while(|n| matches!(value.get(at + n), Some(b'0'..=b'7'))).count();
    let digits = value[at..at + count].iter();
    let sum = digits.fold(0, |sum, digit| sum * 8 + u32::from(digit - b'0'));
    (count > 0).then_some((sum as u8, count))
}

fn digit(byte: u8) -> i32 {
    match byte {
        b'A'.. => i32::from(byte & 0xdf) - 65 + 10,
        _ => i32::from(byte) - 48,
    }
}

/// What stands behind the backslash before a place: the byte, and how many it is written with.
type Escape = fn(&[u8], usize) -> Option<(u8, usize)>;

fn escapes(value: &[u8], read: Escape) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        if value[at] != b'\\' || at + 1 == value.len() {
            out.push(value[at]);
            at += 1;
            continue;
        }
        let letter = || {
            let known = b"abfnrtv".iter().zip(b"\x07\x08\x0c\n\r\t\x0b");
            let known = known.into_iter().find(|(letter, _)| **letter == value[at + 1]);
            (known.map_or(value[at + 1], |(_, byte)| *byte), 1)
        };
        let (byte, length) = read(value, at + 1).unwrap_or_else(letter);
        out.push(byte);
        at += 1 + length;
    }
    out
}

fn css(value: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        if value[at] != b'\\' {
            out.push(value[at]);
            at += 1;
            continue;
        }
        at += 1;
        let digits = value[at..].iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 0 {
            let code = hex(value, at, digits).unwrap();
            out.push(if code <= 0xffff { narrow(code as u16) } else { code as u8 });
            at += digits;
            at += usize::from(value.get(at).is_some_and(|byte| b" \t\n\x0b\x0c\r".contains(byte)));
        } else if at < value.len() {
            if value[at] != b'\n' {
                out.push(value[at]);
            }
            at += 1;
        }
    }
    out
}

fn end_of_base64(value: &[u8]) -> usize {
    value.iter().take_while(|byte| is_base64(**byte)).count()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/".contains(&byte)
}

/// Of digits alone.
fn base64(digits: &[u8]) -> Vec<u8> {
    let place = |digit: &u8| {
        let all = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/");
        all.into_iter().position(|one| one == *digit).unwrap()
    };
    let bits: String = digits.iter().map(|digit| format!("{:06b}", place(digit))).collect();
    let bytes = bits.as_bytes().chunks_exact(8);
    bytes.map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'))).collect()
}

fn base64_forgiving(value: &[u8]) -> Vec<u8> {
    for end in 0..value.len() {
        let is_last_padding = value[end] == b'=' && value.get(end + 1) != Some(&b'=');
        let digits = value[..end].iter().filter(|byte| is_base64(**byte)).count();
        if is_last_padding && digits % 4 == 1 {
            return Vec::new();
        }
    }
    base64(&value.iter().copied().filter(|byte| is_base64(*byte)).collect::<Vec<_>>())
}

fn command(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut is_after_gap = false;
    for byte in value {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' if is_after_gap => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                out.push(b' ');
                is_after_gap = true;
            }
            _ => {
                if is_after_gap && b"/(".contains(byte) {
                    out.pop();
                }
                is_after_gap = false;
                out.push(byte.to_ascii_lowercase());
            }
        }
    }
    out
}

fn is_blank(byte: u8) -> bool {
    b" \t\n\x0b\x0c\r\xa0".contains(&byte)
}

fn compressed(value: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> =
        value.iter().map(|byte| if is_blank(*byte) { b' ' } else { *byte }).collect();
    out.dedup_by(|next, before| *next == b' ' && *before == b' ');
    out
}

fn is_space(byte: u8) -> bool {
    is_blank(byte) && byte != 0xa0
}

fn without_first_spaces(value: &[u8]) -> &[u8] {
    let first = value.iter().position(|byte| !is_space(*byte));
    &value[first.unwrap_or(value.len())..]
}

fn without_last_spaces(value: &[u8]) -> &[u8] {
    let last = value.iter().rposition(|byte| !is_space(*byte));
    &value[..last.map_or(0, |last| last + 1)]
}

fn html(value: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        let rest = &value[at..];
        let run = |from: usize, is_wanted: fn(u8) -> bool| {
            rest.iter().skip(from).take_while(|byte| is_wanted(**byte)).count()
        };
        let number = |from: usize, count: usize, radix: i128| {
            let digits = &rest[from..from + count];
            let sum = digits.iter().fold(0, |sum: i128, digit| {
                let digit = i128::from(char::from(*digit).to_digit(16).unwrap());
                (sum * radix + digit).min(i128::from(i64::MAX))
            });
            (sum as u8, from + count)
        };
        let found = match rest {
            [b'&', b'#', b'x' | b'X', ..] => Some(run(3, |byte| byte.is_ascii_hexdigit()))
                .filter(|count| *count > 0)
                .map(|count| number(3, count, 16)),
            [b'&', b'#', ..] => Some(run(2, |byte| byte.is_ascii_digit()))
                .filter(|count| *count > 0)
                .map(|count| number(2, count, 10)),
            [b'&', ..] => {
                let count = run(1, |byte| byte.is_ascii_alphanumeric());
                let byte = match rest[1..1 + count].to_ascii_lowercase().as_slice() {
                    b"quot" => Some(b'"'),
                    b"amp" => Some(b'&'),
                    b"lt" => Some(b'<'),
                    b"gt" => Some(b'>'),
                    b"nbsp" => Some(0xa0),
                    _ => None,
                };
                byte.map(|byte| (byte, 1 + count))
            }
            _ => None,
        };
        let (byte, length) = found.unwrap_or((value[at], 1));
        out.push(byte);
        at += length;
        at += usize::from(found.is_some() && value.get(at) == Some(&b';'));
    }
    out
}

/// As ModSecurity goes along a path, in place: `dst` is the end of what is written, `src` what is
/// read.
fn path(value: &[u8]) -> Vec<u8> {
    let mut text = value.to_vec();
    let Some(end) = text.len().checked_sub(1) else { return text };
    let (is_relative, is_folder) = (text[0] != b'/', text[end] == b'/');
    let (mut src, mut dst, mut is_above, mut is_done) = (0, 0, false, false);
    while !is_done && src <= end {
        is_done = src == end;
        let is_part = is_done || text[src + 1] == b'/';
        if is_part && (is_done || text[src] != b'/') {
            if text[src] == b'.' && dst > 0 && text[dst - 1] == b'.' {
                if is_relative && (is_above || dst <= 2) {
                    is_above = true;
                } else {
                    let from = dst.saturating_sub(3);
                    dst = (0..=from).rev().find(|at| text[*at] == b'/').unwrap_or(0);
                    if dst == 0 {
                        is_above = true;
                        dst = usize::from(!is_relative && is_done);
                    }
                    if is_done {
                        break;
                    }
                    src += 1;
                }
            } else if text[src] == b'.' && (dst == 0 || text[dst - 1] == b'/') {
                if is_done {
                    break;
                }
                dst = dst.saturating_sub(1);
                src += 1;
            } else if text[src] != b'.' && dst > 0 {
                is_above = false;
            }
        }
        if text[src] == b'/' {
            while src < end && text[src + 1] == b'/' {
                src += 1;
            }
            is_done |= src == end;
            if is_relative && dst == 0 {
                src += 1;
                continue;
            }
        }
        text[dst] = text[src];
        dst += 1;
        src += 1;
    }
    if !is_folder && dst > 0 && text[dst - 1] == b'/' {
        dst -= 1;
    }
    text.truncate(dst);
    text
}

fn without_comments(value: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        let rest = &value[at..];
        let open = if rest.starts_with(b"/*") { 2 } else { 4 };
        if rest.starts_with(b"--") || rest.starts_with(b"#") {
            break;
        } else if rest.starts_with(b"/*") || rest.starts_with(b"<!--") {
            let ends = [(&b"*/"[..], 2), (b"-->", 3)].map(|(mark, length)| {
                let found = rest[open..].windows(length).position(|part| part == mark);
                found.map(|found| at + open + found + length)
            });
            let Some(end) = ends.into_iter().flatten().min() else {
                out.push(b' ');
                break;
            };
            out.push(value.get(end).copied().unwrap_or(0));
            at = end + 1;
        } else {
            out.push(value[at]);
            at += 1;
        }
    }
    out
}

fn without_marks(value: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        let marks: [&[u8]; 6] = [b"/*", b"*/", b"<!--", b"-->", b"--", b"#"];
        match marks.into_iter().find(|mark| value[at..].starts_with(mark)) {
            Some(mark) => at += mark.len(),
            None => {
                out.push(value[at]);
                at += 1;
            }
        }
    }
    out
}

fn replaced_comments(value: &[u8]) -> Vec<u8> {
    let (mut out, mut at, mut is_inside) = (Vec::new(), 0, false);
    while at < value.len() {
        if value[at..].starts_with(if is_inside { b"*/" } else { b"/*" }) {
            if !is_inside {
                out.push(b' ');
            }
            is_inside = !is_inside;
            at += 2;
        } else {
            if !is_inside {
                out.push(value[at]);
            }
            at += 1;
        }
    }
    out
}

fn sql_hex(value: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        let is_mark = value[at] == b'0' && matches!(value.get(at + 1), Some(b'x' | b'X'));
        if is_mark && hex(value, at + 2, 2).is_some() {
            at += 2;
            while let Some(byte) = hex(value, at, 2) {
                out.push(byte as u8);
                at += 2;
            }
        }
        out.extend(value.get(at));
        at += 1;
    }
    out
}

fn url(value: &[u8], map: Option<UnicodeMap>) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        let is_long = value[at] == b'%' && matches!(value.get(at + 1), Some(b'u' | b'U'));
        let code = map.filter(|_| is_long).zip(hex(value, at + 2, 4));
        let (byte, length) = match (value[at], hex(value, at + 1, 2), code) {
            (b'+', ..) => (b' ', 1),
            (b'%', Some(byte), _) => (byte as u8, 3),
            (b'%', None, Some((map, code))) => (map.fit(code as u16), 6),
            (byte, ..) => (byte, 1),
        };
        out.push(byte);
        at += length;
    }
    out
}

fn unicode(value: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        let lead = value[at];
        let length = match lead {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        let is_whole = value
            .get(at + 1..at + length)
            .is_some_and(|tail| length > 1 && tail.iter().all(|byte| (0x80..=0xbf).contains(byte)));
        if length == 1 && lead != 0 || lead >= 0xf5 {
            out.push(lead);
        }
        if is_whole {
            let bits = u32::from(lead) & [0, 0x1f, 0x0f, 0x07][length - 1];
            let tail = value[at + 1..at + length].iter();
            let code = tail.fold(bits, |code, byte| code * 64 + u32::from(byte & 0x3f));
            out.extend(format!("%u{code:04x}").into_bytes());
            let is_long = code < [0, 0x80, 0x800, 0x10000][length - 1];
            if is_long || code >> 11 == 0x1b {
                out.push(lead);
            }
        }
        at += if is_whole { length } else { 1 };
    }
    out
}
