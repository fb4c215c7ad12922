//! Rates, as an operator writes them: `100/s`, `600/min`, `10MiB/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::units::{ByteSize, Unreadable, Word, word};

/// So much in a span of time. Invariant: the amount is more than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Rate {
    pub(super) amount: u64,
    pub(super) per: Per,
    /// Whether a unit of bytes was written.
    pub(super) is_size: bool,
}

/// The span of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Per {
    Second,
    Minute,
    Hour,
    Day,
}

impl Per {
    const ALL: [(Per, &str, u64); 4] = [
        (Per::Second, "s", 1),
        (Per::Minute, "min", 60),
        (Per::Hour, "h", 3600),
        (Per::Day, "d", 86_400),
    ];

    fn row(self) -> (Per, &'static str, u64) {
        Per::ALL[self as usize]
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_secs(self.row().2)
    }
}

impl FromStr for Rate {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let wrong =
            || Unreadable(format!("`{text}` is no rate; write 100/s, 600/min, 10/h or 10MiB/s"));
        let (amount, unit) = text.split_once('/').ok_or_else(wrong)?;
        let per = Per::ALL.into_iter().find(|(_, name, _)| *name == unit).ok_or_else(wrong)?.0;
        let is_size = amount.contains(|c: char| !c.is_ascii_digit());
        let ByteSize(amount) = amount.parse().map_err(|_| wrong())?;
        if amount == 0 {
            return Err(Unreadable(format!("`{text}` lets nothing through; write 1 or more")));
        }
        Ok(Rate { amount, per, is_size })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.per.row().1;
        match (self.is_size, ByteSize(self.amount).to_string()) {
            (false, _) => write!(f, "{}/{unit}", self.amount),
            (true, size) if size.ends_with('B') => write!(f, "{size}/{unit}"),
            (true, size) => write!(f, "{size}B/{unit}"),
        }
    }
}

impl Word for Rate {
    const FORMAT: &'static str = "rate";
}

word!(Rate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rates_and_prints_them() {
        for (text, amount, secs, is_size) in [
            ("100/s", 100, 1, false),
            ("600/min", 600, 60, false),
            ("5/h", 5, 3600, false),
            ("1/d", 1, 86_400, false),
            ("10MiB/s", 10 << 20, 1, true),
            ("200B/s", 200, 1, true),
        ] {
            let rate: Rate = text.parse().expect("good");
            assert_eq!((rate.amount, rate.per.duration().as_secs()), (amount, secs), "{text}");
            assert_eq!((rate.is_size, rate.to_string().as_str()), (is_size, text));
        }
        for bad in ["", "100", "/s", "100/", "100/m", "0/s", "-1/s", "1.5/s", "10 MiB/s", "1/s/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_span_stands_at_its_own_place() {
        for (at, (per, ..)) in Per::ALL.into_iter().enumerate() {
            assert_eq!(per as usize, at);
        }
    }
}
