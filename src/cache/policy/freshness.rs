//! How long a response is fresh (RFC 9111 §4.2.1, §4.2.2).

use std::time::Duration;

use http::header::{EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::directives::Span;
use super::rules::Rules;
use super::statuses::is_heuristic;
use super::targeted::Control;
use super::{age, dates};
use tidegate_store::Moment;

/// What part of the time since a response changed it is taken to be fresh for
/// (RFC 9111 §4.2.2 names a tenth), and for how long at most.
const TENTH: u32 = 10;
const LONGEST_GUESS: Duration = Duration::from_secs(86_400);

/// Who says how long a response is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// The server.
    Said(Duration),
    /// The profile, as the server does not.
    Configured(Duration),
    /// It is guessed from how long the response has not changed.
    Guessed(Duration),
    /// Nobody: it is stale from the start.
    Unknown,
}

impl Lifetime {
    pub(super) fn length(self) -> Duration {
        match self {
            Lifetime::Said(length) | Lifetime::Configured(length) | Lifetime::Guessed(length) => {
                length
            }
            Lifetime::Unknown => Duration::ZERO,
        }
    }

    pub(super) fn read(
        status: StatusCode,
        control: &Control,
        headers: &HeaderMap,
        received: Moment,
        rules: &Rules,
    ) -> Self {
        if let Some(length) = said(control, headers, received) {
            return Lifetime::Said(length);
        }
        if let Some(length) = rules.lifetime(status) {
            return Lifetime::Configured(length);
        }
        if !is_heuristic(status) && !control.directives.public {
            return Lifetime::Unknown;
        }
        let modified = dates::field(headers, &LAST_MODIFIED, received);
        let unchanged = modified.map(|modified| age::made_at(headers, received).since(modified));
        match unchanged.filter(|unchanged| !unchanged.is_zero()) {
            Some(unchanged) => Lifetime::Guessed((unchanged / TENTH).min(LONGEST_GUESS)),
            None => Lifetime::Unknown,
        }
    }
}

