//! All that parses acts, is warned of, or is refused: every name of the language, one by one.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use crate::parse::{
    ActionName, CtlName, DirectiveName, Files, Named, Notice, OperatorName, Problem, Reader,
    SettingName, Variable,
};
use crate::rules::RuleSet;
use crate::transaction::{Connection, RequestHead, ResponseHead, Transaction};

/// What becomes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Acts,
    Warned,
    Refused,
}
use Way::{Acts, Refused, Warned};

/// Every file has one line, which is a phrase, an address and a comment for what reads it.
struct OneLine;

impl Files for OneLine {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(b"# 10.0.0.1\n10.0.0.1\n".to_vec())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(vec!["x.conf".into()])
    }

    fn exists(&self, _: &Path) -> bool {
        true
    }
}

fn load(rules: &str) -> Result<RuleSet, Vec<Problem>> {
    let problems = |faults: crate::parse::Faults| -> Vec<Problem> {
        faults.0.into_iter().map(|fault| fault.problem).collect()
    };
    let mut reader = Reader::new(&OneLine, &|_| false);
    reader.text(Path::new("f"), rules.as_bytes());
    let tree = reader.finish().map_err(problems)?;
    RuleSet::compile(&tree, &OneLine, &|_| false).map_err(problems)
}

#[track_caller]
fn check(rules: &str, expected: Way) {
    let found = match load(rules) {
        Err(problems) => {
            let refused = |one: &Problem| matches!(one, Problem::Refused { .. });
            assert!(problems.iter().all(refused), "{rules}: {problems:?}");
            Refused
        }
        Ok(loaded) => match loaded.warnings() {
            [] => Acts,
            [one] => {
                let notice = &one.notice;
                let told = matches!(notice, Notice::Unused { .. } | Notice::Partly { .. });
                assert!(told, "{rules}: {notice}");
                Warned
            }
            several => panic!("{rules}: {several:?}"),
        },
    };
    assert_eq!(found, expected, "{rules}");
}

const fn action(name: ActionName) -> (Way, &'static str) {
    use ActionName as A;
    match name {
        A::Accuracy => (Warned, "accuracy:1"),
        A::Maturity => (Warned, "maturity:1"),
        A::Allow => (Acts, "allow:phase"),
        A::Append => (Refused, "append:x"),
        A::Prepend => (Refused, "prepend:x"),
        A::AuditLog => (Acts, "auditlog"),
        A::NoAuditLog => (Acts, "noauditlog"),
        A::Block => (Acts, "block"),
        A::Capture => (Acts, "capture"),
        A::Chain => (Acts, "chain\"\nSecRule ARGS \"x"),
        A::Ctl => (Acts, "ctl:ruleEngine=Off"),
        A::Deny => (Acts, "deny"),
        A::DeprecateVar => (Warned, "deprecatevar:ip.x=1/2"),
        A::ExpireVar => (Warned, "expirevar:ip.x=60"),
        A::Drop => (Acts, "drop"),
        A::Exec => (Refused, "exec:/bin/true"),
        A::Proxy => (Refused, "proxy:http://x/"),
        A::Id => (Acts, "status:403"),
        A::InitCol => (Refused, "initcol:ip=%{REMOTE_ADDR}"),
        A::Log => (Acts, "log"),
        A::NoLog => (Acts, "nolog"),
        A::LogData => (Acts, "logdata:x"),
        A::Msg => (Acts, "msg:x"),
        A::MultiMatch => (Acts, "multiMatch"),
        A::Pass => (Acts, "pass"),
        A::Pause => (Refused, "pause:10"),
        A::Phase => (Acts, "phase:1"),
        A::Redirect => (Acts, "redirect:http://x/"),
        A::Rev => (Acts, "rev:1"),
        A::Ver => (Acts, "ver:1"),
        A::SanitiseArg => (Acts, "sanitiseArg:x"),
        A::SanitiseMatched => (Acts, "sanitiseMatched"),
        A::SanitiseMatchedBytes => (Warned, "sanitiseMatchedBytes:1/4"),
        A::SanitiseRequestHeader => (Acts, "sanitiseRequestHeader:x"),
        A::SanitiseResponseHeader => (Refused, "sanitiseResponseHeader:x"),
        A::SetEnv => (Refused, "setenv:x=1"),
        A::SetRsc => (Refused, "setrsc:x"),
        A::SetSid => (Refused, "setsid:x"),
        A::SetUid => (Refused, "setuid:x"),
        A::SetVar => (Acts, "setvar:tx.x=1"),
        A::Severity => (Acts, "severity:2"),
        A::Skip => (Acts, "skip:1"),
        A::SkipAfter => (Acts, "skipAfter:END"),
        A::Status => (Acts, "status:418"),
        A::T => (Acts, "t:lowercase"),
        A::Tag => (Acts, "tag:x"),
        A::XmlNs => (Refused, "xmlns:a=b"),
    }
}

