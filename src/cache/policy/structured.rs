//! Structured fields (RFC 9651): dictionaries and lists, read to the letter.
//!
//! A field that breaks a rule anywhere is no field at all. Values that no
//! field read here is made of are checked, and forgotten.

use http::HeaderMap;

use super::members::is_token_byte;

/// A bare item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Integer(i64),
    String(String),
    Boolean(bool),
    /// A decimal, token, byte sequence, date or display string.
    Other,
}

/// A member of a dictionary or a list, without its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    Item(Item),
    Inner(Vec<Item>),
}

/// The members of the dictionary in a field; of one key, the last (§4.2.2).
///
/// `None` if the field is not there, is empty, or does not read.
pub(super) fn dictionary(headers: &HeaderMap, name: &str) -> Option<Vec<(String, Member)>> {
    let text = joined(headers, name)?;
    let mut rest = Rest(text.as_bytes());
    let mut members: Vec<(String, Member)> = Vec::new();
    rest.each_member(|rest| {
        let key = rest.key()?;
        let value =
            if rest.take(b'=') { rest.member()? } else { Member::Item(Item::Boolean(true)) };
        rest.parameters()?;
        members.retain(|(other, _)| *other != key);
        members.push((key, value));
        Some(())
    })?;
    Some(members)
}

/// The strings of the list in a field; those alone, where it has others, too.
pub(super) fn strings(headers: &HeaderMap, name: &str) -> Option<Vec<String>> {
    let text = joined(headers, name)?;
    let mut rest = Rest(text.as_bytes());
    let mut found = Vec::new();
    rest.each_member(|rest| {
        if let Member::Item(Item::String(text)) = rest.member()? {
            found.push(text);
        }
        rest.parameters()
    })?;
    Some(found)
}

