//! The boundary that a content type names, and lines that resemble it.

use memchr::memmem::{self, Finder};

use super::{Flags, MultipartError};
use crate::body::cookies::{is_space, trim_start};

const MEDIA_TYPE: &[u8] = b"multipart/form-data";
const PARAMETER: &[u8] = b"boundary";
const CONTENT_TYPE_BYTES: usize = 1_024;

/// Why a content type gives no boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BoundaryError {
    #[error("is too long")]
    TooLong,
    #[error("is not multipart/form-data")]
    MediaType,
    #[error("has more than one boundary parameter")]
    Several,
    #[error("has no boundary")]
    Missing,
    #[error("has its boundary parameter not in lower case")]
    UpperCase,
    #[error("has something else before its boundary parameter")]
    Misplaced,
    #[error("has a boundary parameter without a value")]
    NoValue,
    #[error("has half a pair of quotes around its boundary")]
    HalfQuoted,
    #[error("has an empty boundary")]
    Empty,
    #[error("has the word boundary in its boundary")]
    Nested,
    #[error("has a boundary with an invalid character")]
    Character,
}

/// Invariant: not empty, and shorter than a segment.
#[derive(Debug, Clone)]
pub(super) struct Boundary {
    /// `--` and the boundary.
    finder: Finder<'static>,
}

impl Boundary {
    pub(super) fn parse(content_type: &[u8], flags: &mut Flags) -> Result<Self, BoundaryError> {
        if content_type.len() > CONTENT_TYPE_BYTES {
            return Err(BoundaryError::TooLong);
        }
        let parameters = after_media_type(content_type).ok_or(BoundaryError::MediaType)?;
        match count(content_type) {
            0 | 1 => {}
            _ => return Err(BoundaryError::Several),
        }
        let Some(at) = memmem::find(parameters, PARAMETER) else {
            let is_other_case = count(content_type) > 0;
            return Err(if is_other_case {
                BoundaryError::UpperCase
            } else {
                BoundaryError::Missing
            });
        };
        let (before, parameter) = parameters.split_at(at);
        let mut before = before.iter().filter(|byte| !is_space(**byte));
        match (before.next(), before.next()) {
            (None, _) => flags.missing_semicolon = true,
            (Some(b';'), None) => {}
            _ => return Err(BoundaryError::Misplaced),
        }
        let text = unquote(value(&parameter[PARAMETER.len()..], flags)?, flags)?;
        check_text(text)?;
        Ok(Self { finder: Finder::new(&[b"--", text].concat()).into_owned() })
    }

    /// Without the `--` before it in the body.
    pub(super) fn text(&self) -> &[u8] {
        &self.finder.needle()[2..]
    }

    /// Whether `line` holds it anywhere.
    pub(super) fn is_within(&self, line: &[u8]) -> bool {
        self.finder.find(line).is_some()
    }

    /// Refuses lines that some servers take for it: `text` stands behind `--`.
    pub(super) fn check_unmatched(&self, text: &[u8], quoted: bool) -> Result<(), MultipartError> {
        if quoted && text.strip_prefix(b"\"").is_some_and(|text| text.starts_with(self.text())) {
            return Err(MultipartError::QuotedBoundary);
        }
        let trimmed = trim_start(text);
        if trimmed.len() < text.len() && trimmed.starts_with(self.text()) {
            return Err(MultipartError::SpacedBoundary);
        }
        Ok(())
    }
}

fn after_media_type(content_type: &[u8]) -> Option<&[u8]> {
    let (media_type, parameters) = content_type.split_at_checked(MEDIA_TYPE.len())?;
    media_type.eq_ignore_ascii_case(MEDIA_TYPE).then_some(parameters)
}

/// How many times `boundary` is named, in any case, with a `=` somewhere behind it.
fn count(text: &[u8]) -> usize {
    let assigned = memchr::memrchr(b'=', text).map_or(&[][..], |at| &text[..at]);
    memmem::find_iter(&assigned.to_ascii_lowercase(), PARAMETER).count()
}

