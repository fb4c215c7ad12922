//! Bytes that remember their places, through joined lines and removed escapes.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::parse::place::Place;

const SHOWN_CHARS: usize = 60;

/// Owned bytes, each with its line and column.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    file: Arc<Path>,
    bytes: Vec<u8>,
    // Invariant: `at` ascends; a run ends where the next begins.
    runs: Vec<Run>,
}

impl Text {
    pub(crate) fn new(file: Arc<Path>) -> Self {
        Self { file, bytes: Vec::new(), runs: Vec::new() }
    }

    /// An empty text that stands at `place`.
    pub(crate) fn at(place: Place) -> Self {
        let run = Run { at: 0, line: place.line, column: place.column };
        Self { file: place.file, bytes: Vec::new(), runs: vec![run] }
    }

    pub(crate) fn push(&mut self, byte: u8, line: u32, column: u32) {
        let at = self.bytes.len();
        let follows = self.runs.last().is_some_and(|run| run.spot(at) == (line, column));
        if !follows {
            self.runs.push(Run { at, line, column });
        }
        self.bytes.push(byte);
    }

    pub(crate) fn whole(&self) -> Part<'_> {
        Part { text: self, start: 0, end: self.bytes.len() }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn place(&self, at: usize) -> Place {
        let index = self.runs.partition_point(|run| run.at <= at);
        let run = index.checked_sub(1).and_then(|index| self.runs.get(index));
        let (line, column) = run.map_or((1, 1), |run| run.spot(at));
        Place { file: Arc::clone(&self.file), line, column }
    }
}

/// A slice of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    text: &'a Text,
    // Invariant: start ≤ end ≤ text.len().
    start: usize,
    end: usize,
}

impl<'a> Part<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.text.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn len(self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The byte at `at`, if there is one.
    pub(crate) fn byte(self, at: usize) -> Option<u8> {
        self.bytes().get(at).copied()
    }

    /// A slice of this part; a range past its end is cut off there.
    pub(crate) fn slice(self, range: Range<usize>) -> Self {
        let end = self.end.min(self.start.saturating_add(range.end));
        let start = end.min(self.start.saturating_add(range.start));
        Self { text: self.text, start, end }
    }

    pub(crate) fn after(self, at: usize) -> Self {
        self.slice(at..self.len())
    }

    pub(crate) fn before(self, at: usize) -> Self {
        self.slice(0..at)
    }

    pub(crate) fn trim(self) -> Self {
        let bytes = self.bytes();
        let start = bytes.len() - bytes.trim_ascii_start().len();
        let end = bytes.trim_ascii_end().len();
        self.slice(start.min(end)..end)
    }

    /// The parts before and after the first `byte`.
    pub(crate) fn split_once(self, byte: u8) -> Option<(Self, Self)> {
        let at = self.bytes().iter().position(|b| *b == byte)?;
        Some((self.before(at), self.after(at + 1)))
    }

    pub(crate) fn strip(self, prefix: u8) -> Option<Self> {
        (self.byte(0) == Some(prefix)).then(|| self.after(1))
    }

    /// A decimal number without sign, blanks or separators.
    pub(crate) fn number(self) -> Option<u64> {
        let digits = std::str::from_utf8(self.bytes()).ok()?;
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    }

    pub(crate) fn place(self) -> Place {
        self.text.place(self.start)
    }

    /// Each byte with its line and column.
    pub(crate) fn spots(self) -> impl Iterator<Item = (u8, u32, u32)> + 'a {
        let runs = &self.text.runs;
        let mut index = runs.partition_point(|run| run.at <= self.start).saturating_sub(1);
        let start = self.start;
        self.bytes().iter().enumerate().map(move |(offset, byte)| {
            let at = start + offset;
            while runs.get(index + 1).is_some_and(|next| next.at <= at) {
                index += 1;
            }
            let (line, column) = runs.get(index).map_or((1, 1), |run| run.spot(at));
            (*byte, line, column)
        })
    }

    /// For a message: short, printable, lossy.
    pub(crate) fn shown(self) -> String {
        let bytes = self.before(4 * SHOWN_CHARS).bytes();
        let text = String::from_utf8_lossy(bytes);
        let mut shown: String = text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .take(SHOWN_CHARS)
            .collect();
        if text.chars().count() > SHOWN_CHARS || bytes.len() < self.len() {
            shown.push('…');
        }
        shown
    }
}

/// Bytes that stand next to each other in one line of the file.
#[derive(Debug, Clone, Copy)]
struct Run {
    at: usize,
    line: u32,
    column: u32,
}

impl Run {
    fn spot(self, at: usize) -> (u32, u32) {
        let along = u32::try_from(at.saturating_sub(self.at)).unwrap_or(u32::MAX);
        (self.line, self.column.saturating_add(along))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[(&str, u32, u32)]) -> Text {
        let mut text = Text::new(Arc::from(Path::new("a.conf")));
        for (piece, line, column) in pieces {
            for (column, byte) in (*column..).zip(piece.bytes()) {
                text.push(byte, *line, column);
            }
        }
        text
    }

    #[test]
    fn a_part_keeps_its_place_through_joined_lines() {
        let text = text(&[("ab", 1, 5), ("cd", 2, 1)]);
        let places: Vec<_> = (0..4).map(|at| text.whole().after(at).place()).collect();
        let shown: Vec<_> = places.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a.conf:1:5", "a.conf:1:6", "a.conf:2:1", "a.conf:2:2"]);
        let spots: Vec<_> = text.whole().after(1).spots().collect();
        assert_eq!(spots, [(b'b', 1, 6), (b'c', 2, 1), (b'd', 2, 2)]);
    }

    #[test]
    fn a_slice_past_the_end_is_cut() {
        let text = text(&[("abc", 1, 1)]);
        assert_eq!(text.whole().slice(2..9).bytes(), b"c");
        assert_eq!(text.whole().slice(7..9).bytes(), b"");
        assert_eq!(text.whole().after(usize::MAX).bytes(), b"");
    }

    #[test]
    fn numbers_are_plain_digits() {
        for (written, number) in [
            ("12", Some(12)),
            ("", None),
            ("+1", None),
            ("1 ", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(text(&[(written, 1, 1)]).whole().number(), number, "{written}");
        }
    }

    #[test]
    fn blanks_are_trimmed_at_both_ends() {
        for (written, trimmed) in [("  a b ", "a b"), ("   ", ""), ("", ""), ("x", "x")] {
            assert_eq!(text(&[(written, 1, 1)]).whole().trim().bytes(), trimmed.as_bytes());
        }
    }
}
