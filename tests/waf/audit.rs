//! What the security log says of rules that matched.

use std::fs;

use serde_json::{Value as Json, json};

use super::*;
use crate::support::poll;

const RULES_OF_LOGS: &str = r#"
SecRule ARGS|REQUEST_HEADERS|REQUEST_COOKIES|REQUEST_URI "@rx (?i)attack" \
    "id:10,phase:2,deny,log,capture,t:lowercase,msg:'an attack',severity:CRITICAL"
SecRule ARGS:mute "@rx ." "id:20,phase:1,pass,nolog,ctl:auditEngine=Off"
SecRule ARGS "@contains quiet" "id:30,phase:1,pass,log,noauditlog,msg:'not for audits'"
SecRule ARGS "@contains hidden" "id:40,phase:1,pass,nolog,auditlog,msg:'for audits alone'"
SecRule ARGS:card "@rx ." "id:50,phase:1,pass,nolog,sanitiseArg:card"
"#;

/// A proxy that answers by itself what these rules let pass, and notes the rest.
fn noting(mode: &str, rules: Option<&str>) -> Edge {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.conf");
    fs::write(&path, rules.unwrap_or_default()).unwrap();
    let rules = match rules {
        Some(_) => format!("{{ files: ['{}'] }}", path.display()),
        None => "builtin".to_owned(),
    };
    let edge = Edge::start_with(
        "
log: { security: { to: '{dir}/security.log', per_second: 1000 } }
listeners: [{ address: '127.0.0.1:{port}' }]
waf: { own: { mode: {mode}, rules: {rules} } }
defaults: { waf: own }
routes: [{ respond: {} }]
",
        &[("mode", &mode), ("rules", &rules)],
    );
    // What was loaded is not read again.
    drop(dir);
    edge
}

fn lines(edge: &Edge) -> Vec<Json> {
    let text = fs::read_to_string(edge.dir().join("security.log")).unwrap_or_default();
    assert!(text.is_ascii());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The line of one request, which must be the first.
fn line(edge: &Edge) -> Json {
    poll("a line of the security log", || lines(edge).into_iter().next())
}

/// The line of the request whose query begins so; workers write theirs in any order.
fn asked<'a>(lines: &'a [Json], query: &str) -> &'a Json {
    let is_asked = |line: &&Json| line["query"].as_str().unwrap_or_default().starts_with(query);
    lines.iter().find(is_asked).expect("a line of this query")
}

