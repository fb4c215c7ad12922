//! How old a response was when it came, and how old it is (RFC 9111 §4.2.3).

use std::time::Duration;

use http::header::{AGE, DATE};
use http::{HeaderMap, HeaderValue};

use super::dates;
use super::directives::delta_seconds;
use super::members::members;
use tidegate_store::Moment;

/// When the server says that it made a response; when it came, if it does not.
pub(super) fn made_at(headers: &HeaderMap, received: Moment) -> Moment {
    dates::field(headers, &DATE, received).unwrap_or(received)
}

/// How old a response was when its head came: `corrected_initial_age`.
///
/// `asked` is when the request for it was sent.
pub(super) fn initial(headers: &HeaderMap, asked: Moment, received: Moment) -> Duration {
    let apparent = received.since(made_at(headers, received));
    let corrected = written(headers).saturating_add(received.since(asked));
    apparent.max(corrected)
}

/// What the first Age of a response says, of a list the first member; one that
/// does not read says nothing (RFC 9111 §5.1).
fn written(headers: &HeaderMap) -> Duration {
    let line = headers.get(AGE).map(HeaderValue::as_bytes).unwrap_or_default();
    let seconds = members(line).next().and_then(delta_seconds);
    Duration::from_secs(seconds.unwrap_or_default())
}

/// The value of Age for a response that old.
pub(super) fn field(age: Duration) -> HeaderValue {
    HeaderValue::from(age.as_secs().min(1 << 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Moment = Moment::from_millis(784_111_777_000);

    fn check(fields: &[(&str, &str)], took: Duration, expected: u64) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let age = initial(&headers, ASKED, ASKED.after(took));
        assert_eq!(age, Duration::from_secs(expected), "{fields:?} {took:?}");
    }

    #[test]
    fn an_age_grows_by_the_time_that_the_answer_took() {
        check(&[("age", "100")], Duration::ZERO, 100);
        check(&[("age", "100")], Duration::from_secs(5), 105);
        check(&[], Duration::from_secs(5), 5);
    }

    #[test]
    fn a_date_in_the_past_is_an_age_too() {
        let date = ("date", "Sun, 06 Nov 1994 08:48:37 GMT");
        check(&[date], Duration::ZERO, 60);
        check(&[date, ("age", "100")], Duration::ZERO, 100);
        check(&[date, ("age", "10")], Duration::from_secs(5), 65);
        check(&[("date", "Sun, 06 Nov 1994 09:48:37 GMT")], Duration::ZERO, 0);
        check(&[("date", "yesterday")], Duration::from_secs(1), 1);
    }

    #[test]
    fn of_several_ages_the_first_counts() {
        check(&[("age", "7200, 0")], Duration::ZERO, 7200);
        check(&[("age", "0, 7200")], Duration::ZERO, 0);
        check(&[("age", "7200"), ("age", "0")], Duration::ZERO, 7200);
        check(&[("age", "0"), ("age", "7200")], Duration::ZERO, 0);
    }

    #[test]
    fn an_age_that_does_not_read_says_nothing() {
        for bad in
            ["abc", "-7200", "7200.0", "a7200", "7200a", "7200;foo=bar", "", "\"7200\"", "x, 7200"]
        {
            check(&[("age", bad)], Duration::ZERO, 0);
        }
        check(&[("age", "007200")], Duration::ZERO, 7200);
        check(&[("age", "99999999999999999999")], Duration::ZERO, 1 << 31);
    }

    #[test]
    fn ages_are_written_in_whole_seconds() {
        assert_eq!(field(Duration::from_millis(1999)), "1");
        assert_eq!(field(Duration::MAX), "2147483648");
    }
}
