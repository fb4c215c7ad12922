//! Directives that set one value of the engine.

use crate::parse::fault::{Fault, Problem};
use crate::parse::names::{self, names};
use crate::parse::text::{Part, Text};

/// The code page of ModSecurity's usual unicode map, the one that urlDecodeUni knows here.
const CODE_PAGE: u64 = 20_127;
/// The largest body limit that ModSecurity 2 accepts, bytes.
const LARGEST_BODY: u64 = 1 << 31;

names! { "switch",
    /// On or off.
    pub enum Toggle {
        Off = "Off",
        On = "On",
    }
}

names! { "engine mode",
    /// Whether rules run, and whether they may refuse.
    pub enum EngineMode {
        Off = "Off",
        On = "On",
        DetectionOnly = "DetectionOnly",
    }
}

#[expect(clippy::derivable_impls, reason = "variants of `names!` take no attributes")]
impl Default for EngineMode {
    fn default() -> Self {
        Self::On
    }
}

names! { "limit action",
    /// What happens to a body past its limit.
    pub enum OverLimit {
        Reject = "Reject",
        ProcessPartial = "ProcessPartial",
    }
}

names! { "cookie format",
    /// How cookies are read.
    pub enum CookieFormat {
        Netscape = "0",
        Version1 = "1",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    RuleEngine(EngineMode),
    RequestBodyAccess(Toggle),
    ResponseBodyAccess(Toggle),
    /// Bytes.
    RequestBodyLimit(u64),
    /// Bytes, files of a multipart body not counted.
    RequestBodyNoFilesLimit(u64),
    RequestBodyLimitAction(OverLimit),
    RequestBodyJsonDepthLimit(u64),
    ArgumentsLimit(u64),
    UploadFileLimit(u64),
    /// Bytes.
    ResponseBodyLimit(u64),
    ResponseBodyLimitAction(OverLimit),
    /// More media types of responses that are inspected.
    ResponseBodyMimeTypes(Vec<Vec<u8>>),
    ResponseBodyMimeTypesClear,
    ArgumentSeparator(u8),
    CookieFormat(CookieFormat),
    /// Seconds.
    CollectionTimeout(u64),
}

names! { "setting",
    /// The directive of a setting.
    pub enum SettingName {
        ArgumentSeparator = "SecArgumentSeparator",
        ArgumentsLimit = "SecArgumentsLimit",
        CollectionTimeout = "SecCollectionTimeout",
        CookieFormat = "SecCookieFormat",
        RequestBodyAccess = "SecRequestBodyAccess",
        RequestBodyJsonDepthLimit = "SecRequestBodyJsonDepthLimit",
        RequestBodyLimit = "SecRequestBodyLimit",
        RequestBodyLimitAction = "SecRequestBodyLimitAction",
        RequestBodyNoFilesLimit = "SecRequestBodyNoFilesLimit",
        ResponseBodyAccess = "SecResponseBodyAccess",
        ResponseBodyLimit = "SecResponseBodyLimit",
        ResponseBodyLimitAction = "SecResponseBodyLimitAction",
        ResponseBodyMimeType = "SecResponseBodyMimeType",
        ResponseBodyMimeTypesClear = "SecResponseBodyMimeTypesClear",
        RuleEngine = "SecRuleEngine",
        UploadFileLimit = "SecUploadFileLimit",
    }
}

/// A setting from the words after its directive; `directive` is where that stands.
pub(crate) fn parse(
    name: SettingName,
    directive: Part<'_>,
    arguments: &[Text],
) -> Result<Setting, Fault> {
    match name {
        SettingName::ResponseBodyMimeType => return mime_types(directive, arguments),
        SettingName::ResponseBodyMimeTypesClear => {
            return match arguments.first() {
                Some(extra) => {
                    let got = extra.whole().shown();
                    Err(Fault::at(extra.whole(), Problem::Extra { name: name.name(), got }))
                }
                None => Ok(Setting::ResponseBodyMimeTypesClear),
            };
        }
        _ => {}
    }
    let [argument] = arguments else {
        let got = arguments.len();
        let problem = Problem::Arguments { name: name.name(), got, want: "one" };
        return Err(Fault::at(directive, problem));
    };
    one(name, argument.whole().trim())
}

fn one(name: SettingName, value: Part<'_>) -> Result<Setting, Fault> {
    use SettingName as Name;
    Ok(match name {
        Name::ArgumentSeparator => Setting::ArgumentSeparator(separator(value)?),
        Name::ArgumentsLimit => Setting::ArgumentsLimit(number(value)?),
        Name::CollectionTimeout => Setting::CollectionTimeout(number(value)?),
        Name::CookieFormat => Setting::CookieFormat(names::find(value)?),
        Name::RequestBodyAccess => Setting::RequestBodyAccess(names::find(value)?),
        Name::RequestBodyJsonDepthLimit => Setting::RequestBodyJsonDepthLimit(number(value)?),
        Name::RequestBodyLimit => Setting::RequestBodyLimit(body(value)?),
        Name::RequestBodyLimitAction => Setting::RequestBodyLimitAction(names::find(value)?),
        Name::RequestBodyNoFilesLimit => Setting::RequestBodyNoFilesLimit(body(value)?),
        Name::ResponseBodyAccess => Setting::ResponseBodyAccess(names::find(value)?),
        Name::ResponseBodyLimit => Setting::ResponseBodyLimit(body(value)?),
        Name::ResponseBodyLimitAction => Setting::ResponseBodyLimitAction(names::find(value)?),
        Name::ResponseBodyMimeType => {
            Setting::ResponseBodyMimeTypes(vec![value.bytes().to_ascii_lowercase()])
        }
        Name::ResponseBodyMimeTypesClear => Setting::ResponseBodyMimeTypesClear,
        Name::RuleEngine => Setting::RuleEngine(names::find(value)?),
        Name::UploadFileLimit => Setting::UploadFileLimit(number(value)?),
    })
}

/// Refuses the values of a directive without effect that would ask for another effect.
pub(crate) fn check_unused(
    name: &'static str,
    directive: Part<'_>,
    arguments: &[Text],
) -> Result<(), Fault> {
    match (name, arguments) {
        ("SecUnicodeMapFile", [_file]) => Ok(()),
        ("SecUnicodeMapFile", [_, page]) | ("SecUnicodeCodePage", [page]) => {
            let part = page.whole().trim();
            if part.number() == Some(CODE_PAGE) {
                return Ok(());
            }
            Err(Fault::wrong(part, "a code page", "20127, the one built in"))
        }
        ("SecUnicodeMapFile", _) => {
            let (got, want) = (arguments.len(), "unicode.mapping 20127");
            Err(Fault::at(directive, Problem::Arguments { name, got, want }))
        }
        ("SecXmlExternalEntity", [value])
            if names::find::<Toggle>(value.whole())? == Toggle::On =>
        {
            Err(Fault::wrong(value.whole(), name, "Off: entities are never resolved"))
        }
        ("SecParseXmlIntoArgs", [value]) if !value.whole().bytes().eq_ignore_ascii_case(b"off") => {
            let reason = "use XML:/* and XML://@*";
            Err(Fault::at(value.whole(), Problem::Refused { name: name.to_owned(), reason }))
        }
        _ => Ok(()),
    }
}

fn mime_types(directive: Part<'_>, arguments: &[Text]) -> Result<Setting, Fault> {
    let mut types = Vec::new();
    for argument in arguments {
        // `(null)` stands for responses without a type.
        let written = argument.whole().bytes();
        let words = written.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        types.extend(words.map(<[u8]>::to_ascii_lowercase));
    }
    if types.is_empty() {
        let want = "media types like text/html text/plain";
        let name = SettingName::ResponseBodyMimeType.name().to_owned();
        return Err(Fault::at(directive, Problem::Missing { name, want }));
    }
    Ok(Setting::ResponseBodyMimeTypes(types))
}

fn number(value: Part<'_>) -> Result<u64, Fault> {
    value.number().ok_or_else(|| Fault::wrong(value, "this setting", "a whole number"))
}

fn body(value: Part<'_>) -> Result<u64, Fault> {
    let bytes = value.number().filter(|bytes| *bytes <= LARGEST_BODY);
    bytes.ok_or_else(|| Fault::wrong(value, "a body limit", "bytes, at most 2147483648"))
}

fn separator(value: Part<'_>) -> Result<u8, Fault> {
    match value.bytes() {
        [byte] => Ok(*byte),
        _ => Err(Fault::wrong(value, "an argument separator", "one character, usually &")),
    }
}
