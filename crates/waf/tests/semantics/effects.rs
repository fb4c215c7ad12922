//! What a link does when a value matches, and when it counts as a match.

use crate::exchange::{Request, check, check_request, tell};

#[test]
fn effects_come_with_every_value_even_if_the_chain_fails() {
    let rules = r#"
        SecRule ARGS "@streq x" "id:1,phase:1,pass,setvar:tx.n=+1,chain"
            SecRule ARGS:none "@streq x"
        SecRule TX:n "@eq 2" "id:2,phase:1,pass"
    "#;
    check(rules, "/?a=x&b=x&c=y", &[2]);
    check(rules, "/?a=x&b=y", &[]);
}

#[test]
fn only_a_complete_chain_matches() {
    let rules = r#"
        SecRule ARGS:a "@streq 1" "id:1,phase:1,deny,msg:'%{MATCHED_VAR_NAME}',chain"
            SecRule ARGS:b "@streq 2" "setvar:tx.score=+5,chain"
            SecRule ARGS:c "@streq 3" "setvar:tx.score=+7"
    "#;
    for (target, refusal, score) in [
        ("/?a=1&b=2&c=3", "403 in 1 by 1", Some(12)),
        ("/?a=1&b=2&c=4", "none", Some(5)),
        ("/?a=1&b=1&c=3", "none", None),
        ("/?a=2&b=2&c=3", "none", None),
    ] {
        let told = tell(rules, &Request::get(target));
        assert_eq!(told.refusal(), refusal, "{target}");
        assert_eq!(told.transaction.tx_number("score"), score, "{target}");
        assert_eq!(told.ids().len(), usize::from(refusal != "none"), "{target}");
    }
}

#[test]
fn a_link_sees_what_those_before_it_set() {
    let rules = r#"
        SecRule ARGS:a "@rx ^(.)(.)$" "id:1,phase:1,pass,capture,setvar:tx.second=%{TX.2},chain"
            SecRule TX:1 "@streq x" "chain"
            SecRule TX:second "@streq y" "chain"
            SecRule MATCHED_VARS_NAMES "@streq ARGS:a"
    "#;
    check(rules, "/?a=xy", &[1]);
    check(rules, "/?a=yx", &[]);
}

