//! Whether a value runs a script in HTML: what libinjection says of it, in linear time.
//!
//! The value is read as text, as attributes of a tag, and as if it stood in each kind of quotes.
//! These five readings mostly become the same after a few bytes, and go on as one.

mod lexer;
mod names;

use std::ops::Range;

use lexer::{CONTEXTS, Cursor, Piece};
use names::{Attribute, is_bad_address, is_bad_tag};

pub(super) fn is_script(value: &[u8]) -> bool {
    let mut readings = CONTEXTS.map(|cursor| Some(Reading { cursor, name: None }));
    // The one that is farthest behind goes on, so that it can meet the others.
    while let Some(behind) = behind(&readings) {
        let Some(mut reading) = readings.get_mut(behind).and_then(Option::take) else { break };
        match reading.step(value) {
            Step::Script => return true,
            Step::End => {}
            Step::More => {
                let is_met = readings.iter().flatten().any(|other| *other == reading);
                if !is_met && let Some(place) = readings.get_mut(behind) {
                    *place = Some(reading);
                }
            }
        }
    }
    false
}

fn behind(readings: &[Option<Reading>]) -> Option<usize> {
    let places = readings.iter().enumerate();
    let places = places.filter_map(|(place, one)| Some((one.as_ref()?.cursor.at(), place)));
    places.min().map(|(_, place)| place)
}

#[derive(Debug, PartialEq)]
struct Reading {
    cursor: Cursor,
    /// The attribute whose value may follow.
    name: Option<Range<usize>>,
}

enum Step {
    Script,
    More,
    End,
}

impl Reading {
    fn step(&mut self, value: &[u8]) -> Step {
        let Some(piece) = self.cursor.next(value) else { return Step::End };
        let text = |range: Range<usize>| value.get(range).unwrap_or_default();
        let name = self.name.take();
        let is_script = match piece {
            Piece::Other => false,
            Piece::Doctype => true,
            Piece::TagName(name) => is_bad_tag(text(name)),
            Piece::Comment(range) => is_bad_comment(text(range)),
            Piece::Name(range) => {
                self.name = Some(range);
                false
            }
            Piece::Value(range) => name.is_some_and(|name| is_bad(text(name), text(range))),
        };
        if is_script { Step::Script } else { Step::More }
    }
}

fn is_bad(name: &[u8], value: &[u8]) -> bool {
    match Attribute::of(name) {
        Attribute::Plain => false,
        Attribute::Script => true,
        Attribute::Address => is_bad_address(value),
        Attribute::Name => Attribute::of(value) != Attribute::Plain,
    }
}

/// Internet Explorer ends comments at a backquote, and looks into some.
fn is_bad_comment(text: &[u8]) -> bool {
    let starts =
        |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    memchr::memchr(b'`', text).is_some()
        || text.len() > 3 && (starts(b"[if") || starts(b"xml"))
        || starts(b"import")
        || starts(b"entity")
}

#[cfg(test)]
mod tests;
