//! The phases of one transaction, as a proxy goes through them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tidegate_waf::parse::{NoFiles, Reader};
use tidegate_waf::{
    Connection, Logs, Overrun, RequestHead, ResponseHead, RuleSet, Transaction, Verdict, Wanted,
};

const RULES: &str = r#"
SecRule TX:path "@beginsWith /search" "id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;ARGS:q"
SecRule ARGS "@contains attack" "id:2,phase:2,deny,status:403,log,setvar:tx.score=+5"
SecRule MULTIPART_STRICT_ERROR "@eq 1" "id:3,phase:2,deny,status:400,log"
SecRequestBodyLimitAction ProcessPartial
SecRule REQBODY_ERROR "@eq 1" "id:4,phase:2,deny,status:400,log"
SecRule XML:/* "@contains attack" "id:5,phase:2,deny,status:403,log"
"#;

const FORM: &str = "multipart/form-data; boundary=b";

fn compiled(rules: &str) -> RuleSet {
    let mut reader = Reader::new(&NoFiles, &|_| false);
    reader.text("rules".as_ref(), rules.as_bytes());
    let tree = reader.finish().unwrap();
    RuleSet::compile(&tree, &NoFiles, &|_| false).unwrap()
}

fn begin(target: &str, path: &str, content_type: &str) -> Transaction {
    begin_coded(target, path, content_type, "identity")
}

fn begin_coded(target: &str, path: &str, content_type: &str, coding: &str) -> Transaction {
    begin_by(Arc::new(compiled(RULES)), target, path, content_type, coding)
}

fn begin_by(
    rules: Arc<RuleSet>,
    target: &str,
    path: &str,
    content_type: &str,
    coding: &str,
) -> Transaction {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = Connection { client: address(1), server: address(2), id: b"id", time: 0 };
    let mut transaction = Transaction::new(rules, &connection);
    transaction.set_tx("path", path.as_bytes());
    let headers =
        [(&b"content-type"[..], content_type.as_bytes()), (b"content-encoding", coding.as_bytes())];
    let head = RequestHead {
        method: b"POST",
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &headers,
    };
    assert_eq!(transaction.request_head(&head), Verdict::Pass);
    transaction
}

fn part(disposition: &str, content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
}

#[test]
fn a_form_is_judged_while_it_comes_and_counts_once() {
    let mut transaction = begin("/", "/", FORM);
    assert!(transaction.may_hold_files());
    transaction.request_body(part("name=\"a\"", "fine").as_bytes());
    let file = part("name=\"f\"; filename=\"x\"", &"attack ".repeat(1000));
    transaction.request_body(file.as_bytes());
    let before = transaction.inspected_bytes();
    assert!(before < 300, "{before} bytes, those of the file with them");
    // That it has no end yet is no fault of it.
    assert_eq!(transaction.request_so_far(), Verdict::Pass);
    assert_eq!(transaction.request_so_far(), Verdict::Pass);
    transaction.request_body(part("name=\"b\"", "an attack").as_bytes());
    // The last part may go on.
    transaction.request_body(b"--b\r\n");
    assert!(matches!(transaction.request_so_far(), Verdict::Refuse(_)));
    assert_eq!(transaction.tx_number("score"), Some(5));
    let ids: Vec<u32> = transaction.matches().iter().map(|one| one.id.0).collect();
    assert_eq!(ids, [2]);
}

#[test]
fn a_form_without_an_end_is_a_fault_once_nothing_more_comes() {
    let mut transaction = begin("/", "/", FORM);
    transaction.request_body(part("name=\"a\"", "fine").as_bytes());
    assert_eq!(transaction.request_so_far(), Verdict::Pass);
    assert!(matches!(transaction.request_end(), Verdict::Refuse(_)));
}

#[test]
fn what_the_caller_sets_decides_what_rules_leave_out() {
    for (path, expected) in [("/search", true), ("/other", false)] {
        let mut transaction = begin("/?q=attack", path, "text/plain");
        assert_eq!(transaction.request_end() == Verdict::Pass, expected, "{path}");
    }
    let mut transaction = begin("/?q=attack&other=attack", "/search", "text/plain");
    assert!(matches!(transaction.request_end(), Verdict::Refuse(_)));
}

#[test]
fn a_body_that_is_forgotten_is_not_judged() {
    let mut transaction = begin("/", "/", FORM);
    transaction.request_body(part("name=\"a\"", "attack").as_bytes());
    transaction.forget_request_body();
    assert_eq!(transaction.request_end(), Verdict::Pass);
}

#[test]
fn phase_5_runs_when_somebody_hears_of_it_and_all_is_there() {
    for (rules, expected) in [
        ("SecAction \"id:1,phase:4,pass,log\"", Logs::Silent),
        ("SecAction \"id:1,phase:5,pass,nolog,setvar:tx.a=1\"", Logs::Silent),
        ("SecAction \"id:1,phase:5,pass,log\"\nSecRuleRemoveById 1", Logs::Silent),
        ("SecAction \"id:1,phase:5,pass,log\"", Logs::Judged),
        ("SecAction \"id:1,phase:5,pass,nolog,auditlog\"", Logs::Judged),
        ("SecAction \"id:1,phase:5,pass,nolog,sanitiseArg:password\"", Logs::Judged),
        ("SecRule RESPONSE_BODY \"@rx a\" \"id:1,phase:5,pass,log\"", Logs::Judged),
        ("SecRule RESPONSE_STATUS \"@rx ^5\" \"id:1,phase:5,pass,log\"", Logs::Answered),
        ("SecRule &RESPONSE_HEADERS:a \"@eq 0\" \"id:1,phase:5,pass,log\"", Logs::Answered),
        ("SecAction \"id:1,phase:5,pass,log,msg:'%{RESPONSE_STATUS}'\"", Logs::Answered),
        (
            "SecAction \"id:1,phase:5,pass,nolog,setvar:tx.a=%{RESPONSE_STATUS}\"\n\
             SecRule TX:a \"@eq 404\" \"id:2,phase:5,pass,log\"",
            Logs::Answered,
        ),
    ] {
        assert_eq!(compiled(rules).logs(), expected, "{rules}");
    }
}

#[test]
fn a_body_that_is_cut_is_judged_as_far_as_it_came() {
    let json = "{\"a\":\"fine\",\"b\":\"an attack";
    let broken = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b];
    let form = part("name=\"a\"", "fine") + "--b\r\nContent-Disposition: form-data; name=\"b\"\r\n";
    for (content_type, coding, body, is_good) in [
        (FORM, "identity", form.as_bytes(), true),
        ("application/json", "identity", &json.as_bytes()[..17], true),
        ("application/json", "identity", json.as_bytes(), false),
        ("application/xml", "identity", b"<a>fine", true),
        ("application/xml", "identity", b"<a>an attack", false),
        ("text/plain", "gzip", &broken, true),
    ] {
        for is_cut in [true, false] {
            let mut transaction = begin_coded("/", "/", content_type, coding);
            transaction.request_body(body);
            if is_cut {
                transaction.cut_request_body();
            }
            let passes = transaction.request_end() == Verdict::Pass;
            assert_eq!(passes, is_cut && is_good, "{content_type} {is_cut} {body:?}");
        }
    }
}

#[test]
fn a_body_whose_coding_is_a_lie_is_wanted_as_it_is() {
    let form = "application/x-www-form-urlencoded";
    let mut transaction = begin_coded("/", "/", form, "gzip");
    assert_eq!(transaction.request_body(b"a=an+at"), Wanted::More);
    assert_eq!(transaction.request_body(b"tack"), Wanted::More);
    let Verdict::Refuse(refusal) = transaction.request_end() else { panic!("it is an attack") };
    assert_eq!(refusal.rule.0, 2);
}

#[test]
fn an_answer_that_is_too_large_stays_so() {
    let rules = "SecResponseBodyAccess On\nSecResponseBodyLimit 3\n\
                 SecResponseBodyLimitAction Reject";
    let mut transaction = begin_by(Arc::new(compiled(rules)), "/", "/", "text/plain", "identity");
    assert_eq!(transaction.request_end(), Verdict::Pass);
    let headers = [(&b"content-type"[..], &b"text/plain"[..])];
    let head = ResponseHead { status: 200, protocol: b"HTTP/1.1", headers: &headers };
    assert_eq!(transaction.response_head(&head), Verdict::Pass);
    assert_eq!(transaction.response_body(b"ans"), Wanted::More);
    for piece in [&b"wer"[..], b"", b"s"] {
        assert_eq!(transaction.response_body(piece), Wanted::Enough);
        assert!(!transaction.wants_response_body());
    }
    assert_eq!(transaction.response_end(), Verdict::Exceeded(Overrun::Body));
}

#[test]
fn no_body_is_wanted_once_rules_are_off() {
    for (action, expected) in [
        ("pass", true),
        ("pass,ctl:ruleEngine=Off", false),
        ("pass,ctl:requestBodyAccess=Off", false),
        ("allow", false),
        ("allow:phase", true),
    ] {
        let rules = compiled(&format!("SecAction \"id:1,phase:1,nolog,{action}\""));
        let transaction = begin_by(Arc::new(rules), "/", "/", "text/plain", "identity");
        assert_eq!(transaction.wants_request_body(), expected, "{action}");
    }
}
