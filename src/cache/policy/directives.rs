//! Cache directives of responses and of requests (RFC 9111 §5.2, RFC 5861).
//!
//! Of several values of one directive the first counts; a value that does not
//! read is remembered as such, as it makes a response stale (RFC 9111 §4.2.1).

use std::time::Duration;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};

use super::members::{Argument, directive, members};

/// Longer is as long as this (RFC 9111 §1.2.2).
const LONGEST: u64 = 1 << 31;

/// The time that a directive gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    For(Duration),
    /// What it gives is no number of seconds.
    Unreadable,
}

impl Span {
    pub(super) fn seconds(seconds: u64) -> Self {
        Span::For(Duration::from_secs(seconds.min(LONGEST)))
    }

    /// None at all, where the value does not read.
    pub(super) fn length(self) -> Duration {
        match self {
            Span::For(length) => length,
            Span::Unreadable => Duration::ZERO,
        }
    }
}

/// What of a response a directive is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Reach {
    #[default]
    Nothing,
    /// These fields alone. Invariant: never empty.
    Fields(Vec<HeaderName>),
    All,
}

impl Reach {
    /// What is named in a list such as `set-cookie, x-user`: all, if that does not read.
    pub(super) fn named(list: &[u8]) -> Self {
        let names: Option<Vec<_>> =
            members(list).map(|name| HeaderName::from_bytes(name).ok()).collect();
        names.filter(|names| !names.is_empty()).map_or(Reach::All, Reach::Fields)
    }

    pub(super) fn widen(&mut self, other: Reach) {
        *self = match (std::mem::take(self), other) {
            (Reach::All, _) | (_, Reach::All) => Reach::All,
            (reach, Reach::Nothing) | (Reach::Nothing, reach) => reach,
            (Reach::Fields(mut names), Reach::Fields(more)) => {
                names.extend(more);
                Reach::Fields(names)
            }
        };
    }

    pub(super) fn fields(&self) -> &[HeaderName] {
        match self {
            Reach::Fields(names) => names,
            Reach::Nothing | Reach::All => &[],
        }
    }
}

/// The directives of a response that a shared cache knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub max_age: Option<Span>,
    pub s_maxage: Option<Span>,
    pub stale_while_revalidate: Option<Span>,
    pub stale_if_error: Option<Span>,
    pub no_store: bool,
    pub no_cache: Reach,
    pub private: Reach,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
}

impl Directives {
    /// Those in Cache-Control.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut read = Directives::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for member in members(line.as_bytes()) {
                let (name, argument) = directive(member);
                read.add(&name.to_ascii_lowercase(), argument);
            }
        }
        read
    }

    /// The place for the time of a directive that gives one.
    pub(super) fn span(&mut self, name: &[u8]) -> Option<&mut Option<Span>> {
        Some(match name {
            b"max-age" => &mut self.max_age,
            b"s-maxage" => &mut self.s_maxage,
            b"stale-while-revalidate" => &mut self.stale_while_revalidate,
            b"stale-if-error" => &mut self.stale_if_error,
            _ => return None,
        })
    }

    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        if let Some(span) = self.span(name) {
            span.get_or_insert_with(|| read_span(&argument));
            return;
        }
        match name {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache.widen(reach(&argument)),
            b"private" => self.private.widen(reach(&argument)),
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            // What allows something must be what it seems to be.
            b"public" => self.public |= argument == Argument::None,
            b"must-understand" => self.must_understand |= argument == Argument::None,
            _ => {}
        }
    }
}

/// How old a response may be that its client would take stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MaxStale {
    Any,
    For(Duration),
}

/// The directives of a request (RFC 9111 §5.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) only_if_cached: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) min_fresh: Option<Duration>,
    pub(super) max_stale: Option<MaxStale>,
}

