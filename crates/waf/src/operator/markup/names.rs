//! Names of tags and attributes, and addresses, that run scripts.

use libinjectionrs::xss::{Html5Flags, XssDetector};

/// Bytes of the longest name that means something, and some more.
const NAME: usize = 64;

const TAGS: [&[u8]; 20] = [
    b"APPLET",
    b"BASE",
    b"COMMENT",
    b"EMBED",
    b"FRAME",
    b"FRAMESET",
    b"HANDLER",
    b"IFRAME",
    b"IMPORT",
    b"ISINDEX",
    b"LINK",
    b"LISTENER",
    b"META",
    b"NOSCRIPT",
    b"OBJECT",
    b"SCRIPT",
    b"STYLE",
    b"VMLFRAME",
    b"XML",
    b"XSS",
];
const PROTOCOLS: [&[u8]; 4] = [b"DATA", b"VIEW-SOURCE", b"VBSCRIPT", b"JAVA"];

/// What the value of an attribute is to a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Plain,
    /// Whatever its value is, it is an attack.
    Script,
    Address,
    /// The name of another attribute.
    Name,
}

pub(super) fn is_bad_tag(name: &[u8]) -> bool {
    let Some(start) = name.get(..3) else { return false };
    if start.eq_ignore_ascii_case(b"svg") || start.eq_ignore_ascii_case(b"xsl") {
        return true;
    }
    let mut upper = [0; NAME];
    upper_case(name, &mut upper).is_some_and(|name| TAGS.contains(&name))
}

impl Attribute {
    pub(super) fn of(name: &[u8]) -> Self {
        if name.len() < 2 {
            return Self::Plain;
        }
        let is_event = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"on"));
        if name.len() >= 5 && (is_event && is_event_name(name) || is_namespace(name)) {
            return Self::Script;
        }
        let mut upper = [0; NAME];
        match upper_case(name, &mut upper) {
            Some(b"DATAFORMATAS" | b"DATASRC" | b"FILTER" | b"STYLE") => Self::Script,
            Some(
                b"ACTION" | b"BY" | b"BACKGROUND" | b"DYNSRC" | b"FORMACTION" | b"FOLDER" | b"FROM"
                | b"HANDLER" | b"HREF" | b"LOWSRC" | b"POSTER" | b"SRC" | b"TO" | b"VALUES"
                | b"XLINK:HREF",
            ) => Self::Address,
            Some(b"ATTRIBUTENAME") => Self::Name,
            _ => Self::Plain,
        }
    }
}

/// Whether `on` and what follows is an event. Libinjection has the list of them.
fn is_event_name(name: &[u8]) -> bool {
    let mut asked = [0; NAME];
    let Some(name) = upper_case(name, &mut asked) else { return false };
    let length = name.len();
    if length < 5 || !name.iter().all(u8::is_ascii_uppercase) {
        return false;
    }
    let Some(value) = asked.get_mut(length..length + 2) else { return false };
    value.copy_from_slice(b"=1");
    let asked = asked.get(..length + 2).unwrap_or_default();
    XssDetector::is_xss(asked, Html5Flags::ValueNoQuote)
}

fn is_namespace(name: &[u8]) -> bool {
    let start = name.get(..5).unwrap_or_default();
    start.eq_ignore_ascii_case(b"xmlns") || start.eq_ignore_ascii_case(b"xlink")
}

/// A name without zeros, which browsers may ignore; None if it is longer than any that is known.
fn upper_case<'a>(name: &[u8], space: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for byte in name.iter().filter(|byte| **byte != 0) {
        *space.get_mut(length)? = byte.to_ascii_uppercase();
        length += 1;
    }
    space.get(..length)
}

/// Whether an address runs a script, or may: blanks before it and line feeds in it count not.
pub(super) fn is_bad_address(address: &[u8]) -> bool {
    let blanks = address.iter().take_while(|byte| matches!(byte, 0..=32 | 127..)).count();
    let address = address.get(blanks..).unwrap_or_default();
    PROTOCOLS.iter().any(|protocol| begins_with(address, protocol))
}

fn begins_with(address: &[u8], protocol: &[u8]) -> bool {
    let (mut rest, mut wanted) = (address, protocol.iter());
    let mut next = wanted.next();
    let mut is_first = true;
    while let (Some(byte), false) = (next, rest.is_empty()) {
        let (found, length) = character(rest);
        rest = rest.get(length..).unwrap_or_default();
        if is_first && found <= 32 {
            continue;
        }
        is_first = false;
        if found == 0 || found == 10 {
            continue;
        }
        if !u8::try_from(found).is_ok_and(|found| found.eq_ignore_ascii_case(byte)) {
            return false;
        }
        next = wanted.next();
    }
    next.is_none()
}

/// The first character of HTML, whose number may be written out, and its length.
fn character(text: &[u8]) -> (u32, usize) {
    const LAST: u32 = 0x10_00ff;
    let plain = (u32::from(text.first().copied().unwrap_or(0)), 1);
    let (start, radix) = match text {
        [b'&', b'#', b'x' | b'X', ..] => (3, 16),
        [b'&', b'#', ..] => (2, 10),
        _ => return plain,
    };
    let mut value = 0;
    let mut length = start;
    for byte in text.iter().skip(start) {
        let Some(digit) = char::from(*byte).to_digit(radix) else { break };
        value = value * radix + digit;
        // The first digit is never too much.
        if value > LAST {
            return plain;
        }
        length += 1;
    }
    if length == start {
        return plain;
    }
    (value, length + usize::from(text.get(length) == Some(&b';')))
}
