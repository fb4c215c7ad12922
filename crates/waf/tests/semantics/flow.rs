//! Where a match leads: to a refusal, past other rules, to the end of a phase.

use crate::exchange::{Request, check, check_request, load, tell};

#[track_caller]
fn check_refusal(rules: &str, expected: &str) {
    let told = tell(rules, &Request::get("/?a=1"));
    assert_eq!(told.refusal(), expected, "{rules}");
}

#[test]
fn refusals_have_their_status() {
    for (actions, expected) in [
        ("deny", "403 in 1 by 1"),
        ("deny,status:418", "418 in 1 by 1"),
        ("drop", "drop in 1 by 1"),
        ("redirect:'http://x/%{ARGS.a}'", "302 to http://x/1 in 1 by 1"),
        ("redirect:http://x/,status:307", "307 to http://x/ in 1 by 1"),
        // No redirect has this status.
        ("redirect:http://x/,status:403", "302 to http://x/ in 1 by 1"),
        ("pass,status:418", "none"),
        ("block", "none"),
        ("pass,deny", "403 in 1 by 1"),
        ("deny,pass", "none"),
    ] {
        check_refusal(&format!("SecAction \"id:1,phase:1,{actions}\""), expected);
    }
}

#[test]
fn block_does_what_the_defaults_of_its_phase_say() {
    let after = r#"
        SecDefaultAction "phase:1,log,deny,status:418"
        SecAction "id:1,phase:1,ACTIONS"
        SecAction "id:2,phase:2,block"
    "#;
    for (actions, expected) in [
        ("block", "418 in 1 by 1"),
        ("nolog", "418 in 1 by 1"),
        ("block,status:501", "501 in 1 by 1"),
        ("pass", "none"),
    ] {
        check_refusal(&after.replace("ACTIONS", actions), expected);
    }
    // Defaults concern what follows them.
    check_refusal(
        "SecAction \"id:1,phase:1,block\"\nSecDefaultAction \"phase:1,log,deny\"",
        "none",
    );
}

#[test]
fn rules_inherit_the_defaults_of_their_phase() {
    let rules = r#"
        SecDefaultAction "phase:1,nolog,noauditlog,pass,t:lowercase,tag:'all',setvar:tx.n=+1"
        SecRule ARGS:a "@streq b" "id:1,phase:1,log"
        SecRule ARGS:a "@streq b" "id:2,phase:1"
        SecRule ARGS:a "@streq B" "id:3,phase:1,log,t:none"
        SecRule ARGS:a "@streq b" "id:4,phase:2"
        SecRule ARGS:a "@streq B" "id:5,phase:2"
    "#;
    check(rules, "/?a=B", &[1, 3, 5]);
    let told = tell(rules, &Request::get("/?a=B"));
    assert_eq!(told.transaction.tx_number("n"), Some(3));
    let tags = |id| {
        let mut matches = told.transaction.matches().iter();
        matches.find(|one| one.id.0 == id).map_or(0, |one| one.tags.len())
    };
    assert_eq!((tags(1), tags(5)), (1, 0));
}

#[test]
fn skip_after_leads_to_the_next_marker_of_its_name() {
    let rules = r#"
        SecMarker "END"
        SecAction "id:1,phase:1,pass,skipAfter:END"
        SecAction "id:2,phase:1,pass"
        SecAction "id:3,phase:2,pass,skipAfter:END"
        SecAction "id:4,phase:2,pass"
        SecMarker "END"
        SecAction "id:5,phase:1,pass,skipAfter:END"
        SecAction "id:6,phase:2,pass"
        SecMarker "END"
        SecAction "id:7,phase:1,pass"
    "#;
    check(rules, "/", &[1, 5, 7, 3, 6]);
    let backwards = "SecMarker M\nSecAction \"id:1,phase:1,pass,skipAfter:M\"";
    let faults = load(backwards).expect_err("there is none after it");
    assert!(faults.to_string().contains("no SecMarker `M` follows"), "{faults}");
}

#[test]
fn skip_passes_over_rules_of_its_phase_and_counts_a_chain_once() {
    let rules = r#"
        SecAction "id:1,phase:1,pass,skip:2"
        SecAction "id:2,phase:2,pass"
        SecAction "id:3,phase:1,pass,chain"
            SecRule ARGS "@unconditionalMatch"
        SecAction "id:4,phase:1,pass"
        SecAction "id:5,phase:1,pass,skip:100"
        SecAction "id:6,phase:1,pass"
    "#;
    check(rules, "/?a", &[1, 5, 2]);
}

#[test]
fn only_a_complete_chain_skips() {
    let rules = r#"
        SecRule ARGS:a "@streq 1" "id:1,phase:1,pass,skipAfter:END,chain"
            SecRule ARGS:b "@streq 2"
        SecAction "id:2,phase:1,pass"
        SecMarker END
    "#;
    check(rules, "/?a=1&b=2", &[1]);
    check(rules, "/?a=1&b=3", &[2]);
}

