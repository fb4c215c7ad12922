//! Phrases, any of which a value may have in it: @pm and @pmFromFile. ASCII letters of either case.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::operator::needs::Needs;

/// Phrases of one operator.
const PHRASES: usize = 200_000;

#[derive(Debug)]
pub(crate) struct Phrases {
    automaton: AhoCorasick,
    phrases: Vec<Vec<u8>>,
}

impl Phrases {
    /// Err says why they cannot be matched.
    pub(crate) fn new(mut phrases: Vec<Vec<u8>>) -> Result<Self, String> {
        for phrase in &mut phrases {
            phrase.make_ascii_lowercase();
        }
        phrases.sort();
        phrases.dedup();
        phrases.retain(|phrase| !phrase.is_empty());
        if phrases.is_empty() {
            return Err("it has no phrase".to_owned());
        }
        if phrases.len() > PHRASES {
            return Err(format!("it has more than {PHRASES} phrases"));
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&phrases)
            .map_err(|fault| fault.to_string())?;
        Ok(Self { automaton, phrases })
    }

    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        self.automaton.is_match(value)
    }

    /// The phrase that ends first.
    pub(crate) fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        self.automaton.find(value).map(|found| found.range())
    }

    pub(crate) fn needs(&self) -> Needs {
        Needs::one_of(self.phrases.iter().map(Vec::as_slice))
    }
}

/// The phrases of @pm: divided by blanks, `|41 42|` stands for bytes, a backslash is escaped.
pub(crate) fn split(argument: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let argument = unquoted(argument.trim_ascii());
    let bytes = content(argument)?;
    let phrases = bytes.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r'));
    Ok(phrases.filter(|phrase| !phrase.is_empty()).map(<[u8]>::to_vec).collect())
}

fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [b'"', inside @ .., b'"'] | [b'\'', inside @ .., b'\''] => inside,
        _ => text,
    }
}

/// Text with bytes in Snort's notation.
pub(crate) fn content(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    const ESCAPE: &str = "text in which \\ stands before one of \\ : ; \" alone";
    const BYTES: &str = "bytes as two hexadecimal digits, |41 42|; for a bar |7c|";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'|' => {
                let inside = rest.as_slice();
                let end = inside.iter().position(|byte| *byte == b'|').ok_or(BYTES)?;
                bytes.extend(hexadecimal(inside.get(..end).unwrap_or_default()).ok_or(BYTES)?);
                rest = inside.get(end + 1..).unwrap_or_default().iter();
            }
            b'\\' => match rest.next() {
                Some(escaped @ (b'\\' | b':' | b';' | b'"')) => bytes.push(*escaped),
                _ => return Err(ESCAPE),
            },
            _ => bytes.push(byte),
        }
    }
    Ok(bytes)
}

fn hexadecimal(inside: &[u8]) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = inside
        .iter()
        .filter(|byte| **byte != b' ')
        .map(|byte| char::from(*byte).to_digit(16))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).ok())
        .collect()
}

/// The lines of a file that are neither blank nor comments, without blanks around them.
pub(crate) fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty() && line.first() != Some(&b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argument: &[u8], expected: Result<&[&[u8]], &'static str>) {
        let found = split(argument);
        let found = found.as_ref().map(|all| all.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(found.map_err(|why| *why), expected.map(<[&[u8]]>::to_vec));
    }

    #[test]
    fn phrases_are_divided_by_blanks() {
        check(b" ab  c\td ", Ok(&[b"ab", b"c", b"d"]));
        check(b"\"ab c\"", Ok(&[b"ab", b"c"]));
        check(b"a", Ok(&[b"a"]));
        check(b"", Ok(&[]));
    }

    #[test]
    fn bytes_are_written_between_bars() {
        check(b"A|42|C|44 4g|F", Err("bytes as two hexadecimal digits, |41 42|; for a bar |7c|"));
        check(b"A|42|C|44 45|F", Ok(&[b"ABCDEF"]));
        check(b"|00ff|x", Ok(&[b"\x00\xffx"]));
        check(b"a|20|b", Ok(&[b"a", b"b"]));
        check(b"a|b", Err("bytes as two hexadecimal digits, |41 42|; for a bar |7c|"));
    }

    #[test]
    fn backslashes_are_escaped() {
        check(br"a\\b\:\;", Ok(&[br"a\b:;"]));
        check(br"a\b", Err("text in which \\ stands before one of \\ : ; \" alone"));
        check(b"a\\", Err("text in which \\ stands before one of \\ : ; \" alone"));
    }

    #[test]
    fn comments_and_blank_lines_are_no_phrases() {
        let found: Vec<&[u8]> = lines(b"# a\n b c \r\n\n #x\nd#e").collect();
        assert_eq!(found, [b"b c".as_slice(), b"d#e"]);
    }

    #[test]
    fn letters_of_either_case_match() {
        let phrases = Phrases::new(vec![b"Union".to_vec(), b"\xc4x".to_vec()]).unwrap();
        assert_eq!(phrases.find(b"a UNION b"), Some(2..7));
        assert_eq!(phrases.find(b"a\xc4Xb"), Some(1..3));
        assert_eq!(phrases.find(b"a\xe4xb"), None);
        assert!(Phrases::new(vec![Vec::new()]).is_err());
    }
}
