//! The head of a request to variables.

use std::borrow::Cow;
use std::net::SocketAddr;

use crate::body::{cookies, urlencoded};
use crate::parse::{BodyProcessor, Variable};
use crate::rules::Settings;
use crate::transaction::overrun::Overrun;
use crate::transaction::state::State;
use crate::transaction::tx::itoa;

/// Who asks whom, when, and under which name.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'a> {
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// UNIQUE_ID: what logs call this request.
    pub id: &'a [u8],
    /// Seconds since 1970, for the TIME variables, which are in UTC.
    pub time: u64,
}

/// The head of a request, as the client sent it.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    pub method: &'a [u8],
    /// The target as it was written, RFC 9112 §3.2.
    pub target: &'a [u8],
    /// For example `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// Names and values in their order.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

impl RequestHead<'_> {
    /// The first value of a header field; `name` in lower case.
    pub(crate) fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Every value of a header field; `name` in lower case.
    pub(crate) fn values(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        let found = self.headers.iter().filter(move |(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }
}

pub(crate) fn connection(connection: &Connection<'_>, state: &mut State) {
    let Connection { client, server, id, time } = connection;
    for variable in [Variable::RemoteAddr, Variable::UseragentIp] {
        set_shown(variable, client.ip().to_canonical(), state);
    }
    set_shown(Variable::RemotePort, client.port(), state);
    set_shown(Variable::ServerAddr, server.ip().to_canonical(), state);
    set_shown(Variable::ServerPort, server.port(), state);
    state.set(Variable::UniqueId, id);
    if CLOCK.iter().any(|variable| state.is_mentioned(*variable)) {
        clock(*time, state);
    }
}

/// Gives a variable what `value` is written as.
fn set_shown(variable: Variable, value: impl std::fmt::Display, state: &mut State) {
    if state.is_mentioned(variable) {
        state.set(variable, value.to_string().as_bytes());
    }
}

const CLOCK: [Variable; 9] = [
    Variable::Time,
    Variable::TimeDay,
    Variable::TimeEpoch,
    Variable::TimeHour,
    Variable::TimeMin,
    Variable::TimeMon,
    Variable::TimeSec,
    Variable::TimeWday,
    Variable::TimeYear,
];

fn clock(time: u64, state: &mut State) {
    let (days, seconds) = (time / 86_400, time % 86_400);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil(days);
    set_shown(Variable::TimeEpoch, time, state);
    set_shown(Variable::Time, format_args!("{hour:02}:{minute:02}:{second:02}"), state);
    for (variable, number) in [
        (Variable::TimeHour, hour),
        (Variable::TimeMin, minute),
        (Variable::TimeSec, second),
        (Variable::TimeDay, day),
        // From 0 for January, and for Sunday, as in ModSecurity; 1970 began on a Thursday.
        (Variable::TimeMon, month - 1),
        (Variable::TimeWday, (days + 4) % 7),
        (Variable::TimeYear, year),
    ] {
        set_shown(variable, number, state);
    }
}

/// Year, month and day of a day since 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", civil_from_days).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// Fills what a head says; `settings` divide arguments and cookies.
pub(crate) fn head(head: &RequestHead<'_>, settings: &Settings, state: &mut State) {
    let uri = origin_form(head.target);
    let (path, query) = divide(uri, b'?');
    // A fragment is not sent; if it is, it belongs to what is inspected.
    state.set(Variable::RequestMethod, head.method);
    state.set(Variable::RequestProtocol, head.protocol);
    state.set(Variable::RequestLine, &[head.method, head.target, head.protocol].join(&b' '));
    state.set(Variable::RequestUriRaw, head.target);
    state.set(Variable::RequestUri, uri);
    // As servers read it, which is what rules expect.
    let path = percent_decoded(path);
    state.set(Variable::RequestFilename, &path);
    state.set(Variable::RequestBasename, basename(&path));
    state.set(Variable::PathInfo, &path);
    state.set(Variable::QueryString, query.unwrap_or_default());
    headers(head, settings, state);
    let mut malformed = false;
    for pair in urlencoded::split(query.unwrap_or_default(), settings.argument_separator) {
        malformed |= pair.is_malformed;
        argument(Variable::ArgsGet, &pair.name, &pair.value, settings, state);
    }
    if malformed {
        state.set(Variable::UrlencodedError, b"1");
    }
    sizes(state);
    processor(head, state);
}

fn headers(head: &RequestHead<'_>, settings: &Settings, state: &mut State) {
    for (name, value) in head.headers {
        state.push(Variable::RequestHeaders, name, value);
        if name.eq_ignore_ascii_case(b"cookie") {
            for (name, value) in cookies::cookies(value, settings.cookie_format) {
                state.push(Variable::RequestCookies, &name, value);
            }
        }
    }
    if let Some(host) = head.header(b"host") {
        state.set(Variable::ServerName, without_port(host));
    }
    if let Some(credentials) = head.header(b"authorization") {
        state.set(Variable::AuthType, divide(credentials, b' ').0);
    }
}

/// One argument, of the query or of a body.
pub(crate) fn argument(
    of: Variable,
    name: &[u8],
    value: &[u8],
    settings: &Settings,
    state: &mut State,
) {
    if state.collections.items(Variable::Args).len() >= settings.arguments {
        state.overrun.get_or_insert(Overrun::Arguments);
        return;
    }
    let (name, value) = (state.values.intern(name), state.values.intern(value));
    state.collections.push(Variable::Args, name, value);
    state.collections.push(of, name, value);
}

/// ARGS_COMBINED_SIZE: the bytes of all names and values.
pub(crate) fn sizes(state: &mut State) {
    if !state.is_mentioned(Variable::ArgsCombinedSize) {
        return;
    }
    let items = state.collections.items(Variable::Args).iter();
    let bytes: usize =
        items.map(|item| state.name_of(*item).len() + state.text_of(*item).len()).sum();
    state.set(Variable::ArgsCombinedSize, itoa(bytes as i64).as_bytes());
}

/// Which processor reads the body: by the first media type that has one.
fn processor(head: &RequestHead<'_>, state: &mut State) {
    if let Some(processor) = head.values(b"content-type").find_map(processor_of) {
        state.processor = Some(processor);
        state.set(Variable::ReqbodyProcessor, processor.name().as_bytes());
    }
}

/// The processor of a media type.
pub(crate) fn processor_of(content_type: &[u8]) -> Option<BodyProcessor> {
    Some(match essence(content_type).as_slice() {
        b"application/x-www-form-urlencoded" => BodyProcessor::UrlEncoded,
        b"multipart/form-data" => BodyProcessor::Multipart,
        b"application/json" | b"text/json" => BodyProcessor::Json,
        b"application/xml" | b"text/xml" => BodyProcessor::Xml,
        essence if essence.ends_with(b"+json") => BodyProcessor::Json,
        essence if essence.ends_with(b"+xml") => BodyProcessor::Xml,
        _ => return None,
    })
}

/// A media type in lower case, without its parameters.
pub(crate) fn essence(content_type: &[u8]) -> Vec<u8> {
    // Who reads it ends it at the first of these, right or wrong.
    let ends = |byte: &u8| matches!(byte, b';' | b',') || byte.is_ascii_whitespace();
    let mut words = content_type.trim_ascii_start().split(ends);
    words.next().unwrap_or_default().to_ascii_lowercase()
}

/// A target without scheme and authority.
fn origin_form(target: &[u8]) -> &[u8] {
    if target.starts_with(b"/") {
        return target;
    }
    let Some(at) = memchr::memmem::find(target, b"://") else { return target };
    let is_scheme = target.get(..at).is_some_and(|scheme| {
        scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
    });
    let rest = target.get(at + 3..).unwrap_or_default();
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')) {
        Some(end) if is_scheme => rest.get(end..).unwrap_or_default(),
        None if is_scheme => b"/",
        _ => target,
    }
}

