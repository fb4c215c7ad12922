//! Dates of HTTP in their three forms (RFC 9110 §5.6.7), read as caches read them.
//!
//! RFC 9111 §4.2 asks caches to match them whatever their case, and to take no
//! zone but GMT. A weekday that does not fit its date is let pass: it says
//! nothing that the date does not. All else is no date.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use tidegate_store::Moment;

const MONTHS: [&[u8]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];
const DAYS: [&[u8]; 7] =
    [b"sunday", b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday"];
/// A year of two digits that seems further ahead than this is of the century
/// before (RFC 9110 §5.6.7).
const FURTHEST: Duration = Duration::from_secs(50 * 31_556_952);

/// The date in the first field of that name; `None` if it does not read.
pub(super) fn field(headers: &HeaderMap, name: &HeaderName, now: Moment) -> Option<Moment> {
    parse(headers.get(name)?.as_bytes(), now)
}

/// Reads a date; `now` tells the century of two digits.
pub(super) fn parse(text: &[u8], now: Moment) -> Option<Moment> {
    let text = text.trim_ascii();
    imf_fixdate(text).or_else(|| rfc850(text, now)).or_else(|| asctime(text))
}

/// Writes a date as HTTP does today.
pub(super) fn write(moment: Moment) -> HeaderValue {
    // Later years than 9999 cannot be written.
    let latest = Duration::from_secs(253_402_300_799);
    let since_1970 = Duration::from_millis(moment.millis()).min(latest);
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since_1970);
    HeaderValue::from_str(&text).expect("a date is ASCII")
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Moment> {
    let mut rest = Rest(text);
    DAYS.iter().any(|day| rest.take(day.get(..3).unwrap_or(day))).then_some(())?;
    rest.literal(b", ")?;
    let day = rest.number(2)?;
    rest.literal(b" ")?;
    let month = rest.month()?;
    rest.literal(b" ")?;
    let year = rest.number(4)?;
    rest.literal(b" ")?;
    let time = rest.time()?;
    rest.literal(b" gmt")?;
    rest.end()?;
    moment(year, month, day, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], now: Moment) -> Option<Moment> {
    let mut rest = Rest(text);
    DAYS.iter().any(|day| rest.take(day)).then_some(())?;
    rest.literal(b", ")?;
    let day = rest.number(2)?;
    rest.literal(b"-")?;
    let month = rest.month()?;
    rest.literal(b"-")?;
    let year = rest.number(2)?;
    rest.literal(b" ")?;
    let time = rest.time()?;
    rest.literal(b" gmt")?;
    rest.end()?;
    let date = moment(2000 + year, month, day, time);
    let is_far = date.is_some_and(|date| date.since(now) > FURTHEST);
    if is_far { moment(1900 + year, month, day, time) } else { date }
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<Moment> {
    let mut rest = Rest(text);
    DAYS.iter().any(|day| rest.take(day.get(..3).unwrap_or(day))).then_some(())?;
    rest.literal(b" ")?;
    let month = rest.month()?;
    rest.literal(b" ")?;
    let day = if rest.take(b" ") { rest.number(1)? } else { rest.number(2)? };
    rest.literal(b" ")?;
    let time = rest.time()?;
    rest.literal(b" ")?;
    let year = rest.number(4)?;
    rest.end()?;
    moment(year, month, day, time)
}

/// What of a date is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Takes these bytes, in any case, if they come next.
    fn take(&mut self, expected: &[u8]) -> bool {
        let Some((head, rest)) = self.0.split_at_checked(expected.len()) else { return false };
        let is_next = head.eq_ignore_ascii_case(expected);
        if is_next {
            self.0 = rest;
        }
        is_next
    }

    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.take(expected).then_some(())
    }

    fn number(&mut self, digits: usize) -> Option<u64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        head.iter().try_fold(0, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
        })
    }

    /// 1 to 12.
    fn month(&mut self) -> Option<u64> {
        let index = MONTHS.iter().position(|month| self.take(month))?;
        u64::try_from(index).ok().map(|index| index + 1)
    }

    /// Seconds of the day.
    fn time(&mut self) -> Option<u64> {
        let hour = self.number(2)?;
        self.literal(b":")?;
        let minute = self.number(2)?;
        self.literal(b":")?;
        let second = self.number(2)?;
        // 60 is a leap second.
        let is_time = hour < 24 && minute < 60 && second <= 60;
        is_time.then_some(hour * 3600 + minute * 60 + second)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// What is before 1970 is 1970: as long past as matters to a cache.
fn moment(year: u64, month: u64, day: u64, seconds: u64) -> Option<Moment> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March, so that a leap day is the last one.
    let (shifted, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days =
        shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (month * 153 + 2) / 5 + day
            - 1;
    let since_1970 = days.checked_sub(719_468).map_or(0, |days| days * 86_400 + seconds);
    Some(Moment::from_millis(since_1970 * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-27
    const NOW: Moment = Moment::from_millis(1_795_737_600_000);
    const EXAMPLE: u64 = 784_111_777;

    fn check(text: &str, expected: Option<u64>) {
        let found = parse(text.as_bytes(), NOW).map(|moment| moment.millis() / 1000);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn the_three_forms_are_one_date() {
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(EXAMPLE));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(EXAMPLE));
        check("Sun Nov  6 08:49:37 1994", Some(EXAMPLE));
        check("Sun Nov 06 08:49:37 1994", Some(EXAMPLE));
    }

    #[test]
    fn case_and_weekday_do_not_matter() {
        check("SUN, 06 nov 1994 08:49:37 gMT", Some(EXAMPLE));
        check("Mon, 06 Nov 1994 08:49:37 GMT", Some(EXAMPLE));
        check("fRIDAY, 06-NOV-94 08:49:37 gmt", Some(EXAMPLE));
        check("sat nov  6 08:49:37 1994", Some(EXAMPLE));
    }

    #[test]
    fn what_is_written_otherwise_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18-Aug-50 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT,",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Thu, 29 Feb 2050 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 31 Sep 2050 02:01:18 GMT",
            "Thu, 18 Foo 2050 02:01:18 GMT",
            "Foo, 18 Aug 2050 02:01:18 GMT",
            "2050-08-18T02:01:18Z",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        check("Thursday, 18-Aug-50 02:01:18 GMT", Some(2_544_400_878));
        check("Thursday, 26-Nov-76 00:00:00 GMT", Some(3_373_574_400));
        check("Thursday, 18-Aug-77 02:01:18 GMT", Some(240_717_678));
        check("Thursday, 18-Aug-99 02:01:18 GMT", Some(934_941_678));
    }

    #[test]
    fn dates_read_as_a_library_writes_them() {
        let step = 86_400 * 31 + 3_601;
        for seconds in (0..253_402_300_799_u64).step_by(step * 97).chain([951_782_400, 68_169_600])
        {
            let written = write(Moment::from_millis(seconds * 1000));
            check(written.to_str().expect("ASCII"), Some(seconds));
        }
        check("Sun, 06 Nov 1904 08:49:37 GMT", Some(0));
    }
}
