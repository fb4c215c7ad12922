//! Directives that set a value, and lists of what to skip.

use std::path::Path;
use std::sync::Arc;

use tidegate_waf::parse::{Fault, NoFiles, Notice, Problem, Reader};
use tidegate_waf::{Answers, Overrun, RuleSet};

use crate::exchange::{Request, check_request, load, tell, wants_answer};

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn settings_change_what_rules_see() {
    let json = |body: &'static str| Request::post("application/json", body.as_bytes());
    let files = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n\"\r\n\r\nx\r\n\
        --b\r\nContent-Disposition: form-data; name=\"g\"; filename=\"n\"\r\n\r\nx\r\n--b--\r\n";
    let files = || Request::post("multipart/form-data; boundary=b", files.as_bytes());
    for (setting, condition, request) in [
        ("SecArgumentSeparator ;", "ARGS:b \"@streq 2\"", Request::get("/?a=1;b=2")),
        (
            "SecCookieFormat 1",
            "REQUEST_COOKIES:b \"@streq 2\"",
            Request::get("/").with("Cookie", "a=1; $Path=/,b=2"),
        ),
        ("SecRequestBodyJsonDepthLimit 1", "REQBODY_ERROR \"@eq 1\"", json("{\"a\":{\"b\":[1]}}")),
        ("SecUploadFileLimit 1", "MULTIPART_FILE_LIMIT_EXCEEDED \"@eq 1\"", files()),
        ("SecResponseBodyAccess On", "RESPONSE_BODY \"@streq answer\"", Request::get("/")),
        (
            "SecResponseBodyAccess On\nSecResponseBodyLimit 3",
            "OUTBOUND_DATA_ERROR \"@eq 1\"",
            Request::get("/"),
        ),
        (
            "SecRequestBodyNoFilesLimit 3\nSecRequestBodyLimitAction ProcessPartial",
            "INBOUND_DATA_ERROR \"@eq 1\"",
            Request::post(FORM, b"a=12"),
        ),
        (
            "SecRequestBodyLimit 3\nSecRequestBodyLimitAction ProcessPartial",
            "REQUEST_BODY \"@streq a=1\"",
            Request::post(FORM, b"a=12"),
        ),
    ] {
        let rule = format!("SecRule {condition} \"id:1,phase:4,pass\"");
        check_request(&rule, &request, &[]);
        check_request(&format!("{setting}\n{rule}"), &request, &[1]);
    }
}

#[test]
fn types_of_answers_choose_which_are_read() {
    let rule = "SecResponseBodyAccess On\nSecRule RESPONSE_BODY \"@rx .\" \"id:1,phase:4,pass\"";
    let get = || Request::get("/");
    check_request(rule, &get(), &[1]);
    check_request(&format!("SecResponseBodyMimeTypesClear\n{rule}"), &get(), &[]);
    let one = "SecResponseBodyMimeTypesClear\nSecResponseBodyMimeType text/plain";
    check_request(&format!("{one}\n{rule}"), &get(), &[1]);
}

#[test]
fn what_rules_say_of_answers_is_known_before_any_comes() {
    let answers = |rules: &str| load(rules).unwrap_or_else(|faults| panic!("{faults}")).answers();
    let none = Answers { are_read: false, limit: 524_288, refuses_larger: false };
    assert_eq!(answers(""), none);
    let all = "SecResponseBodyAccess On\nSecResponseBodyLimit 5\nSecResponseBodyLimitAction Reject";
    assert_eq!(answers(all), Answers { are_read: true, limit: 5, refuses_larger: true });
    for (phase, expected) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
        let rules = load(&format!("SecAction \"id:1,phase:{phase},pass\""));
        let rules = rules.unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(rules.has_rules_for_answers(), expected, "{phase}");
    }
}

#[test]
fn no_body_of_an_answer_is_wanted_that_no_rule_will_judge() {
    let wants = |action: &str| {
        let rule = format!("SecAction \"id:1,phase:1,pass,nolog{action}\"");
        let rules = format!("SecResponseBodyAccess On\n{rule}");
        let rules = load(&rules).unwrap_or_else(|faults| panic!("{faults}"));
        wants_answer(Arc::new(rules), &Request::get("/"))
    };
    assert!(wants(""));
    for action in [",ctl:responseBodyAccess=Off", ",ctl:ruleEngine=Off"] {
        assert!(!wants(action), "{action}");
    }
    let allowed = "SecResponseBodyAccess On\nSecAction \"id:1,phase:1,allow,nolog\"";
    let rules = load(allowed).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(!wants_answer(Arc::new(rules), &Request::get("/")));
}

#[test]
fn bodies_over_their_limit_are_told() {
    let rules = "SecRequestBodyNoFilesLimit 3";
    let refusal = |body: &[u8]| tell(rules, &Request::post(FORM, body)).refusal();
    assert_eq!(refusal(b"a=1"), "none");
    assert_eq!(refusal(b"a=12"), "a body larger than is inspected");
    let partial = format!("{rules}\nSecRequestBodyLimitAction ProcessPartial");
    assert_eq!(tell(&partial, &Request::post(FORM, b"a=12")).refusal(), "none");
}

#[test]
fn what_was_not_inspected_is_known_where_rules_only_detect() {
    let rules = "SecRuleEngine DetectionOnly
        SecArgumentsLimit 1
        SecResponseBodyAccess On
        SecResponseBodyLimit 3
        SecResponseBodyLimitAction Reject
        SecRule RESPONSE_BODY \"@streq ans\" \"id:1,phase:4,pass\"";
    let told = tell(rules, &Request::get("/?a=1"));
    assert_eq!(told.refusal(), "none");
    assert_eq!(told.ids(), [1]);
    assert_eq!(told.transaction.overrun(), Some(Overrun::Body));
    let told = tell(rules, &Request::get("/?a=1&b=2"));
    assert_eq!(told.transaction.overrun(), Some(Overrun::Arguments));
    let on = rules.replace("DetectionOnly", "On");
    assert_eq!(tell(&on, &Request::get("/")).refusal(), "a body larger than is inspected");
    assert_eq!(tell("", &Request::get("/")).transaction.overrun(), None);
}

