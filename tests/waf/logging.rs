//! Rules of phase 5, which see what others have found and refuse nothing.

use std::fs;

use serde_json::{Value as Json, json};

use super::*;
use crate::support::poll;

/// Rules that find something, and those of phase 5, which know of it.
const RULES_OF_LOGS: &str = r#"
SecRule ARGS "@contains found" "id:10,phase:1,pass,nolog,setvar:tx.found=1"
SecRule ARGS "@contains attack" "id:20,phase:1,deny,log,setvar:tx.found=1"
SecRule REQUEST_BODY "@contains attack" "id:21,phase:2,deny,log,setvar:tx.found=1"
SecRule RESPONSE_STATUS "@streq 404" "id:30,phase:3,pass,nolog,setvar:tx.found=1"
SecRule RESPONSE_BODY "@contains attack" "id:40,phase:4,deny,log,setvar:tx.found=1"
SecRule TX:found "@eq 1" "id:50,phase:5,deny,log,msg:'something was found'"
SecRule ARGS:card "@rx ." "id:51,phase:5,pass,nolog,sanitiseArg:card"
"#;

const LOGGING: &str = "
log: { security: { to: '{dir}/security.log', per_second: 1000 } }
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{app}'], outlier: ~, retries: { attempts: 1 } } }
waf: { own: { mode: {mode}, rules: { files: ['{rules}'] }, responses: {responses} } }
defaults: { waf: own }
routes:
  - { upstream: app }
  - { match: { path: /own }, respond: {} }
";

/// A proxy before a server that tells what its path says.
async fn logging(rules: &str, mode: &str, responses: bool) -> (Origin, Edge) {
    let origin = Origin::scripted(|mut conn: Conn| async move {
        while let Some(request) = conn.request().await {
            let target = request.target();
            let status = if target.starts_with("/none") { "404 Not Found" } else { "200 OK" };
            let body = if target.starts_with("/tells") { "an attack" } else { "a page" };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/html\r\n");
            conn.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
        }
    })
    .await;
    let dir = folder(&[("rules.conf", rules)]);
    let path = dir.path().join("rules.conf");
    let places: [(&str, &dyn Display); 4] = [
        ("app", &origin.addr),
        ("rules", &path.display()),
        ("mode", &mode),
        ("responses", &responses),
    ];
    // What was loaded is not read again.
    let edge = Edge::start_with(LOGGING, &places);
    (origin, edge)
}

/// The statuses that a request gets over both protocols.
async fn ask(edge: &Edge, method: &str, target: &str, body: &str) -> [u16; 2] {
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nhost: a.example\r\n");
    let kind = "content-type: application/x-www-form-urlencoded\r\n";
    let request = format!("{head}{kind}content-length: {length}\r\n\r\n{body}");
    let h1 = Client::ask(edge.addr(), request).await.status;
    let request = Request::builder().method(method).uri(format!("http://a.example{target}"));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let mut client = H2Client::connect(edge.addr()).await;
    let h2 = client.ask(request.body(()).unwrap(), body.to_owned()).await.unwrap();
    [h1, h2.response.status]
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_phase_5_know_what_was_found_and_refuse_nothing() {
    for (mode, refused) in [("block", 403), ("detect", 200)] {
        let (_origin, edge) = logging(RULES_OF_LOGS, mode, true).await;
        let long = format!("a={}&b=attack", "x".repeat(100_000));
        for (asked, (method, target, body, status, rules)) in [
            ("GET", "/", "", 200, json!(null)),
            ("GET", "/?q=found", "", 200, json!([50])),
            ("POST", "/?q=found", "a=b", 200, json!([50])),
            ("GET", "/own?q=found", "", 200, json!([50])),
            ("GET", "/none", "", 404, json!([50])),
            ("GET", "/?q=attack", "", refused, json!([20, 50])),
            ("POST", "/", "q=attack", refused, json!([21, 50])),
            ("POST", "/", &long, refused, json!([21, 50])),
            ("GET", "/tells", "", refused, json!([40, 50])),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(ask(&edge, method, target, body).await, [status; 2], "{mode} {target}");
            for record in &edge.access_log(2 * asked + 2)[2 * asked..] {
                assert_eq!(record.get("waf_rules").unwrap_or(&Json::Null), &rules, "{record}");
                // Who refused is the rule before.
                let refusing = (status == 403).then(|| rules[0].to_string());
                assert_eq!(record["rule"].as_str(), refusing.as_deref(), "{record}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_phase_5_see_every_answer_though_none_is_judged() {
    let looking = "SecRule RESPONSE_STATUS \"@rx ^4\" \"id:60,phase:5,pass,log\"\n\
                   SecRule RESPONSE_HEADERS:X-Request-Id \"@rx .\" \"id:61,phase:5,pass,log\"\n";
    let rules = format!("{RULES_OF_LOGS}{looking}");
    for responses in [false, true] {
        let (_origin, edge) = logging(&rules, "block", responses).await;
        // Of what is judged rules see the head that the server has sent.
        let (good, none) = match responses {
            false => (json!([61]), json!([60, 61])),
            true => (Json::Null, json!([50, 60])),
        };
        let long = format!("a={}", "x".repeat(200_000));
        for (asked, (method, target, body, status, rules)) in [
            ("GET", "/", "", 200, good.clone()),
            ("POST", "/", &long, 200, good),
            ("GET", "/none", "", 404, none),
            ("GET", "/own?q=found", "", 200, json!([50, 61])),
            ("GET", "/?q=attack", "", 403, json!([20, 50, 60, 61])),
            ("POST", "/", "a=attack", 403, json!([21, 50, 60, 61])),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(ask(&edge, method, target, body).await, [status; 2], "{target}");
            for record in &edge.access_log(2 * asked + 2)[2 * asked..] {
                let found = record.get("waf_rules").unwrap_or(&Json::Null);
                assert_eq!(found, &rules, "{responses}: {record}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_phase_5_hides_no_log_shows() {
    let (_origin, edge) = logging(RULES_OF_LOGS, "block", false).await;
    assert_eq!(ask(&edge, "GET", "/?card=attack-4111", "").await, [403; 2]);
    let lines = poll("two lines of the security log", || {
        let text = fs::read_to_string(edge.dir().join("security.log")).ok()?;
        Some(text).filter(|text| text.lines().count() == 2)
    });
    for line in lines.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        let matches = line["waf_matches"].as_array().unwrap();
        let ids: Vec<&Json> = matches.iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, [20, 50], "{line}");
        assert!(!line["waf_matches"].to_string().contains("4111"), "{line}");
    }
}
