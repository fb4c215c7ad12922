use super::*;
use crate::body::fixture::{Dice, check_linear};

fn read(text: &[u8], limits: &Limits) -> (Vec<String>, Result<(), JsonError>) {
    let mut found = Vec::new();
    let result = flatten(text, limits, &mut |name, value| {
        found.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
    });
    (found, result)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let (found, result) = read(text.as_bytes(), &Limits::default());
    assert_eq!(found, expected, "{text}");
    assert_eq!(result, Ok(()), "{text}");
}

#[track_caller]
fn check_fault(text: impl AsRef<[u8]>, fault: JsonError) {
    let text = text.as_ref();
    let (_, result) = read(text, &Limits::default());
    assert_eq!(result, Err(fault), "{}", text.escape_ascii());
}

#[test]
fn names_every_scalar_by_its_path() {
    check("{\"a\":{\"b\":[1,{\"c\":2}]}}", &["json.a.b.0=1", "json.a.b.1.c=2", "json.a.b=2"]);
    check("[[1,2],[3]]", &["json.0.0=1", "json.0.1=2", "json.1.0=3"]);
    check("{\"a\":[[],[1]],\"b\":2}", &["json.a.0=", "json.a.1.0=1", "json.a=2", "json.b=2"]);
    check("{\"profile\":\"test\"}", &["json.profile=test"]);
    check("{\"a.b\":1,\"\":2}", &["json.a.b=1", "json.=2"]);
    check(" \t\r\n{ \"a\" : [ 1 , 2 ] } ", &["json.a.0=1", "json.a.1=2", "json.a=2"]);
    for scalar in ["1", "\"1\""] {
        check(scalar, &["json=1"]);
    }
}

#[test]
fn a_mark_of_utf_8_at_the_start_says_nothing() {
    check("\u{feff}{\"a\":1}", &["json.a=1"]);
    check("\u{feff} [\"\u{feff}\"]", &["json.0=\\xef\\xbb\\xbf"]);
    check_fault("\u{feff}", JsonError::Cut);
}

#[test]
fn keeps_keys_that_are_doubled_or_have_nothing_behind_them() {
    check("{\"a\":1,\"a\":2}", &["json.a=1", "json.a=2"]);
    check("{\"<script>\":{},\"b\":[]}", &["json.<script>=", "json.b=0"]);
    for text in ["", "{}", "[]", " [ ] "] {
        check(text, &[]);
    }
}

#[test]
fn tells_words_and_numbers_as_written() {
    check("[true,false,null]", &["json.0=true", "json.1=false", "json.2="]);
    for number in ["0", "-0", "12", "-1.50", "1e5", "1E+05", "0.1e-9", &"9".repeat(400)] {
        check(number, &[&format!("json={number}")]);
    }
    for number in ["01", "-", "+1", ".1", "1.", "1.e1", "1e", "0x1", "NaN", "1_0", "- 1"] {
        let (_, result) = read(number.as_bytes(), &Limits::default());
        assert!(result.is_err(), "{number}");
    }
}

#[test]
fn decodes_strings_to_utf_8() {
    for (text, value) in [
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"\u0041\u00e9\u20aC\u0000", "A\u{e9}\u{20ac}\0"),
        (r"\ud83d\ude00x", "\u{1f600}x"),
        ("\u{e9}\u{7f}", "\u{e9}\u{7f}"),
    ] {
        let value = format!("json={}", value.as_bytes().escape_ascii());
        check(&format!("\"{text}\""), &[&value]);
        check(&format!("{{\"{text}\":1}}"), &[&format!("{}=1", value.replace("json=", "json."))]);
    }
    for (text, value) in [
        (r"\ud83d", r"\xed\xa0\xbd"),
        (r"\ude00\ud83d", r"\xed\xb8\x80\xed\xa0\xbd"),
        (r"\ud83dx\ude00", r"\xed\xa0\xbdx\xed\xb8\x80"),
        (r"\ud83d\u0041", r"\xed\xa0\xbdA"),
    ] {
        check(&format!("\"{text}\""), &[&format!("json={value}")]);
    }
}

#[test]
fn refuses_what_is_not_json() {
    use JsonError as E;
    for text in [" ", "{", "[", "{\"a\"", "{\"a\":", "{\"a\":1", "[1", "[1,", "\"", "\"a", "\"\\"] {
        check_fault(text, E::Cut);
    }
    for text in ["tru", "n", "-", "1.", "1e+", "{\"a\":1,"] {
        check_fault(text, E::Cut);
    }
    for (text, at) in [
        ("[1,]", 3),
        ("{\"a\":1,}", 7),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[1:2]", 2),
        ("{1:2}", 1),
        ("{\"a\" 1}", 5),
        ("{\"a\":}", 5),
        ("{\"a\",1}", 4),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("}", 0),
        ("'a'", 0),
        ("// a\n1", 0),
        ("\u{feff}\u{feff}1", 3),
        ("[nul1]", 1),
        ("\u{a0}1", 0),
    ] {
        check_fault(text, E::Unexpected(at));
    }
    for (text, at) in [("1 2", 2), ("{}{}", 2), ("[]]", 2), ("01", 1), ("truex", 4), ("{} \0", 3)] {
        check_fault(text, E::Trailing(at));
    }
    for text in ["\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u\"", "\"\\U0041\"", "\"\\'\""] {
        check_fault(text, E::Escape(1));
    }
    for text in ["\"\0\"", "\"\n\"", "\"\x1f\""] {
        check_fault(text, E::Control(1));
    }
    for text in [&b"\"\xff\""[..], b"\"\xc3\"", b"\"\xed\xa0\x80\"", b"\"\xc0\x80\""] {
        check_fault(text, E::Utf8(1));
    }
}

