//! Whole texts to trees: directives, chains, includes, what is skipped and what is refused.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_waf::parse::{
    Directive, Fault, Faults, Files, NoFiles, Notice, Reader, RuleId, Selection, Setting, Tree,
    bounds,
};

fn read(text: &[u8]) -> Result<Tree, Faults> {
    let mut reader = Reader::new(&NoFiles, &|_| false);
    reader.text(Path::new("f"), text);
    reader.finish()
}

/// What `text` becomes: one line a directive, or its faults.
fn check(text: &str, expected: &[&str]) {
    let shown = match read(text.as_bytes()) {
        Ok(tree) => tree.directives.iter().map(|directive| show(&directive.value)).collect(),
        Err(faults) => faults.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    assert_eq!(shown, expected, "{text}");
}

fn show(directive: &Directive) -> String {
    match directive {
        Directive::Rule(rule) => format!("rule {} of {}", rule.id, rule.links.len()),
        Directive::Marker(name) => format!("marker {}", String::from_utf8_lossy(name)),
        Directive::DefaultAction(actions) => format!("default of {}", actions.len()),
        Directive::ComponentSignature(_) => "signature".to_owned(),
        Directive::Remove(rules) => format!("remove {}", show_selection(rules)),
        Directive::UpdateTargets { rules, targets, replaced } => {
            let rules = show_selection(rules);
            format!("targets of {rules}: {} for {}", targets.len(), replaced.len())
        }
        Directive::UpdateActions { rules, actions } => {
            format!("actions of {} rules: {}", rules.len(), actions.len())
        }
        Directive::Setting(setting) => format!("{setting:?}"),
    }
}

fn show_selection(rules: &Selection) -> String {
    match rules {
        Selection::Ids(ids) => {
            let ids: Vec<_> = ids.iter().map(|ids| format!("{}-{}", ids.first, ids.last)).collect();
            ids.join(",")
        }
        Selection::Tags(tags) => format!("{} tags", tags.len()),
        Selection::Messages(messages) => format!("{} messages", messages.len()),
    }
}

#[test]
fn reads_every_directive_in_any_case() {
    check("secrule ARGS \"@rx a\" \"id:1,phase:2,deny\"", &["rule 1 of 1"]);
    check(
        "SecAction 'id:2,pass'\nSecMarker END\nSecMarker \"B\"",
        &["rule 2 of 1", "marker END", "marker B"],
    );
    check("SecDefaultAction \"phase:2,log,pass\"", &["default of 3"]);
    check("SecComponentSignature \"OWASP_CRS/4\"", &["signature"]);
    check("SecRuleRemoveById 1 2-3 \"4,5\"", &["remove 1-1,2-3,4-4,5-5"]);
    check(
        "SecRuleRemoveByTag attack-sqli x\nSecRuleRemoveByMsg \"a b\"",
        &["remove 2 tags", "remove 1 messages"],
    );
    check("SecRuleUpdateTargetById 1-9 \"!ARGS:a,!ARGS:b\"", &["targets of 1-9: 2 for 0"]);
    check("SecRuleUpdateTargetByTag x !ARGS ARGS_GET", &["targets of 1 tags: 1 for 1"]);
    check("SecRuleUpdateTargetByMsg x !ARGS", &["targets of 1 messages: 1 for 0"]);
    check("SecRuleUpdateActionById 949110:1 \"t:none,drop\"", &["actions of 1 rules: 2"]);
}

#[test]
fn reads_settings() {
    check("SecRuleEngine DetectionOnly", &["RuleEngine(DetectionOnly)"]);
    check("secruleengine \"on\"", &["RuleEngine(On)"]);
    check(
        "SecRequestBodyAccess On\nSecResponseBodyAccess Off",
        &["RequestBodyAccess(On)", "ResponseBodyAccess(Off)"],
    );
    check("SecRequestBodyLimit 13107200", &["RequestBodyLimit(13107200)"]);
    check("SecRequestBodyNoFilesLimit 131072", &["RequestBodyNoFilesLimit(131072)"]);
    check("SecRequestBodyLimitAction reject", &["RequestBodyLimitAction(Reject)"]);
    check(
        "SecResponseBodyLimitAction ProcessPartial",
        &["ResponseBodyLimitAction(ProcessPartial)"],
    );
    check(
        "SecArgumentSeparator &\nSecCookieFormat 0",
        &["ArgumentSeparator(38)", "CookieFormat(Netscape)"],
    );
    let tree = read(b"SecResponseBodyMimeType text/plain \"text/HTML text/xml\"").unwrap();
    let Directive::Setting(Setting::ResponseBodyMimeTypes(types)) = &tree.directives[0].value
    else {
        panic!("{:?}", tree.directives);
    };
    assert_eq!(types, &[b"text/plain".to_vec(), b"text/html".to_vec(), b"text/xml".to_vec()]);
}

#[test]
fn says_what_is_wrong_with_a_directive() {
    check("SecRul ARGS", &["f:1:1: unknown directive `SecRul`: did you mean `SecRule`?"]);
    check(
        "a\n  SecRuleEngine Onn",
        &["f:1:1: unknown directive `a`", "f:2:17: unknown engine mode `Onn`: did you mean `On`?"],
    );
    check(
        "SecRuleScript x.lua",
        &["f:1:1: SecRuleScript is not supported: rules do not run scripts"],
    );
    check(
        "<IfModule x>",
        &["f:1:1: <IfModule is not supported: sections are Apache's; give a route its profile in \
         Tidegate's configuration"],
    );
    check("SecMarker", &["f:1:1: SecMarker has 0 arguments: write one name"]);
    check("SecRuleEngine", &["f:1:1: SecRuleEngine has 0 arguments: write one"]);
    check(
        "SecRequestBodyLimit 10k",
        &["f:1:21: a body limit cannot be `10k`: write bytes, at most 2147483648"],
    );
    check(
        "SecUnicodeMapFile unicode.mapping 1252",
        &["f:1:35: a code page cannot be `1252`: write 20127, the one built in"],
    );
    check(
        "SecXmlExternalEntity On",
        &["f:1:22: SecXmlExternalEntity cannot be `On`: write Off: entities are never resolved"],
    );
    check(
        "SecParseXmlIntoArgs Off\nSecParseXmlIntoArgs OnlyArgs",
        &["f:2:21: SecParseXmlIntoArgs is not supported: use XML:/* and XML://@*"],
    );
    check(
        "SecDefaultAction pass",
        &["f:1:18: default actions cannot be `pass`: write phase:1 to phase:5 among them"],
    );
    check(
        "SecRule ARGS",
        &[
            "f:1:1: SecRule has 1 arguments: write VARIABLES \"@OPERATOR ARGUMENT\" \"ACTIONS\", in quotes if \
         they have blanks",
        ],
    );
}

#[test]
fn what_has_no_effect_is_a_warning_with_its_reason() {
    let tree = read(b"SecAuditEngine On\nSecUnicodeMapFile unicode.mapping 20127\nSecTmpDir /tmp")
        .unwrap();
    let shown: Vec<_> = tree.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "f:1:1: SecAuditEngine has no effect: Tidegate writes its own security log",
            "f:2:1: SecUnicodeMapFile has no effect: the map with code page 20127 is built in and no file is read",
            "f:3:1: SecTmpDir has no effect: bodies and files are held in memory and never written to disk",
        ]
    );
}

