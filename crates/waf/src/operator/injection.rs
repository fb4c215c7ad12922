//! @detectSQLi and @detectXSS: libinjection's judgement.

use std::borrow::Cow;

use libinjectionrs::{SqliFlags, SqliState, detect_xss};

use crate::operator::byte_set::ByteSet;

/// Without one of these, HTML has no tag, no comment and no attribute with a value.
pub(crate) const MARKUP: ByteSet = ByteSet::of(b"<=");

/// The fingerprint of the SQL in `value`, if it is an injection.
pub(crate) fn sql(value: &[u8]) -> Option<[u8; 8]> {
    if is_one_word(value) { None } else { judge_sql(value) }
}

pub(crate) fn is_xss(value: &[u8]) -> bool {
    MARKUP.any(value) && detect_xss(value).is_injection()
}

fn judge_sql(value: &[u8]) -> Option<[u8; 8]> {
    let value = with_short_names(value);
    let mut state = SqliState::new(&value, SqliFlags::FLAG_NONE);
    // What matched is the last fingerprint it took.
    state.detect().then_some(state.fingerprint)
}

/// Bytes of a name of SQL with all its parts; the longest of a database has 4 parts of 128.
const NAME: usize = 515;

/// Dots and backquotes far inside a name are made part of it. Libinjection looks up all that
/// stands before each of them: 128 KiB of `a.` would take more than a second.
fn with_short_names(value: &[u8]) -> Cow<'_, [u8]> {
    const ENDS: ByteSet = ByteSet::of(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\x00");
    let mut value = Cow::Borrowed(value);
    if value.len() <= NAME {
        return value;
    }
    let mut length = 0;
    for at in 0..value.len() {
        let byte = value.get(at).copied().unwrap_or(0);
        length = if ENDS.contains(byte) { 0 } else { length + 1 };
        if length > NAME
            && matches!(byte, b'.' | b'`')
            && let Some(byte) = value.to_mut().get_mut(at)
        {
            *byte = b'_';
        }
    }
    value
}