#[test]
fn allow_has_three_scopes() {
    let rules = |action: &str| {
        format!(
            "SecAction \"id:1,phase:1,{action}\"
             SecAction \"id:2,phase:1,pass\"
             SecAction \"id:3,phase:2,pass\"
             SecAction \"id:4,phase:3,pass\"
             SecAction \"id:5,phase:4,pass\"
             SecAction \"id:6,phase:5,pass\""
        )
    };
    check(&rules("pass"), "/", &[1, 2, 3, 4, 5, 6]);
    check(&rules("allow:phase"), "/", &[1, 3, 4, 5, 6]);
    check(&rules("allow:request"), "/", &[1, 4, 5, 6]);
    check(&rules("allow"), "/", &[1, 6]);
}

#[test]
fn a_refusal_ends_all_but_the_logging_phase() {
    let rules = r#"
        SecAction "id:1,phase:2,deny"
        SecAction "id:2,phase:2,pass"
        SecAction "id:3,phase:3,pass"
        SecAction "id:4,phase:5,deny"
        SecAction "id:5,phase:5,pass"
    "#;
    check(rules, "/", &[1, 4, 5]);
    check_refusal(rules, "403 in 2 by 1");
}

#[test]
fn detection_only_refuses_and_allows_nothing() {
    let rules = |mode: &str| {
        format!(
            "SecRuleEngine {mode}
             SecAction \"id:1,phase:1,allow\"
             SecAction \"id:2,phase:1,deny\"
             SecAction \"id:3,phase:2,drop\""
        )
    };
    check(&rules("DetectionOnly"), "/", &[1, 2, 3]);
    check_refusal(&rules("DetectionOnly"), "none");
    check(&rules("Off"), "/", &[]);
    check(&rules("On"), "/", &[1]);
}

#[test]
fn the_engine_is_switched_by_rules() {
    let rules = |mode: &str, from: &str| {
        format!(
            "SecRuleEngine {from}
             SecAction \"id:1,phase:1,pass,ctl:ruleEngine={mode}\"
             SecAction \"id:2,phase:1,deny\"
             SecAction \"id:3,phase:2,pass\""
        )
    };
    check(&rules("Off", "On"), "/", &[1]);
    check(&rules("DetectionOnly", "On"), "/", &[1, 2, 3]);
    check(&rules("On", "DetectionOnly"), "/", &[1, 2]);
}

#[test]
fn logs_are_as_the_last_word_of_a_rule_says() {
    for (actions, is_logged, is_audited) in [
        ("pass", true, true),
        ("nolog", false, false),
        ("nolog,auditlog", false, true),
        ("noauditlog", true, false),
        ("nolog,log", true, true),
        ("ctl:auditEngine=Off", true, false),
    ] {
        let told = tell(&format!("SecAction \"id:1,phase:1,{actions}\""), &Request::get("/"));
        let matches: Vec<_> = told.transaction.matches().iter().collect();
        let found = matches.first().map_or((false, false), |one| (one.is_logged, one.is_audited));
        assert_eq!(found, (is_logged, is_audited), "{actions}");
    }
}

#[test]
fn phases_have_names_and_two_is_the_default() {
    let rules = r#"
        SecAction "id:1,phase:request,pass"
        SecAction "id:2,phase:response,pass"
        SecAction "id:3,phase:logging,pass"
        SecAction "id:4,pass"
        SecAction "id:5,phase:1,pass"
    "#;
    check_request(rules, &Request::get("/"), &[5, 1, 4, 2, 3]);
}

#[test]
fn what_takes_too_many_steps_to_try_out_is_told() {
    let rules = r#"
        SecRule ARGS:a "@rx (\w+)-\1\1" "id:1,phase:1,deny"
        SecRule ARGS:a "!@rx (\w+)-\1\1" "id:2,phase:1,deny"
        SecRule ARGS:b "@streq 1" "id:3,phase:1,deny"
    "#;
    let hostile = format!("/?a={}-bb", "a".repeat(3_000));
    for (target, expected) in [
        ("/?a=a-aa", "403 in 1 by 1"),
        ("/?a=a-ab", "403 in 1 by 2"),
        (hostile.as_str(), "more work for rules than one request may cause"),
        (&format!("{hostile}&b=1"), "403 in 1 by 3"),
        // The next value may take as many steps by itself.
        (&format!("{hostile}&a=a-aa"), "403 in 1 by 1"),
    ] {
        let told = tell(rules, &Request::get(target));
        assert_eq!(told.refusal(), expected, "{:?}", told.ids());
    }
}
