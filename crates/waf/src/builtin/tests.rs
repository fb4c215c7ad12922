use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::builtin;
use crate::parse::{Action, Directive, NoFiles, Reader, Rule, Tree};
use crate::rules::RuleSet;
use crate::transaction::{Connection, RequestHead, ResponseHead, Transaction, Verdict};

/// Where the rules have their ids: nobody has reserved these.
const IDS: std::ops::RangeInclusive<u32> = 7_100_000..=7_199_999;
/// Rules that the gate lets run only for values with one of some texts in them.
const BY_TEXT: usize = 92;
/// Rules that need one of some bytes.
const BY_BYTE: [u32; 17] = [
    7_102_040, 7_102_050, 7_102_070, 7_104_080, 7_104_110, 7_105_080, 7_105_120, 7_106_010,
    7_106_020, 7_106_050, 7_106_060, 7_106_120, 7_106_140, 7_107_010, 7_107_090, 7_107_100,
    7_107_110,
];
/// Rules that run for every value: those of libinjection, which judges by itself what is worth it.
const BY_NOTHING: [u32; 2] = [7_105_010, 7_105_160];

fn tree() -> Tree {
    let mut reader = Reader::new(&NoFiles, &|_| false);
    for (name, text) in builtin() {
        reader.text(name.as_ref(), text.as_bytes());
    }
    reader.finish().unwrap_or_else(|faults| panic!("{faults}"))
}

fn rules(tree: &Tree) -> impl Iterator<Item = &Rule> {
    tree.directives.iter().filter_map(|directive| match &directive.value {
        Directive::Rule(rule) => Some(rule),
        _ => None,
    })
}

fn actions(rule: &Rule) -> impl Iterator<Item = &Action> {
    rule.links.iter().flat_map(|link| &link.actions).map(|action| &action.value)
}

#[test]
fn compiles_without_a_file_or_a_warning() {
    let rules = RuleSet::compile(&tree(), &NoFiles, &|_| false);
    let rules = rules.unwrap_or_else(|faults| panic!("{faults}"));
    assert!(rules.warnings().is_empty(), "{:?}", rules.warnings());
}

#[test]
fn ids_are_its_own_and_each_there_once() {
    let tree = tree();
    let ids: BTreeSet<u32> = rules(&tree).map(|rule| rule.id.0).collect();
    assert_eq!(ids.len(), rules(&tree).count());
    assert!(ids.iter().all(|id| IDS.contains(id)), "{ids:?}");
}

#[test]
fn findings_say_what_they_are() {
    let tree = tree();
    for rule in rules(&tree)
        .filter(|rule| actions(rule).any(|action| matches!(action, Action::Severity(_))))
    {
        let has = |wanted: fn(&Action) -> bool| actions(rule).any(wanted);
        assert!(has(|action| matches!(action, Action::Msg(_))), "{} says nothing", rule.id);
        assert!(has(|action| matches!(action, Action::LogData(_))), "{} shows nothing", rule.id);
        let tags = actions(rule).filter(|action| matches!(action, Action::Tag(_))).count();
        assert!(tags >= 3, "{}: itself, the attack, the level", rule.id);
    }
}

#[test]
fn every_rule_has_a_line_for_operators() {
    for (name, text) in builtin() {
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            let begins = line.starts_with("SecRule") || line.starts_with("SecAction");
            let is_told = before.starts_with("# ") || before.starts_with(' ');
            assert!(!begins || is_told, "{name}:{}: not explained", number + 1);
            before = line;
        }
    }
}

#[test]
fn nearly_all_rules_need_a_text_in_a_value() {
    let set = RuleSet::compile(&tree(), &NoFiles, &|_| false);
    let set = set.unwrap_or_else(|faults| panic!("{faults}"));
    let (mut by_text, mut by_byte, mut by_nothing) = (0, Vec::new(), Vec::new());
    for rule in &set.rules {
        let first = rule.links.first().and_then(|link| link.condition.as_ref());
        let Some(condition) = first.filter(|condition| condition.number.is_none()) else {
            continue;
        };
        let needs = condition.operator.needs();
        match (needs.literals, needs.bytes) {
            (Some(_), _) => by_text += 1,
            (None, Some(_)) => by_byte.push(rule.id.0),
            (None, None) => by_nothing.push(rule.id.0),
        }
    }
    assert_eq!((by_text, by_byte, by_nothing), (BY_TEXT, BY_BYTE.to_vec(), BY_NOTHING.to_vec()));
}

