//! What a rule that matched tells of what it saw and did.

use crate::exchange::{Request, tell};

#[test]
fn a_long_value_is_shown_where_it_matched() {
    let rule = "SecRule ARGS \"@rx attack\" \"id:1,phase:2,pass,log,capture\"";
    for (before, after, offset, start) in
        [(10, 10, 0, 10), (505, 0, 0, 505), (1000, 1000, 872, 128), (5000, 3, 4497, 503)]
    {
        let target = format!("/?q={}attack{}", "x".repeat(before), "y".repeat(after));
        let told = tell(rule, &Request::get(&target));
        let hit = &told.only_match().hits[0];
        assert_eq!((hit.offset, hit.start), (offset, start), "{before}");
        assert_eq!(hit.length, before + 6 + after, "{before}");
        assert_eq!(hit.value.len(), hit.length.min(512), "{before}");
        assert!(hit.value[start..].starts_with(b"attack"), "{before}");
    }
}

#[test]
fn of_many_values_a_few_are_told() {
    let rule = "SecRule ARGS \"@contains a\" \"id:1,phase:2,pass,log\"";
    let told = tell(rule, &Request::get(&format!("/?{}", "q=a&".repeat(40))));
    assert_eq!(told.only_match().hits.len(), 16);
}

#[test]
fn a_match_tells_what_it_added_to_scores() {
    let rules = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.n=5,setvar:tx.score=+1\"\n\
        SecRule ARGS \"@contains a\" \"id:2,phase:2,pass,log,chain\"\n\
        SecRule MATCHED_VARS \"@rx .\" \"setvar:tx.score=+%{tx.n},setvar:tx.other=+2\"\n\
        SecRule ARGS \"@contains b\" \"id:3,phase:2,pass,log,setvar:tx.score=7\"\n";
    let told = tell(rules, &Request::get("/?x=a&y=ab"));
    let added: Vec<_> = told.transaction.matches().iter().map(|one| &one.added).collect();
    let of = |name: &str, number| (name.as_bytes().to_vec(), number);
    assert_eq!(added, [&vec![of("score", 10), of("other", 4)], &vec![]]);
}

#[test]
fn what_would_be_refused_is_known_where_rules_only_detect() {
    let rules = "SecRule ARGS \"@contains a\" \"id:1,phase:2,pass,log\"\n\
        SecRule ARGS \"@contains a\" \"id:2,phase:2,deny,nolog,noauditlog\"\n\
        SecRule ARGS \"@contains a\" \"id:3,phase:2,drop,log\"\n";
    for (mode, target, expected) in [
        ("DetectionOnly", "/?x=a", Some(2)),
        ("DetectionOnly", "/?x=b", None),
        ("On", "/?x=a", None),
    ] {
        let told = tell(&format!("SecRuleEngine {mode}\n{rules}"), &Request::get(target));
        let detected = told.transaction.detected().map(|id| id.0);
        assert_eq!(detected, expected, "{mode} {target}");
    }
}

#[test]
fn a_name_leads_to_what_was_written_before_transformations() {
    let rules =
        "SecRule ARGS|REQUEST_HEADERS|REQUEST_URI \"@rx .\" \"id:1,phase:2,pass,log,t:lowercase\"";
    let request = Request::get("/?Q=AB&q=C&q=D").with("X-A", "E");
    let told = tell(rules, &request);
    let of = |name: &str| -> Vec<String> {
        let values = told.transaction.values_of(name.as_bytes());
        values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    assert_eq!(of("ARGS:Q"), ["AB"]);
    assert_eq!(of("ARGS:q"), ["C", "D"]);
    assert_eq!(of("ARGS:x"), [""; 0]);
    assert_eq!(of("REQUEST_HEADERS:X-A"), ["E"]);
    assert_eq!(of("REQUEST_URI"), ["/?Q=AB&q=C&q=D"]);
    assert_eq!(of("NOTHING:q"), [""; 0]);
    let hits = &told.only_match().hits;
    assert!(hits.iter().any(|hit| hit.name == b"ARGS:Q" && hit.value == b"ab"));
}

#[test]
fn a_message_is_known_to_be_the_same_whatever_matched() {
    for (message, expected) in [("fixed", true), ("%{MATCHED_VAR} is bad", false)] {
        let rule = format!("SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,log,msg:'{message}'\"");
        let told = tell(&rule, &Request::get("/?q=a"));
        assert_eq!(told.only_match().is_message_fixed, expected, "{message}");
    }
}
