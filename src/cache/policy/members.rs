//! Members of a list in a field, and what `=` gives them.
//!
//! It reads what is broken, too: of a list that says less than it should, a
//! cache must still find the `no-store` (RFC 9110 §5.6.1, RFC 9111 §5.2).

use std::borrow::Cow;

/// What follows the name of a directive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    None,
    /// A token, or the inside of a quoted string.
    Value(Cow<'a, [u8]>),
    /// Neither.
    Broken,
}

/// The members of a list that are not empty, without the space around them.
///
/// A quote that is never closed is a byte like others.
pub(super) fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(line, b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Splits at a separator that stands outside of quoted strings.
pub(super) fn split(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = end_of_member(text, separator);
        let (member, after) = text.split_at(end);
        rest = after.split_first().map(|(_, after)| after);
        Some(member)
    })
}

/// Reads `name`, `name=token` or `name="quoted"`; the name as it is written.
pub(super) fn directive(member: &[u8]) -> (&[u8], Argument<'_>) {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
        return (member.trim_ascii(), Argument::None);
    };
    let (name, value) = member.split_at(equals);
    let value = value.get(1..).unwrap_or_default();
    let is_spaced = name.trim_ascii_end().len() != name.len();
    let argument = match value {
        _ if is_spaced => Argument::Broken,
        [b'"', ..] => unquoted(value).map_or(Argument::Broken, Argument::Value),
        _ if !value.is_empty() && value.iter().all(|byte| is_token_byte(*byte)) => {
            Argument::Value(Cow::Borrowed(value))
        }
        _ => Argument::Broken,
    };
    (name.trim_ascii(), argument)
}

/// What a quoted string says; `None` if it is not one from end to end.
fn unquoted(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inside = text.strip_prefix(b"\"")?;
    let end = end_of_quoted(inside)?;
    let (inside, rest) = inside.split_at(end);
    if rest.len() != 1 {
        return None;
    }
    if !inside.contains(&b'\\') {
        return Some(Cow::Borrowed(inside));
    }
    let mut is_escaped = false;
    let plain = inside.iter().copied().filter(|byte| {
        is_escaped = *byte == b'\\' && !is_escaped;
        !is_escaped
    });
    Some(Cow::Owned(plain.collect()))
}

fn end_of_member(text: &[u8], separator: u8) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == separator {
            break;
        }
        at += 1;
        if *byte == b'"' {
            let quoted = text.get(at..).and_then(end_of_quoted);
            at += quoted.map_or(0, |length| length + 1);
        }
    }
    at
}

/// Where the quote is that closes a string that begins before `text`.
fn end_of_quoted(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Argument<'_> {
        Argument::Value(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn commas_in_quotes_do_not_part_members() {
        for (line, expected) in [
            ("a, b", &["a", "b"][..]),
            (",, a ,\t,b,", &["a", "b"]),
            (r#"a="x, y", b"#, &[r#"a="x, y""#, "b"]),
            (r#"a="x\", y", b"#, &[r#"a="x\", y""#, "b"]),
            (r#"a="x, no-store"#, &[r#"a="x"#, "no-store"]),
            (r#"a="x\", no-store"#, &[r#"a="x\""#, "no-store"]),
            ("", &[]),
        ] {
            let found: Vec<_> = members(line.as_bytes()).collect();
            let expected: Vec<_> = expected.iter().map(|member| member.as_bytes()).collect();
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn directives_have_a_token_a_string_or_nothing() {
        for (member, name, argument) in [
            ("a", "a", Argument::None),
            ("a=1", "a", value("1")),
            ("a=\"1, 2\"", "a", value("1, 2")),
            (r#"a="\1\"""#, "a", value("1\"")),
            (r#"a="\\""#, "a", value("\\")),
            ("a=\"\"", "a", value("")),
            ("a=", "a", Argument::Broken),
            ("a =1", "a", Argument::Broken),
            ("a= 1", "a", Argument::Broken),
            ("a=1 2", "a", Argument::Broken),
            ("a=\"1\"2", "a", Argument::Broken),
            ("a=\"1", "a", Argument::Broken),
            ("=1", "", value("1")),
        ] {
            assert_eq!(directive(member.as_bytes()), (name.as_bytes(), argument), "{member}");
        }
    }
}