/// What stands behind the `=`.
fn value<'a>(after_name: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], BoundaryError> {
    let assigned = trim_start(after_name);
    flags.boundary_whitespace |= assigned.len() < after_name.len();
    let value = assigned.strip_prefix(b"=").ok_or(BoundaryError::NoValue)?;
    flags.boundary_whitespace |= value.first().is_some_and(|byte| is_space(*byte));
    Ok(value)
}

fn unquote<'a>(value: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], BoundaryError> {
    match value {
        [b'"', inner @ .., b'"'] => {
            flags.boundary_quoted = true;
            Ok(inner)
        }
        [b'"', ..] | [.., _, b'"'] => Err(BoundaryError::HalfQuoted),
        _ => Ok(value),
    }
}

fn check_text(text: &[u8]) -> Result<(), BoundaryError> {
    if text.is_empty() {
        return Err(BoundaryError::Empty);
    }
    if count(text) > 0 {
        return Err(BoundaryError::Nested);
    }
    // RFC 2046 §5.1.1: a space is allowed, but not as the last.
    if text.ends_with(b" ") || !text.iter().all(|byte| is_boundary_byte(*byte)) {
        return Err(BoundaryError::Character);
    }
    Ok(())
}

fn is_boundary_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+_,-./:=?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: &str, expected: Result<&str, BoundaryError>) -> Flags {
        let mut flags = Flags::default();
        let found = Boundary::parse(content_type.as_bytes(), &mut flags);
        let found = found.map(|found| found.text().to_vec());
        assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{content_type}");
        flags
    }

    #[test]
    fn finds_the_boundary() {
        for (content_type, boundary) in [
            ("multipart/form-data; boundary=abc", "abc"),
            ("Multipart/Form-Data;boundary=----WebKit4", "----WebKit4"),
            ("multipart/form-data; boundary=a b'()+_,-./:=?c", "a b'()+_,-./:=?c"),
        ] {
            assert_eq!(check(content_type, Ok(boundary)), Flags::default());
        }
    }

    #[test]
    fn flags_what_servers_read_in_two_ways() {
        let flags = check("multipart/form-data; boundary=\"a b\"", Ok("a b"));
        assert_eq!(flags, Flags { boundary_quoted: true, ..Flags::default() });
        let flags = check("multipart/form-data boundary=a", Ok("a"));
        assert_eq!(flags, Flags { missing_semicolon: true, ..Flags::default() });
        for content_type in
            ["multipart/form-data; boundary =a", "multipart/form-data; boundary\t=a"]
        {
            let flags = check(content_type, Ok("a"));
            assert_eq!(flags, Flags { boundary_whitespace: true, ..Flags::default() });
        }
        let flags = check("multipart/form-data; boundary= a", Ok(" a"));
        assert_eq!(flags, Flags { boundary_whitespace: true, ..Flags::default() });
    }

    #[test]
    fn refuses_what_names_no_boundary() {
        use BoundaryError as E;
        for (parameters, fault) in [
            ("", E::Missing),
            ("; charset=utf-8", E::Missing),
            ("; Boundary=a", E::UpperCase),
            ("; boundary", E::NoValue),
            ("; boundary;x=a", E::NoValue),
            ("; boundary=", E::Empty),
            ("; boundary=\"\"", E::Empty),
            ("; boundary=a; boundary=b", E::Several),
            ("; boundary=a; BOUNDARY=b", E::Several),
            ("; charset=utf-8; boundary=a", E::Misplaced),
            (";; boundary=a", E::Misplaced),
            ("; boundary=\"a", E::HalfQuoted),
            ("; boundary=a\"", E::HalfQuoted),
            ("; boundary=\"", E::HalfQuoted),
            ("; boundary=a; charset=utf-8", E::Character),
            ("; boundary=a ", E::Character),
            ("; boundary=a\u{e9}", E::Character),
            ("; boundary=a\0", E::Character),
            ("; boundary=a&b", E::Character),
        ] {
            check(&format!("multipart/form-data{parameters}"), Err(fault));
        }
        check("multipart/mixed; boundary=a", Err(E::MediaType));
        check("", Err(E::MediaType));
        check(&format!("multipart/form-data; boundary={}", "a".repeat(1_024)), Err(E::TooLong));
    }
}
