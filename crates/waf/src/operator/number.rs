//! Comparisons of numbers: @eq, @ge, @gt, @le, @lt.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Relation {
    pub(crate) fn holds(self, value: i64, bound: i64) -> bool {
        match self {
            Self::Equal => value == bound,
            Self::AtLeast => value >= bound,
            Self::Above => value > bound,
            Self::AtMost => value <= bound,
            Self::Below => value < bound,
        }
    }
}

/// The number at the start of a text, behind blanks, as C's atoi reads it: 0 if there is none.
///
/// One too large to be held is the largest there is, not another one.
pub(crate) fn read(text: &[u8]) -> i64 {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let text = text.get(blanks..).unwrap_or_default();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    // Downwards, since the lowest number has no counterpart.
    let negative = digits
        .fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_sub(i64::from(*digit - b'0')));
    if is_negative { negative } else { negative.checked_neg().unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: i64) {
        assert_eq!(read(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        check("", 0);
        check("x", 0);
        check("15", 15);
        check(" \t+15x3", 15);
        check("-15 ", -15);
        check("- 15", 0);
        check("--1", 0);
        check("0x10", 0);
        check("007", 7);
    }

    #[test]
    fn large_numbers_stay_large() {
        check("9223372036854775807", i64::MAX);
        check("9223372036854775808", i64::MAX);
        check("99999999999999999999999999", i64::MAX);
        check("-9223372036854775808", i64::MIN);
        check("-99999999999999999999999999", i64::MIN);
    }
}
