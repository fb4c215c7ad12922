//! The one normal path: what routes match on and, as a rule, servers receive.
//!
//! What every server reads alike is brought to its normal form (RFC 3986
//! §6.2.2, and doubled slashes become one, as in nginx). What servers are known
//! to read differently is refused: repaired, it would mean one thing here and
//! another thing there.

use std::borrow::Cow;

use super::bytes::{ByteSet, PATH, PLAIN, QUERY};
use super::malformed::Malformed;
use super::strict::{Escapes, Strict};

/// Judges the bytes of a path and, after `?`, a query.
pub(super) fn check_bytes(target: &[u8]) -> Result<(), Malformed> {
    match memchr::memchr(b'?', target) {
        None => check_set(target, &PATH),
        Some(end) => {
            let (path, query) = target.split_at(end);
            check_set(path, &PATH)?;
            check_set(query, &QUERY)
        }
    }
}

/// Judges the bytes of a query.
pub(super) fn check_query(query: &str) -> Result<(), Malformed> {
    check_set(query.as_bytes(), &QUERY)
}

/// The normal form of a path that starts with `/`; borrowed if it is normal already.
pub(super) fn normalise<'p>(path: &'p str, strict: &Strict) -> Result<Cow<'p, str>, Malformed> {
    let rest = path.strip_prefix('/').ok_or(Malformed::TargetForm)?;
    if is_plain(rest.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    match survey(rest, strict)? {
        true => Ok(Cow::Borrowed(path)),
        false => Ok(Cow::Owned(rewrite(rest, path.len()))),
    }
}

fn check_set(text: &[u8], set: &ByteSet) -> Result<(), Malformed> {
    match set.find_other(text) {
        None => Ok(()),
        Some(b'\\') => Err(Malformed::Backslash),
        Some(_) => Err(Malformed::TargetByte),
    }
}

/// Whether nothing in the path, given without its first slash, needs a closer look.
fn is_plain(rest: &[u8]) -> bool {
    let mut before = b'/';
    for &byte in rest {
        if !PLAIN.contains(byte) || (before == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        before = byte;
    }
    true
}

/// Judges a path, given without its first slash; `true` if it is in normal form.
fn survey(rest: &str, strict: &Strict) -> Result<bool, Malformed> {
    let mut is_normal = true;
    let mut depth = 0_usize;
    let (mut has_empty, mut has_parent) = (false, false);
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "" if is_last => {}
            "" => has_empty = true,
            "." => is_normal = false,
            ".." => {
                depth = depth.checked_sub(1).ok_or(Malformed::AboveRoot)?;
                has_parent = true;
            }
            _ => {
                depth += 1;
                is_normal &= survey_segment(segment.as_bytes(), strict)?;
            }
        }
    }
    if has_empty && has_parent {
        // `/a//../b` is `/a/b` by RFC 3986 and `/b` where slashes are merged first.
        return Err(Malformed::DotsAmongSlashes);
    }
    if has_parent && has_encoded_slash(rest.as_bytes()) {
        // `..` leads elsewhere where slashes are decoded first.
        return Err(Malformed::EncodedSlash);
    }
    Ok(is_normal && !has_empty && !has_parent)
}

fn has_encoded_slash(path: &[u8]) -> bool {
    path.windows(3).any(|bytes| bytes.eq_ignore_ascii_case(b"%2f"))
}

/// Judges a segment other than `.` and `..`; `true` if it is in normal form.
fn survey_segment(segment: &[u8], strict: &Strict) -> Result<bool, Malformed> {
    check_set(segment, &PATH)?;
    let mut is_normal = true;
    let mut dots = LeadingDots::default();
    let mut units = Units(segment);
    while let Some(unit) = units.next()? {
        is_normal &= unit.is_normal();
        if unit.byte == b'/' && strict.encoded_slashes == Escapes::Pass {
            // A server that decodes it finds a segment on either side.
            std::mem::take(&mut dots).refuse()?;
            continue;
        }
        dots.note(unit.byte);
        match unit.byte {
            b'%' if strict.double_encoding == Escapes::Pass => {}
            b'%' => refuse_double_encoding(units)?,
            0x80.. => units = end_of_character(unit.byte, units)?,
            byte if unit.is_escape() => refuse_encoded(byte)?,
            _ => {}
        }
    }
    dots.refuse()?;
    Ok(is_normal)
}

