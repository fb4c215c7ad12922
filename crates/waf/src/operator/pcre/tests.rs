mod agreement;

use std::sync::Arc;

use super::*;
use crate::operator::cache::Cache;
use crate::operator::fixture::Dice;
use crate::operator::pattern::{Groups, Pattern};

/// What of `value` matches, and its groups.
fn find(pattern: &[u8], value: &[u8]) -> Option<Vec<Vec<u8>>> {
    let pattern = match Pattern::compile(pattern, Groups::All, 0) {
        Ok(pattern) => Arc::new(pattern),
        Err(fault) => panic!("{}: {fault}", pattern.escape_ascii()),
    };
    let mut cache = Cache::new();
    let found = pattern.find(value, 0, &mut cache);
    assert_eq!(found.is_some(), pattern.is_match(value, &mut cache));
    assert!(found.is_none() || pattern.needs().are_met(value));
    found.map(|found| found.groups().map(|range| value.get(range).unwrap().to_vec()).collect())
}

fn check(pattern: impl AsRef<[u8]>, value: impl AsRef<[u8]>, expected: &[&[u8]]) {
    let (pattern, value) = (pattern.as_ref(), value.as_ref());
    let found = find(pattern, value).unwrap_or_default();
    assert_eq!(found, expected, "{} on {}", pattern.escape_ascii(), value.escape_ascii());
}

fn check_refused(pattern: &str, at: usize, why: &str) {
    let refusal = parse(pattern.as_bytes()).expect_err(pattern);
    assert_eq!((refusal.at, refusal.why), (at, why), "{pattern}");
}

#[test]
fn hexadecimal_escapes_are_bytes() {
    check(r"\x{c2}\x{b4}", b"a\xc2\xb4b", &[b"\xc2\xb4"]);
    check(r"^\x{c2}$", b"\xc2", &[b"\xc2"]);
    check(r"^\x{c2}$", "\u{c2}", &[]);
    check(r"^[\x{c2}\x{e2}]+$", b"\xe2\xc2", &[b"\xe2\xc2"]);
    check(r"\x41\xFf\x4g", b"A\xff\x04g", &[b"A\xff\x04g"]);
    check("´".as_bytes(), "´", &["´".as_bytes()]);
    // In brackets, each of its bytes stands for itself.
    check("[´]".as_bytes(), b"\xb4", &[b"\xb4"]);
}

#[test]
fn dots_take_line_feeds_and_dollars_do_not() {
    check("a.b", b"a\nb", &[b"a\nb"]);
    check("(?-s)a.b", b"a\nb", &[]);
    check("a$", b"a\n", &[]);
    check("a$", b"ba", &[b"a"]);
    check("(?m)^b$", b"a\nb\nc", &[b"b"]);
    check("^b", b"a\nb", &[]);
}

#[test]
fn braces_and_brackets_may_be_text() {
    check("a{", "a{", &[b"a{"]);
    check("${x}", "${x}", &[]);
    check(r"\${x}", "${x}", &[b"${x}"]);
    check("a{,2}", "a{,2}", &[b"a{,2}"]);
    check("a{2}{", "aa{", &[b"aa{"]);
    check("a{2,}", "aaa", &[b"aaa"]);
    check("a{1,2}?", "aa", &[b"a"]);
    check("a]}", "a]}", &[b"a]}"]);
    check("[[]a", "[a", &[b"[a"]);
    check("[]a]+", "a]", &[b"a]"]);
    check("[^]a]+", "a]b", &[b"b"]);
    check("[a[:b]+", "a[:b", &[b"a[:b"]);
    check("[a&&b~~c]+", "a&b~c", &[b"a&b~c"]);
    check("[a-c-e]+", "a-e", &[b"a-e"]);
    check(r"[\w-.]+", "a-.", &[b"a-."]);
    check(r"[a-\d]+", "-a1b", &[b"-a1"]);
    check("[-a]+", "-a", &[b"-a"]);
    check("[a-]+", "-a", &[b"-a"]);
}

#[test]
fn posix_classes_are_ascii() {
    check("[[:alpha:]]+", b"\xe4aZ1", &[b"aZ"]);
    check("[[:^alpha:]]+", "aZ1_", &[b"1_"]);
    check("[x[:digit:]-]+", "a1-x", &[b"1-x"]);
    check("[[:punct:]]+", "a!~1", &[b"!~"]);
    check("[[:print:]]+", "\na b\t", &[b"a b"]);
    check("(?i)[[:upper:]]+", "aB", &[b"aB"]);
    check_refused(
        "[[:alfa:]]",
        1,
        "there is no such class: write one like [:alpha:], or \\[ for a bracket",
    );
    check_refused(
        "[[=a=]]",
        1,
        "there is no such class: write one like [:alpha:], or \\[ for a bracket",
    );
}

