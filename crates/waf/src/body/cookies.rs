//! The `Cookie` header, without decoding: servers differ in what they decode.

use std::borrow::Cow;

use memchr::memchr;

use crate::body::urlencoded::cut;
use crate::parse::CookieFormat;

/// How much of a name is repeated before the keywords behind it; else time were not linear.
const QUALIFIER_BYTES: usize = 256;

/// The cookies of one header value, in order. One with neither a name nor a value is none.
#[must_use]
pub(crate) fn cookies(header: &[u8], format: CookieFormat) -> Cookies<'_> {
    Cookies { rest: header, format, separator: separator(header), named: &[] }
}

#[derive(Clone, Debug)]
pub(crate) struct Cookies<'a> {
    rest: &'a [u8],
    format: CookieFormat,
    separator: u8,
    /// The cookie that `$Path` and the like behind it belong to; empty before the first.
    named: &'a [u8],
}

impl<'a> Iterator for Cookies<'a> {
    type Item = (Cow<'a, [u8]>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (name, value) = match self.format {
                CookieFormat::Netscape => self.netscape(),
                CookieFormat::Version1 => self.version_1(),
            };
            if name.is_empty() && value.is_empty() {
                continue;
            }
            if self.format == CookieFormat::Netscape {
                return Some((Cow::Borrowed(name), value));
            }
            return Some((self.qualify(name), value));
        }
        None
    }
}

impl<'a> Cookies<'a> {
    fn netscape(&mut self) -> (&'a [u8], &'a [u8]) {
        let (cookie, rest) = cut(self.rest, self.separator);
        self.rest = rest;
        cut(trim_start(cookie), b'=')
    }

    /// RFC 2109, which also lets `,` separate and values be quoted.
    fn version_1(&mut self) -> (&'a [u8], &'a [u8]) {
        let text = trim_start(self.rest);
        let end = text.iter().position(|byte| matches!(byte, b'=' | b';' | b','));
        let end = end.unwrap_or(text.len());
        let name = trim_end(&text[..end]);
        let Some(b'=') = text.get(end) else {
            self.rest = skip_separators(&text[end..]);
            return (name, &[]);
        };
        let value = trim_start(&text[end + 1..]);
        let (value, rest) = if let [b'"', quoted @ ..] = value {
            cut(quoted, b'"')
        } else {
            let end = value.iter().position(|byte| matches!(byte, b';' | b','));
            let (value, rest) = value.split_at(end.unwrap_or(value.len()));
            (trim_end(value), rest)
        };
        self.rest = skip_separators(rest);
        (name, value)
    }

    /// `$Path` becomes `$name_Path`, with the name of the cookie before it.
    fn qualify(&mut self, name: &'a [u8]) -> Cow<'a, [u8]> {
        match name {
            [b'$', keyword @ ..] if !self.named.is_empty() => {
                Cow::Owned([b"$", self.named, b"_", keyword].concat())
            }
            [b'$', ..] => Cow::Borrowed(name),
            _ => {
                self.named = &name[..name.len().min(QUALIFIER_BYTES)];
                Cow::Borrowed(name)
            }
        }
    }
}

/// `;`, or `,` where there is no `;` and the first `,` is followed by a space.
fn separator(header: &[u8]) -> u8 {
    let comma = memchr(b',', header).and_then(|at| header.get(at + 1));
    if comma == Some(&b' ') && memchr(b';', header).is_none() { b',' } else { b';' }
}

fn skip_separators(text: &[u8]) -> &[u8] {
    let kept = text.iter().position(|byte| !(matches!(byte, b',' | b';') || is_space(*byte)));
    &text[kept.unwrap_or(text.len())..]
}

pub(super) fn trim_start(text: &[u8]) -> &[u8] {
    let kept = text.iter().position(|byte| !is_space(*byte));
    &text[kept.unwrap_or(text.len())..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|byte| !is_space(*byte));
    &text[..kept.map_or(0, |at| at + 1)]
}

/// White space as C has it, which takes also the vertical tab.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::fixture::check_linear;

    #[track_caller]
    fn check(header: &str, format: CookieFormat, expected: &[(&str, &str)]) {
        let found: Vec<_> = cookies(header.as_bytes(), format).collect();
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| {
                (std::str::from_utf8(name).unwrap(), std::str::from_utf8(value).unwrap())
            })
            .collect();
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn netscape_cookies_are_separated_by_semicolons() {
        for (header, expected) in [
            ("", &[][..]),
            ("a=1; b=2", &[("a", "1"), ("b", "2")]),
            ("a=1;b=2;", &[("a", "1"), ("b", "2")]),
            ("a; b=", &[("a", ""), ("b", "")]),
            (
                " \t a = 1 ;; ;=x; b=\"2 3\"=%41+",
                &[("a ", " 1 "), ("", "x"), ("b", "\"2 3\"=%41+")],
            ),
            ("a=1,b=2", &[("a", "1,b=2")]),
            ("a=1, b=2", &[("a", "1"), ("b", "2")]),
            ("a=1, b=2; c=3", &[("a", "1, b=2"), ("c", "3")]),
            ("$Version=1; a=1; $Path=/", &[("$Version", "1"), ("a", "1"), ("$Path", "/")]),
        ] {
            check(header, CookieFormat::Netscape, expected);
        }
    }

    #[test]
    fn cookies_of_version_1_have_quotes_and_keywords() {
        for (header, expected) in [
            ("a=1, b=2;c", &[("a", "1"), ("b", "2"), ("c", "")][..]),
            ("a = \"1; 2\" ; b = 3 ", &[("a", "1; 2"), ("b", "3")]),
            ("a=\"1", &[("a", "1")]),
            ("a=\"", &[("a", "")]),
            ("a= ;b", &[("a", ""), ("b", "")]),
            (",; =1, a", &[("", "1"), ("a", "")]),
            (
                "$Version=1; a=1; $Path=/; b=2; $Domain=x",
                &[("$Version", "1"), ("a", "1"), ("$a_Path", "/"), ("b", "2"), ("$b_Domain", "x")],
            ),
        ] {
            check(header, CookieFormat::Version1, expected);
        }
    }

    #[test]
    fn time_is_linear() {
        for piece in [";", "=", ",", " ", "\"", "$a;", "a;", "a=\"", "a=b, "] {
            for format in [CookieFormat::Netscape, CookieFormat::Version1] {
                check_linear(piece, |times| {
                    let header = ["a=", &piece.repeat(times)].concat();
                    assert!(cookies(header.as_bytes(), format).count() <= header.len());
                });
                let named = "n".repeat(8_000);
                check_linear(piece, |times| {
                    let header = [&named, "; ", &piece.repeat(times)].concat();
                    assert!(cookies(header.as_bytes(), format).count() <= header.len());
                });
            }
        }
    }
}