/// Refuses an escape of what some servers decode before they split the path.
fn refuse_encoded(byte: u8) -> Result<(), Malformed> {
    match byte {
        b'/' => Err(Malformed::EncodedSlash),
        b'\\' => Err(Malformed::Backslash),
        0..b' ' | 0x7f => Err(Malformed::EncodedControl),
        _ => Ok(()),
    }
}

/// Refuses an encoded `%` if `after` it, once decoded, makes it an escape again.
fn refuse_double_encoding(mut after: Units<'_>) -> Result<(), Malformed> {
    for _ in 0..2 {
        match after.next()? {
            Some(unit) if unit.byte.is_ascii_hexdigit() => {}
            _ => return Ok(()),
        }
    }
    Err(Malformed::DoubleEncoding)
}

/// Reads the character that starts with the decoded byte `lead`; what follows it.
fn end_of_character(lead: u8, mut after: Units<'_>) -> Result<Units<'_>, Malformed> {
    let length = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Err(Malformed::NotUtf8),
    };
    let mut character = [lead, 0, 0, 0];
    let character = &mut character[..length];
    for place in &mut character[1..] {
        *place = after.next()?.ok_or(Malformed::NotUtf8)?.byte;
    }
    // Refuses overlong forms and surrogates too.
    match str::from_utf8(character) {
        Ok(_) => Ok(after),
        Err(_) => Err(Malformed::NotUtf8),
    }
}

/// Writes the normal form of a path that `survey` has let pass.
fn rewrite(rest: &str, capacity: usize) -> String {
    let mut out = String::with_capacity(capacity);
    let mut ends_in_slash = true;
    for segment in rest.split('/') {
        ends_in_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            _ => {
                out.push('/');
                rewrite_segment(segment, &mut out);
            }
        }
    }
    if ends_in_slash {
        out.push('/');
    }
    out
}

fn rewrite_segment(segment: &str, out: &mut String) {
    let mut units = Units(segment.as_bytes());
    while let Ok(Some(unit)) = units.next() {
        match unit.escape {
            Some([high, low]) if !is_unreserved(unit.byte) => {
                push_escape([high.to_ascii_uppercase(), low.to_ascii_uppercase()], out);
            }
            None if !PLAIN.contains(unit.byte) => {
                let digits = [unit.byte >> 4, unit.byte & 15].map(|digit| HEX[usize::from(digit)]);
                push_escape(digits, out);
            }
            // Unreserved, or written plainly: ASCII in either case.
            _ => out.push(char::from(unit.byte)),
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn push_escape(digits: [u8; 2], out: &mut String) {
    out.push('%');
    out.extend(digits.map(char::from));
}

/// The bytes that mean the same escaped and plain (RFC 3986 §2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// One decoded byte of a path, and the digits of its escape if it was escaped.
#[derive(Clone, Copy)]
struct Unit {
    byte: u8,
    escape: Option<[u8; 2]>,
}

impl Unit {
    fn is_escape(&self) -> bool {
        self.escape.is_some()
    }

    fn is_normal(&self) -> bool {
        match self.escape {
            None => PLAIN.contains(self.byte),
            Some(digits) => !is_unreserved(self.byte) && !digits.iter().any(u8::is_ascii_lowercase),
        }
    }
}

/// The part of a segment that is still to be decoded.
#[derive(Clone, Copy)]
struct Units<'a>(&'a [u8]);

impl Units<'_> {
    fn next(&mut self) -> Result<Option<Unit>, Malformed> {
        let (unit, rest) = match *self.0 {
            [] => return Ok(None),
            [b'%', high, low, ..] => {
                let byte = hex(high)? << 4 | hex(low)?;
                (Unit { byte, escape: Some([high, low]) }, &self.0[3..])
            }
            [b'%', ..] => return Err(Malformed::IncompleteEscape),
            [byte, ..] => (Unit { byte, escape: None }, &self.0[1..]),
        };
        self.0 = rest;
        Ok(Some(unit))
    }
}

fn hex(digit: u8) -> Result<u8, Malformed> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Malformed::IncompleteEscape),
    }
}

