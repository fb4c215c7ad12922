//! Numbers of cards and people with a check digit: @verifyCC, @verifyCPF, @verifySSN, @verifySVNR.

use std::sync::Arc;

use crate::operator::cache::Cache;
use crate::operator::pattern::{Found, Pattern};

/// Hits of the expression that are checked. A hit passes by chance once in ten or hundred times: so
/// many that do not are made up, and count as one that does.
const HITS: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Payment cards.
    Card,
    /// Persons in Brazil.
    Cpf,
    /// Social security in the United States.
    Ssn,
    /// Social insurance in Austria.
    Svnr,
}

impl Check {
    /// The first hit of `pattern` whose number is right. Hits may overlap.
    pub(crate) fn find(
        self,
        pattern: &Arc<Pattern>,
        value: &[u8],
        cache: &mut Cache,
    ) -> Option<Found> {
        let mut start = 0;
        for hits in 1.. {
            let found = pattern.find(value, start, cache)?;
            let whole = found.whole();
            let text = value.get(whole.clone()).unwrap_or_default();
            if hits > HITS || self.is_right(text) {
                return Some(found);
            }
            start = whole.start + 1;
            if start > value.len() {
                break;
            }
        }
        None
    }

    /// Looks at the digits of `text` alone.
    pub(crate) fn is_right(self, text: &[u8]) -> bool {
        let digits = text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0');
        if self == Self::Card {
            return is_card(digits);
        }
        let mut all = [0; 11];
        let mut count = 0;
        for digit in digits {
            let Some(slot) = all.get_mut(count) else { return self == Self::Cpf && is_cpf(&all) };
            *slot = digit;
            count += 1;
        }
        match (self, count, all) {
            (Self::Cpf, 11, _) => is_cpf(&all),
            (Self::Ssn, 9, [ssn @ .., _, _]) => is_ssn(&ssn),
            (Self::Svnr, 10.., [svnr @ .., _]) => is_svnr(&svnr),
            _ => false,
        }
    }
}

/// Luhn: from the right, every second digit counts twice.
fn is_card(digits: impl Iterator<Item = u8> + Clone) -> bool {
    let count = digits.clone().count();
    let sum = digits.enumerate().fold(0, |sum, (index, digit)| {
        let doubled = (count - index).is_multiple_of(2);
        let worth = match (doubled, digit) {
            (false, _) => digit,
            (true, 0..=4) => digit * 2,
            (true, _) => digit * 2 - 9,
        };
        (sum + worth) % 10
    });
    count > 0 && sum == 0
}

fn is_cpf(digits: &[u8; 11]) -> bool {
    let check = |count: usize| {
        let weights = (2..=count as u32 + 1).rev();
        let sum: u32 = digits.iter().zip(weights).map(|(digit, w)| u32::from(*digit) * w).sum();
        if sum % 11 < 2 { 0 } else { 11 - sum % 11 }
    };
    let [.., first, second] = digits;
    !is_made_up(digits) && u32::from(*first) == check(9) && u32::from(*second) == check(10)
}

fn is_ssn(digits: &[u8; 9]) -> bool {
    let all_step = |step: u8| {
        digits.windows(2).all(|pair| matches!(pair, [first, second] if first + step == *second))
    };
    let number = |digits: &[u8]| digits.iter().fold(0_u32, |n, digit| n * 10 + u32::from(*digit));
    let [a, b, c, d, e, serial @ ..] = digits;
    let (area, group) = (number(&[*a, *b, *c]), number(&[*d, *e]));
    let is_given = area > 0 && area < 740 && area != 666 && group > 0 && number(serial) > 0;
    is_given && !all_step(0) && !all_step(1)
}

fn is_svnr(digits: &[u8; 10]) -> bool {
    const WEIGHTS: [u32; 10] = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, w)| u32::from(*digit) * w).sum();
    let [_, _, _, check, ..] = digits;
    !is_made_up(digits) && sum % 11 % 10 == u32::from(*check)
}

/// All the same, or counting up, from 0 or 1 and with 0 behind 9.
fn is_made_up(digits: &[u8]) -> bool {
    let steps = |step: u8| {
        digits
            .windows(2)
            .all(|pair| matches!(pair, [first, second] if (first + step) % 10 == *second))
    };
    steps(0) || (steps(1) && matches!(digits.first(), Some(0 | 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(check: Check, text: &str, expected: bool) {
        assert_eq!(check.is_right(text.as_bytes()), expected, "{check:?} {text}");
    }

    #[test]
    fn check_digits_are_checked() {
        check(Check::Card, "4111 1111 1111 1111", true);
        check(Check::Card, "4111-1111-1111-1112", false);
        check(Check::Card, "378282246310005", true);
        check(Check::Card, "none", false);
        check(Check::Cpf, "010.817.514-60", true);
        check(Check::Cpf, "010.817.514-61", false);
        check(Check::Cpf, "111.111.111-11", false);
        check(Check::Cpf, "010.817", false);
        check(Check::Ssn, "574-57-8065", true);
        check(Check::Ssn, "800-57-8065", false);
        check(Check::Ssn, "666-57-8065", false);
        check(Check::Ssn, "574-00-8065", false);
        check(Check::Ssn, "123-45-6789", false);
        check(Check::Ssn, "111-11-1111", false);
        check(Check::Ssn, "574-57-80651", false);
        check(Check::Svnr, "1237 010180", true);
        check(Check::Svnr, "1238 010180", false);
        check(Check::Svnr, "0123456789", false);
        check(Check::Svnr, "123701018", false);
    }

    fn find(pattern: &str, value: &str) -> Option<String> {
        use crate::operator::pattern::Groups;
        let pattern = Arc::new(Pattern::compile(pattern.as_bytes(), Groups::All, 0).unwrap());
        let found = Check::Card.find(&pattern, value.as_bytes(), &mut Cache::new())?;
        value.get(found.whole()).map(str::to_owned)
    }

    #[test]
    fn hits_may_overlap() {
        assert_eq!(find(r"\d{16}", "94111111111111111").as_deref(), Some("4111111111111111"));
        assert_eq!(find(r"\d{16}", "4111111111111112"), None);
        assert_eq!(find("", "ab"), None);
    }

    #[test]
    fn thousands_of_wrong_numbers_count_as_right() {
        let wrong = "1".repeat(HITS + 2);
        assert_eq!(find("1", &wrong).as_deref(), Some("1"));
        assert_eq!(find("1", wrong.get(2..).unwrap()), None);
    }
}
