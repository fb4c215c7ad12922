//! The names in a `Content-Disposition` header.

use super::Flags;
use super::part::trim_blanks;
use crate::body::urlencoded::{cut, escaped};

/// Why a `Content-Disposition` names no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DispositionError {
    #[error("is not form-data")]
    NotFormData,
    #[error("has something other than a semicolon between parameters")]
    NoSemicolon,
    #[error("ends within a parameter")]
    Cut,
    #[error("has a parameter without an equals sign")]
    NoEquals,
    #[error("has a parameter other than name and filename")]
    Unknown,
    #[error("has a parameter twice")]
    Duplicate,
    #[error("has a filename* that is not UTF-8 or ISO-8859-1 as RFC 5987 writes it")]
    Extended,
    #[error("has a filename* without a filename")]
    OnlyExtended,
    #[error("has no name")]
    NoName,
    #[error("has a filename that other parsers do not find")]
    HiddenFilename,
}

/// What a part is called, and the file in it if it is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    pub(super) name: Option<Vec<u8>>,
    pub(super) filename: Option<Vec<u8>>,
    pub(super) extended: Option<Vec<u8>>,
}

impl Disposition {
    /// Reads the value of the header; what ModSecurity 2 refuses is a fault, except a `filename*`
    /// beside a `filename`.
    pub(super) fn parse(value: &[u8], flags: &mut Flags) -> Result<Self, DispositionError> {
        let mut found = Self::default();
        let parameters = value.strip_prefix(b"form-data").ok_or(DispositionError::NotFormData)?;
        let mut rest = trim_blanks(parameters);
        while let [separator, parameter @ ..] = rest {
            if *separator != b';' {
                return Err(DispositionError::NoSemicolon);
            }
            if parameter.is_empty() {
                break;
            }
            let parameter = Parameter::parse(parameter, flags)?;
            rest = trim_blanks(parameter.rest);
            if parameter.quote.is_some() && matches!(parameter.rest, [next, ..] if *next != b';') {
                flags.invalid_quoting |= rest.len() == parameter.rest.len();
            }
            found.add(parameter, flags)?;
        }
        if found.extended.is_some() && found.filename.is_none() {
            // To some servers it is a file, to others a field.
            return Err(DispositionError::OnlyExtended);
        }
        Ok(found)
    }

    fn add(&mut self, parameter: Parameter<'_>, flags: &mut Flags) -> Result<(), DispositionError> {
        let Parameter { name, mut value, quote, .. } = parameter;
        let place = match name {
            b"name" => &mut self.name,
            b"filename" => &mut self.filename,
            b"filename*" => {
                value = decode_extended(&value).ok_or(DispositionError::Extended)?;
                &mut self.extended
            }
            _ => return Err(DispositionError::Unknown),
        };
        flags.invalid_quoting |= name != b"filename*" && quote.is_none() && value.contains(&b'\'');
        flags.invalid_quoting |= name == b"filename*" && quote.is_some();
        if place.is_some() {
            return Err(DispositionError::Duplicate);
        }
        *place = Some(value);
        Ok(())
    }
}

struct Parameter<'a> {
    name: &'a [u8],
    value: Vec<u8>,
    quote: Option<u8>,
    /// What follows the value.
    rest: &'a [u8],
}

impl<'a> Parameter<'a> {
    fn parse(text: &'a [u8], flags: &mut Flags) -> Result<Self, DispositionError> {
        let text = trim_blanks(text);
        let end = text.iter().position(|byte| matches!(byte, b'=' | b'\t' | b' '));
        let (name, rest) = text.split_at(end.ok_or(DispositionError::Cut)?);
        let value = match trim_blanks(rest) {
            [] => return Err(DispositionError::Cut),
            [b'=', value @ ..] => trim_blanks(value),
            _ => return Err(DispositionError::NoEquals),
        };
        match value {
            [] => Err(DispositionError::Cut),
            // Some servers take an apostrophe for a quote, so it is read as one, and a flag.
            [quote @ (b'"' | b'\''), quoted @ ..] => {
                flags.invalid_quoting |= *quote == b'\'';
                let (value, rest) = unquote(quoted, *quote)?;
                Ok(Self { name, value, quote: Some(*quote), rest })
            }
            _ => {
                let end = value.iter().position(|byte| !is_token(*byte));
                let (value, rest) = value.split_at(end.unwrap_or(value.len()));
                Ok(Self { name, value: value.to_vec(), quote: None, rest })
            }
        }
    }
}

/// Only the quote and the backslash can be escaped: Internet Explorer sent paths with single ones.
fn unquote(quoted: &[u8], quote: u8) -> Result<(Vec<u8>, &[u8]), DispositionError> {
    let mut value = Vec::new();
    let mut rest = quoted;
    loop {
        rest = match rest {
            [] | [b'\\'] => return Err(DispositionError::Cut),
            [b'\\', next, rest @ ..] if *next == quote || *next == b'\\' => {
                value.push(*next);
                rest
            }
            [next, rest @ ..] if *next == quote => return Ok((value, rest)),
            [next, rest @ ..] => {
                value.push(*next);
                rest
            }
        };
    }
}

