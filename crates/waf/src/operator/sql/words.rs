//! What words and operators of two bytes mean in SQL: libinjection's table, found quickly.

use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;

use super::token::{KEPT, Kind};

/// The first of all words with each first byte, in a table that is sorted by bytes.
static STARTS: [u16; 257] = {
    let mut starts = [0; 257];
    let mut number = 0;
    while number < SQL_KEYWORDS.len() {
        starts[SQL_KEYWORDS[number].word.as_bytes()[0] as usize + 1] = number as u16 + 1;
        number += 1;
    }
    let mut byte = 1;
    while byte < 257 {
        if starts[byte] == 0 {
            starts[byte] = starts[byte - 1];
        }
        byte += 1;
    }
    starts
};

/// For the first two bytes of a word, a bit for each length that there is.
static LENGTHS: [u32; 2048] = {
    let mut lengths = [0; 2048];
    let mut number = 0;
    while number < SQL_KEYWORDS.len() {
        let word = SQL_KEYWORDS[number].word.as_bytes();
        assert!(word.len() <= KEPT, "a token keeps less than a word");
        // What begins with a zero is a fingerprint.
        if word[0] != b'0' {
            let second = if word.len() > 1 { word[1] } else { 0 };
            lengths[place(word[0], second)] |= 1 << word.len();
        }
        number += 1;
    }
    lengths
};

const fn place(first: u8, second: u8) -> usize {
    (first as usize & 63) << 5 | second as usize & 31
}

/// Whether the table may have a word of this length that begins with these bytes; the second is 0
/// where there is none.
pub(super) fn may_mean(first: u8, second: u8, length: usize) -> bool {
    let place = place(first.to_ascii_uppercase(), second.to_ascii_uppercase());
    let lengths = LENGTHS.get(place).copied().unwrap_or(0);
    length <= KEPT && lengths >> length & 1 == 1 && first != b'0'
}

/// What a word is, in any case of letters; a bareword if the table has it not.
pub(super) fn meaning(word: &[u8]) -> Kind {
    let [first, ..] = word else { return Kind::Bareword };
    if !may_mean(*first, word.get(1).copied().unwrap_or(0), word.len()) {
        return Kind::Bareword;
    }
    let first = first.to_ascii_uppercase();
    let mut upper = [0; KEPT];
    let Some(upper) = upper.get_mut(..word.len()) else { return Kind::Bareword };
    upper.copy_from_slice(word);
    upper.make_ascii_uppercase();
    let (start, end) = match STARTS.get(usize::from(first)..usize::from(first) + 2) {
        Some([start, end]) => (usize::from(*start), usize::from(*end)),
        _ => return Kind::Bareword,
    };
    let words = SQL_KEYWORDS.get(start..end).unwrap_or_default();
    let found = words.binary_search_by(|one| one.word.as_bytes().cmp(upper));
    found.ok().and_then(|found| words.get(found)).map_or(Kind::Bareword, |one| kind(one.token_type))
}

/// Whether the rows of letters of tokens are those of an injection.
pub(super) fn is_bad(print: &[u8]) -> bool {
    let mut upper = [b'0'; 9];
    let Some(wanted) = upper.get_mut(..=print.len()) else { return false };
    if let Some(letters) = wanted.get_mut(1..) {
        letters.copy_from_slice(print);
    }
    wanted.make_ascii_uppercase();
    let found = SQL_KEYWORDS.binary_search_by(|one| one.word.as_bytes().cmp(wanted));
    let found = found.ok().and_then(|found| SQL_KEYWORDS.get(found));
    !print.is_empty() && found.is_some_and(|one| one.token_type == b'F')
}

fn kind(letter: u8) -> Kind {
    match letter {
        b'k' => Kind::Keyword,
        b'f' => Kind::Function,
        b'U' => Kind::Union,
        b'E' => Kind::Expression,
        b'T' => Kind::TransactSql,
        b't' => Kind::Type,
        b'o' => Kind::Operator,
        b'&' => Kind::Logic,
        b'v' => Kind::Variable,
        b'1' => Kind::Number,
        b'A' => Kind::Collate,
        b'B' => Kind::Group,
        _ => Kind::Bareword,
    }
}

#[cfg(test)]
mod tests {
    use libinjectionrs::sqli::sqli_data::lookup_word;

    use super::*;

    #[test]
    fn every_word_means_what_the_table_says() {
        for one in SQL_KEYWORDS.iter().filter(|one| one.token_type != b'F') {
            assert_eq!(meaning(one.word.as_bytes()), kind(one.token_type), "{}", one.word);
            assert_eq!(meaning(one.word.to_lowercase().as_bytes()), kind(one.token_type));
            let rest: String = one.word.chars().skip(1).collect();
            for other in [&rest, &format!("{}x", one.word), &format!("x{}", one.word)] {
                let expected = lookup_word(other).to_char();
                assert_eq!(meaning(other.as_bytes()) as u8 as char, expected, "{other}");
            }
        }
        for word in ["", "0", "\u{e9}", "a\u{e9}"] {
            assert_eq!(meaning(word.as_bytes()), Kind::Bareword, "{word}");
        }
    }
}