/// One word or number of SQL is no injection: every fingerprint of one has two parts or more, apart
/// from that of a comment which hides.
fn is_one_word(value: &[u8]) -> bool {
    match value.first() {
        None => true,
        Some(b'0'..=b'9') => value.iter().all(u8::is_ascii_digit),
        Some(b'a'..=b'z' | b'A'..=b'Z') => {
            value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use libinjectionrs::sqli::{SqliTokenizer, Token, TokenType};
    use libinjectionrs::xss::{Html5Flags, Html5State};

    use super::*;
    use crate::operator::fixture::{self, Dice};

    fn check_agrees(value: &[u8]) {
        assert_eq!(sql(value), judge_sql(value), "{}", value.escape_ascii());
        let unchecked = detect_xss(value).is_injection();
        assert_eq!(is_xss(value), unchecked, "{}", value.escape_ascii());
    }

    #[test]
    fn quick_answers_are_those_of_libinjection() {
        const PARTS: [&str; 24] = [
            "'", "\"", "<", ">", "=", "--", "/*", "*/", "#", "(", ")", ";", "@", "union", "select",
            "onload", "1", "or", "0x1", "e", " ", "q'", "_", ".",
        ];
        let mut dice = Dice::new(7);
        let corpus = corpus();
        for value in &corpus {
            check_agrees(value);
        }
        for _ in 0..20_000 {
            let parts = (0..dice.roll(8)).map(|_| PARTS[dice.roll(PARTS.len())]);
            let mut value = parts.collect::<String>().into_bytes();
            if let Some(other) = corpus.get(dice.roll(corpus.len().max(1))) {
                value.extend(other.get(dice.roll(other.len() + 1)..).unwrap_or_default());
            }
            for _ in 0..dice.roll(3) {
                let (at, byte) = (dice.roll(value.len() + 1), dice.byte());
                value.insert(at, byte);
            }
            check_agrees(&value);
        }
    }

    #[test]
    fn words_alone_are_no_injection() {
        for word in ["union", "select", "or", "and", "like", "in", "x", "n", "q", "_a", "a_1", "12"]
        {
            check_agrees(word.as_bytes());
            check_agrees(word.to_ascii_uppercase().as_bytes());
            assert_eq!(sql(word.as_bytes()), None);
        }
    }

    #[test]
    fn long_names_take_linear_time() {
        for name in ["a.", "a`", "`a", "1a."] {
            assert_eq!(sql(name.repeat(100_000).as_bytes()), None);
        }
        let long = format!("{} union select 1", "a.".repeat(1_000));
        assert_eq!(sql(long.as_bytes()), sql(b"a union select 1"));
        assert!(sql(long.as_bytes()).is_some());
        let short = "a.".repeat(NAME / 2) + " `a`.b";
        assert!(matches!(with_short_names(short.as_bytes()), Cow::Borrowed(_)));
    }

    fn corpus() -> Vec<Vec<u8>> {
        let folder = fixture::shared().join("libinjection/data/false_positives.txt");
        let mut values: Vec<Vec<u8>> = vectors().into_iter().map(|vector| vector.input).collect();
        let text = fs::read(folder).unwrap_or_default();
        values.extend(text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
        values
    }

    struct Vector {
        file: String,
        input: Vec<u8>,
        expected: Vec<u8>,
    }

    fn vectors() -> Vec<Vector> {
        let folder = fixture::shared().join("libinjection/tests");
        let Ok(files) = fs::read_dir(&folder) else {
            println!("no vectors: there is no {}", folder.display());
            return Vec::new();
        };
        files.map(|file| read(&file.unwrap().path())).collect()
    }

    fn read(path: &std::path::Path) -> Vector {
        let text = fs::read(path).unwrap();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let at = |mark: &[u8]| lines.iter().position(|line| *line == mark).unwrap();
        let (input, expected) = (at(b"--INPUT--"), at(b"--EXPECTED--"));
        Vector {
            file: path.file_name().unwrap().to_string_lossy().into_owned(),
            input: lines[input + 1..expected].join(&b'\n'),
            expected: trimmed(&lines[expected + 1..]),
        }
    }

    /// Libinjection's tests do not look at blanks at the ends of lines either.
    fn trimmed(lines: &[&[u8]]) -> Vec<u8> {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.trim_ascii_end()).collect();
        lines.join(&b'\n').trim_ascii_end().to_vec()
    }

    /// A token as libinjection's own tests print it.
    fn shown(token: &Token) -> Vec<u8> {
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

    fn tokens(input: &[u8]) -> Vec<Vec<u8>> {
        let mut tokenizer = SqliTokenizer::new(input, SqliFlags::FLAG_SQL_ANSI);
        std::iter::from_fn(|| tokenizer.next_token()).map(|token| shown(&token)).collect()
    }

    fn folded(input: &[u8]) -> Vec<Vec<u8>> {
        let mut state = SqliState::new(input, SqliFlags::FLAG_NONE);
        let count = state.fold_tokens();
        state.tokens.iter().take(count).map(shown).collect()
    }

    fn html(input: &[u8]) -> Vec<Vec<u8>> {
        let mut state = Html5State::new(input, Html5Flags::DataState);
        let next = || {
            state.next().then(|| {
                let text = &state.token_start[..state.token_len];
                [format!("{},{},", state.token_type, text.len()).as_bytes(), text].concat()
            })
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn vectors_of_libinjection_pass() {
        let vectors = vectors();
        let mut faults = Vec::new();
        for Vector { file, input, expected } in &vectors {
            let found = match file {
                _ if file.starts_with("test-html5-") => html(input).join(&b'\n'),
                _ if file.starts_with("test-tokens-") => tokens(input).join(&b'\n'),
                _ if file.starts_with("test-folding-") => folded(input).join(&b'\n'),
                _ => {
                    let found = sql(input).unwrap_or_default();
                    found.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
                }
            };
            let lines: Vec<&[u8]> = found.split(|byte| *byte == b'\n').collect();
            if trimmed(&lines) != *expected {
                let (found, expected) = (found.escape_ascii(), expected.escape_ascii());
                faults.push(format!("{file}: {}\n  {found}\n  {expected}", input.escape_ascii()));
            }
        }
        println!("{} passed, {} failed", vectors.len() - faults.len(), faults.len());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
