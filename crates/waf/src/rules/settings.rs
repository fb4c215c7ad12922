//! What directives set for the whole rule set.

use crate::parse::{CookieFormat, EngineMode, OverLimit, Setting, Toggle};

/// What applies to every transaction until a rule changes it. ModSecurity's defaults, except that
/// bodies of requests are inspected unless a directive says no.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) engine: EngineMode,
    pub(crate) reads_request_body: bool,
    pub(crate) reads_response_body: bool,
    /// Bytes of a request body, files of forms not counted: the smaller of two limits.
    pub(crate) request_body_limit: u64,
    /// SecRequestBodyLimit and SecRequestBodyNoFilesLimit.
    body_limits: [u64; 2],
    pub(crate) over_request_limit: OverLimit,
    pub(crate) response_body_limit: u64,
    pub(crate) over_response_limit: OverLimit,
    /// Media types of responses that are inspected, in lower case.
    pub(crate) response_types: Vec<Vec<u8>>,
    pub(crate) json_depth: usize,
    pub(crate) arguments: usize,
    pub(crate) files: usize,
    pub(crate) argument_separator: u8,
    pub(crate) cookie_format: CookieFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: EngineMode::On,
            reads_request_body: true,
            reads_response_body: false,
            request_body_limit: 131_072,
            body_limits: [134_217_728, 131_072],
            over_request_limit: OverLimit::Reject,
            response_body_limit: 524_288,
            over_response_limit: OverLimit::ProcessPartial,
            response_types: [&b"text/plain"[..], b"text/html"].map(<[u8]>::to_vec).into(),
            json_depth: 512,
            arguments: 1000,
            files: 100,
            argument_separator: b'&',
            cookie_format: CookieFormat::Netscape,
        }
    }
}

impl Settings {
    pub(crate) fn apply(&mut self, setting: &Setting) {
        match setting {
            Setting::RuleEngine(mode) => self.engine = *mode,
            Setting::RequestBodyAccess(on) => self.reads_request_body = *on == Toggle::On,
            Setting::ResponseBodyAccess(on) => self.reads_response_body = *on == Toggle::On,
            Setting::RequestBodyLimit(bytes) => self.limit_bodies([*bytes, self.body_limits[1]]),
            Setting::RequestBodyNoFilesLimit(bytes) => {
                self.limit_bodies([self.body_limits[0], *bytes]);
            }
            Setting::RequestBodyLimitAction(over) => self.over_request_limit = *over,
            Setting::RequestBodyJsonDepthLimit(depth) => self.json_depth = count(*depth),
            Setting::ArgumentsLimit(most) => self.arguments = count(*most),
            Setting::UploadFileLimit(most) => self.files = count(*most),
            Setting::ResponseBodyLimit(bytes) => self.response_body_limit = *bytes,
            Setting::ResponseBodyLimitAction(over) => self.over_response_limit = *over,
            Setting::ResponseBodyMimeTypes(types) => self.response_types.extend_from_slice(types),
            Setting::ResponseBodyMimeTypesClear => self.response_types.clear(),
            Setting::ArgumentSeparator(byte) => self.argument_separator = *byte,
            Setting::CookieFormat(format) => self.cookie_format = *format,
            // A notice says that nothing is kept.
            Setting::CollectionTimeout(_) => {}
        }
    }

    fn limit_bodies(&mut self, limits: [u64; 2]) {
        self.body_limits = limits;
        self.request_body_limit = limits[0].min(limits[1]);
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