#[test]
fn what_is_absent_matches_nothing() {
    for (condition, is_match) in [
        (r#"ARGS:b "!@streq x""#, false),
        (r#"ARGS:b "@rx ^$""#, false),
        (r#"ARGS:b "@unconditionalMatch""#, false),
        (r#"REQUEST_HEADERS:User-Agent "!@rx .""#, false),
        (r#"TX:b "@eq 0""#, false),
        (r#"TX:b "!@eq 1""#, false),
        (r#"TX:/^b/ "!@eq 1""#, false),
        (r#"&ARGS:b "@eq 0""#, true),
        (r#"&ARGS:a "@eq 2""#, true),
        (r#"&ARGS "@eq 3""#, true),
        (r#"&TX:b "@eq 0""#, true),
        (r#"&TX:b "!@eq 1""#, true),
        (r#"&REQUEST_HEADERS:User-Agent "@eq 0""#, true),
        (r#"&REQUEST_COOKIES "@gt 0""#, false),
        (r#"ARGS:c "@rx ^$""#, true),
        (r#"QUERY_STRING|ARGS:b "!@streq x""#, true),
    ] {
        let rules = format!("SecRule {condition} \"id:1,phase:1,pass\"");
        check(&rules, "/?a=1&a=2&c=", if is_match { &[1] } else { &[] });
    }
}

#[test]
fn capture_fills_and_clears_the_groups() {
    let rules = r#"
        SecRule ARGS:a "@rx (1)(2)?(3)" "id:1,phase:1,pass,nolog,capture"
        SecRule TX:0 "@streq 123" "id:2,phase:1,pass"
        SecRule TX:2 "@streq 2" "id:3,phase:1,pass"
        SecRule TX:3 "@streq 3" "id:4,phase:1,pass"
    "#;
    check(rules, "/?a=0123", &[2, 3, 4]);
    check(rules, "/?a=13", &[4]);
    // A later match leaves nothing of an earlier one, an operator without groups all of it.
    let again = "SecRule ARGS:b \"@rx (x)\" \"id:5,phase:1,pass,nolog,capture\"\n";
    let other = "SecRule ARGS:b \"@contains x\" \"id:5,phase:1,pass,nolog,capture\"\n";
    let rest = rules.split_once("nolog,capture\"\n").map_or("", |(_, rest)| rest);
    let first = rules.strip_suffix(rest).unwrap_or(rules);
    check(&format!("{first}{again}{rest}"), "/?a=0123&b=x", &[]);
    check(&format!("{first}{again}{rest}"), "/?a=0123&b=y", &[2, 3, 4]);
    check(&format!("{first}{other}{rest}"), "/?a=0123&b=x", &[3, 4]);
    // Without capture nothing is kept.
    check(&rules.replace(",capture", ""), "/?a=0123", &[]);
    for (operator, value) in
        [("@pm one two", "a+two+b"), ("@contains two", "atwob"), ("@streq two", "two")]
    {
        let rules = format!(
            "SecRule ARGS:a \"{operator}\" \"id:1,phase:1,pass,nolog,capture\"
             SecRule TX:0 \"@streq two\" \"id:2,phase:1,pass\""
        );
        check(&rules, &format!("/?a={value}"), &[2]);
    }
}

#[test]
fn multi_match_looks_before_and_after_each_change() {
    let rules = |actions: &str| {
        format!(
            "SecRule ARGS:a \"@rx (?i)^%41|^a$\" \"id:1,phase:1,pass,nolog,{actions},setvar:tx.n=+1\"
             SecAction \"id:2,phase:1,pass,msg:'%{{TX.n}}'\""
        )
    };
    for (actions, count) in [
        ("t:none,t:urlDecode,t:lowercase,multiMatch", "3"),
        ("t:none,t:urlDecode,t:lowercase", "1"),
        ("t:none,multiMatch", "1"),
    ] {
        // `%2541` is `%41` as an argument, then `A`, then `a`.
        let told = tell(&rules(actions), &Request::get("/?a=%2541"));
        assert_eq!(told.only_match().message, count.as_bytes(), "{actions}");
    }
}

#[test]
fn an_element_whose_name_a_request_made_is_set_anew() {
    let rules = r#"
        SecAction "id:1,phase:1,pass,nolog,setvar:'tx.of_%{ARGS.n}=1'"
        SecAction "id:2,phase:1,pass,nolog,setvar:'tx.OF_%{ARGS.n}=2',setvar:'tx.of_%{ARGS.n}=+5'"
        SecRule TX:/^of_a$/ "@streq 7" "id:3,phase:1,pass"
        SecRule &TX:/^of_/ "@eq 1" "id:4,phase:1,pass"
    "#;
    check_request(rules, &Request::get("/?n=a"), &[3, 4]);
}

#[test]
fn the_name_of_what_matched_is_that_of_the_last() {
    let rules = "SecRule ARGS \"@streq x\" \"id:1,phase:1,pass,chain\"
        SecRule MATCHED_VAR_NAME \"@streq ARGS:a\"";
    check_request(rules, &Request::get("/?b=x&a=x"), &[1]);
    check_request(rules, &Request::get("/?a=x&b=x"), &[]);
    let any = rules.replace("MATCHED_VAR_NAME", "MATCHED_VARS_NAMES");
    check_request(&any, &Request::get("/?a=x&b=x"), &[1]);
}

#[test]
fn what_stands_between_two_transformations_is_looked_at() {
    for (actions, expected) in [("multiMatch,", &[1][..]), ("", &[])] {
        let rules = format!(
            "SecRule ARGS \"@rx attack\" \"id:1,phase:1,pass,t:none,{actions}t:urlDecode,t:length\""
        );
        check_request(&rules, &Request::get("/?a=%2561ttack"), expected);
    }
}

#[test]
fn names_of_headers_and_of_tx_are_the_same_in_any_case_and_arguments_are_not() {
    let rules = r#"
        SecAction "id:9,phase:1,pass,nolog,setvar:tx.Score=5"
        SecRule request_headers:X-TEST "@streq 1" "id:1,phase:1,pass"
        SecRule tx:sCORE "@eq 5" "id:2,phase:1,pass"
        SecRule ARGS:Name "@streq 1" "id:3,phase:1,pass"
        SecRule ARGS:name "@streq 1" "id:4,phase:1,pass"
        SecRule REQUEST_HEADERS:Host "@streq %{request_headers.x-Test}.%{Tx.SCORE}" "id:5,phase:1,pass"
        SecRule &REQUEST_HEADERS:host "@eq 2" "id:6,phase:1,pass"
        SecRule REQUEST_HEADERS_NAMES:x-test "@streq x-TeSt" "id:7,phase:1,pass"
    "#;
    let mut request = Request::get("/?name=1").with("x-TeSt", "1").with("HOST", "1.5");
    check_request(rules, &request, &[1, 2, 4, 5, 6, 7]);
    request.headers.truncate(1);
    check_request(rules, &request, &[2, 4]);
}

#[test]
fn counters_add_subtract_and_are_unset() {
    for (changes, shown) in [
        ("setvar:tx.a=5,setvar:tx.a=+3", "8"),
        ("setvar:tx.a=5,setvar:tx.a=-3", "2"),
        // As in ModSecurity 2: never below zero.
        ("setvar:tx.a=5,setvar:tx.a=-8", "0"),
        ("setvar:tx.a=5,setvar:tx.b=-8,setvar:tx.c=-9,setvar:tx.a=+%{ARGS.x}", "6"),
        ("setvar:tx.a=5,setvar:tx.a=+%{ARGS.less}", "0"),
        ("setvar:tx.a=+3", "3"),
        ("setvar:tx.a=text,setvar:tx.a=+3", "3"),
        ("setvar:tx.a=5x,setvar:tx.a=+3", "8"),
        ("setvar:tx.a", "1"),
        ("setvar:tx.a=5,setvar:!tx.a", ""),
        ("setvar:tx.b=4,setvar:tx.a=%{tx.b}", "4"),
        ("setvar:tx.b=4,setvar:tx.a=1,setvar:tx.a=+%{tx.b}", "5"),
        ("setvar:'tx.a=%{REQUEST_METHOD}-%{ARGS.x}'", "GET-1"),
        ("setvar:tx.b=a,setvar:tx.%{tx.b}=7", "7"),
        ("setvar:tx.a=007", "007"),
        ("setvar:tx.a=9223372036854775807,setvar:tx.a=+1", "9223372036854775807"),
    ] {
        let rules = format!(
            "SecAction \"id:1,phase:1,pass,nolog,noauditlog,{changes}\"
             SecAction \"id:2,phase:1,pass,msg:'%{{tx.a}}'\""
        );
        let told = tell(&rules, &Request::get("/?x=1&less=-8"));
        assert_eq!(told.only_match().message.escape_ascii().to_string(), shown, "{changes}");
    }
}

#[test]
fn severities_are_told_and_the_worst_is_remembered() {
    let rules = r#"
        SecRule HIGHEST_SEVERITY "@eq 255" "id:1,phase:1,pass"
        SecAction "id:2,phase:1,pass,nolog,severity:WARNING"
        SecAction "id:3,phase:1,pass,nolog,severity:2"
        SecAction "id:4,phase:1,pass,nolog,severity:'NOTICE'"
        SecRule ARGS:none "@streq x" "id:5,phase:1,pass,severity:EMERGENCY"
        SecRule HIGHEST_SEVERITY "@eq 2" "id:6,phase:1,pass,msg:'%{HIGHEST_SEVERITY}'"
        SecAction "id:7,phase:1,pass,severity:CRITICAL,chain"
            SecRule RULE:severity "@eq 2" "chain"
            SecRule RULE:id "@eq 7"
    "#;
    check(rules, "/", &[1, 6, 7]);
}

#[test]
fn a_pattern_may_hold_an_element_that_rules_alone_fill() {
    let rules = r#"
        SecRule ARGS:set "@streq 1" "id:1,phase:1,pass,nolog,setvar:'tx.allowed=a|b'"
        SecRule &TX:allowed "@eq 0" "id:2,phase:1,pass,nolog,setvar:tx.Allowed=c+"
        SecRule ARGS:x "!@rx ^(?:%{tx.allowed})$" "id:3,phase:1,pass"
        SecAction "id:4,phase:1,pass,nolog,setvar:!tx.allowed,setvar:tx.other_%{ARGS.x}=1"
        SecRule ARGS:x "@rx ^%{TX.ALLOWED}$" "id:5,phase:1,pass"
    "#;
    for (target, expected) in [
        ("/?set=1&x=a", &[][..]),
        ("/?set=1&x=ccc", &[3]),
        ("/?x=ccc", &[]),
        ("/?x=a", &[3]),
        ("/?x=", &[3, 5]),
    ] {
        check(rules, target, expected);
    }
    for (set, pattern) in [
        ("setvar:tx.a=%{ARGS.x}", "%{tx.a}"),
        ("setvar:tx.a=+1", "%{tx.a}"),
        ("setvar:tx.%{ARGS.x}=1", "%{tx.a}"),
        ("setvar:tx.a%{ARGS.x}=1", "%{tx.abc}"),
        ("setvar:tx.a=1,setvar:tx.b=1", "%{tx.a}%{tx.b}"),
        ("pass", "%{ARGS.x}"),
        ("pass", "%{tx.1}"),
        ("setvar:tx.a=(", "%{tx.a}"),
    ] {
        let rules = format!(
            "SecAction \"id:1,{set}\"\nSecRule ARGS \"@rx {pattern}\" \"id:2,phase:1,pass\""
        );
        assert!(crate::exchange::load(&rules).is_err(), "{rules}");
    }
}

#[test]
fn macros_in_arguments_messages_and_tags_are_expanded() {
    let rules = r#"
        SecRule ARGS:a "@streq %{ARGS.b}" "id:1,phase:1,pass,tag:'t/%{REQUEST_METHOD}',\
            msg:'%{MATCHED_VAR_NAME}=%{matched_var} %{tx.none}%{remote_addr} %{rule.id}',\
            logdata:'%{UNIQUE_ID}'"
    "#;
    let told = tell(rules, &Request::get("/?a=v&b=v"));
    let only = told.only_match();
    assert_eq!(only.message, b"ARGS:a=v 127.0.0.1 1");
    assert_eq!(only.data, b"1");
    assert_eq!(only.tags, [b"t/GET"]);
}

#[test]
fn no_more_of_a_long_value_is_written_than_is_told() {
    let rules = r#"
        SecRule ARGS:a "@contains x" "id:1,phase:1,pass,severity:2,tag:'%{ARGS.a}',\
            msg:'a: %{MATCHED_VAR} and more',logdata:'%{rule.id}: %{ARGS.a}%{matched_var_name}'"
    "#;
    let value = "x".repeat(300_000);
    let told = tell(rules, &Request::get(&format!("/?a={value}")));
    let only = told.only_match();
    let [tag] = &only.tags[..] else { panic!("{:?}", only.tags) };
    for text in [&only.message, &only.data, tag] {
        assert!(text.len() == 512 && text.capacity() < 2_048, "{} bytes", text.capacity());
    }
    assert!(only.message.starts_with(b"a: xxx") && only.data.starts_with(b"1: xxx"));
    let short = tell(rules, &Request::get("/?a=x"));
    assert_eq!(short.only_match().message, b"a: x and more");
    assert_eq!(short.only_match().data, b"1: xARGS:a");
}

#[test]
fn a_text_that_holds_itself_does_not_grow_without_a_bound() {
    let rules = "SecRule ARGS \"@rx .\" \"id:1,phase:1,pass,nolog,\
        setvar:'tx.x=%{tx.x}%{tx.x}some bytes',setvar:tx.n=+1\"";
    let target = format!("/?{}", "a=b&".repeat(24));
    let told = tell(rules, &Request::get(&target));
    assert_eq!(told.refusal(), "values that become too large when they are decoded");
    let grown = told.transaction.tx_number("n");
    assert!(grown.is_some_and(|grown| (15..23).contains(&grown)), "{grown:?}");
}
