//! The statuses that a check expects.

use std::ops::RangeInclusive;

use crate::balance::config::{Expect, Statuses};
use crate::fault::Faults;

/// The final statuses of HTTP (RFC 9110 §15).
const FINAL: RangeInclusive<u16> = 200..=599;

/// The statuses of a healthy server. Invariant: not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected(Vec<RangeInclusive<u16>>);

impl Expected {
    /// Faults are relative to `expect`.
    pub(super) fn new(written: &Expect) -> Result<Expected, Faults> {
        let list = match written {
            Expect::Single(single) => return Ok(Expected(vec![read(single)?])),
            Expect::List(list) => list,
        };
        if list.is_empty() {
            return Err(Faults::one("is empty; write 200-299"));
        }
        let mut faults = Faults::none();
        let ranges = list
            .iter()
            .enumerate()
            .filter_map(|(index, statuses)| faults.collect(index, read(statuses)))
            .collect();
        faults.into_result(|| Some(Expected(ranges)))
    }

    pub(super) fn has(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

fn read(written: &Statuses) -> Result<RangeInclusive<u16>, Faults> {
    let (text, range) = match written {
        Statuses::One(status) => (status.to_string(), Some(*status..=*status)),
        Statuses::Range(text) => (text.clone(), parse(text)),
    };
    range
        .filter(|range| {
            !range.is_empty() && FINAL.contains(range.start()) && FINAL.contains(range.end())
        })
        .ok_or_else(|| {
            Faults::one(format!("`{text}` is no status from 200 to 599; write 200 or 200-299"))
        })
}

fn parse(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &[&str], expected: Result<&[u16], &[&str]>) {
        let list = written.iter().map(|text| Statuses::Range((*text).to_owned())).collect();
        let got = match Expected::new(&Expect::List(list)) {
            Ok(statuses) => Ok((200..=599).filter(|status| statuses.has(*status)).collect()),
            Err(faults) => Err(faults.iter().map(|fault| fault.at.to_string()).collect::<Vec<_>>()),
        };
        let expected = match expected {
            Ok(statuses) => Ok(statuses.to_vec()),
            Err(at) => Err(at.iter().map(|at| (*at).to_owned()).collect()),
        };
        assert_eq!(got, expected, "{written:?}");
    }

    #[test]
    fn reads_statuses_and_ranges() {
        check(&["204"], Ok(&[204]));
        check(&["200-202", "301"], Ok(&[200, 201, 202, 301]));
    }

    #[test]
    fn refuses_what_no_answer_can_be() {
        check(&[], Err(&[""]));
        check(
            &["200", "2xx", "299-200", "100", "200-600", ""],
            Err(&["[1]", "[2]", "[3]", "[4]", "[5]"]),
        );
    }
}
