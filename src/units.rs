//! Durations, sizes, shares and switches, as an operator writes them.
//!
//! Each type parses from the words of the configuration, prints the same
//! words, and names its JSON Schema `format`, by which `config` checks values.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Visitor};

/// A value that did not read as its type; the text says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub String);

/// A span of time: `250ms`, `5s`, `10m`, `1h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Period(pub Duration);

impl Period {
    pub(crate) const fn from_secs(secs: u64) -> Self {
        Period(Duration::from_secs(secs))
    }
}

impl FromStr for Period {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let wrong =
            || Unreadable(format!("`{text}` is no duration; write 250ms, 5s, 10m, 1h or 7d"));
        let (number, unit) = split_number(text).ok_or_else(wrong)?;
        let millis_per_unit: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let millis = number.checked_mul(millis_per_unit).ok_or_else(wrong)?;
        Ok(Period(Duration::from_millis(millis)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if millis != 0 && millis.is_multiple_of(size) {
                return write!(f, "{}{unit}", millis / size);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A number of bytes: `64KiB`, `10MiB`, `2GiB`, also `KB`, `MB`, `GB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct ByteSize(pub u64);

impl ByteSize {
    pub(crate) const fn kib(n: u64) -> Self {
        ByteSize(n * 1024)
    }

    pub(crate) const fn mib(n: u64) -> Self {
        ByteSize(n * 1024 * 1024)
    }
}

const SIZE_UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

impl FromStr for ByteSize {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let wrong = || Unreadable(format!("`{text}` is no size; write 512, 64KiB, 10MiB or 2GiB"));
        let (number, unit) = split_number(text).ok_or_else(wrong)?;
        let (_, size) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        number.checked_mul(*size).map(ByteSize).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in &SIZE_UNITS[..3] {
            if self.0 != 0 && self.0.is_multiple_of(*size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A number of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Count(pub usize);

impl FromStr for Count {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let number = split_number(text).filter(|(_, unit)| unit.is_empty());
        let number = number.and_then(|(number, _)| usize::try_from(number).ok());
        number.map(Count).ok_or_else(|| Unreadable(format!("`{text}` is no number; write 1000")))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bytes per second: `200B/s`, `10KiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct ByteRate(pub u64);

impl FromStr for ByteRate {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let size = text.strip_suffix("/s").filter(|size| size.ends_with('B'));
        let size = size.and_then(|size| ByteSize::from_str(size).ok());
        let rate = size.map(|ByteSize(bytes)| ByteRate(bytes));
        rate.ok_or_else(|| Unreadable(format!("`{text}` is no rate; write 200B/s or 10KiB/s")))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = ByteSize(self.0).to_string();
        let unit = if size.ends_with('B') { "" } else { "B" };
        write!(f, "{size}{unit}/s")
    }
}

/// A share of a whole: `20%`. Invariant: 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Share(f64);

impl Share {
    /// A share of `percent` hundredths; more than 100 is 100.
    pub(crate) const fn percent(percent: u8) -> Self {
        Share(if percent > 100 { 100.0 } else { percent as f64 })
    }

    /// The share as a fraction, 0.0 to 1.0.
    pub(crate) fn fraction(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Share {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        text.strip_suffix('%')
            .filter(|number| is_decimal(number))
            .and_then(|number| number.parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(Share)
            .ok_or_else(|| Unreadable(format!("`{text}` is no share; write 0% to 100%")))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// `on` or `off`; `true` and `false` mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Switch(pub bool);

impl Switch {
    pub(crate) const ON: Switch = Switch(true);
    pub(crate) const OFF: Switch = Switch(false);
}

impl FromStr for Switch {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text {
            "on" | "true" => Ok(Switch::ON),
            "off" | "false" => Ok(Switch::OFF),
            _ => Err(Unreadable(format!("`{text}` is neither on nor off"))),
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "on" } else { "off" })
    }
}

/// A value that may be switched off: `off`, `false`, or the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OrOff<T> {
    #[default]
    Off,
    Set(T),
}

impl<T> OrOff<T> {
    pub(crate) fn set(self) -> Option<T> {
        match self {
            OrOff::Off => None,
            OrOff::Set(value) => Some(value),
        }
    }
}

impl<T: FromStr<Err = Unreadable>> FromStr for OrOff<T> {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text {
            "off" | "false" => Ok(OrOff::Off),
            _ => T::from_str(text)
                .map(OrOff::Set)
                .map_err(|Unreadable(what)| Unreadable(format!("{what}, or off"))),
        }
    }
}

impl<T: fmt::Display> fmt::Display for OrOff<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrOff::Off => f.write_str("off"),
            OrOff::Set(value) => value.fmt(f),
        }
    }
}

/// Nanoseconds, which reach for 584 years; longer is as long as that.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A number in digits alone; `FromStr` would take a sign, too.
pub(crate) fn digits<T: FromStr>(text: &str) -> Option<T> {
    is_digits(text).then(|| text.parse().ok()).flatten()
}

