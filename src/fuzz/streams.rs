//! Streams read in the plainest way: at once, from their first byte to the last.

/// Bytes before the first frame of a client, and before each payload.
const PREFACE: usize = 24;
const HEAD: usize = 9;
/// Bytes that say why a stream is reset.
const REASON: usize = 4;
/// Names that no trailer may have.
const NO_TRAILERS: &str = "authorization connection content-length cookie expect forwarded host \
    proxy-authorization te trailer transfer-encoding upgrade x-forwarded-for x-forwarded-host \
    x-forwarded-proto";

/// Resets that are allowed at once.
const RESETS: u32 = 200;

/// Whether something is open after the last byte of a client, how many streams
/// were reset, and what there was too much of by then: with the bounds of a
/// listener where nothing is written. It counts no fields of header blocks.
pub(super) fn frames(bytes: &[u8]) -> (bool, u32, Option<&'static str>) {
    let (mut resets, mut rare, mut free) = (RESETS, 60_u32, 1000_u32);
    // Frames of the header block that has begun.
    let mut pieces = 0;
    let mut rest = bytes.get(PREFACE..).unwrap_or_default();
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let (kind, flags, length) = (head[3], head[4], length_of(head));
        let is_data = kind == 0;
        let mut flood = None;
        let mut take = |left: &mut u32, what| match left.checked_sub(1) {
            Some(less) => *left = less,
            None => flood = Some(what),
        };
        // Whether DATA is nothing but padding, its first byte says.
        let is_padded = is_data && flags & 9 == 8 && length > 0;
        let padding = after.first().map(|padding| usize::from(*padding));
        match kind {
            0 if length == 0 && flags & 1 == 0 => take(&mut rare, "empty_data"),
            0 if is_padded && padding.is_some_and(|padding| padding + 1 >= length) => {
                take(&mut rare, "empty_data");
            }
            0 if is_padded && padding.is_none() => {}
            1 | 9 if flags & 4 == 0 => {
                pieces += 1;
                flood = (pieces > 11).then_some("continuations");
            }
            0 | 1 | 9 => {
                free = (free + 10).min(1000);
                pieces = if is_data { pieces } else { 0 };
            }
            2 | 0x10 => take(&mut free, "priorities"),
            3 => take(&mut resets, "resets"),
            4 => take(&mut rare, "settings"),
            6 => take(&mut free, "pings"),
            8 => take(&mut free, "window_updates"),
            _ => take(&mut free, "other_frames"),
        }
        if flood.is_some() {
            return (false, RESETS - resets + u32::from(kind == 3), flood);
        }
        let Some(next) = after.get(length..) else {
            return (!is_data || pieces > 0, RESETS - resets, None);
        };
        rest = next;
    }
    (!rest.is_empty() || pieces > 0, RESETS - resets, None)
}

/// How many of our frames carry an answer on, how many end one, and how many
/// resets are for what the client did.
pub(super) fn answer(mut rest: &[u8]) -> (u32, u32, u32) {
    let (mut useful, mut ended, mut blames) = (0, 0, 0);
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let (kind, length) = (head[3], length_of(head));
        if kind == 3 {
            let Some((reason, next)) = after.split_at_checked(REASON) else { break };
            // No error, an error of ours, and nobody there to answer.
            blames += u32::from(!matches!(reason, [0, 0, 0, 0 | 2 | 8]));
            rest = next;
            continue;
        }
        useful += u32::from(kind == 1 || (kind == 0 && length > 0));
        ended += u32::from(matches!(kind, 0 | 1) && head[4] & 1 == 1);
        rest = after.get(length..).unwrap_or_default();
    }
    (useful, ended, blames)
}

fn length_of(head: &[u8]) -> usize {
    head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
}

/// Where a chunked body ends, if it is over and has one reading.
pub(super) fn end_of_chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = line_at(bytes, at)?;
        at += line.len() + 2;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extension) = line.split_at(digits);
        let is_extension = extension.is_empty() || extension.trim_ascii_start().starts_with(b";");
        if !(1..=15).contains(&digits.len()) || !is_extension || !extension.iter().all(is_text) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        at = at.checked_add(usize::try_from(size).ok()?)?;
        if bytes.get(at..at.checked_add(2)?)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let line = line_at(bytes, at)?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some(at);
        }
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
        let is_name = http::HeaderName::from_bytes(name).is_ok();
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let is_forbidden = NO_TRAILERS.split_whitespace().any(|other| other == name);
        if !is_name || is_forbidden || !value.iter().all(is_text) {
            return None;
        }
    }
}

/// What stands before the next CR LF.
fn line_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    rest.get(..end)
}

fn is_text(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}