#[test]
fn groups_chains() {
    check(
        "SecRule ARG_GET \"x\" \"id:1,chain\"\nSecRule ARGS a chain\n SecRule ARGS b\nSecMarker M",
        &["f:1:9: unknown variable `ARG_GET`: did you mean `ARGS_GET`?"],
    );
    check(
        "SecRule ARGS \"x\" \"id:1,deny,chain\"\nSecRule ARGS a chain\n SecRule ARGS b\nSecMarker M",
        &["rule 1 of 3", "marker M"],
    );
    check("SecAction \"id:1,chain\"\nSecRule ARGS a \"t:none,setvar:tx.a=1\"", &["rule 1 of 2"]);
}

#[test]
fn refuses_chains_that_are_not_whole() {
    let no_end = "the chain has no end: a SecRule must follow, or delete the action chain";
    check("SecRule ARGS a \"id:1,chain\"", &[&format!("f:1:1: {no_end}")]);
    check("SecRule ARGS a \"id:1,chain\"\nSecMarker M", &[&format!("f:1:1: {no_end}")]);
    check("SecRule ARGS a", &["f:1:1: the rule has no id: write id:NUMBER in its actions"]);
    check(
        "SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"deny\"",
        &["f:2:17: deny stands in a later rule of a chain: write it in the first one"],
    );
    let long = format!("SecAction id:1,chain\n{}", "SecAction chain\n".repeat(bounds::LINKS));
    check(&long, &["f:1:1: more than 64 rules in one chain"]);
}

#[test]
fn a_skipped_rule_is_lost_whole_and_named() {
    let skip = |fault: &Fault| fault.rule == Some(RuleId(7));
    let mut reader = Reader::new(&NoFiles, &skip);
    let text = b"SecRule ARGS a \"id:7,chain\"\nSecRule ARGS \"@foo b\"\nSecAction id:8";
    reader.text(Path::new("f"), text);
    let tree = reader.finish().unwrap();
    assert_eq!(tree.directives.len(), 1);
    assert_eq!(tree.warnings.len(), 1);
    assert!(matches!(tree.warnings[0].notice, Notice::Skipped(_)));
    assert_eq!(tree.warnings[0].place.to_string(), "f:2:16");
}

#[test]
fn places_hold_through_continued_lines() {
    check(
        "SecRule ARGS \"@rx a\" \\\n  \"id:1,\\\n   denny\"",
        &["f:3:4: unknown action `denny`: did you mean `deny`?"],
    );
}

#[test]
fn faults_are_bounded() {
    let faults = read("x\n".repeat(10_000).as_bytes()).unwrap_err();
    assert_eq!(faults.0.len(), bounds::REPORTED);
}