/// Digits, with others after a dot or without; `f64` would take `1e1` and `-0`, too.
fn is_decimal(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    is_digits(whole) && is_digits(part)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits `10MiB` into 10 and `MiB`; `None` without a leading number.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

/// A type read from one scalar of the configuration by its `FromStr`.
///
/// Its `FORMAT` is the `format` of its JSON Schema, `check` its judge.
pub(crate) trait Word: FromStr<Err = Unreadable> + fmt::Display {
    const FORMAT: &'static str;
}

impl Word for Period {
    const FORMAT: &'static str = "duration";
}

impl Word for ByteSize {
    const FORMAT: &'static str = "size";
}

impl Word for Share {
    const FORMAT: &'static str = "share";
}

impl Word for Switch {
    const FORMAT: &'static str = "switch";
}

impl Word for OrOff<Period> {
    const FORMAT: &'static str = "duration-or-off";
}

impl Word for OrOff<ByteSize> {
    const FORMAT: &'static str = "size-or-off";
}

impl Word for OrOff<Count> {
    const FORMAT: &'static str = "count-or-off";
}

impl Word for OrOff<ByteRate> {
    const FORMAT: &'static str = "byte-rate-or-off";
}

/// Reads a [`Word`] from a string, a boolean or a number.
pub(crate) struct WordVisitor<T>(std::marker::PhantomData<T>);

impl<T> Default for WordVisitor<T> {
    fn default() -> Self {
        WordVisitor(std::marker::PhantomData)
    }
}

impl<T: Word> Visitor<'_> for WordVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {}", T::FORMAT)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
}

/// Gives a [`Word`] its serde and JSON Schema implementations.
macro_rules! word {
    ($($type:ty),* $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($crate::units::WordVisitor::default())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$type as $crate::units::Word>::FORMAT.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": ["string", "number", "boolean"],
                    "format": <$type as $crate::units::Word>::FORMAT,
                })
            }
        }
    )*};
}
pub(crate) use word;

word!(
    Period,
    ByteSize,
    Share,
    Switch,
    OrOff<Period>,
    OrOff<ByteSize>,
    OrOff<Count>,
    OrOff<ByteRate>
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Word + PartialEq + fmt::Debug>(text: &str, expected: Option<T>) {
        assert_eq!(text.parse::<T>().ok(), expected, "{text}");
    }

    #[test]
    fn reads_durations() {
        check("250ms", Some(Period(Duration::from_millis(250))));
        check("5s", Some(Period::from_secs(5)));
        check("10m", Some(Period::from_secs(600)));
        check("1h", Some(Period::from_secs(3600)));
        check("7d", Some(Period::from_secs(604_800)));
        for bad in ["", "5", "s", "5 s", "-5s", "1.5s", "5w", "99999999999999999999d"] {
            check::<Period>(bad, None);
        }
    }

    #[test]
    fn reads_sizes() {
        check("0", Some(ByteSize(0)));
        check("512", Some(ByteSize(512)));
        check("64KiB", Some(ByteSize::kib(64)));
        check("10MiB", Some(ByteSize::mib(10)));
        check("2GiB", Some(ByteSize(2 << 30)));
        check("1KB", Some(ByteSize(1000)));
        for bad in ["", "KiB", "64 KiB", "64kib", "-1", "99999999999GiB"] {
            check::<ByteSize>(bad, None);
        }
    }

    #[test]
    fn reads_rates() {
        check("200B/s", Some(OrOff::Set(ByteRate(200))));
        check("2KiB/s", Some(OrOff::Set(ByteRate(2048))));
        check("off", Some(OrOff::<ByteRate>::Off));
        for bad in ["", "200", "200/s", "200B", "B/s", "200 B/s", "200B/min", "-1B/s"] {
            check::<OrOff<ByteRate>>(bad, None);
        }
    }

    #[test]
    fn reads_shares_and_switches() {
        check("20%", Some(Share::percent(20)));
        check("0.5%", Some(Share(0.5)));
        for bad in ["120%", "20", "%", "-0%", "+5%", "1e1%", ".5%", "5.%", "nan%", "inf%"] {
            check::<Share>(bad, None);
        }
        check("true", Some(Switch::ON));
        check("off", Some(Switch::OFF));
        check::<Switch>("yes", None);
        check("off", Some(OrOff::<Period>::Off));
        check("5s", Some(OrOff::Set(Period::from_secs(5))));
        check("12", Some(OrOff::Set(Count(12))));
        check("false", Some(OrOff::<Count>::Off));
        for bad in ["", "-1", "12x", "1.5", "on"] {
            check::<OrOff<Count>>(bad, None);
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["250ms", "5s", "10m", "1h", "7d"] {
            assert_eq!(text.parse::<Period>().expect("good").to_string(), text);
        }
        for text in ["200B/s", "2KiB/s"] {
            assert_eq!(text.parse::<ByteRate>().expect("good").to_string(), text);
        }
        for text in ["64KiB", "10MiB", "2GiB", "1000"] {
            assert_eq!(text.parse::<ByteSize>().expect("good").to_string(), text);
        }
    }
}
