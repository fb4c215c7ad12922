//! Rules and targets taken out, at load and by other rules.

use crate::exchange::{Request, check, check_request, load, tell};

/// Three rules over arguments, the last of them a chain.
const RULES: &str = r#"
    SecRule ARGS "@streq x" "id:10,phase:2,pass,tag:'one/two',msg:'the first'"
    SecRule ARGS|REQUEST_COOKIES "@streq x" "id:11,phase:2,pass,tag:'two',msg:'the second'"
    SecRule ARGS "@streq x" "id:12,phase:2,pass,tag:'three',msg:'the third',chain"
        SecRule ARGS "@rx ^x$"
"#;

#[track_caller]
fn check_with(before: &str, after: &str, target: &str, expected: &[u32]) {
    check(&format!("{before}\n{RULES}\n{after}"), target, expected);
}

#[test]
fn rules_are_removed_at_load() {
    for (directive, expected) in [
        ("SecRuleRemoveById 10", &[11, 12][..]),
        ("SecRuleRemoveById 10 12", &[11]),
        ("SecRuleRemoveById 10-11 \"12\"", &[]),
        ("SecRuleRemoveByTag two", &[12]),
        ("SecRuleRemoveByTag ^two", &[10, 12]),
        ("SecRuleRemoveByMsg third", &[10, 11]),
        ("SecRuleRemoveByMsg THIRD", &[10, 11]),
    ] {
        check_with("", directive, "/?a=x", expected);
    }
}

#[test]
fn rules_are_removed_by_rules() {
    for (ctl, expected) in [
        ("ruleRemoveById=10", &[11, 12][..]),
        ("ruleRemoveById=10-12", &[]),
        ("ruleRemoveById=1-999999", &[]),
        ("ruleRemoveByTag=two", &[12]),
        ("ruleRemoveByMsg=the", &[]),
        ("ruleRemoveByMsg=first", &[11, 12]),
    ] {
        let before = format!("SecAction \"id:1,phase:1,pass,nolog,ctl:{ctl}\"");
        check_with(&before, "", "/?a=x", expected);
        // Not before the rule that says so has matched.
        let after = format!("SecAction \"id:1,phase:2,pass,nolog,ctl:{ctl}\"");
        check_with("", &after, "/?a=x", &[10, 11, 12]);
    }
}

#[test]
fn targets_are_taken_at_load_from_every_link() {
    for (directive, target, expected) in [
        ("SecRuleUpdateTargetById 10 !ARGS:a", "/?a=x", &[11, 12][..]),
        ("SecRuleUpdateTargetById 10 !ARGS:a", "/?b=x", &[10, 11, 12]),
        ("SecRuleUpdateTargetById 10-12 !ARGS", "/?a=x", &[]),
        ("SecRuleUpdateTargetById 12 !ARGS:a", "/?a=x", &[10, 11]),
        ("SecRuleUpdateTargetById 12 !ARGS:/^a/", "/?ab=x", &[10, 11]),
        ("SecRuleUpdateTargetByTag two !ARGS:a", "/?a=x", &[12]),
        ("SecRuleUpdateTargetByMsg second !ARGS:a", "/?a=x", &[10, 12]),
        ("SecRuleUpdateTargetById 10 REQUEST_METHOD", "/?a=x", &[10, 11, 12]),
        ("SecRuleUpdateTargetById 10 QUERY_STRING", "/?x", &[10]),
        ("SecRuleUpdateTargetById 10 QUERY_STRING ARGS", "/?a=x", &[11, 12]),
    ] {
        check_with("", directive, target, expected);
    }
}

#[test]
fn targets_are_taken_by_rules_from_every_link() {
    for (ctl, target, expected) in [
        ("ruleRemoveTargetById=10;ARGS:a", "/?a=x", &[11, 12][..]),
        ("ruleRemoveTargetById=10;ARGS:a", "/?a=x&b=x", &[10, 11, 12]),
        ("ruleRemoveTargetById=10;ARGS:a", "/?A=x", &[10, 11, 12]),
        ("ruleRemoveTargetById=12;ARGS:a", "/?a=x", &[10, 11]),
        ("ruleRemoveTargetById=10-12;ARGS", "/?a=x", &[]),
        ("ruleRemoveTargetById=10;ARGS:/^a./", "/?ab=x", &[11, 12]),
        ("ruleRemoveTargetByTag=two;ARGS:a", "/?a=x", &[12]),
        ("ruleRemoveTargetByTag=three;ARGS:a", "/?a=x", &[10, 11]),
        ("ruleRemoveTargetByMsg=second;ARGS:a", "/?a=x", &[10, 12]),
        ("ruleRemoveTargetById=10;REQUEST_COOKIES:a", "/?a=x", &[10, 11, 12]),
    ] {
        let before = format!("SecAction \"id:1,phase:1,pass,nolog,ctl:{ctl}\"");
        check_with(&before, "", target, expected);
    }
}