/// What the server says; what it says and we cannot read is no time at all.
fn said(control: &Control, headers: &HeaderMap, received: Moment) -> Option<Duration> {
    let directives = &control.directives;
    if let Some(span) = directives.s_maxage.or(directives.max_age) {
        return Some(Span::length(span));
    }
    if control.is_targeted || !headers.contains_key(EXPIRES) {
        return None;
    }
    // An Expires that does not read is in the past (§5.3).
    let expires = dates::field(headers, &EXPIRES, received);
    Some(expires.map_or(Duration::ZERO, |expires| expires.since(age::made_at(headers, received))))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const RECEIVED: Moment = Moment::from_millis(784_111_777_000);
    const LATER: (&str, &str) = ("expires", "Sun, 06 Nov 1994 09:49:37 GMT");

    fn read(status: u16, fields: &[(&str, &str)], rules: &Rules) -> Lifetime {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        Lifetime::read(status, &Control::read(&headers), &headers, RECEIVED, rules)
    }

    fn check(fields: &[(&str, &str)], expected: Lifetime) {
        assert_eq!(read(200, fields, &Rules::default()), expected, "{fields:?}");
    }

    const fn said(seconds: u64) -> Lifetime {
        Lifetime::Said(Duration::from_secs(seconds))
    }

    #[test]
    fn s_maxage_outranks_max_age_which_outranks_expires() {
        check(&[("cache-control", "max-age=1, s-maxage=2"), LATER], said(2));
        check(&[("cache-control", "s-maxage=2, max-age=1"), LATER], said(2));
        check(&[("cache-control", "s-maxage=0, max-age=1"), LATER], said(0));
        check(&[("cache-control", "max-age=1"), LATER], said(1));
        check(&[("cache-control", "max-age=0"), LATER], said(0));
        check(&[("cache-control", "foo=bar"), LATER], said(3600));
    }

    #[test]
    fn what_does_not_read_is_stale_whatever_else_is_said() {
        check(&[("cache-control", "s-maxage=x, max-age=1"), LATER], said(0));
        check(&[("cache-control", "max-age=x"), LATER], said(0));
        check(&[("expires", "0"), ("last-modified", "Sun, 06 Nov 1984 08:49:37 GMT")], said(0));
        check(&[("expires", ""), LATER], said(0));
    }

    #[test]
    fn expires_counts_from_date() {
        check(&[LATER], said(3600));
        check(&[LATER, ("date", "Sun, 06 Nov 1994 08:49:37 GMT")], said(3600));
        check(&[LATER, ("date", "Sun, 06 Nov 1994 07:49:37 GMT")], said(7200));
        check(&[LATER, ("date", "Sun, 06 Nov 1994 09:49:37 GMT")], said(0));
        check(&[LATER, ("date", "Sun, 06 Nov 1994 10:49:37 GMT")], said(0));
        check(&[LATER, ("date", "nonsense")], said(3600));
        check(&[("expires", "Sun, 06 Nov 1994 08:49:36 GMT")], said(0));
    }

    #[test]
    fn the_first_expires_counts() {
        let past = ("expires", "Sun, 06 Nov 1984 08:49:37 GMT");
        check(&[LATER, past], said(3600));
        check(&[past, LATER], said(0));
    }

    #[test]
    fn a_targeted_field_silences_expires() {
        check(&[("cdn-cache-control", "max-age=5"), LATER], said(5));
        check(&[("cdn-cache-control", "foo"), LATER], Lifetime::Unknown);
        check(&[("cdn-cache-control", "Foo"), LATER], said(3600));
    }

    #[test]
    fn nothing_said_is_a_tenth_of_the_time_unchanged() {
        let modified = ("last-modified", "Sun, 06 Nov 1994 08:32:57 GMT");
        check(&[modified], Lifetime::Guessed(Duration::from_secs(100)));
        let date = ("date", "Sun, 06 Nov 1994 08:34:37 GMT");
        check(&[modified, date], Lifetime::Guessed(Duration::from_secs(10)));
        check(
            &[("last-modified", "Sun, 06 Nov 1904 08:49:37 GMT")],
            Lifetime::Guessed(LONGEST_GUESS),
        );
        check(&[("last-modified", "Sun, 06 Nov 2004 08:49:37 GMT")], Lifetime::Unknown);
        check(&[("last-modified", "nonsense")], Lifetime::Unknown);
        check(&[], Lifetime::Unknown);
        check(&[modified, ("cache-control", "max-age=1")], said(1));
    }

    #[test]
    fn only_some_statuses_are_guessed_about() {
        let modified = ("last-modified", "Sun, 06 Nov 1994 08:32:57 GMT");
        let guess = Lifetime::Guessed(Duration::from_secs(100));
        for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
            assert_eq!(read(status, &[modified], &Rules::default()), guess, "{status}");
        }
        for status in [201, 202, 302, 303, 307, 400, 403, 418, 500, 502, 503, 504, 599] {
            assert_eq!(read(status, &[modified], &Rules::default()), Lifetime::Unknown, "{status}");
            let public = ("cache-control", "public");
            assert_eq!(read(status, &[modified, public], &Rules::default()), guess, "{status}");
            assert_eq!(read(status, &[LATER], &Rules::default()), said(3600), "{status}");
        }
    }

    #[test]
    fn a_profile_speaks_where_the_server_does_not() {
        let minute = Duration::from_secs(60);
        let rules = Rules {
            ttl: Some(minute),
            statuses: [(404, Duration::from_secs(5)), (301, Duration::ZERO)].into(),
            ..Rules::default()
        };
        let modified = ("last-modified", "Sun, 06 Nov 1984 08:32:57 GMT");
        for (status, fields, expected) in [
            (200, &[][..], Lifetime::Configured(minute)),
            (200, &[modified], Lifetime::Configured(minute)),
            (308, &[], Lifetime::Configured(minute)),
            (404, &[], Lifetime::Configured(Duration::from_secs(5))),
            (301, &[], Lifetime::Configured(Duration::ZERO)),
            (410, &[], Lifetime::Unknown),
            (302, &[], Lifetime::Unknown),
            (500, &[], Lifetime::Unknown),
            (404, &[LATER], said(3600)),
            (200, &[("cache-control", "max-age=x")], said(0)),
        ] {
            assert_eq!(read(status, fields, &rules), expected, "{status} {fields:?}");
        }
    }
}