#[test]
fn tells_what_stands_before_a_fault() {
    let (found, result) = read(b"{\"a\":1,\"b\":[2,", &Limits::default());
    assert_eq!(found, ["json.a=1", "json.b.0=2"]);
    assert_eq!(result, Err(JsonError::Cut));
    for (begun, value) in
        [("x", "x"), ("", ""), ("x\\\"y", "x\\\"y"), ("x\\", "x"), ("x\\u00e", "x")]
    {
        let (found, result) = read(format!("{{\"a\":\"{begun}").as_bytes(), &Limits::default());
        assert_eq!(found, [format!("json.a={value}")]);
        assert_eq!(result, Err(JsonError::Cut), "{begun}");
    }
}

#[test]
fn limits_are_faults() {
    let limits = Limits {
        depth: 2,
        fields: 3,
        value_bytes: 4,
        name_bytes: 12,
        names_bytes: 24,
        ..Limits::default()
    };
    for (text, fault) in [
        ("[[1]]", None),
        ("[[[1]]]", Some(JsonError::TooDeep)),
        ("[1,2,3]", None),
        ("[1,2,3,4]", Some(JsonError::TooManyValues)),
        ("[1234,\"1234\"]", None),
        ("[12345]", Some(JsonError::ValueTooLong)),
        ("[\"12345\"]", Some(JsonError::ValueTooLong)),
        ("{\"1234567\":1,\"1234568\":1}", None),
        ("{\"12345678\":1}", Some(JsonError::NamesTooLong)),
        ("{\"1234567\":1,\"1234568\":1,\"a\":1}", Some(JsonError::NamesTooLong)),
    ] {
        assert_eq!(read(text.as_bytes(), &limits).1.err(), fault, "{text}");
    }
}

#[test]
fn deep_documents_are_cheap() {
    let nested = |depth| [vec![b'['; depth], b"1".to_vec(), vec![b']'; depth]].concat();
    let (found, result) = read(&nested(400), &Limits::default());
    assert_eq!(found, [format!("json{}=1", ".0".repeat(400))]);
    assert_eq!(result, Ok(()));
    assert_eq!(read(&nested(1_000_000), &Limits::default()).1, Err(JsonError::TooDeep));
    let unbounded = Limits {
        depth: usize::MAX,
        name_bytes: usize::MAX,
        names_bytes: usize::MAX,
        ..Limits::default()
    };
    assert_eq!(read(&nested(1_000_000), &unbounded).1, Ok(()));
}

/// Names repeat those above them, which is what could make this more than linear.
#[test]
fn names_are_bounded_in_total() {
    let key = "k".repeat(4_000);
    let text = format!("{{\"{key}\":[{}1]}}", "1,".repeat(60_000));
    let (found, result) =
        read(text.as_bytes(), &Limits { fields: usize::MAX, ..Limits::default() });
    assert_eq!(result, Err(JsonError::NamesTooLong));
    assert!(found.len() < 300);
}

#[test]
fn random_documents_are_safe() {
    let samples: [&[u8]; 4] = [
        b"{\"a\":{\"b\":[1,-2.5e+3,{\"c\":null}]},\"d\":\"\\u0041\\n\\ud83d\\ude00\"}",
        b"[[],{},[[]],{\"\":{}},true,false,\"\xc3\xa9\"]",
        b"\"x\"",
        b" {\"a\" : [ 1 , 2 ] } ",
    ];
    let pieces: [&[u8]; 18] = [
        b"{", b"}", b"[", b"]", b",", b":", b"\"", b"\\", b"\\u", b"\\ud800", b"1", b"-", b"e",
        b".", b"null", b"\xff", b"\0", b" ",
    ];
    let mut dice = Dice::new();
    let mut valid = 0;
    for _ in 0..50_000 {
        let sample = samples[dice.roll(samples.len())];
        let text = dice.mutate(sample, &pieces);
        let theirs = serde_json::from_slice::<serde_json::Value>(&text);
        let ours = read(&text, &Limits::default()).1;
        // serde_json refuses lone surrogates and numbers past its range, and reads any bytes.
        if theirs.is_ok() && !text.is_empty() {
            valid += 1;
            assert_eq!(ours, Ok(()), "{}", text.escape_ascii());
        }
    }
    assert!(valid > 1_000, "{valid}");
}

#[test]
fn time_is_linear() {
    for piece in ["[", "{\"a\":", "1,", "\\u0041", "\"\",", " ", "9", "[],", "\\ud800", "é"] {
        for start in ["[", "\""] {
            let limits = Limits { depth: usize::MAX, fields: usize::MAX, ..Limits::default() };
            check_linear(&format!("{start}{piece}"), |times| {
                let text = [start, &piece.repeat(times)].concat();
                let mut told = 0;
                let outcome = flatten(text.as_bytes(), &limits, &mut |name, value| {
                    told += name.len() + value.len();
                });
                assert!(told <= limits.names_bytes + text.len(), "{outcome:?}");
            });
        }
    }
}