#[test]
fn a_target_taken_from_a_link_is_taken_from_those_after_it() {
    let rules = r#"
        SecAction "id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;ARGS:a"
        SecRule REQUEST_METHOD "@streq GET" "id:2,phase:2,pass,chain"
            SecRule ARGS "@streq x"
    "#;
    check(rules, "/?a=x", &[]);
    check(rules, "/?b=x", &[2]);
}

#[test]
fn a_target_taken_from_a_comparison_of_tx_is_not_compared() {
    let rules = r#"
        SecAction "id:1,phase:1,pass,nolog,setvar:tx.n=5,ctl:ruleRemoveTargetById=2;TX:n"
        SecRule TX:n "@eq 5" "id:2,phase:1,pass"
        SecRule TX:n "@eq 5" "id:3,phase:1,pass"
        SecRule &TX:n "@eq 1" "id:4,phase:1,pass"
    "#;
    check(rules, "/", &[3, 4]);
}

#[test]
fn excluded_elements_of_a_rule_are_not_judged() {
    for (targets, expected) in [
        ("ARGS|!ARGS:a", &[][..]),
        ("ARGS|!ARGS:b", &[1]),
        ("ARGS|!ARGS:/^A$/", &[]),
        ("ARGS_NAMES|!ARGS:a", &[1]),
        ("REQUEST_HEADERS|!REQUEST_HEADERS:host|!REQUEST_HEADERS:X", &[]),
    ] {
        let rules = format!("SecRule {targets} \"@rx ^[axv.]\" \"id:1,phase:1,pass\"");
        check_request(&rules, &Request::get("/?a=x").with("x", "v"), expected);
    }
    assert!(load("SecRule !ARGS:a \"@rx a\" \"id:1\"").is_err());
}

#[test]
fn actions_of_a_rule_are_updated() {
    let rules = r#"
        SecRule ARGS "@streq x" "id:1,phase:1,deny,status:418,nolog,tag:'a',t:none,chain"
            SecRule ARGS "@streq x" "setvar:tx.n=+1"
    "#;
    for (update, refusal, logged) in [
        ("1 \"pass,log\"", "none", 1),
        ("1 \"status:501,log\"", "501 in 1 by 1", 1),
        ("1 \"drop\"", "drop in 1 by 1", 0),
        ("1 \"t:uppercase\"", "none", 0),
        ("1:1 \"t:uppercase\"", "none", 0),
        ("1:1 \"setvar:tx.n=+1\"", "418 in 1 by 1", 0),
    ] {
        let rules = format!("{rules}\nSecRuleUpdateActionById {update}");
        let told = tell(&rules, &Request::get("/?a=x"));
        assert_eq!(told.refusal(), refusal, "{update}");
        assert_eq!(told.ids().len(), logged, "{update}");
    }
    for update in ["1 \"id:2\"", "1 \"phase:2\"", "1 \"chain\"", "1:1 \"deny\"", "1:1 \"skip:1\""] {
        assert!(load(&format!("{rules}\nSecRuleUpdateActionById {update}")).is_err(), "{update}");
    }
}

#[test]
fn what_is_taken_from_a_rule_is_not_counted_by_it() {
    let rules = r#"
        SecAction "id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;ARGS:a"
        SecRule &ARGS "@eq 1" "id:2,phase:1,pass"
        SecRule &ARGS "@eq 1" "id:3,phase:1,pass"
    "#;
    check(rules, "/?a=x&b=x", &[2]);
    check(rules, "/?b=x", &[2, 3]);
    check(rules, "/?a=x", &[3]);
}

#[test]
fn what_a_rule_takes_from_itself_it_has_looked_at() {
    // Of a variable whose values are shared with other rules, and of one that rules change.
    for (target, sets) in [("ARGS", ""), ("TX:/^[ab]$/", "setvar:tx.a=x,setvar:tx.b=x,")] {
        let variable = target.split(':').next().unwrap();
        let rules = format!(
            "SecAction \"id:1,phase:1,{sets}pass,nolog\"
             SecRule {target} \"@streq x\" \"id:2,phase:1,pass,\
                 ctl:ruleRemoveTargetById=2;{variable}\""
        );
        let told = tell(&rules, &Request::get("/?a=x&b=x"));
        let [matched] = told.transaction.matches() else { panic!("one matches") };
        assert_eq!(matched.hits.len(), 2, "{target}");
    }
}
