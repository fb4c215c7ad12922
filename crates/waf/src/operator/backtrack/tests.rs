use std::sync::Arc;

use crate::operator::cache::Cache;
use crate::operator::pattern::{Groups, Pattern, Unmatchable};

/// The rule of CRS 3.3.4 that compares the sides of an equation.
const TAUTOLOGY: &str = concat!(
    r#"(?i:[\s'"`()]*?\b([\d\w]+)\b[\s'"`()]*?(?:<(?:=(?:[\s'"`()]*?(?!\b\1\b)[\d\w]+|"#,
    r#">[\s'"`()]*?(?:\b\1\b))|>?[\s'"`()]*?(?!\b\1\b)[\d\w]+)|(?:not\s+(?:regexp|like)|"#,
    r#"is\s+not|>=?|!=|\^)[\s'"`()]*?(?!\b\1\b)[\d\w]+|(?:(?:sounds\s+)?like|"#,
    r#"r(?:egexp|like)|=)[\s'"`()]*?(?:\b\1\b)))"#
);

fn compile(pattern: &str) -> Arc<Pattern> {
    Arc::new(Pattern::compile(pattern.as_bytes(), Groups::All, 0).unwrap())
}

/// Whether it matches, None if that remains open; and the steps that it took.
fn try_out(pattern: &Arc<Pattern>, value: &[u8]) -> (Option<bool>, usize) {
    let mut cache = Cache::new();
    let is_match = pattern.is_match(value, &mut cache);
    let effort = cache.forget_effort();
    ((!effort.is_undecided).then_some(is_match), effort.steps)
}

#[track_caller]
fn check(pattern: &str, value: &str, expected: Option<bool>) {
    let (found, steps) = try_out(&compile(pattern), value.as_bytes());
    assert_eq!(found, expected, "{pattern} on {} bytes in {steps} steps", value.len());
}

#[test]
fn sides_of_an_equation_are_compared() {
    for (value, expected) in [
        ("1=1", true),
        ("1 = '1", true),
        ("1=2", false),
        ("1 != 2", true),
        ("1 != 1", false),
        ("ab LIKE Ab", true),
        ("11=1", false),
        ("x sounds  like X", true),
        ("a <=> (a", true),
        ("a <= b", true),
        ("is not", false),
        ("1 is not 2", true),
    ] {
        check(TAUTOLOGY, value, Some(expected));
    }
}

#[test]
fn the_steps_of_a_rule_that_is_in_use_grow_with_the_value() {
    let tautology = compile(TAUTOLOGY);
    let most = |length: usize| -> Vec<usize> {
        let parts = ["a", "'", "a=", "a<'", "a=b ", "'='", "not ", "a not  ", " ", "a >= a ", "0'"];
        let values = parts.iter().map(|part| part.repeat(length / part.len()) + "1=2");
        let tried = values.map(|value| try_out(&tautology, value.as_bytes()));
        let steps = tried.map(|(found, steps)| {
            assert_ne!(found, None, "{length} bytes");
            steps
        });
        steps.collect()
    };
    for (short, long) in most(1_000).into_iter().zip(most(64_000)) {
        assert!(long <= 70 * short.max(2_000), "{short} steps, {long} of 64 times as much");
    }
}

#[test]
fn steps_are_bounded() {
    let hostile = format!("{}-bb", "a".repeat(3_000));
    check(r"(\w+)-\1\1", &hostile, None);
    check(r"(\w+)-\1\1", "aaa-aa", Some(true));
    check(r"(\w+)-\1\1", "aaa-ab", Some(false));
    check("^(?:(?=.*x)a)*", &format!("{}bx", "a".repeat(20_000)), None);
    // What is told is kept until it is asked for, and nothing is tried before.
    let pattern = compile(r"(\w+)-\1\1");
    let mut cache = Cache::new();
    assert!(pattern.find(hostile.as_bytes(), 0, &mut cache).is_none());
    assert!(!pattern.is_match(b"a-aa", &mut cache));
    assert!(cache.forget_effort().is_undecided);
    assert!(pattern.is_match(b"a-aa", &mut cache));
}

#[test]
fn a_text_that_is_compared_counts_as_steps() {
    let value = |count: usize| format!("{0}-{0}z", "a".repeat(count));
    check(r"^(a+)-(?:(?=\1)){400}a*z", &value(5), Some(true));
    check(r"^(a+)-(?:(?=\1)){400}a*z", &value(3_000), None);
}

#[test]
fn the_space_of_an_attempt_is_bounded() {
    // A bit for each choice at each byte would be too many.
    let choices = compile("^(?:a?){1000}x*(?=b)c");
    let (open, steps) = try_out(&choices, &[&b"x".repeat(70_000)[..], b"c"].concat());
    assert_eq!((open, steps), (None, 0));
    assert_eq!(try_out(&choices, b"xc").0, Some(false));
    // So are the groups to go back to.
    let groups = |count: usize| format!("{}d", "ab".repeat(count));
    check("^(?:(a)|(b))*(?=c)d", &groups(1_000), Some(false));
    check("^(?:(a)|(b))*(?=c)d", &groups(500_000), None);
}

#[test]
fn what_cannot_match_costs_no_steps() {
    let pattern = compile(r"(\w+)=\1");
    assert_eq!(try_out(&pattern, &b"a".repeat(100_000)), (Some(false), 0));
    // The places behind the equation are not tried one by one.
    let token = format!("token={}", "QmFzZTY0".repeat(1_000));
    assert_eq!(try_out(&pattern, token.as_bytes()).0, Some(false));
}

#[test]
fn nothing_is_tried_twice_at_one_place() {
    check("(?:a*)*(?=c)b", &format!("{}b", "a".repeat(5_000)), Some(false));
    check("(?:a|ab|b)*(?=d)c", &format!("{}c", "ab".repeat(2_500)), Some(false));
}

#[test]
fn programs_are_bounded() {
    let large = Pattern::compile(br"(?>(?:ab){1000}){1000}", Groups::Whole, 0);
    assert!(matches!(large, Err(Unmatchable::TooLong { .. } | Unmatchable::TooLarge { .. })));
}