async fn get(edge: &Edge, target: &str, fields: &str) -> u16 {
    let agent = "user-agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0\r\naccept: */*\r\n";
    let head = format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n{agent}{fields}\r\n");
    Client::ask(edge.addr(), head).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_logged_with_the_rules_and_what_they_matched() {
    let edge = noting("block", None);
    let attack = "1%27%20UNION%20SELECT%20name,pw%20FROM%20users--%20";
    assert_eq!(get(&edge, &format!("/?id={attack}&page=2"), "").await, 403);
    let line = line(&edge);
    assert_eq!((&line["room"], &line["refusal"]), (&json!("waf"), &json!("blocked")));
    let matches = line["waf_matches"].as_array().unwrap();
    let found = matches.iter().find(|one| one["score"] == 5).expect("a rule that scores");
    assert_eq!(found["severity"], "CRITICAL", "{line}");
    assert!(found["msg"].as_str().is_some_and(|msg| msg.contains("SQL")), "{line}");
    assert_eq!(found["values"][0]["name"], "ARGS:id", "{line}");
    let value = found["values"][0]["value"].as_str().unwrap();
    assert!(value.to_lowercase().contains("union select"), "{line}");
    let ids: Vec<&Json> = matches.iter().map(|one| &one["id"]).collect();
    let rules = line["waf_rules"].as_array().unwrap();
    assert!(ids.iter().all(|id| rules.contains(id)), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_detected_is_a_line_of_its_own_kind() {
    let edge = noting("detect", Some(RULES_OF_LOGS));
    assert_eq!(get(&edge, "/?q=an+Attack", "").await, 200);
    let line = line(&edge);
    assert_eq!((&line["room"], &line["refusal"]), (&json!("waf"), &Json::Null));
    assert_eq!((&line["detected"], &line["rule"]), (&json!("blocked"), &json!("10")));
    assert_eq!(line["status"], 200);
    let expected = json!([{
        "id": 10, "msg": "an attack", "severity": "CRITICAL",
        "values": [
            { "name": "ARGS:q", "value": "an attack" },
            { "name": "REQUEST_URI", "value": "/?q=an+attack" },
        ],
    }]);
    assert_eq!(line["waf_matches"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_is_against_is_no_line() {
    let edge = noting("detect", Some(RULES_OF_LOGS));
    for target in ["/?q=good", "/?q=quiet", "/?q=hidden"] {
        assert_eq!(get(&edge, target, "").await, 200);
    }
    assert_eq!(get(&edge, "/?q=attack", "").await, 200);
    assert_eq!(line(&edge)["query"], "q=attack");
    assert_eq!(edge.stop().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_say_what_belongs_in_audits() {
    for (target, expected) in
        [("/?q=attack+quiet+hidden", vec![40, 10]), ("/?q=attack&mute=1", vec![])]
    {
        let edge = noting("block", Some(RULES_OF_LOGS));
        assert_eq!(get(&edge, target, "").await, 403);
        let line = line(&edge);
        let told = line["waf_matches"].as_array().cloned().unwrap_or_default();
        let told: Vec<u64> = told.iter().map(|one| one["id"].as_u64().unwrap()).collect();
        assert_eq!(told, expected, "{line}");
        assert!(line["waf_rules"].as_array().unwrap().contains(&json!(10)), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log() {
    let edge = noting("block", Some(RULES_OF_LOGS));
    let fields = "authorization: Bearer attack-SECRET\r\nproxy-authorization: attack-SECRET\r\n\
                  x-api-key: attack-SECRET\r\ncookie: session=attack-SECRET; sid=attack-SECRET\r\n\
                  referer: http://attack/?code=SECRET&x=y\r\n";
    let names = ["password", "user%5Bpwd%5D", "newPassword", "card", "token"];
    for name in names {
        let target = format!("/?{name}=attack-SECRET");
        assert_eq!(get(&edge, &target, "").await, 403, "{name}");
    }
    assert_eq!(get(&edge, "/?q=attack", fields).await, 403);
    let lines = poll("all lines", || Some(lines(&edge)).filter(|all| all.len() > names.len()));
    for line in &lines {
        // The two that no list of names can know are in the query as they were written.
        let mut line = line.clone();
        let query = line["query"].as_str().unwrap_or_default();
        if query.starts_with("newPassword=") || query.starts_with("card=") {
            line["query"].take();
        }
        assert!(!line.to_string().to_lowercase().contains("secret"), "{line}");
    }
    let last = &asked(&lines, "q=")["waf_matches"][0]["values"];
    assert!(last.as_array().unwrap().len() <= 3, "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_json_in_a_form_is_in_the_log() {
    let edge = noting("block", None);
    let json = "%7B%22a%22:1,%22password%22:%22SECRET%27%20or%201=1--%20%22%7D";
    for target in [format!("/?data={json}"), format!("/?{json}")] {
        assert_eq!(get(&edge, &target, "").await, 403, "{target}");
    }
    for line in poll("both lines", || Some(lines(&edge)).filter(|all| all.len() == 2)) {
        let told = line["waf_matches"].to_string();
        assert!(told.contains("password") && !told.contains("SECRET"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_a_bound_whatever_was_matched() {
    let edge = noting("block", Some(RULES_OF_LOGS));
    let long = "%FF".repeat(1000);
    let many: String = (0..40).map(|at| format!("n{at}=attack&")).collect();
    for target in [format!("/?q={long}attack{long}"), format!("/?{many}")] {
        assert_eq!(get(&edge, &target, "").await, 403);
    }
    let lines = poll("all lines", || Some(lines(&edge)).filter(|all| all.len() == 2));
    for line in &lines {
        let values = line["waf_matches"][0]["values"].as_array().unwrap();
        assert!(values.len() <= 3, "{line}");
        assert!(line["waf_matches"].to_string().len() < 4000, "{line}");
    }
    let value = &asked(&lines, "q=")["waf_matches"][0]["values"][0];
    let shown = value["value"].as_str().unwrap();
    assert!(shown.starts_with("...\\xff") && shown.ends_with("\\xff..."), "{value}");
    assert!(shown.contains("attack"), "{value}");
    let hex = value["hex"].as_str().unwrap();
    assert!(hex.contains(&format!("ff{}ff", "61747461636b")), "{value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_detected_is_told_even_if_no_server_answers() {
    let edge = Edge::start_with(
        "
log: { security: { to: '{dir}/security.log' } }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['127.0.0.1:1'], outlier: ~, retries: { attempts: 1 } } }
waf: { own: { mode: detect, body: { inspect: 1KiB, over: block } } }
defaults: { waf: own }
routes: [{ upstream: app }]
",
        &[],
    );
    assert_eq!(get(&edge, "/?file=../../../../etc/passwd", "").await, 502);
    let first = line(&edge);
    assert_eq!((&first["detected"], &first["status"]), (&json!("blocked"), &json!(502)));
    let body = sized(2000, "x");
    let head = "POST / HTTP/1.1\r\nhost: a.example\r\nuser-agent: Mozilla/5.0\r\naccept: */*\r\n\
                content-type: text/plain\r\ncontent-length: 2000\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), format!("{head}{body}")).await.status, 502);
    let lines = poll("a second line", || Some(lines(&edge)).filter(|all| all.len() == 2));
    assert_eq!(lines[1]["detected"], "body_over_inspect", "{}", lines[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_rules_that_match_a_few_are_told() {
    let rule = |id: u32| {
        format!(
            "SecRule ARGS \"@contains attack\" \"id:{id},phase:1,pass,log,msg:'one of many'\"\n"
        )
    };
    let rules: String = (100..200).map(rule).collect();
    let rules = format!("{rules}SecAction \"id:300,phase:1,deny,nolog\"\n");
    let edge = noting("block", Some(&rules));
    assert_eq!(get(&edge, "/?q=attack", "").await, 403);
    let line = line(&edge);
    let count = |key: &str| line[key].as_array().map(Vec::len);
    assert_eq!((count("waf_rules"), count("waf_matches")), (Some(64), Some(16)), "{line}");
}
