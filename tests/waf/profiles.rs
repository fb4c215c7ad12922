//! What a profile says of its rules.

use std::process::Command;

use super::*;

/// A rule of one's own against `attack`, and one that depends on what a profile sets.
const OWN: &str = r#"
SecRule ARGS "@contains attack" "id:100,phase:2,deny,status:403,log,tag:own"
SecRule TX:blocking_paranoia_level "@ge 2" "id:200,phase:1,deny,status:403,log,chain"
    SecRule ARGS:level "@streq 2"
SecRule TX:inbound_anomaly_score_threshold "@le 3" "id:300,phase:1,deny,status:403,log,chain"
    SecRule ARGS:score "@streq 3"
"#;

#[track_caller]
fn assert_statuses(found: &[(&str, u16)], expected: &[(&str, u16)]) {
    assert_eq!(found, expected);
}

async fn check(profile: &str, rules: &TempDir, expected: &[(&str, u16)]) {
    let edge = answering(profile, rules);
    let mut found = Vec::new();
    for (target, _) in expected {
        found.push((*target, get(&edge, target).await));
    }
    assert_statuses(&found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_rules_act_where_nothing_is_written() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
defaults: { waf: standard }
routes: [{ respond: {} }, { match: { path: /off }, respond: {}, waf: off }]
",
    );
    let attack = "?id=1%27%20UNION%20SELECT%20password%20FROM%20users--%20";
    for (target, expected) in [
        ("/?q=running+shoes&page=2", 200),
        ("/?name=O%27Brien", 200),
        (&format!("/{attack}"), 403),
        (&format!("/off{attack}"), 200),
        ("/?file=../../../../etc/passwd", 403),
        ("/?q=%3Cscript%3Ealert(1)%3C/script%3E", 403),
    ] {
        assert_eq!(get(&edge, target).await, expected, "{target}");
    }
    let records = edge.stop();
    let refused: Vec<_> = records.iter().filter(|record| record["status"] == 403).collect();
    assert_eq!(refused.len(), 3);
    for record in refused {
        assert_eq!((&record["room"], &record["refusal"]), (&"waf".into(), &"blocked".into()));
        assert!(record["waf_score"].as_i64().unwrap() >= 5, "{record}");
        assert!(!record["waf_rules"].as_array().unwrap().is_empty(), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_detected_is_in_the_record() {
    let dir = folder(&[("own.conf", OWN)]);
    let edge = answering("{ mode: detect, rules: { files: ['DIR/own.conf'] } }", &dir);
    assert_eq!(get(&edge, "/?q=attack").await, 200);
    assert_eq!(get(&edge, "/?q=good").await, 200);
    let records = edge.stop();
    // Two workers write them, in either order.
    let rules_of = |query: &str| {
        let mut of = records.iter().filter(|record| record["query"] == query);
        of.next().expect(query).get("waf_rules").cloned()
    };
    assert_eq!(rules_of("q=attack"), Some(serde_json::json!([100])), "{records:?}");
    assert_eq!(rules_of("q=good"), None, "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn paranoia_and_threshold_are_what_the_profile_says() {
    let dir = folder(&[("own.conf", OWN)]);
    let files = "rules: { files: ['DIR/own.conf'] }";
    let both = [("/?level=2", 200), ("/?score=3", 200), ("/?q=attack", 403)];
    check(&format!("{{ {files} }}"), &dir, &both).await;
    let level = [("/?level=2", 403), ("/?score=3", 200)];
    check(&format!("{{ paranoia: 2, {files} }}"), &dir, &level).await;
    let score = [("/?level=2", 200), ("/?score=3", 403)];
    check(&format!("{{ inbound_threshold: 3, {files} }}"), &dir, &score).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_excluded_is_everywhere_or_below_a_path() {
    let dir = folder(&[("own.conf", OWN)]);
    let (q, other) = ("/?q=attack", "/?other=attack");
    let (below, beside) = ("/search/x?q=attack", "/searchx?q=attack");
    for (excluded, expected) in [
        ("[]", [(q, 403), (other, 403), (below, 403), (beside, 403)]),
        ("[100]", [(q, 200), (other, 200), (below, 200), (beside, 200)]),
        ("[{ tag: own }]", [(q, 200), (other, 200), (below, 200), (beside, 200)]),
        (
            "[{ rule: 100, target: 'ARGS:q' }]",
            [(q, 200), (other, 403), (below, 200), (beside, 200)],
        ),
        (
            "[{ rule: 100, path_prefix: /search }]",
            [(q, 403), (other, 403), (below, 200), (beside, 403)],
        ),
        (
            "[{ tag: own, target: 'ARGS:q', path_prefix: /search/ }]",
            [(q, 403), (other, 403), (below, 200), (beside, 403)],
        ),
    ] {
        let profile = format!("{{ exclude: {excluded}, rules: {{ files: ['DIR/own.conf'] }} }}");
        check(&profile, &dir, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_a_text_and_no_expression() {
    let rule = |id: u32, word: &str, tag: &str| {
        format!("SecRule ARGS \"@streq {word}\" \"id:{id},phase:2,deny,status:403,tag:'{tag}'\"\n")
    };
    let tag = "OWASP_CRS/a+b(c).d[1]*";
    let other = "OWASP_CRS/a+b(c).d[1]*/more";
    let rules = [rule(1, "one", tag), rule(2, "two", other), rule(3, "three", "OWASP_CRS/aabcxd1")];
    let dir = folder(&[("own.conf", &rules.concat())]);
    for (more, path) in [("", "/"), (", path_prefix: /in", "/in/")] {
        let exclude = format!("exclude: [{{ tag: '{tag}'{more} }}]");
        let profile = format!("{{ {exclude}, rules: {{ files: ['DIR/own.conf'] }} }}");
        let targets = ["one", "two", "three"].map(|word| format!("{path}?a={word}"));
        let expected = [200, 403, 403];
        let expected: Vec<_> = targets.iter().map(String::as_str).zip(expected).collect();
        check(&profile, &dir, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_rule_set_is_found_in_its_directory() {
    let rule = |id: u32, word: &str| {
        format!("SecRule ARGS \"@streq {word}\" \"id:{id},phase:2,deny,status:403,log\"\n")
    };
    let dir = folder(&[
        ("crs/rules/REQUEST-942-A.conf", &rule(1, "rule")),
        ("crs/rules/other.data", "no rule"),
        ("crs/crs-setup.conf", &rule(2, "setup")),
        ("own-setup.conf", &rule(3, "own")),
        ("more.conf", &rule(4, "more")),
    ]);
    let targets = |statuses: [u16; 4]| {
        ["/?a=rule", "/?a=setup", "/?a=own", "/?a=more"].into_iter().zip(statuses)
    };
    for (rules, statuses) in [
        ("{ crs: 'DIR/crs' }", [403, 403, 200, 200]),
        ("{ crs: 'DIR/crs', setup: 'DIR/own-setup.conf' }", [403, 200, 403, 200]),
        ("{ crs: 'DIR/crs', files: ['DIR/more.conf'] }", [403, 403, 200, 403]),
    ] {
        let expected: Vec<_> = targets(statuses).collect();
        check(&format!("{{ rules: {rules} }}"), &dir, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_cannot_do_is_a_fault_unless_it_is_skipped() {
    let rules =
        format!("{OWN}SecRule FILES_TMPNAMES \"@inspectFile /x\" \"id:500,phase:2,deny\"\n");
    let dir = folder(&[("own.conf", &rules)]);
    let profile = "{ skip: [500], rules: { files: ['DIR/own.conf'] } }";
    let edge = answering(profile, &dir);
    assert_eq!(get(&edge, "/?q=attack").await, 403);
    edge.await_stderr("own.conf:7:");
    let config = dir.path().join("tidegate.yaml");
    let without = profile.replace("skip: [500], ", "").replace("DIR", dir.path().to_str().unwrap());
    fs::write(&config, format!("waf: {{ own: {without} }}\nlisteners: []\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let tested = command.arg("-c").arg(&config).arg("-t").output().unwrap();
    let said = String::from_utf8(tested.stderr).unwrap();
    assert_eq!(tested.status.code(), Some(1), "{said}");
    assert!(said.contains("waf.own.rules.files[0]: "), "{said}");
    assert!(said.contains("own.conf:7:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_files_say_of_the_engine_the_profile_overrules() {
    for (file, profile, expected) in [
        ("SecRuleEngine On", "mode: detect", 200),
        ("SecRuleEngine DetectionOnly", "mode: block", 403),
        ("SecRuleEngine Off\nSecRequestBodyAccess Off", "mode: block", 403),
    ] {
        let dir = folder(&[("own.conf", &format!("{OWN}{file}\n"))]);
        let edge =
            answering(&format!("{{ {profile}, rules: {{ files: ['DIR/own.conf'] }} }}"), &dir);
        edge.await_stderr("SecRuleEngine does nothing; `mode` of the profile decides");
        assert_eq!(get(&edge, "/?q=attack").await, expected, "{file}");
    }
    let origin = mirror().await;
    let file = "SecRequestBodyLimit 1000\nSecRequestBodyNoFilesLimit 2000\n\
                SecRequestBodyLimitAction Reject\n";
    let rules = format!("{}{file}", fs::read_to_string(RULES).unwrap());
    let dir = folder(&[("own.conf", &rules)]);
    let path = dir.path().join("own.conf").display().to_string();
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    let edge = start(&[("app", &app), ("rules", &path), ("body", &"{ inspect: 4KiB }")]);
    edge.await_stderr("SecRequestBodyLimit does nothing; `body.inspect` of the profile");
    edge.await_stderr("SecRequestBodyNoFilesLimit does nothing; `body.inspect` of the profile");
    edge.await_stderr("SecRequestBodyLimitAction does nothing; `body.over` of the profile");
    for (size, end, expected) in
        [(4096, "attack", 403), (4096, "end", 200), (5000, "end", 200), (5000, "attack", 200)]
    {
        assert_eq!(status(&edge, By::Length, &sized(size, end)).await, expected, "{size} {end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directives_are_skipped_by_name_and_rules_of_core_only_for_what_they_cannot_do() {
    for (directive, skip, said) in [
        ("SecGeoLookupDb x", "[Secgeolookupdb]", "SecGeoLookupDb is not supported"),
        ("SecRul ARGS x", "[SecRul]", "unknown directive `SecRul`"),
    ] {
        let dir = folder(&[("own.conf", &format!("{OWN}{directive}\n"))]);
        let profile = "rules: { files: ['DIR/own.conf'] }";
        let edge = answering(&format!("{{ skip: {skip}, {profile} }}"), &dir);
        edge.await_stderr(said);
        assert_eq!(get(&edge, "/?q=attack").await, 403, "{directive}");
        drop(edge);
        assert_eq!(tested(&format!("{{ {profile} }}"), &dir), (Some(1), true), "{directive}");
        let other = "SecHashEngine";
        let with_other = format!("{{ skip: [{other}], {profile} }}");
        assert_eq!(tested(&with_other, &dir), (Some(1), true), "{directive}");
    }
    // 912120 keeps records of clients, and 901321 would; neither may say what is no rule at all.
    for (rule, code) in [
        ("SecRule IP:x \"@gt 1\" \"id:912120,phase:1,deny\"", 0),
        ("SecRule IP:x \"@gt 1\" \"id:912121,phase:1,deny\"", 1),
        ("SecRule NO_SUCH \"@gt 1\" \"id:912120,phase:1,deny\"", 1),
    ] {
        let dir = folder(&[("own.conf", &format!("{OWN}{rule}\n"))]);
        let found = tested("{ rules: { files: ['DIR/own.conf'] } }", &dir);
        assert_eq!(found, (Some(code), code == 1), "{rule}");
    }
}

/// What a test of a configuration with this profile ends with, and whether it names the file's line.
fn tested(profile: &str, dir: &TempDir) -> (Option<i32>, bool) {
    let (code, said) = said_of(profile, dir);
    (code, said.contains("waf.own.rules.files[0]: ") && said.contains("own.conf:7:"))
}

/// What such a test ends with, and says.
fn said_of(profile: &str, dir: &TempDir) -> (Option<i32>, String) {
    let config = dir.path().join("tidegate.yaml");
    let profile = profile.replace("DIR", dir.path().to_str().unwrap());
    let listener = "listeners: [{ address: '127.0.0.1:1' }]\nroutes: [{ respond: {}, waf: own }]\n";
    fs::write(&config, format!("waf: {{ own: {profile} }}\n{listener}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let tested = command.arg("-c").arg(&config).arg("-t").output().unwrap();
    (tested.status.code(), String::from_utf8(tested.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn paranoia_is_told_to_every_version_of_core() {
    let names = ["blocking_paranoia_level", "detection_paranoia_level", "paranoia_level"];
    let rule = |(id, name): (usize, &str)| {
        format!(
            "SecRule TX:{name} \"@eq 3\" \"id:{id},phase:1,deny,status:403,chain\"\n\
                 SecRule ARGS:name \"@streq {name}\"\n"
        )
    };
    let rules: String = (1..).zip(names).map(rule).collect();
    let dir = folder(&[("own.conf", &rules)]);
    let targets = names.map(|name| format!("/?name={name}"));
    for (paranoia, status) in [("paranoia: 3,", 403), ("", 200)] {
        let profile = format!("{{ {paranoia} rules: {{ files: ['DIR/own.conf'] }} }}");
        let expected: Vec<_> = targets.iter().map(|target| (target.as_str(), status)).collect();
        check(&profile, &dir, &expected).await;
    }
}

#[test]
fn exclusions_that_do_nothing_or_are_too_many_are_faults_at_their_key() {
    let dir = folder(&[("own.conf", OWN)]);
    let files = "rules: { files: ['DIR/own.conf'] }";
    let many = vec!["100"; 1001].join(", ");
    for (exclude, part) in [
        ("{ rule: 100, target: NO_SUCH }", "waf.own.exclude[0]: unknown variable `NO_SUCH`"),
        ("{ rule: 7 }", "waf.own.exclude[0].rule: there is no rule 7 in these rules"),
        (&many, "waf.own.exclude: are 1001; must be at most 1000"),
    ] {
        let (code, said) = said_of(&format!("{{ exclude: [{exclude}], {files} }}"), &dir);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_to_judge_is_refused_or_noted() {
    let dir = folder(&[("own.conf", &format!("{OWN}SecArgumentsLimit 1000\n"))]);
    let target = format!("/?{}", "a&".repeat(1001));
    for (mode, expected) in [("block", 403), ("detect", 200)] {
        let profile = format!("{{ mode: {mode}, rules: {{ files: ['DIR/own.conf'] }} }}");
        let edge = answering(&profile, &dir);
        assert_eq!(get(&edge, &target).await, expected, "{mode}");
        let refusal = edge.stop().remove(0)["refusal"].clone();
        assert_eq!(refusal == "not_inspected", mode == "block", "{mode}: {refusal}");
    }
}
