//! What a rule does to a value before its operator looks at it (`t:` in SecLang).
//!
//! Each is a pure function over bytes, linear in time, and does what ModSecurity does. Which
//! ones a rule asks for, and `t:none`, which only empties that list, is left to the parser.

mod base64;
mod best_fit;
mod case;
mod cmd_line;
mod comments;
mod escape;
mod hex;
mod html;
mod nulls;
mod parity;
mod path;
mod rewrite;
mod summary;
mod url;
mod utf8;
mod whitespace;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod reference;

use std::{borrow::Cow, error::Error, fmt, str::FromStr};

pub use best_fit::UnicodeMap;

/// The names of SecLang, usual ones first: ModSecurity spells `normalize` in both ways.
///
/// `none` is no transformation: it forgets those that were named before it.
pub(crate) const NAMES: [(&str, Option<Transformation>); 38] = [
    ("base64Decode", Some(Transformation::Base64Decode)),
    ("base64DecodeExt", Some(Transformation::Base64DecodeExt)),
    ("base64Encode", Some(Transformation::Base64Encode)),
    ("cmdLine", Some(Transformation::CmdLine)),
    ("compressWhitespace", Some(Transformation::CompressWhitespace)),
    ("cssDecode", Some(Transformation::CssDecode)),
    ("escapeSeqDecode", Some(Transformation::EscapeSeqDecode)),
    ("hexDecode", Some(Transformation::HexDecode)),
    ("hexEncode", Some(Transformation::HexEncode)),
    ("htmlEntityDecode", Some(Transformation::HtmlEntityDecode)),
    ("jsDecode", Some(Transformation::JsDecode)),
    ("length", Some(Transformation::Length)),
    ("lowercase", Some(Transformation::Lowercase)),
    ("md5", Some(Transformation::Md5)),
    ("none", None),
    ("normalizePath", Some(Transformation::NormalizePath)),
    ("normalizePathWin", Some(Transformation::NormalizePathWin)),
    ("normalisePath", Some(Transformation::NormalizePath)),
    ("normalisePathWin", Some(Transformation::NormalizePathWin)),
    ("parityEven7bit", Some(Transformation::ParityEven7bit)),
    ("parityOdd7bit", Some(Transformation::ParityOdd7bit)),
    ("parityZero7bit", Some(Transformation::ParityZero7bit)),
    ("removeComments", Some(Transformation::RemoveComments)),
    ("removeCommentsChar", Some(Transformation::RemoveCommentsChar)),
    ("removeNulls", Some(Transformation::RemoveNulls)),
    ("removeWhitespace", Some(Transformation::RemoveWhitespace)),
    ("replaceComments", Some(Transformation::ReplaceComments)),
    ("replaceNulls", Some(Transformation::ReplaceNulls)),
    ("sha1", Some(Transformation::Sha1)),
    ("sqlHexDecode", Some(Transformation::SqlHexDecode)),
    ("trim", Some(Transformation::Trim)),
    ("trimLeft", Some(Transformation::TrimLeft)),
    ("trimRight", Some(Transformation::TrimRight)),
    ("uppercase", Some(Transformation::Uppercase)),
    ("urlDecode", Some(Transformation::UrlDecode)),
    ("urlDecodeUni", Some(Transformation::UrlDecodeUni(UnicodeMap::UsAscii))),
    ("urlEncode", Some(Transformation::UrlEncode)),
    ("utf8toUnicode", Some(Transformation::Utf8ToUnicode)),
];

/// A transformation of SecLang, read from its name in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transformation {
    Base64Decode,
    Base64DecodeExt,
    Base64Encode,
    CmdLine,
    CompressWhitespace,
    CssDecode,
    EscapeSeqDecode,
    HexDecode,
    HexEncode,
    HtmlEntityDecode,
    JsDecode,
    Length,
    Lowercase,
    Md5,
    NormalizePath,
    NormalizePathWin,
    ParityEven7bit,
    ParityOdd7bit,
    ParityZero7bit,
    RemoveComments,
    RemoveCommentsChar,
    RemoveNulls,
    RemoveWhitespace,
    ReplaceComments,
    ReplaceNulls,
    Sha1,
    SqlHexDecode,
    Trim,
    TrimLeft,
    TrimRight,
    Uppercase,
    UrlDecode,
    UrlDecodeUni(UnicodeMap),
    UrlEncode,
    Utf8ToUnicode,
}

