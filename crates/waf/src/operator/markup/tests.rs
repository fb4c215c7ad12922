use libinjectionrs::xss::{Html5Flags, Html5State, TokenType, XssDetector};

use super::*;
use crate::operator::fixture;

const PARTS: [&str; 56] = [
    "'",
    "\"",
    "`",
    "<",
    "</",
    ">",
    "/>",
    "=",
    "/",
    "<!--",
    "-->",
    "-!>",
    "--",
    "-",
    "<!",
    "<?",
    "<%",
    "%>",
    "<![CDATA[",
    "]]>",
    "<!doctype",
    "<!DocType x",
    "[if",
    "xml",
    "import",
    "entity",
    "<a ",
    "<svg",
    "<xsl:",
    "<script",
    "<\0scr\0ipt",
    "</script",
    "style",
    "filter",
    "xmlns",
    "xlink:href",
    "href",
    "src",
    "attributename",
    "onload",
    "onclick",
    "onx",
    "on",
    "o\0n\0cut",
    "data:",
    "java",
    "&#106;ava",
    "&#x6A;\nava",
    "&#0;",
    "\0",
    "\n",
    "\t",
    " ",
    "x",
    "\u{ff}",
    "by",
];
const FLAGS: [Html5Flags; 5] = [
    Html5Flags::DataState,
    Html5Flags::ValueNoQuote,
    Html5Flags::ValueSingleQuote,
    Html5Flags::ValueDoubleQuote,
    Html5Flags::ValueBackQuote,
];

/// The pieces that matter, up to a doctype, which ends the search.
fn pieces(input: &[u8], mut cursor: Cursor) -> Vec<(&'static str, &[u8])> {
    let mut pieces = Vec::new();
    while let Some(piece) = cursor.next(input) {
        pieces.push(match piece {
            Piece::Other => ("", &[][..]),
            Piece::Doctype => ("doctype", &[][..]),
            Piece::TagName(range) => ("tag", &input[range]),
            Piece::Name(range) => ("name", &input[range]),
            Piece::Value(range) => ("value", &input[range]),
            Piece::Comment(range) => ("comment", &input[range]),
        });
        if piece_is_last(&pieces) {
            break;
        }
    }
    pieces
}

fn piece_is_last(pieces: &[(&str, &[u8])]) -> bool {
    pieces.last().is_some_and(|(kind, _)| *kind == "doctype")
}

fn its_pieces(input: &[u8], flags: Html5Flags) -> Vec<(&'static str, &[u8])> {
    let mut theirs = Html5State::new(input, flags);
    let mut pieces = Vec::new();
    while !piece_is_last(&pieces) && theirs.next() {
        let text = &theirs.token_start[..theirs.token_len];
        pieces.push(match theirs.token_type {
            TokenType::Doctype => ("doctype", &[][..]),
            TokenType::TagNameOpen => ("tag", text),
            TokenType::AttrName => ("name", text),
            TokenType::AttrValue => ("value", text),
            TokenType::TagComment => ("comment", text),
            _ => ("", &[][..]),
        });
    }
    pieces
}

fn check_agrees(input: &[u8]) {
    for (cursor, flags) in CONTEXTS.into_iter().zip(FLAGS) {
        let expected = its_pieces(input, flags);
        assert_eq!(pieces(input, cursor), expected, "{flags:?} {}", input.escape_ascii());
    }
    let expected = FLAGS.iter().any(|flags| XssDetector::is_xss(input, *flags));
    assert_eq!(is_script(input), expected, "{}", input.escape_ascii());
}

#[test]
fn every_reading_is_libinjections() {
    for value in fixture::spoilt_injections(13, 40_000, &PARTS) {
        check_agrees(&value);
    }
}

#[test]
fn vectors_of_pieces_pass() {
    // Their pieces are as the vectors say, and ours are theirs.
    fixture::check_vectors("test-html5-", |input| {
        check_agrees(input);
        let mut theirs = Html5State::new(input, Html5Flags::DataState);
        let next = || {
            theirs.next().then(|| {
                let text = &theirs.token_start[..theirs.token_len];
                [format!("{},{},", theirs.token_type, text.len()).as_bytes(), text].concat()
            })
        };
        std::iter::from_fn(next).collect::<Vec<_>>().join(&b'\n')
    });
}

#[test]
fn names_of_attributes_are_known() {
    for (name, expected) in [
        ("onclick", Attribute::Script),
        ("onCUT", Attribute::Script),
        ("oncu\0t", Attribute::Script),
        ("oncu", Attribute::Plain),
        ("onclick x", Attribute::Plain),
        ("onclick=", Attribute::Plain),
        ("style", Attribute::Script),
        ("xlinkx", Attribute::Script),
        ("href", Attribute::Address),
        ("hre", Attribute::Plain),
        ("attributename", Attribute::Name),
        ("x", Attribute::Plain),
    ] {
        assert_eq!(Attribute::of(name.as_bytes()), expected, "{name:?}");
    }
}

#[test]
fn long_values_take_linear_time() {
    let zeros = format!("<a on{}=1 ", "\0".repeat(300));
    for part in ["<", "</a ", "<!--", "<a\0", "-\0", "a=' ", "onabc=1 ", "<%", "%", &zeros] {
        assert!(!is_script(part.repeat(300_000 / part.len()).as_bytes()), "{part}");
    }
}