/// Loads with a list of what to skip; what was skipped, or the faults.
fn load_without(rules: &str, skip: &dyn Fn(&Fault) -> bool) -> Result<Vec<String>, String> {
    let told = |faults: tidegate_waf::parse::Faults| faults.to_string();
    let mut reader = Reader::new(&NoFiles, skip);
    reader.text(Path::new("f"), rules.as_bytes());
    let rules = RuleSet::compile(&reader.finish().map_err(told)?, &NoFiles, skip).map_err(told)?;
    let skipped = rules.warnings().iter().filter_map(|one| match &one.notice {
        Notice::Skipped(problem) => Some(problem.to_string()),
        _ => None,
    });
    Ok(skipped.collect())
}

#[test]
fn what_is_to_be_skipped_is_a_warning() {
    // Faults of the reader, of a rule, of a chain's later link, of a directive.
    let rules = r#"
        SecRule NO_SUCH "@rx x" "id:1"
        SecRule ARGS "@rx (a)\2" "id:2"
        SecRule ARGS "@rx x" "id:3,chain"
            SecRule IP:x "@gt 1"
        SecAction "id:4,skipAfter:NOWHERE"
        SecRuleRemoveByTag (
        SecRemoteRules x https://rules.example
        SecAction "id:5"
    "#;
    let by_id = |fault: &Fault| fault.rule.is_some_and(|id| (1..=4).contains(&id.0));
    let by_name = |fault: &Fault| match &fault.problem {
        Problem::Refused { name, .. } => name == "SecRemoteRules",
        Problem::Expression { .. } => fault.rule.is_none(),
        _ => false,
    };
    let skipped = load_without(rules, &|fault| by_id(fault) || by_name(fault));
    assert_eq!(skipped.map(|all| all.len()), Ok(6));
    let faults = load_without(rules, &by_id).expect_err("the reader's fault is left");
    assert!(faults.starts_with("f:8:9: SecRemoteRules is not supported"), "{faults}");
    assert!(!faults.contains("f:2:"), "{faults}");
}

/// What ModSecurity's `modsecurity.conf-recommended` sets (2.9 and 3.0), in its order.
const RECOMMENDED: &str = r#"
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
    "id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \
    "id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRequestBodyInMemoryLimit 131072
SecRequestBodyLimitAction Reject
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000
SecRule &ARGS "@ge 1000" "id:'200007',phase:2,t:none,log,deny,status:400,severity:2"
SecRule REQBODY_ERROR "!@eq 0" "id:'200002',phase:2,t:none,log,deny,status:400,\
    logdata:'%{reqbody_error_msg}',severity:2"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:'200003',phase:2,t:none,log,deny,status:400,\
    msg:'PE %{REQBODY_PROCESSOR_ERROR}, IP %{MULTIPART_INVALID_PART}'"
SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 1" "id:'200004',phase:2,t:none,log,deny,status:400"
SecPcreMatchLimit 1000
SecPcreMatchLimitRecursion 1000
SecRule TX:/^MSC_/ "!@streq 0" "id:'200005',phase:2,t:none,deny,msg:'%{MATCHED_VAR_NAME}'"
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml
SecResponseBodyLimit 524288
SecResponseBodyLimitAction ProcessPartial
SecTmpDir /tmp/
SecDataDir /tmp/
SecUploadDir /opt/modsecurity/var/upload/
SecUploadKeepFiles RelevantOnly
SecUploadFileMode 0600
SecDebugLog /opt/modsecurity/var/log/debug.log
SecDebugLogLevel 3
SecAuditEngine RelevantOnly
SecAuditLogRelevantStatus "^(?:5|4(?!04))"
SecAuditLogParts ABIJDEFHZ
SecAuditLogType Serial
SecAuditLog /var/log/modsec_audit.log
SecAuditLogStorageDir /opt/modsecurity/var/audit/
SecArgumentSeparator &
SecCookieFormat 0
SecUnicodeMapFile unicode.mapping 20127
SecStatusEngine Off
SecParseXmlIntoArgs Off
SecXmlExternalEntity Off
"#;

#[test]
fn what_modsecurity_recommends_loads_and_acts() {
    let loaded = load(RECOMMENDED).unwrap_or_else(|faults| panic!("{faults}"));
    let told: Vec<_> = loaded.warnings().iter().map(ToString::to_string).collect();
    let unused = RECOMMENDED.lines().filter(|line| {
        ["InMemory", "Pcre", "Tmp", "Data", "Upload", "Debug", "Audit", "Unicode", "Status", "Xml"]
            .iter()
            .any(|word| line.starts_with(&format!("Sec{word}")))
            || line.contains("InMemory")
            || line.contains("ParseXml")
    });
    // One more: files of forms do not count to SecRequestBodyLimit.
    assert_eq!(told.len(), unused.count() + 1, "{told:#?}");
    for (media_type, body, expected) in [
        ("application/soap+xml", &b"<a>"[..], &[200_002][..]),
        ("application/json", b"{", &[200_002]),
        ("multipart/form-data; boundary=b", b"--b\r\n", &[200_002, 200_003]),
        (FORM, b"a=1", &[]),
    ] {
        check_request(RECOMMENDED, &Request::post(media_type, body), expected);
    }
}