#[test]
fn no_action_is_silent() {
    for (written, name) in ActionName::table() {
        let (way, sample) = action(*name);
        let sample = match sample.strip_prefix(name.name()) {
            Some(rest) => format!("{written}{rest}"),
            None => sample.to_owned(),
        };
        check(&format!("SecRule ARGS x \"id:1,{sample}\"\nSecMarker END"), way);
    }
    check("SecRule ARGS x \"id:1,setvar:ip.x=1\"", Warned);
    check("SecRule ARGS x \"id:1,setvar:env.x=1\"", Refused);
    check("SecRule ARGS x \"id:1,sanitiseMatchedBytes\"", Acts);
    for name in ["id:1", "chain", "skip:1", "skipAfter:END", "capture", "multiMatch"] {
        check(&format!("SecDefaultAction \"phase:1,pass,{name}\"\nSecMarker END"), Refused);
    }
}

const fn ctl(name: CtlName) -> (Way, &'static str) {
    use CtlName as C;
    match name {
        C::AuditEngine => (Acts, "Off"),
        C::AuditLogParts => (Warned, "+E"),
        C::DebugLogLevel => (Warned, "3"),
        C::ForceRequestBodyVariable
        | C::GuessRequestBody
        | C::RequestBodyAccess
        | C::ResponseBodyAccess => (Acts, "On"),
        C::HashEnforcement | C::HashEngine | C::ParseXmlIntoArgs => (Refused, "On"),
        C::RequestBodyLimit | C::ResponseBodyLimit => (Refused, "1"),
        C::RequestBodyProcessor => (Acts, "XML"),
        C::RuleEngine => (Acts, "Off"),
        C::RuleRemoveById | C::RuleRemoveByMsg | C::RuleRemoveByTag => (Acts, "1"),
        C::RuleRemoveTargetById | C::RuleRemoveTargetByMsg | C::RuleRemoveTargetByTag => {
            (Acts, "1;ARGS:x")
        }
    }
}

#[test]
fn no_ctl_is_silent() {
    for (name, one) in CtlName::table() {
        let (way, value) = ctl(*one);
        check(&format!("SecAction \"id:1,ctl:{name}={value}\""), way);
    }
    check("SecAction \"id:1,ctl:parseXmlIntoArgs=Off\"", Acts);
}

const fn setting(name: SettingName) -> (Way, &'static str) {
    use SettingName as S;
    match name {
        S::ArgumentSeparator => (Acts, ";"),
        S::ArgumentsLimit | S::RequestBodyJsonDepthLimit | S::UploadFileLimit => (Acts, "5"),
        S::CollectionTimeout => (Warned, "5"),
        S::CookieFormat => (Acts, "1"),
        S::RequestBodyAccess | S::ResponseBodyAccess => (Acts, "On"),
        S::RequestBodyLimit => (Warned, "5"),
        S::RequestBodyNoFilesLimit | S::ResponseBodyLimit => (Acts, "5"),
        S::RequestBodyLimitAction | S::ResponseBodyLimitAction => (Acts, "ProcessPartial"),
        S::ResponseBodyMimeType => (Acts, "text/plain"),
        S::ResponseBodyMimeTypesClear => (Acts, ""),
        S::RuleEngine => (Acts, "DetectionOnly"),
    }
}

const fn directive(name: DirectiveName) -> &'static str {
    use DirectiveName as D;
    match name {
        D::Include | D::IncludeOptional => "x.conf",
        D::Action => "\"id:2\"",
        D::ComponentSignature | D::Marker => "x",
        D::DefaultAction => "\"phase:1,pass\"",
        D::Rule => "ARGS x \"id:2\"",
        D::RuleRemoveById => "1",
        D::RuleRemoveByMsg | D::RuleRemoveByTag => "m",
        D::RuleUpdateActionById => "1 \"deny\"",
        D::RuleUpdateTargetById => "1 !ARGS:a",
        D::RuleUpdateTargetByMsg | D::RuleUpdateTargetByTag => "m !ARGS:a",
    }
}

#[test]
fn no_directive_is_silent() {
    for (name, one) in SettingName::table() {
        let (way, value) = setting(*one);
        check(&format!("{name} {value}"), way);
    }
    for (name, one) in DirectiveName::table() {
        if matches!(one, DirectiveName::Include | DirectiveName::IncludeOptional) {
            // What it includes is no directive here, and that is told.
            assert!(load(&format!("{name} x.conf")).is_err());
            continue;
        }
        check(&format!("SecAction \"id:1,msg:m,tag:m\"\n{name} {}", directive(*one)), Acts);
    }
    for about in
        ["RemoveById 7", "RemoveByTag x", "UpdateTargetById 7 !ARGS", "UpdateActionById 7 log"]
    {
        let loaded = load(&format!("SecAction \"id:1\"\nSecRule{about}")).expect("rules");
        let notices: Vec<_> = loaded.warnings().iter().map(|one| &one.notice).collect();
        assert_eq!(notices, [&Notice::NoRule], "{about}");
    }
}

