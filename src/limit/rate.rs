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

/// So much of what a rate counts: `200`, or in bytes `64KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(super) number: u64,
    /// Whether a unit of bytes was written.
    pub(super) is_size: bool,
}

impl FromStr for Amount {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let ByteSize(number) = text.parse()?;
        Ok(Amount { number, is_size: text.contains(|c: char| !c.is_ascii_digit()) })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_size, ByteSize(self.number).to_string()) {
            (false, _) => self.number.fmt(f),
            (true, size) if size.ends_with('B') => f.write_str(&size),
            (true, size) => write!(f, "{size}B"),
        }
    }
}

impl FromStr for Rate {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let wrong =
            || Unreadable(format!("`{text}` is no rate; write 100/s, 600/min, 10/h or 10MiB/s"));
        let (amount, unit) = text.split_once('/').ok_or_else(wrong)?;
        let per = Per::ALL.into_iter().find(|(_, name, _)| *name == unit).ok_or_else(wrong)?.0;
        let Amount { number: amount, is_size } = amount.parse().map_err(|_| wrong())?;
        if amount == 0 {
            return Err(Unreadable(format!("`{text}` lets nothing through; write 1 or more")));
        }
        Ok(Rate { amount, per, is_size })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = Amount { number: self.amount, is_size: self.is_size };
        write!(f, "{amount}/{}", self.per.row().1)
    }
}

impl Word for Rate {
    const FORMAT: &'static str = "rate";
}

impl Word for Amount {
    const FORMAT: &'static str = "amount";
}

word!(Rate, Amount);

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
    fn reads_amounts_and_prints_them() {
        for (text, number, is_size) in
            [("200", 200, false), ("64KiB", 64 << 10, true), ("200B", 200, true), ("0", 0, false)]
        {
            let amount: Amount = text.parse().expect("good");
            assert_eq!(amount, Amount { number, is_size });
            assert_eq!(amount.to_string(), text);
        }
        assert!("x".parse::<Amount>().is_err());
    }

    #[test]
    fn a_span_stands_at_its_own_place() {
        for (at, (per, ..)) in Per::ALL.into_iter().enumerate() {
            assert_eq!(per as usize, at);
        }
    }
}