impl Wishes {
    /// Those in Cache-Control, or in Pragma where that is all there is (§5.4).
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let mut wishes = Wishes::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for member in members(line.as_bytes()) {
                let (name, argument) = directive(member);
                wishes.add(&name.to_ascii_lowercase(), &argument);
            }
        }
        if !headers.contains_key(CACHE_CONTROL) {
            let mut pragmas = headers.get_all(PRAGMA).into_iter();
            wishes.no_cache = pragmas.any(|line| {
                members(line.as_bytes()).any(|member| member.eq_ignore_ascii_case(b"no-cache"))
            });
        }
        wishes
    }

    /// The client wants what is stored, or a 504 (§5.2.1.7).
    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.only_if_cached
    }

    fn add(&mut self, name: &[u8], argument: &Argument<'_>) {
        let length = || read_span(argument).length();
        match name {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => _ = self.max_age.get_or_insert_with(length),
            b"min-fresh" => _ = self.min_fresh.get_or_insert_with(length),
            b"max-stale" if self.max_stale.is_none() => {
                let is_any = *argument == Argument::None;
                self.max_stale = Some(if is_any { MaxStale::Any } else { MaxStale::For(length()) });
            }
            _ => {}
        }
    }
}

fn reach(argument: &Argument<'_>) -> Reach {
    match argument {
        Argument::Value(list) => Reach::named(list),
        Argument::None | Argument::Broken => Reach::All,
    }
}

fn read_span(argument: &Argument<'_>) -> Span {
    match argument {
        Argument::Value(value) => delta_seconds(value).map_or(Span::Unreadable, Span::seconds),
        Argument::None | Argument::Broken => Span::Unreadable,
    }
}