/// All lines of a field as one, without the space around it.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Result<Vec<&str>, _> =
        headers.get_all(name).into_iter().map(|line| line.to_str()).collect();
    let text = lines.ok()?.join(", ");
    let text = text.trim_matches(' ');
    (!text.is_empty()).then(|| text.to_owned())
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Reads members parted by commas to the end; each takes its parameters, too.
    fn each_member(&mut self, mut read: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        loop {
            read(self)?;
            self.skip(b" \t");
            if self.0.is_empty() {
                return Some(());
            }
            self.expect(b',')?;
            self.skip(b" \t");
            // A trailing comma.
            if self.0.is_empty() {
                return None;
            }
        }
    }

    fn member(&mut self) -> Option<Member> {
        if !self.take(b'(') {
            return self.item().map(Member::Item);
        }
        let mut items = Vec::new();
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Some(Member::Inner(items));
            }
            items.push(self.item()?);
            self.parameters()?;
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.item()?;
            }
        }
        Some(())
    }

    fn item(&mut self) -> Option<Item> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string().map(Item::String),
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.span(|byte| is_token_byte(byte) || byte == b':' || byte == b'/');
                Some(Item::Other)
            }
            b':' => self.bytes(),
            b'?' => self.boolean(),
            b'@' => {
                self.expect(b'@')?;
                matches!(self.number()?, Item::Integer(_)).then_some(Item::Other)
            }
            b'%' => self.display(),
            _ => None,
        }
    }

    /// At most 15 digits, or 12 and up to 3 after a dot (§3.3.1, §3.3.2).
    fn number(&mut self) -> Option<Item> {
        let is_negative = self.take(b'-');
        let digits = self.span(|byte| byte.is_ascii_digit());
        let whole = digits.iter().fold(0_i64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
        });
        if digits.is_empty() || digits.len() > 15 {
            return None;
        }
        if !self.take(b'.') {
            return Some(Item::Integer(if is_negative { -whole } else { whole }));
        }
        let decimals = self.span(|byte| byte.is_ascii_digit()).len();
        (digits.len() <= 12 && (1..=3).contains(&decimals)).then_some(Item::Other)
    }

    fn string(&mut self) -> Option<String> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            match self.next()? {
                b'"' => return Some(text),
                b'\\' => text.push(char::from(self.next().filter(|byte| b"\"\\".contains(byte))?)),
                byte @ b' '..=b'~' => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    fn bytes(&mut self) -> Option<Item> {
        self.expect(b':')?;
        self.span(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        self.expect(b':')?;
        Some(Item::Other)
    }

    fn boolean(&mut self) -> Option<Item> {
        self.expect(b'?')?;
        match self.next()? {
            b'0' => Some(Item::Boolean(false)),
            b'1' => Some(Item::Boolean(true)),
            _ => None,
        }
    }

    /// `%"` and what is percent-encoded; whether that is UTF-8 nobody asks.
    fn display(&mut self) -> Option<Item> {
        self.expect(b'%')?;
        self.expect(b'"')?;
        loop {
            match self.next()? {
                b'"' => return Some(Item::Other),
                b'%' => {
                    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
                    self.next().filter(is_hex)?;
                    self.next().filter(is_hex)?;
                }
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }

    fn key(&mut self) -> Option<String> {
        self.peek().filter(|byte| byte.is_ascii_lowercase() || *byte == b'*')?;
        let key = self.span(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        });
        Some(String::from_utf8_lossy(key).into_owned())
    }

    fn span(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !is_part(*byte)).unwrap_or(self.0.len());
        let (span, rest) = self.0.split_at(end);
        self.0 = rest;
        span
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.span(|byte| bytes.contains(&byte));
    }

    fn take(&mut self, expected: u8) -> bool {
        let is_next = self.peek() == Some(expected);
        if is_next {
            self.next();
        }
        is_next
    }

    fn expect(&mut self, expected: u8) -> Option<()> {
        self.take(expected).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let name = HeaderName::from_static("x");
        let value = |line: &&str| HeaderValue::from_bytes(line.as_bytes()).expect("a value");
        lines.iter().map(|line| (name.clone(), value(line))).collect()
    }

    fn read(lines: &[&str]) -> Option<Vec<(String, Member)>> {
        dictionary(&headers(lines), "x")
    }

    fn check(line: &str, expected: &[(&str, Item)]) {
        let expected = expected
            .iter()
            .map(|(key, item)| ((*key).to_owned(), Member::Item(item.clone())))
            .collect();
        assert_eq!(read(&[line]), Some(expected), "{line}");
    }

    #[test]
    fn dictionaries_have_items_of_every_type() {
        check("a", &[("a", Item::Boolean(true))]);
        check("a=?0, b=?1", &[("a", Item::Boolean(false)), ("b", Item::Boolean(true))]);
        check(
            "a=-7,b=999999999999999",
            &[("a", Item::Integer(-7)), ("b", Item::Integer(999_999_999_999_999))],
        );
        check(r#"a="x\"\\ y""#, &[("a", Item::String("x\"\\ y".to_owned()))]);
        for other in ["1.5", "tok/en:*", "*", ":aGk=:", "@1659578233", "%\"f%c3%bc\""] {
            check(&format!("a={other}"), &[("a", Item::Other)]);
        }
        check(
            "a;p;q=1;r=\"x\" \t,\tb;p",
            &[("a", Item::Boolean(true)), ("b", Item::Boolean(true))],
        );
    }

    #[test]
    fn the_last_of_one_key_counts_and_lines_are_one() {
        check("a=1, b=2, a=3", &[("b", Item::Integer(2)), ("a", Item::Integer(3))]);
        assert_eq!(read(&["a=1", "b=2"]), read(&["a=1, b=2"]));
        let inner = Member::Inner(vec![Item::String("x".to_owned()), Item::Integer(1)]);
        assert_eq!(read(&["a=( \"x\";q  1 )"]), Some(vec![("a".to_owned(), inner)]));
        assert_eq!(read(&["a=()"]), Some(vec![("a".to_owned(), Member::Inner(Vec::new()))]));
    }

    #[test]
    fn what_breaks_a_rule_is_not_there() {
        for line in [
            "",
            "  ",
            "A=1",
            "Max-Age=1",
            "a=",
            "a =1",
            "a= 1",
            "a=1,",
            "a,,b",
            ",a",
            "a b",
            "a=1;",
            "a=\"x",
            "a=\"\\x\"",
            "a=1000000000000000",
            "a=1.",
            "a=1.2345",
            "a=1234567890123.1",
            "a=--1",
            "a=?2",
            "a=?",
            "a=:x",
            "a=(1",
            "a=(1,2)",
            "a=(\"x\"\"y\")",
            "a=@1.5",
            "a=é",
            "a='1'",
            "a;P",
            "=1",
            "1",
            "a=%\"%C3\"",
            "a=%x",
            "a={",
            "a=1 2",
        ] {
            assert_eq!(read(&[line]), None, "{line}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["a=1", "B"]), None);
    }

    #[test]
    fn lists_give_their_strings() {
        let read = |line: &str| strings(&headers(&[line]), "x");
        assert_eq!(read("\"a\", \"b\";x"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read("\"a\", b, 1, (\"c\")"), Some(vec!["a".to_owned()]));
        assert_eq!(read("\"a\", \"b"), None);
        assert_eq!(read(""), None);
    }
}