const fn operator(name: OperatorName) -> (Way, &'static str) {
    use OperatorName as O;
    match name {
        O::BeginsWith
        | O::Contains
        | O::ContainsWord
        | O::EndsWith
        | O::Pm
        | O::PmFromFile
        | O::IpMatchFromFile
        | O::Rx
        | O::RxGlobal
        | O::StrEq
        | O::StrMatch
        | O::VerifyCc
        | O::VerifyCpf
        | O::VerifySsn
        | O::VerifySvnr
        | O::Within => (Acts, "x"),
        O::DetectSqli
        | O::DetectXss
        | O::NoMatch
        | O::UnconditionalMatch
        | O::ValidateUrlEncoding
        | O::ValidateUtf8Encoding => (Acts, ""),
        O::Eq | O::Ge | O::Gt | O::Le | O::Lt => (Acts, "1"),
        O::IpMatch => (Acts, "10.0.0.1"),
        O::ValidateByteRange => (Acts, "1-9"),
        O::GeoLookup => (Refused, ""),
        O::FuzzyHash
        | O::GsbLookup
        | O::InspectFile
        | O::Rbl
        | O::Rsub
        | O::ValidateDtd
        | O::ValidateHash
        | O::ValidateSchema => (Refused, "x"),
    }
}

#[test]
fn no_operator_is_silent() {
    for (name, one) in OperatorName::table() {
        let (way, argument) = operator(*one);
        check(&format!("SecRule ARGS \"@{name} {argument}\" \"id:1\""), way);
    }
}

/// One request that has all a request can have, and its answer.
fn run(rules: RuleSet, media_type: &[u8], body: &[u8]) -> bool {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = Connection { client: address(1), server: address(2), id: b"1", time: 1 };
    let mut transaction = Transaction::new(Arc::new(rules), &connection);
    let headers: [(&[u8], &[u8]); 4] = [
        (b"Host", b"a.example"),
        (b"Authorization", b"Basic x"),
        (b"Cookie", b"c=1"),
        (b"Content-Type", media_type),
    ];
    let (method, target, protocol) = (&b"POST"[..], &b"/p/b?q=1"[..], &b"HTTP/1.1"[..]);
    drop(transaction.request_head(&RequestHead { method, target, protocol, headers: &headers }));
    transaction.request_body(body);
    drop(transaction.request_end());
    let headers: [(&[u8], &[u8]); 2] =
        [(b"Content-Type", b"text/plain"), (b"Content-Length", b"1")];
    drop(transaction.response_head(&ResponseHead { status: 200, protocol, headers: &headers }));
    transaction.response_body(b"r");
    drop(transaction.response_end());
    transaction.finish();
    transaction.matches().iter().any(|one| one.id.0 == 1)
}

#[test]
fn a_variable_that_loads_has_a_value_in_some_request() {
    let form: &[u8] =
        b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n\"\r\n\r\nx\r\n--b--\r\n";
    let bodies: [(&[u8], &[u8]); 3] = [
        (b"multipart/form-data; boundary=b", form),
        (b"application/x-www-form-urlencoded", b"a=1"),
        (b"text/xml", b"<a b='c'>d</a>"),
    ];
    let (mut acting, mut refused) = (0, 0);
    for (name, variable) in Variable::table() {
        let target = match variable {
            Variable::Rule => "RULE:id".to_owned(),
            Variable::Xml => "XML:/*".to_owned(),
            _ => (*name).to_owned(),
        };
        let rules = format!(
            "SecResponseBodyAccess On
             SecAction \"id:2,phase:1,pass,nolog,setvar:tx.x=1\"
             SecRule ARGS:q \"@streq 1\" \"id:1,phase:5,pass,chain\"
             SecRule {target} \"@unconditionalMatch\""
        );
        match load(&rules) {
            Err(problems) => {
                assert!(matches!(problems.as_slice(), [Problem::Refused { .. }]), "{problems:?}");
                refused += 1;
            }
            Ok(_) => {
                let has_value = |(media_type, body): &(&[u8], &[u8])| {
                    run(load(&rules).expect("loaded before"), media_type, body)
                };
                assert!(bodies.iter().any(has_value), "{name} is never set");
                acting += 1;
            }
        }
    }
    assert!(acting > 60 && refused > 30, "{acting} {refused}");
    for target in ["RULE", "RULE:/id/", "RULE:phase"] {
        check(&format!("SecRule {target} x \"id:1\""), Refused);
    }
    for text in ["msg:'%{RULE}'", "msg:'%{rule.x}'", "msg:'%{rule.msg}'", "logdata:'%{RULE.msg}'"] {
        check(&format!("SecAction \"id:1,{text}\""), Refused);
    }
}