impl Transformation {
    /// Its name in SecLang.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = NAMES.iter().find(|(_, found)| match found {
            Some(Self::UrlDecodeUni(_)) => matches!(self, Self::UrlDecodeUni(_)),
            found => *found == Some(self),
        });
        named.map_or("none", |(name, _)| name)
    }

    /// What becomes of `value`: borrowed exactly when it is unchanged.
    ///
    /// The result is at most four times as long as `value`, or 20 bytes (a digest, a length).
    pub fn apply(self, value: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Base64Decode => base64::decode(value),
            Self::Base64DecodeExt => base64::decode_forgiving(value),
            Self::Base64Encode => base64::encode(value),
            Self::CmdLine => cmd_line::simplify(value),
            Self::CompressWhitespace => whitespace::compress(value),
            Self::CssDecode => escape::decode_css(value),
            Self::EscapeSeqDecode => escape::decode_c(value),
            Self::HexDecode => hex::decode(value),
            Self::HexEncode => hex::encode(value),
            Self::HtmlEntityDecode => html::decode(value),
            Self::JsDecode => escape::decode_js(value),
            Self::Length => summary::length(value),
            Self::Lowercase => case::lower(value),
            Self::Md5 => summary::md5(value),
            Self::NormalizePath => path::normalize(value),
            Self::NormalizePathWin => path::normalize_win(value),
            Self::ParityEven7bit => parity::even(value),
            Self::ParityOdd7bit => parity::odd(value),
            Self::ParityZero7bit => parity::zero(value),
            Self::RemoveComments => comments::remove(value),
            Self::RemoveCommentsChar => comments::remove_marks(value),
            Self::RemoveNulls => nulls::remove(value),
            Self::RemoveWhitespace => whitespace::remove(value),
            Self::ReplaceComments => comments::replace(value),
            Self::ReplaceNulls => nulls::replace(value),
            Self::Sha1 => summary::sha1(value),
            Self::SqlHexDecode => hex::decode_sql(value),
            Self::Trim => whitespace::trim(value),
            Self::TrimLeft => whitespace::trim_left(value),
            Self::TrimRight => whitespace::trim_right(value),
            Self::Uppercase => case::upper(value),
            Self::UrlDecode => url::decode(value),
            Self::UrlDecodeUni(map) => url::decode_uni(value, map),
            Self::UrlEncode => url::encode(value),
            Self::Utf8ToUnicode => utf8::to_unicode(value),
        }
    }
}

impl Transformation {
    /// The bytes without which a value stays as it is; None if any value may change.
    pub(crate) const fn triggers(self) -> Option<fn(u8) -> bool> {
        Some(match self {
            Self::CmdLine => cmd_line::is_trigger,
            Self::CompressWhitespace | Self::RemoveWhitespace => whitespace::is_blank,
            Self::CssDecode | Self::EscapeSeqDecode | Self::JsDecode => escape::is_backslash,
            Self::HtmlEntityDecode => html::is_trigger,
            Self::Lowercase => case::is_upper,
            Self::NormalizePath => path::is_trigger,
            Self::NormalizePathWin => path::is_trigger_win,
            Self::ParityZero7bit | Self::Utf8ToUnicode => utf8::is_trigger,
            Self::RemoveComments | Self::RemoveCommentsChar | Self::ReplaceComments => {
                comments::is_trigger
            }
            Self::RemoveNulls | Self::ReplaceNulls => nulls::is_null,
            Self::SqlHexDecode => hex::is_trigger,
            Self::Trim | Self::TrimLeft | Self::TrimRight => whitespace::is_space,
            Self::Uppercase => case::is_lower,
            Self::UrlDecode | Self::UrlDecodeUni(_) => url::is_lead,
            Self::Base64Decode
            | Self::Base64DecodeExt
            | Self::Base64Encode
            | Self::HexDecode
            | Self::HexEncode
            | Self::Length
            | Self::Md5
            | Self::ParityEven7bit
            | Self::ParityOdd7bit
            | Self::Sha1
            | Self::UrlEncode => return None,
        })
    }

    /// Whether values that differ in the case of letters alone still do when it is applied.
    pub(crate) const fn is_blind_to_letters(self) -> bool {
        matches!(
            self,
            Self::CompressWhitespace
                | Self::RemoveComments
                | Self::RemoveCommentsChar
                | Self::RemoveNulls
                | Self::RemoveWhitespace
                | Self::ReplaceComments
                | Self::ReplaceNulls
                | Self::Trim
                | Self::TrimLeft
                | Self::TrimRight
        )
    }
}

impl FromStr for Transformation {
    type Err = UnknownTransformation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.and_then(|(_, found)| *found).ok_or_else(|| UnknownTransformation(name.to_owned()))
    }
}

/// A name behind `t:` that is none of SecLang's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTransformation(String);

impl fmt::Display for UnknownTransformation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "unknown transformation `{}`", self.0)
    }
}

impl Error for UnknownTransformation {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case() {
        for (name, transformation) in NAMES {
            let Some(transformation) = transformation else { continue };
            for name in [name.to_owned(), name.to_ascii_uppercase(), name.to_ascii_lowercase()] {
                assert_eq!(name.parse::<Transformation>(), Ok(transformation));
            }
        }
    }

    #[test]
    fn refuses_a_name_that_is_not_of_seclang() {
        for name in ["", "none", "lower", "lowercase ", "base64"] {
            let refused = name.parse::<Transformation>();
            assert_eq!(refused, Err(UnknownTransformation(name.to_owned())));
        }
        let told = UnknownTransformation("rot13".to_owned()).to_string();
        assert_eq!(told, "unknown transformation `rot13`");
    }
}