/// A path without its escapes; those that are none stay as they are.
fn percent_decoded(path: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', path).is_none() {
        return Cow::Borrowed(path);
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = match (byte, after) {
            (b'%', [high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match digits {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(decoded)
}

fn hex_digit(digit: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// What follows the last slash of either kind.
fn basename(path: &[u8]) -> &[u8] {
    let last = path.iter().rposition(|byte| matches!(byte, b'/' | b'\\'));
    last.and_then(|at| path.get(at + 1..)).unwrap_or(path)
}

fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|byte| *byte == b':') {
        Some(at) if !host.get(at..).unwrap_or_default().contains(&b']') => {
            host.get(..at).unwrap_or(host)
        }
        _ => host,
    }
}

/// What stands before and after the first `byte`.
fn divide(bytes: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(byte, bytes) {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..)),
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lose_scheme_and_authority() {
        for (target, expected) in [
            ("/a?b", "/a?b"),
            ("http://a.example/x?y=http://z/", "/x?y=http://z/"),
            ("http://a.example", "/"),
            ("http://a.example?q", "?q"),
            ("*", "*"),
            ("/a://b/c", "/a://b/c"),
        ] {
            let found = origin_form(target.as_bytes());
            assert_eq!(String::from_utf8_lossy(found), expected, "{target}");
        }
    }

    #[test]
    fn media_types_lose_their_parameters() {
        for (content_type, expected) in [
            ("text/html", "text/html"),
            (" Text/HTML ;charset=utf-8", "text/html"),
            ("text/html charset=utf-8", "text/html"),
            ("text/html,text/plain", "text/html"),
            (";charset=utf-8", ""),
        ] {
            let found = essence(content_type.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), expected, "{content_type}");
        }
    }

    #[test]
    fn paths_lose_their_escapes() {
        for (path, expected) in [("/a+b", "/a+b"), ("/%41%2f%zz%4", "/A/%zz%4"), ("/%2541", "/%41")]
        {
            assert_eq!(*percent_decoded(path.as_bytes()), *expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn hosts_lose_their_port() {
        for (host, expected) in
            [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(without_port(host.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (20_784, (2026, 11, 27)),
        ] {
            assert_eq!(civil(days), expected, "{days}");
        }
    }
}