#[test]
fn escapes_are_as_in_pcre() {
    check(r"\<\/\>\-\%", "</>-%", &[b"</>-%"]);
    check(r"\h+", b"a\t \xa0b", &[b"\t \xa0"]);
    check(r"\v", b"\x0b", &[b"\x0b"]);
    check(r"\v", "v\n", &[b"\n"]);
    check(r"\s+", b"a\x0b\x0cb", &[b"\x0b\x0c"]);
    check(r"\e\a\cA\0\01\101", b"\x1b\x07\x01\0\x01A", &[b"\x1b\x07\x01\0\x01A"]);
    check(r"[\b\1\60]+", b"\x08\x010", &[b"\x08\x010"]);
    check(r"\Q.*\E+a\Eb", ".**ab", &[b".**ab"]);
    check(r"[\Q^]\E]+", "^]", &[b"^]"]);
    check(r"\Qa", "a", &[b"a"]);
    check(r"\Aa\z", "a", &[b"a"]);
    check(r"\bor\b", "for or", &[b"or"]);
    check(r"\N+", "\nab\n", &[b"ab"]);
    check(r"(a)(b)\012", "ab\n", &[b"ab\n", b"a", b"b"]);
    check(r"\40", " ", &[b" "]);
    check_refused(
        r"(a)\2",
        3,
        "a reference back is supported to the groups 1 to 9 that start before it",
    );
    check_refused(
        r"(a)\k<a>",
        3,
        "a reference back to a group by name is not supported: write \\1",
    );
    check_refused(r"a\Z", 1, "\\Z looks ahead over a line feed: write $ or \\z, or \\n?$");
    check_refused(r"\R", 0, "\\R never gives back what it took: write (?:\\r\\n|\\n|\\r)");
    check_refused(r"\y", 0, "a backslash stands before a letter that it gives no meaning");
    check_refused(
        r"\x{100}",
        0,
        "\\x{…} holds something else than one byte: write \\x{00} to \\x{ff}",
    );
    check_refused(r"\777", 0, "an octal code is above \\377");
    check_refused("a\\", 1, "a backslash ends it: write \\\\ for one");
}

#[test]
fn options_hold_to_the_end_of_their_group() {
    check("(?i)aB", "Ab", &[b"Ab"]);
    check("a(?i)b", "aB", &[b"aB"]);
    check("a(?i)b", "AB", &[]);
    check("(a(?i)b|c)d", "Cd", &[b"Cd", b"C"]);
    check("(a(?i)b|c)d", "cD", &[]);
    check("(?i:a)b", "AB", &[]);
    check("(?i)a(?-i)b", "Ab", &[b"Ab"]);
    check("(?i)[^a]", "A", &[]);
    check("(?i)[k]", "\u{212a}", &[]);
    check("(?x) a [ ] b # c\n d", "a bd", &[b"a bd"]);
    check("(?x)a\\ b", "a b", &[b"a b"]);
    check("(?U)a+", "aa", &[b"a"]);
    check("(?U)a+?", "aa", &[b"aa"]);
    check("a(?#b)c", "ac", &[b"ac"]);
    check_refused("(?n)a", 0, "an option has an unknown letter: i, m, s, x and U are supported");
    check_refused("a(?i)*", 5, NOTHING);
}

