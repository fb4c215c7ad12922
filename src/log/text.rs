//! Numbers and times as bytes of a line, without allocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much of one field a line shows; what a client sends has no other bound here.
pub(super) const FIELD_LIMIT: usize = 4096;

/// What stands after a field that was cut.
pub(super) const CUT: &[u8] = b"...";

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// What a line shows of a field, and [`CUT`] if that is not all of it.
pub(super) fn cut(field: &[u8]) -> (&[u8], &[u8]) {
    match field.split_at_checked(FIELD_LIMIT) {
        Some((shown, rest)) if !rest.is_empty() => (shown, CUT),
        _ => (field, b""),
    }
}

/// Appends `bytes`: what is plain as it stands, each run of anything else by `odd`.
///
/// Plain is printable ASCII other than the quote and the backslash.
pub(super) fn escape(line: &mut Vec<u8>, bytes: &[u8], odd: impl Fn(&mut Vec<u8>, &[u8])) {
    // Nearly every field is.
    if are_plain(bytes) {
        line.extend_from_slice(bytes);
        return;
    }
    for run in bytes.chunk_by(|a, b| is_plain(*a) == is_plain(*b)) {
        if run.first().copied().is_some_and(is_plain) {
            line.extend_from_slice(run);
        } else {
            odd(line, run);
        }
    }
}

fn are_plain(bytes: &[u8]) -> bool {
    // The first loop is one that compilers vectorise, the second takes three instructions a byte.
    let (whole, rest) = bytes.as_chunks::<16>();
    whole.iter().all(|chunk| chunk.iter().fold(true, |plain, byte| plain & is_plain(*byte)))
        && rest.iter().all(|byte| PLAIN[usize::from(*byte)])
}

static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < plain.len() {
        plain[byte] = is_plain(byte as u8);
        byte += 1;
    }
    plain
};

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// `number` in decimal.
pub(super) fn decimal(line: &mut Vec<u8>, number: u64) {
    padded(line, number, 1);
}

/// `number` in decimal, with leading zeros up to `width` digits.
pub(super) fn padded(line: &mut Vec<u8>, mut number: u64, width: usize) {
    const LONGEST: usize = 20; // u64::MAX
    let mut digits = [b'0'; LONGEST];
    let mut start = LONGEST;
    while number > 0 {
        start -= 1;
        digits[start] += (number % 10) as u8;
        number /= 10;
    }
    line.extend_from_slice(&digits[start.min(LONGEST - width.min(LONGEST))..]);
}

/// Writes `number` over the digits at the end of `text`.
fn fill(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        if number == 0 {
            return;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Milliseconds with three decimals: `12.345`.
pub(super) fn millis(line: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    decimal(line, micros / 1000);
    line.push(b'.');
    padded(line, micros % 1000, 3);
}

/// A point in time as a calendar and a clock show it, in UTC.
pub(super) struct Moment {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    milli: u64,
}

impl Moment {
    /// A time before 1970 is the start of 1970.
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, milli) = (since.as_secs(), u64::from(since.subsec_millis()));
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
        Moment { year, month, day, hour, minute, second: seconds % 60, milli }
    }

    /// RFC 3339: `2000-10-10T20:55:36.042Z`.
    pub(super) fn rfc3339(&self, line: &mut Vec<u8>) {
        // Every line has one, and whole it costs a third of what its parts would.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (end, number) in [
            (4, self.year),
            (7, self.month),
            (10, self.day),
            (13, self.hour),
            (16, self.minute),
            (19, self.second),
            (23, self.milli),
        ] {
            fill(&mut text[..end], number);
        }
        line.extend_from_slice(&text);
    }

    /// The Common Log Format's: `10/Oct/2000:20:55:36 +0000`.
    pub(super) fn common_log(&self, line: &mut Vec<u8>) {
        padded(line, self.day, 2);
        line.push(b'/');
        line.extend_from_slice(MONTHS[self.month as usize - 1]);
        line.push(b'/');
        padded(line, self.year, 4);
        line.push(b':');
        self.clock(line);
        line.extend_from_slice(b" +0000");
    }

    fn clock(&self, line: &mut Vec<u8>) {
        padded(line, self.hour, 2);
        line.push(b':');
        padded(line, self.minute, 2);
        line.push(b':');
        padded(line, self.second, 2);
    }
}

/// Year, month (1 to 12) and day (1 to 31) of a day counted from 1970-01-01.
///
/// Counts years from March, so that the leap day is a year's last; see
/// "chrono-compatible low-level date algorithms" by Howard Hinnant.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).expect("text")
    }

    fn check(seconds: u64, expected: &str) {
        let time = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 42);
        let text = written(|line| Moment::of(time).rfc3339(line));
        assert_eq!(text, expected);
    }

    #[test]
    fn tells_the_date() {
        check(0, "1970-01-01T00:00:00.042Z");
        check(951_782_399, "2000-02-28T23:59:59.042Z");
        check(951_782_400, "2000-02-29T00:00:00.042Z");
        check(951_868_800, "2000-03-01T00:00:00.042Z");
        check(971_211_336, "2000-10-10T20:55:36.042Z");
        check(1_735_689_599, "2024-12-31T23:59:59.042Z");
        check(1_735_689_600, "2025-01-01T00:00:00.042Z");
        check(4_107_542_400, "2100-03-01T00:00:00.042Z");
    }

    #[test]
    fn agrees_with_httpdate_on_every_day() {
        for day in 0..60_000 {
            let time = UNIX_EPOCH + Duration::from_secs(day * 86_400 + day % 86_400);
            let text = written(|line| Moment::of(time).common_log(line));
            let (date, clock) = text.split_once(':').expect("date and clock");
            let expected = httpdate::fmt_http_date(time);
            let ours = format!("{} {}", date.replace('/', " "), clock.replace("+0000", "GMT"));
            assert!(expected.ends_with(&ours), "{expected}: {ours}");
        }
    }

    #[test]
    fn time_before_1970_is_1970() {
        let time = UNIX_EPOCH - Duration::from_secs(1);
        let text = written(|line| Moment::of(time).rfc3339(line));
        assert_eq!(text, "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn writes_numbers() {
        assert_eq!(written(|line| decimal(line, 0)), "0");
        assert_eq!(written(|line| decimal(line, u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|line| padded(line, 7, 3)), "007");
        assert_eq!(written(|line| padded(line, 1234, 3)), "1234");
        assert_eq!(written(|line| millis(line, Duration::from_micros(12_045))), "12.045");
        assert_eq!(written(|line| millis(line, Duration::ZERO)), "0.000");
    }
}
