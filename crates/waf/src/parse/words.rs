//! A directive's words: split at blanks, quoted by " or ', a backslash before a quote inside. Only
//! that backslash is removed; `\\` stays two bytes, as in libmodsecurity and Coraza, because the
//! word is most often a regular expression.

use crate::parse::bounds::WORDS;
use crate::parse::fault::{Fault, Problem};
use crate::parse::text::{Part, Text};

/// The words of a line, unquoted.
pub(crate) fn split(line: Part<'_>) -> Result<Vec<Text>, Fault> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.byte(0) {
        if words.len() == WORDS {
            return Err(Fault::too_many(rest, "words in one directive", WORDS));
        }
        let (word, next) = match first {
            b'"' | b'\'' => take_quoted(rest, first)?,
            _ => take_plain(rest),
        };
        if matches!(first, b'"' | b'\'') && next.byte(0).is_some_and(|b| !b.is_ascii_whitespace()) {
            return Err(after_quote(next, first));
        }
        words.push(word);
        rest = next.trim();
    }
    Ok(words)
}

/// The text in the quotes that `part` begins with, and what follows them.
pub(crate) fn take_quoted(part: Part<'_>, quote: u8) -> Result<(Text, Part<'_>), Fault> {
    let inside = part.after(1);
    let mut text = Text::at(inside.place());
    let mut held = None;
    for (at, (byte, line, column)) in inside.spots().enumerate() {
        if let Some((line, column)) = held.take() {
            if byte != quote {
                text.push(b'\\', line, column);
            }
        } else if byte == quote {
            return Ok((text, inside.after(at + 1)));
        } else if byte == b'\\' {
            held = Some((line, column));
            continue;
        }
        text.push(byte, line, column);
    }
    Err(Fault::at(part, Problem::Unclosed { quote: char::from(quote) }))
}

pub(crate) fn after_quote(next: Part<'_>, quote: u8) -> Fault {
    Fault::at(next, Problem::AfterQuote { quote: char::from(quote), got: next.shown() })
}

fn take_plain(part: Part<'_>) -> (Text, Part<'_>) {
    let end = part.bytes().iter().position(u8::is_ascii_whitespace).unwrap_or(part.len());
    (copy(part.before(end)), part.after(end))
}

pub(crate) fn copy(part: Part<'_>) -> Text {
    let mut text = Text::at(part.place());
    for (byte, line, column) in part.spots() {
        text.push(byte, line, column);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fixture;

    fn check(line: &str, expected: &[&str]) {
        let words = match split(fixture::text(line).whole()) {
            Ok(words) => words.iter().map(|word| word.whole().shown()).collect(),
            Err(fault) => vec![fault.to_string()],
        };
        assert_eq!(words, expected, "{line}");
    }

    #[test]
    fn splits_at_blanks_outside_quotes() {
        check("SecRule ARGS \"@rx a b\"  'id:1'", &["SecRule", "ARGS", "@rx a b", "id:1"]);
        check("  a\tb ", &["a", "b"]);
        check("a\"b c", &["a\"b", "c"]);
        check("\"\" ''", &["", ""]);
    }

    #[test]
    fn removes_only_the_escape_of_the_quote() {
        check(r#""a\"b""#, &[r#"a"b"#]);
        check(r#""a\'b""#, &[r"a\'b"]);
        check(r"'a\'b'", &["a'b"]);
        check(r#""a\\" b"#, &[r"a\\", "b"]);
        check(r#""\d\\d""#, &[r"\d\\d"]);
    }

    #[test]
    fn says_where_a_quote_is_not_closed_or_not_escaped() {
        check("a \"b", &["f:1:3: \" is not closed: write \" at the end, and \\\" for one inside"]);
        check(
            "a \"b\"c\"",
            &["f:1:6: `c\"` follows a closing quote: write \\\" for a quote inside the text"],
        );
        check(r#""a\"#, &["f:1:1: \" is not closed: write \" at the end, and \\\" for one inside"]);
    }

    #[test]
    fn words_keep_their_places() {
        let line = fixture::text(r#"ab "c\"d""#);
        let words = split(line.whole()).unwrap();
        let place = words[1].whole().after(2).place().to_string();
        assert_eq!(place, "f:1:8");
    }
}