/// What becomes of a GET and of its answer: refused or not, and the rules that logged.
fn judged(before: &str, after: &str, target: &str, answer: &str) -> (bool, Vec<u32>) {
    let mut reader = Reader::new(&NoFiles, &|_| false);
    reader.text("before".as_ref(), before.as_bytes());
    for (name, text) in builtin() {
        reader.text(name.as_ref(), text.as_bytes());
    }
    reader.text("after".as_ref(), after.as_bytes());
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    let rules = RuleSet::compile(&tree, &NoFiles, &|_| false);
    let rules = Arc::new(rules.unwrap_or_else(|faults| panic!("{faults}")));
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection =
        Connection { client: address(40_000), server: address(80), id: b"1", time: 1_700_000_000 };
    let mut transaction = Transaction::new(rules, &connection);
    let head = RequestHead {
        method: b"GET",
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &[(b"Host", b"a")],
    };
    let headers = [(&b"Content-Type"[..], &b"text/html"[..])];
    let response = ResponseHead { status: 200, protocol: b"HTTP/1.1", headers: &headers };
    let mut is_refused = transaction.request_head(&head) != Verdict::Pass;
    is_refused |= transaction.request_end() != Verdict::Pass;
    is_refused |= transaction.response_head(&response) != Verdict::Pass;
    transaction.response_body(answer.as_bytes());
    is_refused |= transaction.response_end() != Verdict::Pass;
    let logged = transaction.matches().iter().filter(|one| one.is_logged);
    (is_refused, logged.map(|one| one.id.0).collect())
}

#[track_caller]
fn check(before: &str, after: &str, target: &str, is_refused: bool, logged: &[u32]) {
    let found = judged(before, after, target, "");
    assert_eq!(found, (is_refused, logged.to_vec()), "{target}");
}

const SQL: &str = "/?id=updatexml(x";
const PATH: &str = "/.env";

#[test]
fn one_serious_finding_is_enough() {
    check("", "", "/?id=5", false, &[]);
    check("", "", SQL, true, &[7_105_040, 7_100_230]);
    check("", "", PATH, true, &[7_101_020, 7_100_130]);
}

#[test]
fn a_harmless_value_does_not_hide_another() {
    let harmless = "b=docs/../README.md";
    check("", "", &format!("/?{harmless}"), false, &[]);
    check("", "", &format!("/?a=../x&{harmless}"), true, &[7_103_010, 7_100_230]);
}

#[test]
fn settings_have_the_names_of_crs() {
    let set =
        |text: &str| format!("SecAction \"id:1,phase:1,t:none,pass,nolog,setvar:'tx.{text}'\"");
    check(&set("inbound_anomaly_score_threshold=6"), "", SQL, false, &[7_105_040]);
    check(&set("critical_anomaly_score=4"), "", SQL, false, &[7_105_040]);
    let timer = "/?id=setTimeout(a)";
    check("", "", timer, false, &[]);
    check(&set("detection_paranoia_level=2"), "", timer, false, &[7_106_160]);
    check(&set("blocking_paranoia_level=2"), "", timer, true, &[7_106_160, 7_100_230]);
}

#[test]
fn exclusions_by_tag_carry_over() {
    check("", "SecRuleRemoveByTag attack-sqli", SQL, false, &[]);
    check("", "SecRuleUpdateTargetByTag attack-sqli !ARGS:id", SQL, false, &[]);
    check("", "SecRuleRemoveByTag attack-xss", SQL, true, &[7_105_040, 7_100_230]);
}

#[test]
fn answers_are_judged_where_they_are_inspected() {
    let trace = "<pre>Traceback (most recent call last):";
    assert_eq!(judged("", "", "/", trace), (false, vec![]));
    let found = judged("SecResponseBodyAccess On", "", "/", trace);
    assert_eq!(found, (true, vec![7_108_020, 7_100_330]));
}

#[test]
fn answers_that_tell_of_the_inside_are_found() {
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n", "MIIEow/+=0".repeat(6));
    for (answer, rule) in [
        ("You have an error in your SQL syntax; check", 7_108_010),
        ("at java.lang.Thread.run(Thread.java:745)", 7_108_020),
        ("<?php echo $x;", 7_108_030),
        ("<html><head><title>Index of /backup</title>", 7_108_040),
        ("<A HREF=\"/\">[To Parent Directory]</A><br>", 7_108_040),
        ("<%@ page import=\"java.util.*\" %>", 7_108_050),
        (key.as_str(), 7_108_050),
    ] {
        let found = judged("SecResponseBodyAccess On", "", "/", answer);
        assert_eq!(found, (true, vec![rule, 7_100_330]), "{answer}");
    }
    for answer in [
        "<title>Index of contents</title>",
        "Write -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY----- around it",
        "an error in your argument about SQL syntax",
        "<p>100 &lt;%@ page</p>",
    ] {
        let found = judged("SecResponseBodyAccess On", "", "/", answer);
        assert_eq!(found, (false, vec![]), "{answer}");
    }
}