/// `charset'language'text` to UTF-8 (RFC 5987 §3.2).
fn decode_extended(value: &[u8]) -> Option<Vec<u8>> {
    let (charset, rest) = cut(value, b'\'');
    let language = rest.iter().position(|byte| *byte == b'\'')?;
    let mut text = &rest[language + 1..];
    let mut decoded = Vec::new();
    while let [first, rest @ ..] = text {
        let (byte, rest) = match first {
            b'%' => (escaped(text)?, &text[3..]),
            _ => (*first, rest),
        };
        decoded.push(byte);
        text = rest;
    }
    if charset.eq_ignore_ascii_case(b"utf-8") {
        return std::str::from_utf8(&decoded).is_ok().then_some(decoded);
    }
    let is_latin1 = charset.eq_ignore_ascii_case(b"iso-8859-1");
    is_latin1.then(|| decoded.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes())
}

/// RFC 2616 §2.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Result<[Option<&str>; 3], DispositionError>) -> Flags {
        let mut flags = Flags::default();
        let found = Disposition::parse(value.as_bytes(), &mut flags);
        let expected = expected.map(|names| {
            let [name, filename, extended] =
                names.map(|name| name.map(|name| name.as_bytes().to_vec()));
            Disposition { name, filename, extended }
        });
        assert_eq!(found, expected, "{value}");
        flags
    }

    #[test]
    fn reads_names() {
        for (value, name, filename) in [
            ("form-data", None, None),
            ("form-data; name=a", Some("a"), None),
            ("form-data;name=a;", Some("a"), None),
            ("form-data \t; name = a ; filename = b", Some("a"), Some("b")),
            ("form-data; name=\"\"; filename=\"\"", Some(""), Some("")),
            ("form-data; name=; filename=x", Some(""), Some("x")),
            ("form-data; filename=\"b\"; name=\"O'Reilly; x=y\"", Some("O'Reilly; x=y"), Some("b")),
            (r#"form-data; name="a\"b\\c\d""#, Some(r#"a"b\c\d"#), None),
            (r#"form-data; name="C:\dir\f.txt""#, Some(r"C:\dir\f.txt"), None),
        ] {
            let flags = check(value, Ok([name, filename, None]));
            assert_eq!(flags, Flags::default(), "{value}");
        }
    }

    #[test]
    fn flags_other_quotes() {
        for (value, name) in [
            ("form-data; name='a'", "a"),
            ("form-data; name='a\\'b\"c'", "a'b\"c"),
            ("form-data; name=a'b", "a'b"),
        ] {
            assert!(check(value, Ok([Some(name), None, None])).invalid_quoting, "{value}");
        }
        let value = "form-data; name=\"a\"b\"";
        assert!(check(value, Err(DispositionError::NoSemicolon)).invalid_quoting);
    }

    #[test]
    fn decodes_an_extended_filename_beside_a_plain_one() {
        for (text, decoded) in [
            ("UTF-8''na%C3%AFve%20a.txt", "na\u{ef}ve a.txt"),
            ("utf-8'en'x", "x"),
            ("iso-8859-1''%E9", "\u{e9}"),
        ] {
            let value = format!("form-data; name=a; filename*={text}; filename=b");
            let flags = check(&value, Ok([Some("a"), Some("b"), Some(decoded)]));
            assert_eq!(flags, Flags::default(), "{value}");
        }
        for text in ["x", "utf-8'x", "utf-8''%", "utf-8''%4", "utf-8''%ff", "utf-7''x", "''x"] {
            let value = format!("form-data; name=a; filename=b; filename*={text}");
            check(&value, Err(DispositionError::Extended));
        }
        let value = "form-data; name=a; filename*=utf-8''x";
        check(value, Err(DispositionError::OnlyExtended));
    }

    #[test]
    fn refuses_what_servers_read_in_two_ways() {
        use DispositionError as E;
        for (value, fault) in [
            ("", E::NotFormData),
            ("Form-Data; name=a", E::NotFormData),
            ("attachment; name=a", E::NotFormData),
            ("form-data, name=a", E::NoSemicolon),
            ("form-datax", E::NoSemicolon),
            ("form-data; ", E::Cut),
            ("form-data; name", E::Cut),
            ("form-data; name ", E::Cut),
            ("form-data; name=", E::Cut),
            ("form-data; name= ", E::Cut),
            ("form-data; name=\"", E::Cut),
            ("form-data; name=\"a", E::Cut),
            ("form-data; name=\"a\\", E::Cut),
            ("form-data; name a=b", E::NoEquals),
            ("form-data; name=a; name=b", E::Duplicate),
            ("form-data; name=a; filename=b; filename=c", E::Duplicate),
            ("form-data; name=a filename=b", E::NoSemicolon),
            ("form-data; name=a,b", E::NoSemicolon),
            ("form-data; name=a; Filename=b", E::Unknown),
            ("form-data; name=a; size=4", E::Unknown),
            ("form-data; name=a;; filename=b", E::NoEquals),
        ] {
            check(value, Err(fault));
        }
    }
}
