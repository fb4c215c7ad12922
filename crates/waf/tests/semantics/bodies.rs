//! Bodies of requests as rules see them, and what keeps values out of logs.

use crate::exchange::{Request, check_request, tell};

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn the_body_is_a_variable_only_for_forms_or_when_forced() {
    let rules = r#"
        SecRule REQUEST_HEADERS:X-Force "@streq 1" \
            "id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On"
        SecRule REQUEST_BODY "@contains attack" "id:2,phase:2,pass"
        SecRule ARGS_POST "@contains attack" "id:3,phase:2,pass"
    "#;
    for (media_type, body, plain, forced) in [
        (FORM, "a=attack", &[2, 3][..], &[2, 3][..]),
        ("application/json", "{\"a\":\"attack\"}", &[3], &[2, 3]),
        ("text/plain", "attack", &[], &[2]),
        ("application/octet-stream", "attack", &[], &[2]),
    ] {
        let request = Request::post(media_type, body.as_bytes());
        check_request(rules, &request, plain);
        check_request(rules, &request.with("X-Force", "1"), forced);
    }
}

#[test]
fn rules_choose_how_a_body_is_read() {
    let rules = r#"
        SecAction "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=KIND"
        SecRule REQBODY_PROCESSOR "@streq KIND" "id:2,phase:2,pass"
        SecRule ARGS:json.a|ARGS:a|XML:/* "@streq attack" "id:3,phase:2,pass"
    "#;
    for (processor, body) in
        [("JSON", "{\"a\":\"attack\"}"), ("URLENCODED", "a=attack"), ("XML", "<a>attack</a>")]
    {
        let rules = rules.replace("KIND", processor);
        check_request(&rules, &Request::post("text/plain", body.as_bytes()), &[2, 3]);
    }
}

#[test]
fn a_body_is_read_as_what_it_looks_like_where_rules_ask_for_it() {
    let rules = r#"
        SecRule REQUEST_HEADERS:X-Guess "@streq 1" "id:1,phase:1,pass,nolog,ctl:guessRequestBody=On"
        SecRule ARGS_POST|XML:/*|XML://@* "@streq attack" "id:2,phase:2,pass"
        SecRule REQBODY_ERROR "!@eq 0" "id:3,phase:2,pass"
        SecRule ARGS_POST:json "@contains attack" "id:4,phase:2,pass"
    "#;
    let escaped = r#"{"a":"\u0061ttack"}"#;
    for (media_type, body, guessed) in [
        ("text/plain", escaped, &[2][..]),
        ("application/octet-stream", escaped, &[2]),
        (FORM, escaped, &[2]),
        ("text/plain", "\u{feff} [\"attack\"]", &[2]),
        // One document behind the other, and what ends early.
        ("text/plain", "{\"a\":1}\n{\"b\":\"attack\"}\n", &[2]),
        ("text/plain", "{\"a\":\"attack\",", &[2, 4]),
        // What is no JSON some servers read all the same.
        ("text/plain", "{\"a\":NaN,\"b\":\"attack\"}", &[4]),
        ("text/plain", "{\"a\":1}\n{b:\"attack\"}", &[4]),
        ("text/plain", "<?xml version=\"1.0\"?><a>attack</a>", &[2]),
        ("text/plain", " <a b=\"attack\"/>", &[2]),
        ("text/plain", "<!DOCTYPE a [<!ENTITY b 'x'>]><a>&b;</a>", &[3]),
        // What is neither is no fault.
        ("text/plain", "<p>attack", &[]),
        ("text/plain", "{attack}", &[4]),
        ("text/plain", "[[[", &[]),
        ("text/plain", "", &[]),
    ] {
        let request = Request::post(media_type, body.as_bytes());
        check_request(rules, &request, &[]);
        check_request(rules, &request.with("X-Guess", "1"), guessed);
    }
}

#[test]
fn numbers_in_lists_of_json_leave_room_for_what_is_said_beside_them() {
    let rules = r#"
        SecArgumentsLimit 100
        SecRule ARGS "@streq attack" "id:1,phase:2,pass"
        SecRule ARGS_NAMES "@streq json.last" "id:2,phase:2,pass"
    "#;
    let numbers = vec!["-1.5e3"; 5_000].join(",");
    let body = format!("{{\"a\":[{numbers}],\"b\":\"attack\",\"last\":[{numbers}]}}");
    check_request(rules, &Request::post("application/json", body.as_bytes()), &[1, 2]);
    let texts = vec!["\"x\""; 101].join(",");
    let told = tell(rules, &Request::post("application/json", format!("[{texts}]").as_bytes()));
    assert_eq!(told.transaction.overrun(), Some(tidegate_waf::Overrun::Arguments));
}

#[test]
fn a_form_of_several_parts_may_have_as_many_fields_as_arguments_may_be() {
    let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n";
    let body = part.repeat(1_500) + "--b--\r\n";
    let request = Request::post("multipart/form-data; boundary=b", body.as_bytes());
    let fewer = "a body with more, longer or deeper parts than are inspected";
    for (limit, expected) in [(1_500, "none"), (1_499, fewer)] {
        let rules = format!("SecArgumentsLimit {limit}");
        assert_eq!(tell(&rules, &request).refusal(), expected, "{limit}");
    }
}

#[test]
fn an_unknown_coding_hides_nothing_of_what_nobody_reads() {
    let rules = "SecRule REQBODY_ERROR \"!@eq 0\" \"id:1,phase:2,pass\"";
    for (media_type, expected) in [("application/x-protobuf", &[][..]), (FORM, &[1])] {
        let request = Request::post(media_type, b"x").with("Content-Encoding", "snappy");
        check_request(rules, &request, expected);
    }
}

#[test]
fn two_types_are_a_fault_of_a_body_alone() {
    let rules = "SecRule REQBODY_ERROR \"!@eq 0\" \"id:1,phase:2,pass\"";
    for (second, body, expected) in
        [("text/plain", &b"a=1"[..], &[1][..]), ("text/plain", b"", &[]), (FORM, b"a=1", &[])]
    {
        let request = Request::post(FORM, body).with("Content-Type", second);
        check_request(rules, &request, expected);
    }
}

#[test]
fn bodies_are_not_read_when_that_is_off() {
    let rule = "SecRule ARGS_POST \"@streq x\" \"id:1,phase:2,pass\"";
    let request = Request::post(FORM, b"a=x");
    check_request(rule, &request, &[1]);
    check_request(&format!("SecRequestBodyAccess Off\n{rule}"), &request, &[]);
    let off = "SecAction \"id:2,phase:1,pass,nolog,ctl:requestBodyAccess=Off\"";
    check_request(&format!("{off}\n{rule}"), &request, &[]);
}

#[test]
fn a_body_that_cannot_be_read_says_so() {
    let rules = "SecRule REQBODY_ERROR \"!@eq 0\" \"id:1,phase:2,pass\"";
    for (media_type, body, expected) in [
        (FORM, "a=1", &[][..]),
        ("application/json", "{\"a\":", &[1]),
        ("text/xml", "<a>", &[1]),
        ("multipart/form-data; boundary=b", "x", &[1]),
        ("multipart/form-data", "x", &[1]),
    ] {
        check_request(rules, &Request::post(media_type, body.as_bytes()), expected);
    }
}

#[test]
fn masked_values_stay_out_of_hits_and_data() {
    for (mask, is_hidden) in [
        ("sanitiseArg:secret", true),
        ("sanitiseArg:other", false),
        ("sanitiseMatched", true),
        ("sanitiseMatchedBytes", true),
        ("sanitiseMatchedBytes:1/2", true),
        ("pass", false),
    ] {
        let rules = format!(
            "SecRule ARGS:secret \"@rx (hunter)\" \"id:1,phase:1,pass,capture,{mask},\
             msg:'%{{MATCHED_VAR}}',logdata:'%{{TX.1}} in %{{ARGS.secret}}',tag:'%{{TX.0}}'\""
        );
        let told = tell(&rules, &Request::get("/?secret=hunter2&more=hunter3"));
        let shown = format!("{:?}", told.only_match().clone());
        let shows = |text: &str| {
            let bytes = format!("{:?}", text.as_bytes());
            shown.contains(bytes.trim_matches(['[', ']']))
        };
        assert_eq!(shows("hunter"), !is_hidden, "{mask}: {shown}");
        let only = told.only_match();
        assert_eq!(only.hits.first().map(|hit| hit.is_masked), Some(is_hidden), "{mask}");
    }
}

#[test]
fn a_masked_header_stays_out_of_later_matches() {
    let rules = r#"
        SecAction "id:1,phase:1,pass,nolog,noauditlog,sanitiseRequestHeader:Authorization"
        SecRule REQUEST_HEADERS:authorization "@rx Basic (.*)" \
            "id:2,phase:1,pass,capture,msg:'sent %{TX.1}',logdata:'%{MATCHED_VAR}'"
    "#;
    let told = tell(rules, &Request::get("/").with("authorization", "Basic c2VjcmV0"));
    let only = told.only_match();
    assert!(!only.message.ends_with(b"c2VjcmV0"), "{}", only.message.escape_ascii());
    assert!(!only.data.ends_with(b"c2VjcmV0"), "{}", only.data.escape_ascii());
    assert!(only.hits.iter().all(|hit| hit.is_masked && hit.value.is_empty()));
}

#[test]
fn what_holds_a_masked_value_is_masked_whole() {
    for (mask, target, name) in [
        ("sanitiseRequestHeader:Cookie", "REQUEST_COOKIES", "REQUEST_COOKIES:sid"),
        ("sanitiseRequestHeader:Cookie", "REQUEST_HEADERS:cookie", "REQUEST_HEADERS:cookie"),
        ("sanitiseArg:card", "QUERY_STRING", "QUERY_STRING"),
        ("sanitiseArg:card", "REQUEST_URI", "REQUEST_URI"),
        ("sanitiseArg:card", "REQUEST_URI_RAW", "REQUEST_URI_RAW"),
        ("sanitiseArg:card", "REQUEST_LINE", "REQUEST_LINE"),
        ("sanitiseArg:card", "ARGS_GET", "ARGS_GET:card"),
    ] {
        for mask in [mask, "pass"] {
            let rules = format!(
                "SecAction \"id:1,phase:1,pass,nolog,noauditlog,{mask}\"
                 SecRule {target} \"@contains 4711\" \"id:2,phase:1,pass,logdata:'%{{MATCHED_VAR}}'\""
            );
            let told = tell(&rules, &Request::get("/?card=4711").with("cookie", "sid=4711"));
            let only = told.only_match();
            let is_masked = mask != "pass";
            assert_eq!(only.data == b"***", is_masked, "{mask} {target}");
            let [hit] = only.hits.as_slice() else { panic!("{:?}", only.hits) };
            assert_eq!((hit.is_masked, hit.value.is_empty()), (is_masked, is_masked), "{target}");
            assert_eq!(hit.name.escape_ascii().to_string(), name);
        }
    }
}

#[test]
fn a_copy_of_a_masked_value_is_masked() {
    for (mask, is_masked) in [("sanitiseArg:card", true), ("pass", false)] {
        let rules = format!(
            "SecRule ARGS:card \"@rx .\" \"id:1,phase:1,pass,nolog,noauditlog,{mask},\
             setvar:'tx.copy=of %{{MATCHED_VAR}}',setvar:'tx.count=7'\"
             SecRule ARGS:card \"@contains 4711\" \"id:2,phase:1,pass,chain\"
                 SecRule MATCHED_VARS \"@contains 4711\" \"chain\"
                 SecRule TX:copy \"@contains 4711\"
             SecRule TX:count \"@streq 7\" \"id:3,phase:1,pass\""
        );
        let told = tell(&rules, &Request::get("/?card=4711"));
        let [copies, count] = told.transaction.matches() else { panic!("two match") };
        assert_eq!(copies.hits.len(), 3);
        for hit in &copies.hits {
            let name = hit.name.escape_ascii();
            assert_eq!((hit.is_masked, hit.value.is_empty()), (is_masked, is_masked), "{name}");
        }
        // A number tells nothing.
        assert_eq!(count.hits[0].value, b"7");
    }
}

#[test]
fn a_mask_reaches_what_was_told_before() {
    let rules = r#"
        SecRule ARGS "@rx (hunter)" "id:1,phase:1,pass,capture,msg:'%{MATCHED_VAR}',logdata:'%{TX.1}'"
        SecRule QUERY_STRING "@contains hunter" "id:2,phase:1,pass"
        SecRule ARGS:other "@streq 5" "id:3,phase:1,pass,msg:'%{MATCHED_VAR}'"
        SecAction "id:4,phase:2,pass,nolog,noauditlog,sanitiseArg:secret"
    "#;
    let told = tell(rules, &Request::get("/?secret=hunter2&other=5"));
    let [first, second, third] = told.transaction.matches() else { panic!("three match") };
    assert_eq!((&*first.message, &*first.data), (&b"***"[..], &b"***"[..]));
    for hit in first.hits.iter().chain(&second.hits) {
        assert!(hit.is_masked && hit.value.is_empty());
    }
    assert_eq!((&*third.message, third.hits[0].is_masked), (&b"5"[..], false));
}

#[test]
fn a_body_with_more_in_it_than_is_read_is_told() {
    let rules = "SecRule ARGS_NAMES \"@streq x\" \"id:1,phase:2,pass\"";
    let nested = |depth: usize, name: &str| {
        let open: String = (0..depth).map(|_| format!("{{\"b\":1,\"{name}\":")).collect();
        format!("{open}1{}", "}".repeat(depth))
    };
    let long = "n".repeat(60);
    let guesses = format!("SecAction \"id:2,phase:1,pass,nolog,ctl:guessRequestBody=On\"\n{rules}");
    for (documents, expected) in
        [(1, "none"), (4, "a body with more, longer or deeper parts than are inspected")]
    {
        let body = nested(28, &long).repeat(documents);
        let told = tell(&guesses, &Request::post("text/plain", body.as_bytes()));
        assert_eq!(told.refusal(), expected, "{documents} documents");
    }
    for (body, expected) in [
        (nested(20, "address"), "none"),
        (nested(100, "x"), "none"),
        (nested(200, &long), "a body with more, longer or deeper parts than are inspected"),
        (nested(600, "x"), "a body with more, longer or deeper parts than are inspected"),
    ] {
        let told = tell(rules, &Request::post("application/json", body.as_bytes()));
        assert_eq!(told.refusal(), expected, "{} bytes", body.len());
    }
}
