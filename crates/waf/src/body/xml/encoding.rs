//! Bytes to UTF-8, by byte order mark and declaration (XML 1.0 §4.3.3, appendix F).

use std::borrow::Cow;

use super::XmlError;
use super::cursor::{Cursor, is_space};
use super::tag::attribute;

/// Where a declaration must end.
const DECLARATION_BYTES: usize = 1_024;

pub(super) struct Decoded<'a> {
    /// Valid UTF-8 with characters that XML allows, behind the declaration.
    pub(super) text: Cow<'a, [u8]>,
    /// Why the text ends before the document.
    pub(super) fault: Option<XmlError>,
}

impl<'a> Decoded<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, XmlError> {
        let (text, is_utf16) = match bytes {
            // UTF-32, whose mark begins like that of UTF-16.
            [0xff, 0xfe, 0, 0, ..] => return Err(XmlError::Encoding),
            [0xff, 0xfe, text @ ..] => (Cow::Owned(utf16(text, u16::from_le_bytes)?), true),
            [0xfe, 0xff, text @ ..] => (Cow::Owned(utf16(text, u16::from_be_bytes)?), true),
            [0xef, 0xbb, 0xbf, text @ ..] => (Cow::Borrowed(text), false),
            text => (Cow::Borrowed(text), false),
        };
        let has_mark = text.len() < bytes.len();
        let (declared, length) = declaration(&text)?;
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[length..]),
            Cow::Owned(mut text) => {
                text.drain(..length);
                Cow::Owned(text)
            }
        };
        let text = match (&*declared, is_utf16) {
            (b"" | b"utf-16", true) | (b"" | b"utf-8" | b"utf8", false) => text,
            (b"us-ascii" | b"ascii", false) if text.is_ascii() => text,
            (b"iso-8859-1" | b"latin1", false) if !has_mark => latin1(text),
            _ => return Err(XmlError::Encoding),
        };
        Ok(Self::check(text))
    }

    /// Cuts the text where it is no longer valid.
    fn check(text: Cow<'a, [u8]>) -> Self {
        let valid = match std::str::from_utf8(&text) {
            Ok(valid) => valid,
            Err(fault) => {
                let text = cut(text, fault.valid_up_to());
                return Self { fault: Some(XmlError::Encoding), ..Self::check(text) };
            }
        };
        let bad = valid.bytes().position(|byte| byte < b' ' && !is_space(byte));
        let bad = [bad, valid.find(['\u{fffe}', '\u{ffff}'])].into_iter().flatten().min();
        match bad {
            Some(at) => Self { text: cut(text, at), fault: Some(XmlError::Character) },
            None => Self { text, fault: None },
        }
    }
}

fn cut(text: Cow<'_, [u8]>, length: usize) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
        Cow::Owned(mut text) => {
            text.truncate(length);
            Cow::Owned(text)
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>, XmlError> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return Err(XmlError::Encoding) };
    let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
    let text = text.collect::<Result<String, _>>().map_err(|_| XmlError::Encoding)?;
    Ok(text.into_bytes())
}

fn latin1(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return text;
    }
    Cow::Owned(text.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes())
}

/// The declared encoding in lower case, empty if there is none, and how long the declaration is.
fn declaration(text: &[u8]) -> Result<(Vec<u8>, usize), XmlError> {
    let Some(inner) = text.strip_prefix(b"<?xml") else { return Ok((Vec::new(), 0)) };
    if !inner.first().is_some_and(|byte| is_space(*byte)) {
        // A processing instruction whose target only begins like this.
        return Ok((Vec::new(), 0));
    }
    let mut cursor = Cursor::new(&text[..text.len().min(DECLARATION_BYTES)]);
    let found = cursor.until(b"?>").ok_or(XmlError::Declaration)?;
    let mut inner = Cursor::new(&found[b"<?xml".len()..]);
    let mut encoding = Vec::new();
    let mut names: &[&[u8]] = &[b"version", b"encoding", b"standalone"];
    while inner.skip_space() && !inner.is_at_end() {
        let attribute = attribute(&mut inner).map_err(|_| XmlError::Declaration)?;
        let at = names.iter().position(|name| *name == attribute.name);
        let at = at.ok_or(XmlError::Declaration)?;
        let is_first = names.len() == 3;
        if is_first && (at > 0 || !is_version(attribute.value)) {
            return Err(XmlError::Declaration);
        }
        names = &names[at + 1..];
        match (attribute.name, attribute.value) {
            (b"encoding", value) => encoding = value.to_ascii_lowercase(),
            (b"version", _) | (_, b"yes" | b"no") => {}
            _ => return Err(XmlError::Declaration),
        }
    }
    if !inner.is_at_end() || names.len() == 3 {
        return Err(XmlError::Declaration);
    }
    Ok((encoding, found.len() + b"?>".len()))
}

fn is_version(value: &[u8]) -> bool {
    value.contains(&b'.') && value.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}
