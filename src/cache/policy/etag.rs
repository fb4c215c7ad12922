//! Entity tags and lists of them (RFC 9110 §8.8.3).

/// An entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct Tag<'a> {
    pub is_weak: bool,
    /// With its quotes.
    pub opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Reads a field that is one tag.
    pub(in crate::cache) fn read(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Tag::split(text.trim_ascii())?;
        rest.is_empty().then_some(tag)
    }

    /// The tag that a text begins with, and what follows it.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (is_weak, text) = match text.strip_prefix(b"W/") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let inside = text.strip_prefix(b"\"")?;
        let end = inside.iter().position(|byte| *byte == b'"')?;
        let (opaque, rest) = text.split_at_checked(end + 2)?;
        Some((Tag { is_weak, opaque }, rest))
    }
}

/// The tags of a list, up to the first thing that is none.
pub(super) fn tags(list: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !b" \t,".contains(byte))?;
        let (tag, after) = Tag::split(rest.get(start..)?)?;
        rest = after;
        Some(tag)
    })
}

/// Both are strong, and the same.
pub(super) fn matches_strongly(one: &[u8], other: &[u8]) -> bool {
    match (Tag::read(one), Tag::read(other)) {
        (Some(one), Some(other)) => !one.is_weak && one == other,
        _ => false,
    }
}

/// The same but for being weak; tags that are none, if they are the same bytes.
pub(super) fn matches_weakly(one: &[u8], other: &[u8]) -> bool {
    match (Tag::read(one), Tag::read(other)) {
        (Some(one), Some(other)) => one.opaque == other.opaque,
        _ => one.trim_ascii() == other.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_compare_strongly_and_weakly() {
        for (one, other, is_strong, is_weak) in [
            ("\"a\"", "\"a\"", true, true),
            ("\"a\"", "W/\"a\"", false, true),
            ("W/\"a\"", "W/\"a\"", false, true),
            ("W/\"a\"", "W/\"b\"", false, false),
            ("\"a\"", "\"b\"", false, false),
            ("a", "a", false, true),
            ("a", "\"a\"", false, false),
            ("w/\"a\"", "\"a\"", false, false),
        ] {
            let (one, other) = (one.as_bytes(), other.as_bytes());
            assert_eq!(matches_strongly(one, other), is_strong);
            assert_eq!(matches_weakly(one, other), is_weak);
        }
    }

    #[test]
    fn lists_end_where_they_do_not_read() {
        let count = |list: &str| tags(list.as_bytes()).count();
        assert_eq!(count("\"a\", W/\"b,\" ,,\"c\""), 3);
        assert_eq!(count("\"a\", b, \"c\""), 1);
        assert_eq!(count("\"a"), 0);
        assert_eq!(count(""), 0);
    }
}