/// Files in memory; a directory is what has files below it.
struct Memory(BTreeMap<PathBuf, String>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = self.0.get(path).ok_or_else(|| io::Error::other("there is no such file"))?;
        Ok(text.clone().into_bytes())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        // In no order, as a disk gives them.
        let below = self.0.keys().rev().filter_map(|path| path.strip_prefix(directory).ok());
        let names = below.filter_map(|path| Some(path.components().next()?.as_os_str().to_owned()));
        Ok(names.collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }
}

fn check_files(files: &[(&str, &str)], expected: &[&str]) {
    let held = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned()));
    let memory = Memory(held.collect());
    let mut reader = Reader::new(&memory, &|_| false);
    reader.file(Path::new(files[0].0));
    let shown = match reader.finish() {
        Ok(tree) => tree.directives.iter().map(|directive| show(&directive.value)).collect(),
        Err(faults) => faults.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    assert_eq!(shown, expected);
}

#[test]
fn includes_are_relative_to_their_file_and_in_order() {
    check_files(
        &[
            ("/etc/a.conf", "SecMarker 1\nInclude rules/*.conf\nInclude /x/y.conf\nSecMarker 9"),
            ("/etc/rules/b.conf", "SecMarker b\nIncludeOptional \"none/*.conf\""),
            ("/etc/rules/a.conf", "SecMarker a"),
            ("/etc/rules/c.conf.example", "x"),
            ("/x/y.conf", "SecMarker y"),
        ],
        &["marker 1", "marker a", "marker b", "marker y", "marker 9"],
    );
}

#[test]
fn refuses_includes_that_lead_nowhere_or_in_circles() {
    check_files(
        &[("/a.conf", "Include b.conf\nInclude *.data\nIncludeOptional c.conf")],
        &[
            "/a.conf:1:1: no file matches b.conf: correct the path, or write IncludeOptional",
            "/a.conf:2:1: no file matches *.data: correct the path, or write IncludeOptional",
        ],
    );
    check_files(
        &[("/a.conf", "Include b.conf"), ("/b.conf", "Include a.conf")],
        &["/b.conf:1:1: /a.conf includes itself"],
    );
    let many: Vec<_> =
        (0..20).map(|i| (format!("/{i}.conf"), format!("Include {}.conf", i + 1))).collect();
    let many: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    check_files(&many, &["/15.conf:1:1: more than 16 files that include each other"]);
}

#[test]
fn a_chain_ends_with_its_file() {
    check_files(
        &[
            ("/a.conf", "Include b.conf\nSecRule ARGS a \"id:2\""),
            ("/b.conf", "SecAction id:1,chain"),
        ],
        &["/b.conf:1:1: the chain has no end: a SecRule must follow, or delete the action chain"],
    );
}

#[test]
fn reads_what_older_rule_sets_and_users_write() {
    for rule in [
        "SecRule REQUEST_HEADERS:Content-Type \"text/xml\" \"id:'1',phase:1,t:none,ctl:requestBodyProcessor=XML\"",
        "SecRule REQBODY_ERROR \"!@eq 0\" \"id:'1', phase:2,deny,status:400,logdata:'%{reqbody_error_msg}',severity:2\"",
        "SecRule TX:/^MSC_/ \"!@streq 0\" \"id:1,phase:2,deny,msg:'flagged: %{MATCHED_VAR_NAME}'\"",
        "SecRule TX:REAL_IP \"@geoLookup\" \"id:1\"",
        "SecRule IP:DOS_COUNTER \"@ge %{tx.threshold}\" \"id:1,setvar:'!ip.dos_counter',expirevar:'ip.a=%{tx.b}'\"",
        "SecRule REMOTE_ADDR \"@pmf list.data\" \"id:1,setvar:'ip.reason=%{rule.msg}'\"",
        "SecRule ARGS:x \"@streq a\" \"id:1,ctl:ruleRemoveTargetById=942431;ARGS_NAMES:data[wp][]\"",
        "SecRule ARGS:x \"@streq a\" \"id:1,ctl:ruleRemoveTargetById=921180;TX:paramcounter_ARGS_NAMES:keys\"",
        "SecRule REQUEST_COOKIES|!REQUEST_COOKIES:/__utm/|REQUEST_COOKIES_NAMES \"@rx a\" \"id:1,t:utf8toUnicode\"",
        "SecRule REQUEST_URI \"@contains /api/\" \"id:1,phase:1,allow,nolog,ctl:ruleEngine=Off\"",
        "SecRule REMOTE_ADDR \"@ipMatch 10.0.0.0/8\" \"phase:1,id:1,allow:phase,ctl:ruleEngine=DetectionOnly\"",
        "SecAction \"phase:1,id:1,nolog,pass,initcol:ip=%{REMOTE_ADDR}_%{tx.ua_hash},setuid:%{ARGS.user}\"",
        "SecAction \"id:1,phase:2,sanitiseArg:password,setenv:a=b,deprecatevar:session.score=60/300\"",
    ] {
        check(rule, &["rule 1 of 1"]);
    }
}