/// Reads a number of digits alone; one that is too large is [`LONGEST`].
pub(super) fn delta_seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, digit| {
        let is_digit = digit.is_ascii_digit();
        is_digit.then(|| (sum * 10 + u64::from(digit - b'0')).min(LONGEST))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, lines: &[&str]) -> HeaderMap {
        let value = |line: &&str| HeaderValue::from_bytes(line.as_bytes()).expect("a value");
        lines.iter().map(|line| (name.clone(), value(line))).collect()
    }

    fn read(lines: &[&str]) -> Directives {
        Directives::read(&headers(CACHE_CONTROL, lines))
    }

    fn check_max_age(line: &str, expected: Option<Span>) {
        assert_eq!(read(&[line]).max_age, expected, "{line}");
    }

    fn fields(names: &[&'static str]) -> Reach {
        Reach::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
    }

    #[test]
    fn the_first_max_age_counts() {
        check_max_age("max-age=1800, max-age=1", Some(Span::seconds(1800)));
        check_max_age("max-age=1, max-age=1800", Some(Span::seconds(1)));
        check_max_age("max-age=x, max-age=1800", Some(Span::Unreadable));
        for (lines, expected) in
            [(["max-age=1800", "max-age=1"], 1800), (["max-age=1", "max-age=9"], 1)]
        {
            assert_eq!(read(&lines).max_age, Some(Span::seconds(expected)), "{lines:?}");
        }
    }

    #[test]
    fn a_max_age_is_digits_quoted_or_not() {
        check_max_age("max-age=3600", Some(Span::seconds(3600)));
        check_max_age("max-age=003600", Some(Span::seconds(3600)));
        check_max_age("max-age=\"3600\"", Some(Span::seconds(3600)));
        check_max_age("MaX-aGe=3600", Some(Span::seconds(3600)));
        check_max_age("foobar, max-age=3600", Some(Span::seconds(3600)));
        check_max_age("foo=bar, max-age=3600", Some(Span::seconds(3600)));
        check_max_age("max-age=0", Some(Span::seconds(0)));
        check_max_age("foo", None);
        for line in [
            "max-age",
            "max-age=",
            "max-age=100a",
            "max-age=a100",
            "max-age=-100",
            "max-age=+100",
            "max-age=100.0",
            "max-age='100'",
            "max-age =100",
            "max-age= 100",
            "max-age=\"100",
            "max-age=\"\"",
            "max-age=\" 100\"",
            "max-age=100;foo",
            "max-age=1 00",
        ] {
            check_max_age(line, Some(Span::Unreadable));
        }
    }

    #[test]
    fn a_number_too_large_is_as_large_as_can_be() {
        for line in ["max-age=2147483648", "max-age=4294967296", "max-age=99999999999999999999999"]
        {
            check_max_age(line, Some(Span::For(Duration::from_secs(LONGEST))));
        }
        check_max_age("max-age=2147483647", Some(Span::For(Duration::from_secs(LONGEST - 1))));
    }

    #[test]
    fn what_is_quoted_is_no_directive() {
        check_max_age("extension=\"max-age=3600\", max-age=1", Some(Span::seconds(1)));
        check_max_age("max-age=1, extension=\"max-age=3600\"", Some(Span::seconds(1)));
        check_max_age("extension=\"max-age=3600\"", None);
        assert!(!read(&["foo=\"bar, no-store\""]).no_store);
        assert!(read(&["foo=\"bar, no-store"]).no_store, "the quote is never closed");
    }

    #[test]
    fn what_forbids_counts_however_it_is_written() {
        for line in
            ["no-store", "No-Store", "no-store=1", "no-store =", "a,,no-store", "é, no-store"]
        {
            assert!(read(&[line]).no_store, "{line}");
        }
        assert!(read(&["public", "no-store"]).no_store);
        assert!(!read(&["no-storage"]).no_store);
        assert!(read(&["must-revalidate"]).must_revalidate);
        assert!(read(&["proxy-revalidate=1"]).proxy_revalidate);
    }

    #[test]
    fn what_allows_counts_as_it_should_be_written() {
        assert!(read(&["PUBLIC"]).public);
        assert!(!read(&["public=1"]).public);
        assert!(read(&["no-store, must-understand"]).must_understand);
        assert!(!read(&["must-understand=\"\""]).must_understand);
    }

    #[test]
    fn no_cache_and_private_may_name_fields() {
        let read = |line: &str| {
            let read = read(&[line]);
            (read.no_cache, read.private)
        };
        assert_eq!(read("no-cache"), (Reach::All, Reach::Nothing));
        assert_eq!(read("private"), (Reach::Nothing, Reach::All));
        let both = fields(&["set-cookie", "x-user"]);
        assert_eq!(read("no-cache=\"Set-Cookie , x-USER\"").0, both);
        assert_eq!(read("private=set-cookie, private=\"x-user\"").1, both);
        assert_eq!(read("no-cache=\"a\", no-cache").0, Reach::All);
        assert_eq!(read("private, private=\"a\"").1, Reach::All);
        for broken in
            ["no-cache=\"\"", "no-cache=", "no-cache=\"a b\"", "no-cache=\"a", "no-cache= a"]
        {
            assert_eq!(read(broken).0, Reach::All, "{broken}");
        }
    }

    #[test]
    fn clients_say_what_they_would_take() {
        let wishes = Wishes::read(&headers(
            CACHE_CONTROL,
            &[
                "max-age=5, min-fresh=\"6\"",
                "max-stale, NO-cache, no-store, only-if-cached, max-age=9",
            ],
        ));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!((wishes.max_age, wishes.min_fresh), (seconds(5), seconds(6)));
        assert_eq!(wishes.max_stale, Some(MaxStale::Any));
        assert!(wishes.no_cache && wishes.no_store && wishes.is_only_if_cached());
        let wishes = Wishes::read(&headers(CACHE_CONTROL, &["max-stale=7, max-age=x"]));
        assert_eq!(wishes.max_stale, Some(MaxStale::For(Duration::from_secs(7))));
        assert_eq!(wishes.max_age, Some(Duration::ZERO), "the careful reading");
    }

    #[test]
    fn pragma_counts_where_cache_control_is_not() {
        let mut headers = headers(PRAGMA, &["x, No-Cache"]);
        assert!(Wishes::read(&headers).no_cache);
        assert_eq!(Directives::read(&headers), Directives::default(), "never in a response");
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        assert!(!Wishes::read(&headers).no_cache);
    }
}