/// Finds a dot segment behind escapes, or before a `;`, in a segment that is none as written.
#[derive(Default)]
struct LeadingDots {
    dots: usize,
    end: Option<u8>,
}

impl LeadingDots {
    fn note(&mut self, byte: u8) {
        match (self.end, byte) {
            (Some(_), _) => {}
            (None, b'.') => self.dots += 1,
            (None, _) => self.end = Some(byte),
        }
    }

    fn refuse(&self) -> Result<(), Malformed> {
        match (self.dots, self.end) {
            (1 | 2, None) => Err(Malformed::EncodedDotSegment),
            (1 | 2, Some(b';')) => Err(Malformed::DotSegmentParameter),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<&str, Malformed>) {
        check_as(&Strict::default(), path, expected);
    }

    fn check_as(strict: &Strict, path: &str, expected: Result<&str, Malformed>) {
        let found = normalise(path, strict);
        assert_eq!(found.as_deref(), expected.as_ref().map(|path| *path), "{path}");
        if found.as_deref() == Ok(path) {
            assert!(matches!(found, Ok(Cow::Borrowed(_))), "{path} is normal, yet copied");
        }
    }

    #[test]
    fn leaves_normal_paths_alone() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/d",
            "/.well-known/acme-challenge/x",
            "/...",
            "/..a/.b/c..",
            "/a;b=c/d;e",
            "/;/a",
            "/a%20b/%C3%A9/%E2%82%AC/%F0%9F%98%80",
            "/100%25",
            "/100%25/a",
            "/%25zz/%252",
            "/%3F%23%3B%5B",
            "/a:b@c!$&'()*+,=~",
            "/%5B%5D%5E%7C",
        ] {
            check(path, Ok(path));
        }
    }

    #[test]
    fn brings_paths_to_their_normal_form() {
        check("//", Ok("/"));
        check("///a//b///", Ok("/a/b/"));
        check("//example.com/a", Ok("/example.com/a"));
        check("/.", Ok("/"));
        check("/./", Ok("/"));
        check("/a/.", Ok("/a/"));
        check("/a/./b", Ok("/a/b"));
        check("/a/..", Ok("/"));
        check("/a/../", Ok("/"));
        check("/a/../b", Ok("/b"));
        check("/a/b/..", Ok("/a/"));
        check("/a/b/../../c", Ok("/c"));
        check("/a/b/./../c/.", Ok("/a/c/"));
        check("/.//a", Ok("/a"));
        check("/%7euser/%61%2D%5f", Ok("/~user/a-_"));
        check("/caf%c3%a9", Ok("/caf%C3%A9"));
        check("/a%2ehtml", Ok("/a.html"));
        check("/%2e%2e%2e", Ok("/..."));
        check("/%2ea", Ok("/.a"));
        check("/[slug]/a|b^c", Ok("/%5Bslug%5D/a%7Cb%5Ec"));
        check("/%5bslug%5D/./|", Ok("/%5Bslug%5D/%7C"));
    }

    #[test]
    fn refuses_what_is_no_path() {
        for path in ["", "a", "*", "?", "./a"] {
            check(path, Err(Malformed::TargetForm));
        }
        for path in ["/a b", "/\u{e9}", "/a\"", "/a?b", "/a#b", "/{", "/`", "/a\0", "/./\u{7f}"] {
            check(path, Err(Malformed::TargetByte));
        }
    }

    #[test]
    fn refuses_slashes_in_disguise() {
        for path in ["/a%2fb", "/a%2Fb", "/%2f", "/..%2f", "/a/%2F/.."] {
            check(path, Err(Malformed::EncodedSlash));
        }
        for path in ["/a%5cb", "/a%5Cb", "/a\\b", "/..\\", "/..%5c"] {
            check(path, Err(Malformed::Backslash));
        }
    }

    #[test]
    fn slashes_that_may_pass_part_no_segments_and_hide_no_dots() {
        let strict = Strict { encoded_slashes: Escapes::Pass, ..Strict::default() };
        for (path, expected) in [
            ("/a%2Fb", Ok("/a%2Fb")),
            ("/a%2fb/./c", Ok("/a%2Fb/c")),
            ("/%2F/%2F", Ok("/%2F/%2F")),
            ("/x/http:%2F%2Fa.example%2F", Ok("/x/http:%2F%2Fa.example%2F")),
            ("/a%2F...", Ok("/a%2F...")),
            ("/a%2F.b", Ok("/a%2F.b")),
            ("/a%2F..", Err(Malformed::EncodedDotSegment)),
            ("/..%2Fa", Err(Malformed::EncodedDotSegment)),
            ("/a%2F..%2Fb", Err(Malformed::EncodedDotSegment)),
            ("/a%2f%2E%2e%2fb", Err(Malformed::EncodedDotSegment)),
            ("/a/.%2Fb", Err(Malformed::EncodedDotSegment)),
            ("/a%2F./b", Err(Malformed::EncodedDotSegment)),
            ("/a%2F..;x/b", Err(Malformed::DotSegmentParameter)),
            ("/a/%2F/../b", Err(Malformed::EncodedSlash)),
            ("/a/../b%2Fc", Err(Malformed::EncodedSlash)),
            ("/a%5Cb", Err(Malformed::Backslash)),
            ("/a%252Fb", Err(Malformed::DoubleEncoding)),
            ("/a%2F%00", Err(Malformed::EncodedControl)),
        ] {
            check_as(&strict, path, expected);
        }
    }

    #[test]
    fn escapes_of_escapes_may_pass() {
        let strict = Strict { double_encoding: Escapes::Pass, ..Strict::default() };
        for (path, expected) in [
            ("/a%252Fb", Ok("/a%252Fb")),
            ("/%25%32%66", Ok("/%252f")),
            ("/%252e%252e/a", Ok("/%252e%252e/a")),
            ("/%25252f", Ok("/%25252f")),
            ("/a%2Fb", Err(Malformed::EncodedSlash)),
            ("/%25%", Err(Malformed::IncompleteEscape)),
        ] {
            check_as(&strict, path, expected);
        }
    }

    #[test]
    fn refuses_encoded_control_bytes() {
        for path in ["/a%00", "/a%0a", "/%0D%0A", "/%1f", "/%7f", "/..%00"] {
            check(path, Err(Malformed::EncodedControl));
        }
    }

    #[test]
    fn refuses_dot_segments_in_disguise() {
        for path in ["/%2e", "/%2E%2e/a", "/a/.%2e", "/a/%2e./b", "/a/%2e/"] {
            check(path, Err(Malformed::EncodedDotSegment));
        }
        for path in
            ["/..;/a", "/a/..;", "/.;/", "/a/..;x=1/b", "/a/%2e%2e;/", "/a/..%3b/", "/.%3Bx"]
        {
            check(path, Err(Malformed::DotSegmentParameter));
        }
    }

    #[test]
    fn refuses_paths_with_two_roots() {
        for path in ["/..", "/../", "/../a", "/a/../..", "/./..", "/a/../../a/b"] {
            check(path, Err(Malformed::AboveRoot));
        }
        for path in ["/a//../b", "/a//b/../../c", "/a/..//b", "//a/.."] {
            check(path, Err(Malformed::DotsAmongSlashes));
        }
    }

    #[test]
    fn refuses_escapes_of_escapes() {
        for path in ["/%252f", "/%252e%252e/", "/%25%32%66", "/%25%325", "/%2541", "/%25252f"] {
            check(path, Err(Malformed::DoubleEncoding));
        }
    }

    #[test]
    fn refuses_incomplete_escapes() {
        for path in ["/%", "/%2", "/%2/f", "/a%zz", "/%u002f", "/%%32%66", "/%-1", "/%+1", "/%25%"]
        {
            check(path, Err(Malformed::IncompleteEscape));
        }
    }

    #[test]
    fn refuses_what_does_not_decode_to_utf8() {
        for path in [
            "/%c0%af",        // overlong slash
            "/%c0%ae%c0%ae/", // overlong dots
            "/%e0%80%af",     // overlong slash in three bytes
            "/%f0%80%80%af",  // and in four
            "/%ed%a0%80",     // surrogate
            "/%f4%90%80%80",  // beyond Unicode
            "/%ff",           // never in UTF-8
            "/%80",           // continuation alone
            "/%c3",           // cut short
            "/%c3/%a9",       // across a slash
            "/%c3a",          // no continuation
            "/%e9t%e9",       // Latin-1
            "/a%e2%82/%ac%e2%82%ac",
        ] {
            check(path, Err(Malformed::NotUtf8));
        }
    }

    /// A path of pieces that matter to the rules above.
    fn some_path(random: &mut fastrand::Rng) -> String {
        const PIECES: [&str; 28] = [
            "/", "/", "/", "//", ".", "..", "a", "b", "%2e", "%2E", "%2f", "%25", "25", "2f",
            "%41", "%c3", "%a9", "%C3%A9", ";", "%", "%7e", "%20", "/../", "/./", "~", "\\", "|",
            "%7C",
        ];
        let count = random.usize(0..12);
        let pieces = std::iter::repeat_with(|| PIECES[random.usize(..PIECES.len())]).take(count);
        std::iter::once("/").chain(pieces).collect()
    }

    #[test]
    fn normal_paths_are_normal_for_good() {
        let mut random = fastrand::Rng::with_seed(2);
        let lenient = Strict {
            encoded_slashes: Escapes::Pass,
            double_encoding: Escapes::Pass,
            ..Strict::default()
        };
        let mut good = 0;
        for count in 0..400_000 {
            let path = some_path(&mut random);
            let strict = if count % 2 == 0 { Strict::default() } else { lenient };
            let Ok(normal) = normalise(&path, &strict) else { continue };
            good += 1;
            assert_eq!(normalise(&normal, &strict), Ok(Cow::Borrowed(&*normal)), "{path}");
            assert!(normal.starts_with('/'), "{path} became {normal}");
            assert!(!normal.contains("//"), "{path} became {normal}");
            assert!(!normal.split('/').any(|s| s == "." || s == ".."), "{path} became {normal}");
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(&normal).collect();
            assert!(str::from_utf8(&decoded).is_ok(), "{path} became {normal}");
            if !path.contains(['%', '|']) {
                // What browsers make of it, but for doubled slashes.
                let expected = naive(&path);
                assert_eq!(normal, expected, "{path}");
            }
        }
        assert!(good > 20_000, "only {good} paths were good");
    }

    /// The merge of slashes and RFC 3986 §5.2.4, written to be read.
    fn naive(path: &str) -> String {
        let mut kept: Vec<&str> = Vec::new();
        for segment in path.split('/').filter(|segment| !matches!(*segment, "" | ".")) {
            if segment == ".." {
                kept.pop();
            } else {
                kept.push(segment);
            }
        }
        let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
        let tail = if is_folder && !kept.is_empty() { "/" } else { "" };
        format!("/{}{tail}", kept.join("/"))
    }
}
