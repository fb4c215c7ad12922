//! Values with a form of their own, judged by the types that will hold them.

use std::str::FromStr;

use crate::client::Country;
use crate::limit::{Amount, Rate};
use crate::networks::Network;
use crate::units::{ByteRate, ByteSize, Count, OrOff, Period, Share, Switch, Unreadable, Word};
use crate::waf::Named;

/// A `format` of the schema and its judge.
#[derive(Clone, Copy)]
pub(super) struct Format {
    name: &'static str,
    /// What a value of it is called.
    pub noun: &'static str,
    /// One that is right.
    pub example: &'static str,
    judge: fn(&str) -> Result<(), Unreadable>,
}

/// Every format that is judged here; any other says nothing about the text.
const FORMATS: [Format; 13] = [
    format::<Named>(Named::FORMAT, "the name of a profile or off", "off"),
    format::<Period>(Period::FORMAT, "a duration", "1s"),
    format::<ByteSize>(ByteSize::FORMAT, "a size", "1KiB"),
    format::<Share>(Share::FORMAT, "a share", "1%"),
    format::<Switch>(Switch::FORMAT, "on or off", "off"),
    format::<OrOff<Period>>(<OrOff<Period> as Word>::FORMAT, "a duration or off", "off"),
    format::<OrOff<ByteSize>>(<OrOff<ByteSize> as Word>::FORMAT, "a size or off", "off"),
    format::<Rate>(Rate::FORMAT, "a rate", "1/s"),
    format::<Amount>(Amount::FORMAT, "a number or a size", "1"),
    format::<OrOff<Count>>(<OrOff<Count> as Word>::FORMAT, "a number or off", "off"),
    format::<OrOff<ByteRate>>(<OrOff<ByteRate> as Word>::FORMAT, "a rate or off", "off"),
    format::<Network>("network", "a network", "127.0.0.1"),
    format::<Country>(Country::FORMAT, "a country", "DE"),
];

const fn format<T: FromStr<Err = Unreadable>>(
    name: &'static str,
    noun: &'static str,
    example: &'static str,
) -> Format {
    Format { name, noun, example, judge: |text| text.parse::<T>().map(drop) }
}

impl Format {
    pub(super) fn find(name: &str) -> Option<Format> {
        FORMATS.into_iter().find(|format| format.name == name)
    }

    /// What is wrong with a text, if anything.
    pub(super) fn judge(&self, text: &str) -> Result<(), String> {
        (self.judge)(text).map_err(|Unreadable(what)| what)
    }
}
