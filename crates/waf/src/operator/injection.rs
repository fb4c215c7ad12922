//! @detectSQLi and @detectXSS: libinjection's judgement.

use crate::operator::byte_set::ByteSet;
use crate::operator::{markup, sql};

/// Without one of these, HTML has no tag, no comment and no attribute with a value.
pub(crate) const MARKUP: ByteSet = ByteSet::of(b"<=");

/// The fingerprint of the SQL in `value`, if it is an injection.
pub(crate) fn sql(value: &[u8]) -> Option<[u8; 8]> {
    if is_one_word(value) { None } else { sql::judge(value) }
}

pub(crate) fn is_xss(value: &[u8]) -> bool {
    memchr::memchr2(b'<', b'=', value).is_some() && markup::is_script(value)
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
    use libinjectionrs::{SqliFlags, SqliState, detect_xss};

    use super::*;
    use crate::operator::fixture;

    fn check_agrees(value: &[u8]) {
        let mut state = SqliState::new(value, SqliFlags::FLAG_NONE);
        let print = state.detect().then_some(state.fingerprint);
        assert_eq!(sql(value), print, "{}", value.escape_ascii());
        let is_script = detect_xss(value).is_injection();
        assert_eq!(is_xss(value), is_script, "{}", value.escape_ascii());
    }

    #[test]
    fn answers_are_those_of_libinjection() {
        const PARTS: [&str; 24] = [
            "'", "\"", "<", ">", "=", "--", "/*", "*/", "#", "(", ")", ";", "@", "union", "select",
            "onload", "1", "or", "0x1", "e", " ", "q'", "_", ".",
        ];
        for value in fixture::spoilt_injections(7, 30_000, &PARTS) {
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
    fn vectors_of_injections_pass() {
        fixture::check_vectors("test-sqli-", |input| {
            let print = sql(input).unwrap_or_default();
            print.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
        });
    }
}
