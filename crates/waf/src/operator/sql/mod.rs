//! Whether a value is an injection of SQL: what libinjection says of it, in linear time.
//!
//! The value is read as it is, as if it stood in quotes, and in the dialect of MySQL where that
//! differs; of each reading the first five tokens that cannot be folded are its fingerprint, and
//! libinjection's table says which are those of injections.

mod token;
mod words;
mod text;
mod lexer;
mod merge;
mod fold;

use fold::{Fold, fold};
use lexer::{Dialect, Lexer, Quote};
use token::{Kind, Token};

/// Letters of the tokens of an injection, filled up with zeros.
pub(super) type Fingerprint = [u8; 8];

/// The fingerprint of the first reading in which `value` is an injection.
pub(super) fn judge(value: &[u8]) -> Option<Fingerprint> {
    if value.is_empty() {
        return None;
    }
    let plain = Reading::new(value, Quote::None, Dialect::Ansi);
    if let Some(print) = plain.judge() {
        return Some(print);
    }
    if plain.is_other_in_mysql
        && let Some(print) = Reading::new(value, Quote::None, Dialect::MySql).judge()
    {
        return Some(print);
    }
    if memchr::memchr(b'\'', value).is_some() {
        let single = Reading::new(value, Quote::Single, Dialect::Ansi);
        if let Some(print) = single.judge() {
            return Some(print);
        }
        if single.is_other_in_mysql
            && let Some(print) = Reading::new(value, Quote::Single, Dialect::MySql).judge()
        {
            return Some(print);
        }
    }
    memchr::memchr(b'"', value)?;
    Reading::new(value, Quote::Double, Dialect::MySql).judge()
}

/// A value in one of the ways in which it may be read.
struct Reading<'a> {
    value: &'a [u8],
    fold: Fold,
    is_other_in_mysql: bool,
}

impl<'a> Reading<'a> {
    fn new(value: &'a [u8], quote: Quote, dialect: Dialect) -> Self {
        let mut lexer = Lexer::new(value, quote, dialect);
        let fold = fold(&mut lexer);
        Self { value, fold, is_other_in_mysql: lexer.is_other_in_mysql() }
    }

    fn judge(&self) -> Option<Fingerprint> {
        let tokens = self.fold.tokens();
        let mut print = [0; 8];
        for (letter, token) in print.iter_mut().zip(tokens) {
            *letter = token.kind as u8;
        }
        if print.contains(&(Kind::Evil as u8)) {
            // One that no statement has is enough.
            print = [Kind::Evil as u8, 0, 0, 0, 0, 0, 0, 0];
            return words::is_bad(b"X").then_some(print);
        }
        let letters = print.get(..tokens.len()).unwrap_or(&print);
        (words::is_bad(letters) && !self.is_ordinary(letters, tokens)).then_some(print)
    }

    /// Fingerprints that ordinary text has too need a closer look.
    fn is_ordinary(&self, print: &[u8], tokens: &[Token]) -> bool {
        if print.len() > 1 && print.last() == Some(&b'c') && has_sp_password(self.value) {
            return false;
        }
        match tokens {
            [first, second] => self.are_two_ordinary(first, second),
            [first, second, third] => self.are_three_ordinary(print, [first, second, third]),
            _ => false,
        }
    }

    fn are_two_ordinary(&self, first: &Token, second: &Token) -> bool {
        if second.kind == Kind::Union {
            return self.fold.count == 2;
        }
        match (first.kind, second.kind, second.first()) {
            (_, _, b'#') => true,
            // After a word only this one is a comment and no dash.
            (Kind::Bareword, Kind::Comment, mark) => mark != b'/',
            (Kind::Number, Kind::Comment, b'/') => false,
            (Kind::Number, Kind::Comment, _) => self.fold.count <= 2 && !self.ends_number(first),
            // `1--` ends a statement, and `1-- foo` need not.
            (_, _, b'-') => second.text().len() > 2,
            _ => false,
        }
    }

    /// Whether a blank or a comment stands where a number at the start of the value would end.
    fn ends_number(&self, number: &Token) -> bool {
        match self.value.get(number.text().len()..).unwrap_or_default() {
            // As a signed byte, which is negative beyond ASCII.
            [0..=32 | 128.., ..] => true,
            rest => rest.starts_with(b"/*") || rest.starts_with(b"--"),
        }
    }

    fn are_three_ordinary(&self, print: &[u8], [first, second, third]: [&Token; 3]) -> bool {
        if matches!(print, b"sos" | b"s&s") {
            // `' + '` between strings that begin and end outside of the value is none.
            return first.open != 0 || third.close != 0 || first.close != third.open;
        }
        let is_short = matches!(print, b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s");
        if is_short && self.fold.count == 3 {
            return true;
        }
        second.kind == Kind::Keyword
            && (second.text().len() < 5 || !second.text().starts_with(b"INTO"))
    }
}

/// SQL Server does not log what has this in it, so that attacks do.
fn has_sp_password(value: &[u8]) -> bool {
    const WORD: &[u8] = b"sp_password";
    let stands =
        |at| value.get(at..at + WORD.len()).is_some_and(|part| part.eq_ignore_ascii_case(WORD));
    memchr::memchr2_iter(b's', b'S', value).any(stands) && std::str::from_utf8(value).is_ok()
}

#[cfg(test)]
mod tests;
