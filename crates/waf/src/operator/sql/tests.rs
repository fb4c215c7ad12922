use libinjectionrs::sqli::{self, SqliTokenizer, TokenType};
use libinjectionrs::{SqliFlags, SqliState};

use super::*;
use crate::operator::fixture;

const PARTS: [&str; 60] = [
    "'",
    "\"",
    "`",
    "<",
    ">",
    "=",
    "<=>",
    "||",
    "&&",
    "!=",
    "--",
    "-- ",
    "/*",
    "*/",
    "/*!",
    "#",
    "(",
    ")",
    ";",
    ",",
    ".",
    "@",
    "@@",
    "{",
    "}",
    "[",
    "]",
    "\\",
    "\\N",
    "\n",
    "union",
    "select",
    "in",
    "not",
    "like",
    "user",
    "password",
    "collate",
    "utf8_bin",
    "int",
    "if",
    "into outfile",
    "and",
    "or",
    "x",
    "1",
    "0x",
    "0b1",
    "1.5e",
    "2e7",
    "1d ",
    "b'1'",
    "x'a'",
    "q'(",
    ")'",
    "u&'",
    "$",
    "$a$",
    "sp_password",
    " ",
];
const READINGS: [(Quote, Dialect); 5] = [
    (Quote::None, Dialect::Ansi),
    (Quote::None, Dialect::MySql),
    (Quote::Single, Dialect::Ansi),
    (Quote::Single, Dialect::MySql),
    (Quote::Double, Dialect::MySql),
];

fn flags(quote: Quote, dialect: Dialect) -> SqliFlags {
    let quote = match quote {
        Quote::None => SqliFlags::FLAG_QUOTE_NONE,
        Quote::Single => SqliFlags::FLAG_QUOTE_SINGLE,
        Quote::Double => SqliFlags::FLAG_QUOTE_DOUBLE,
    };
    match dialect {
        Dialect::Ansi => quote | SqliFlags::FLAG_SQL_ANSI,
        Dialect::MySql => quote | SqliFlags::FLAG_SQL_MYSQL,
    }
}

/// What can be compared of a token.
type Shape = (char, Vec<u8>, u8, u8);

fn shape(token: &Token) -> Shape {
    (char::from(token.kind as u8), token.text().to_vec(), token.open, token.close)
}

fn its_shape(token: &sqli::Token) -> Shape {
    let text = token.val[..token.len].to_vec();
    (token.token_type.to_char(), text, token.str_open, token.str_close)
}

fn check_agrees(input: &[u8]) {
    for (quote, dialect) in READINGS {
        let mut lexer = Lexer::new(input, quote, dialect);
        let mut theirs = SqliTokenizer::new(input, flags(quote, dialect));
        loop {
            let (found, expected) = (lexer.next(), theirs.next_token());
            let expected = expected.as_ref().map(its_shape);
            assert_eq!(found.as_ref().map(shape), expected, "{}", input.escape_ascii());
            if found.is_none() {
                break;
            }
        }
        let mut theirs = SqliState::new(input, flags(quote, dialect));
        theirs.fold_tokens();
        let folded = fold(&mut Lexer::new(input, quote, dialect));
        let (found, expected): (Vec<_>, Vec<_>) = (
            folded.tokens().iter().map(shape).collect(),
            theirs.tokens.iter().map(its_shape).collect(),
        );
        assert_eq!(found, expected, "{}", input.escape_ascii());
    }
    let mut theirs = SqliState::new(input, SqliFlags::FLAG_NONE);
    let expected = theirs.detect().then_some(theirs.fingerprint);
    assert_eq!(judge(input), expected, "{}", input.escape_ascii());
}

#[test]
fn every_reading_is_libinjections() {
    for value in fixture::spoilt_injections(11, 20_000, &PARTS) {
        check_agrees(&value);
    }
}

/// A token as libinjection's own tests print it.
fn shown(token: &sqli::Token) -> Vec<u8> {
    let mut line = token.token_type.to_char().to_string().into_bytes();
    line.push(b' ');
    if token.token_type == TokenType::Variable && token.str_open != 0 {
        let marks = usize::try_from(token.count).unwrap();
        line.extend(std::iter::repeat_n(b'@', marks));
    }
    let quotes = matches!(token.token_type, TokenType::String | TokenType::Variable);
    line.extend((quotes && token.str_open != 0).then_some(token.str_open));
    line.extend(&token.val[..token.len]);
    line.extend((quotes && token.str_close != 0).then_some(token.str_close));
    line.trim_ascii_end().to_vec()
}

#[test]
fn vectors_of_tokens_pass() {
    // Their tokens are as the vectors say, and ours are theirs.
    fixture::check_vectors("test-tokens-", |input| {
        check_agrees(input);
        let mut theirs = SqliTokenizer::new(input, SqliFlags::FLAG_SQL_ANSI);
        let lines = std::iter::from_fn(|| theirs.next_token()).map(|token| shown(&token));
        lines.collect::<Vec<_>>().join(&b'\n')
    });
    fixture::check_vectors("test-folding-", |input| {
        check_agrees(input);
        let mut theirs = SqliState::new(input, SqliFlags::FLAG_NONE);
        let count = theirs.fold_tokens();
        let lines = theirs.tokens.iter().take(count).map(shown);
        lines.collect::<Vec<_>>().join(&b'\n')
    });
}

#[test]
fn long_values_take_linear_time() {
    // Each byte of these was looked at thousands of times.
    for part in ["is.", "a.", "a`", "`a", "1a.", "like.", "$a", "x'0", "\\\\'", "/* ", "''"] {
        assert_eq!(judge(part.repeat(300_000).as_bytes()), None, "{part}");
    }
}