#[test]
fn groups_are_numbered_and_may_have_names() {
    check("(?P<a>x)(?<b>y)(?'c'z)(?:q)", "xyzq", &[b"xyzq", b"x", b"y", b"z"]);
    check("(a)|(b)", "b", &[b"b", b"", b"b"]);
    check(
        "(1)(2)(3)(4)(5)(6)(7)(8)(9)(0)",
        "1234567890",
        &[b"1234567890", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"],
    );
    check_refused("(?|a|b)", 0, "groups of one number are not supported: write (?:");
    check_refused("(a", 0, "a parenthesis is not closed: write \\( for one");
    check_refused("a)", 1, "a parenthesis is closed that was not opened");
    check_refused("(?1)", 0, "groups within groups of the same number are not supported");
    check_refused("(*FAIL)", 0, "verbs like (*SKIP) are not supported: write \\* for a star");
}

#[test]
fn a_last_look_ahead_is_not_captured() {
    check(r"<\?(?!xml)", "<?php", &[b"<?"]);
    check(r"<\?(?!xml)", "<?", &[b"<?"]);
    check(r"<\?(?!xml)", "<?xm", &[b"<?"]);
    check(r"<\?(?!xml)", "<?xml <?", &[b"<?"]);
    check(r"<\?(?!xml)", "<?xml", &[]);
    check("(a)b(?=c+)", "abcc", &[b"ab", b"a"]);
    check("(a)b(?=c)", "ab", &[]);
}

#[test]
fn a_first_look_behind_is_not_captured() {
    const ENTITIES: &str = "(?<!&(?:[au]uml)|&(?:amp)|&(?:(?i)lt));|['=]";
    check(ENTITIES, ";", &[b";"]);
    check(ENTITIES, "a;", &[b";"]);
    check(ENTITIES, "&auml;", &[]);
    check(ENTITIES, "&ouml;", &[b";"]);
    check(ENTITIES, "&amp;&lT;x;", &[b";"]);
    check(ENTITIES, "&amp;&lT;x=", &[b"="]);
    check(ENTITIES, "amp;", &[b";"]);
    check("(?<!a)(b)", "ab", &[]);
    check("(?<!a)(b)", "bb", &[b"b", b"b"]);
    check("x|(?<!ab|b)c", "abc bc c", &[b"c"]);
    check("(?<!)c", "c", &[]);
    let start = "a look-behind is supported once, at the very start of a branch";
    check_refused("b(?<!a)c", 1, start);
    check_refused("(?<!a)b|(?<!a)c", 8, start);
    check_refused("(?<!a+)b", 0, "a negative look-behind is supported for few texts alone");
    check_refused("(?<=a)b", 0, "a look-behind is not supported: write it as text");
}

/// A pattern whose marks are settled: an automaton matches it.
fn check_settled(pattern: &str, value: &str, expected: &[&[u8]]) {
    assert!(parse(pattern.as_bytes()).unwrap().marked.is_none(), "{pattern}");
    check(pattern, value, expected);
}

/// A pattern that is tried out.
fn check_tried(pattern: &str, value: &str, expected: &[&[u8]]) {
    assert!(parse(pattern.as_bytes()).unwrap().marked.is_some(), "{pattern}");
    check(pattern, value, expected);
}

#[test]
fn what_gives_nothing_back_is_settled_where_that_can_be() {
    check_settled(r"a++b", "aab", &[b"aab"]);
    check_settled(r"a++", "aab", &[b"aa"]);
    check_settled(r"[^x\w]++\s*?[@(]*?\s*?\w+\W", " @ (b!", &[b" @ (b!"]);
    check_settled(r"(?:\s*+;\s*+(?:a|b)?x)+", " ; x;bx", &[b" ; x;bx"]);
    check_settled(r"(?>a+)b", "aab", &[b"aab"]);
    check_settled(r"(?>abc)b", "abcb", &[b"abcb"]);
    check_settled("a?+b", "b", &[b"b"]);
    check_settled("a++a", "aaa", &[]);
    check_settled("a++.", "aaab", &[b"aaab"]);
    check_settled("a++.", "aaa", &[]);
    check_settled(r"=\s*+[^;]+", "=  a b;", &[b"=  a b"]);
    check_settled(r"=\s*+[^;]+", "=  ;", &[]);
    check_settled("a++.{2,3}b", "aacbb", &[b"aacbb"]);
    check_settled("a++(?:ab|c)", "aaab", &[]);
    check_settled("a++(?:ab|(c))", "aaac", &[b"aaac", b"c"]);
    check_settled("(?:a|b)++c", "abc", &[b"abc"]);
    check_settled("(?:a++)b", "aab", &[b"aab"]);
    check_settled("a++b?", "aa", &[b"aa"]);
    check_tried("(?:a*+;)*+", "a;;ab", &[b"a;;"]);
    check_settled("(?:a*+;)*$", "a;;aa;", &[b"a;;aa;"]);
}

#[test]
fn what_is_not_settled_gives_nothing_back_either() {
    check_tried("a{1,2}+a", "aa", &[]);
    check_tried("a{1,2}+a", "aaa", &[b"aaa"]);
    check_tried(r"\w++\b", "ab c", &[b"ab"]);
    check_tried("(?:ab)++a", "ababa", &[b"ababa"]);
    check_tried("(?:ab)++ab", "abab", &[]);
    check_tried("a++b?a", "aaa", &[]);
    check_tried("a++b?a", "aaba", &[b"aaba"]);
    check_tried("(?>a|ab)c", "abc", &[]);
    check_tried("(?>ab|a)c", "abc", &[b"abc"]);
    check_tried("(?>(a+)|b)ac|b", "aac b", &[b"b"]);
    check_tried("a++(?=a)", "aaa", &[]);
}

#[test]
fn looks_ahead_may_stand_anywhere() {
    check_tried("(?=(a))(.)", "ba", &[b"a", b"a", b"a"]);
    check_tried("a|b(?!c)", "bc b", &[b"b"]);
    check_tried("(a(?!c))", "acab", &[b"a", b"a"]);
    check_tried("a(?!b+)", "abac", &[b"a"]);
    check_tried("^(?!.*x)(?=.*y)", "aay", &[b""]);
    check_tried("^(?!.*x)(?=.*y)", "aayx", &[]);
    // What was found ahead is not looked for otherwise.
    check_tried("(?=(a+))a*b$", "aab", &[b"aab", b"aa"]);
    check_tried(r"(?=(a+))\1b", "aaab", &[b"aaab", b"aaa"]);
    check_tried("(?!(a)b)a", "abac", &[b"a"]);
    check_tried("(?:(?=a)|b)*a", "bba", &[b"bba"]);
}

#[test]
fn groups_are_referred_to() {
    check_tried(r"(a|b)\1", "abb", &[b"bb", b"b"]);
    check_tried(r"\b(\w+)\b.*\b\1\b", "ab abc ab", &[b"ab abc ab", b"ab"]);
    check_tried(r"(?i)(a)\1", "aA", &[b"aA", b"a"]);
    check_tried(r"(a)(?i)\1", "aA", &[b"aA", b"a"]);
    check_tried(r"(a)\1", "aA", &[]);
    check_tried(r"(?:(a)|b)\1", "baa", &[b"aa", b"a"]);
    check_tried(r"(?:(a|b)\1)+c", "aabbc", &[b"aabbc", b"b"]);
    check_tried(r"(\1b|a)+c", "aabababbabc", &[]);
    check_tried(r"(a|\1b)+c", "aabc", &[b"aabc", b"ab"]);
    check_tried(r"(a*)\1b", "aaaab", &[b"aaaab", b"aa"]);
    check_tried(r"(.)(.)\2\1", "xabba", &[b"abba", b"a", b"b"]);
    check_tried(r"(['`]).*?\1", "a `b' c` '", &[b"`b' c`", b"`"]);
    check_tried(r"(a+)(?!\1)b", "aab", &[b"aab", b"aa"]);
    check_tried(r"(a)\1(?=b)", "aab", &[b"aa", b"a"]);
    // What led nowhere at a place with one text in the group may lead on with another.
    check_tried(r"(\w+)-?\1!", "xaa!", &[b"aa!", b"a"]);
    check_tried("(\u{e9})\\1", "\u{e9}\u{e9}", &["\u{e9}\u{e9}".as_bytes(), "\u{e9}".as_bytes()]);
}

#[test]
fn quantifiers_need_something_to_repeat() {
    check_refused("*a", 0, NOTHING);
    check_refused("(?:|+)", 4, NOTHING);
    check_refused("(?x)( ?:a)", 6, NOTHING);
    check_refused("a{3,2}", 1, "the numbers of a quantifier are wrong");
    check_refused("a{99999}", 1, "the numbers of a quantifier are wrong");
    check_refused("a+*", 2, "a quantifier follows a quantifier: write (?:a+){2}");
}

#[test]
fn depth_and_size_are_bounded() {
    check_refused(&"(".repeat(1_000), DEPTH, "groups are nested too deep");
    let deep = format!("{}a{}", "(".repeat(DEPTH), ")".repeat(DEPTH));
    check(&deep, "a", &[b"a".as_slice(); 10]);
    let large = Pattern::compile(b"((((a{1000}){1000}){1000}){1000})", Groups::Whole, 0);
    assert!(large.unwrap_err().to_string().contains("more than"));
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut dice = Dice::new(1);
    const PARTS: [&str; 40] = [
        "a", "b", "\\", "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "^", "$", ".", "-", ",",
        "1", "9", "x", "(?", ":", "[:", ":]", "alpha", "\\Q", "\\E", "\\x{", "!", "=", ">", "<",
        "#", " ", "\n", "é", "i", "(?i)", "\\d",
    ];
    let mut read = 0;
    for _ in 0..20_000 {
        let pattern: String = (0..dice.roll(12)).map(|_| PARTS[dice.roll(PARTS.len())]).collect();
        read += usize::from(parse(pattern.as_bytes()).is_ok());
    }
    assert!(read > 1_000, "{read}");
}
