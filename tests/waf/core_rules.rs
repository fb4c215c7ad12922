//! Rule sets as operators have them: that of a release, and that of Debian's package.

use std::path::PathBuf;

use tidegate_suite::crs;
use tidegate_suite::report::say;

use super::*;

const DEBIAN: &str = "/usr/share/modsecurity-crs";

/// Both know this one: libinjection finds SQL in a value.
const SQL_INJECTION: u32 = 942_100;
/// And this one, which refuses by the score.
const BY_SCORE: u32 = 949_110;
/// The first of those that report what all others found.
const REPORTS: u32 = 980_000;

/// The directories of those that are here; of others it is told that they are not.
fn sets() -> Vec<PathBuf> {
    let debian = PathBuf::from(DEBIAN);
    let is_here = debian.join("rules").is_dir();
    if !is_here {
        say(&format!("CRS of Debian: nothing in {DEBIAN}: not run"));
    }
    crs().into_iter().chain(is_here.then_some(debian)).collect()
}

/// Where in a request a value is.
#[derive(Debug, Clone, Copy)]
enum Carrier {
    Query,
    Form,
    Json,
    Multipart,
}

const CARRIERS: [Carrier; 4] = [Carrier::Query, Carrier::Form, Carrier::Json, Carrier::Multipart];

impl Carrier {
    /// The target, the type and the body.
    fn carry(self, value: &str) -> (String, &'static str, String) {
        let root = "/".to_owned();
        match self {
            Carrier::Query => (format!("/?id={}", escaped(value)), "", String::new()),
            Carrier::Form => {
                (root, "application/x-www-form-urlencoded", format!("id={}", escaped(value)))
            }
            Carrier::Json => {
                (root, "application/json", serde_json::json!({ "id": value }).to_string())
            }
            Carrier::Multipart => {
                let head = "--b\r\nContent-Disposition: form-data; name=\"id\"";
                let body = format!("{head}\r\n\r\n{value}\r\n--b--\r\n");
                (root, "multipart/form-data; boundary=b", body)
            }
        }
    }

    async fn ask_h1(self, edge: &Edge, value: &str) -> Response {
        let (target, kind, body) = self.carry(value);
        let head = match body.is_empty() {
            true => format!("GET {target} HTTP/1.1\r\n"),
            false => format!(
                "POST {target} HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n",
                body.len()
            ),
        };
        let request = format!("{head}host: a.example\r\n{BROWSER}\r\n{body}");
        Client::ask(edge.addr(), request).await
    }

    async fn ask_h2(self, edge: &Edge, value: &str) -> Response {
        let (target, kind, body) = self.carry(value);
        let mut request = Request::builder().uri(format!("http://a.example{target}"));
        for line in BROWSER.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        if !body.is_empty() {
            let length = body.len();
            request = request.method("POST").header("content-type", kind);
            request = request.header("content-length", length);
        }
        let mut client = H2Client::connect(edge.addr()).await;
        client.ask(request.body(()).unwrap(), body).await.unwrap().response
    }
}

fn escaped(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A proxy before this server; each profile acts on the host of its number.
fn judging(origin: &Origin, profiles: &[String]) -> Edge {
    let mut waf = String::new();
    let mut routes = String::new();
    for (number, profile) in profiles.iter().enumerate() {
        waf += &format!("  p{number}: {profile}\n");
        let of_host = format!("match: {{ hosts: [p{number}.example] }}");
        routes += &format!("  - {{ {of_host}, upstream: app, waf: p{number} }}\n");
    }
    let site = format!(
        "
listeners: [{{ address: '127.0.0.1:{{port}}', protocols: [h1, h2c] }}]
upstreams: {{ app: {{ servers: ['{}'] }} }}
waf:
{waf}
routes:
  - {{ upstream: app, waf: p0 }}
{routes}",
        origin.addr
    );
    Edge::start(&site)
}

/// The ids of the rules that a record names.
fn rules_of(record: &serde_json::Value) -> Vec<u32> {
    serde_json::from_value(record["waf_rules"].clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_is_refused_wherever_it_stands_and_prose_is_not() {
    const SQL: &str = "1' UNION SELECT password FROM users-- ";
    const PROSE: [&str; 4] =
        ["running shoes, size 42", "O'Reilly & Sons", "room 1 and 2", "terms 1 or more items"];
    for set in sets() {
        let origin = mirror().await;
        let profile = format!("{{ rules: {{ crs: '{}' }} }}", set.display());
        let edge = judging(&origin, &[profile]);
        for carrier in CARRIERS {
            let refused = [carrier.ask_h1(&edge, SQL).await, carrier.ask_h2(&edge, SQL).await];
            assert_eq!(refused.map(|answer| answer.status), [403, 403], "{set:?} {carrier:?}");
        }
        assert_eq!(origin.connections(), 0, "{set:?}: servers hear of no attack");
        for carrier in CARRIERS {
            for value in PROSE {
                let (_, _, body) = carrier.carry(value);
                let answers =
                    [carrier.ask_h1(&edge, value).await, carrier.ask_h2(&edge, value).await];
                for answer in answers {
                    let found = (answer.status, answer.text());
                    assert_eq!(found, (200, body.clone()), "{set:?} {carrier:?} {value}");
                }
            }
        }
        let records = edge.stop();
        let refused: Vec<_> = records.iter().filter(|record| record["status"] == 403).collect();
        assert_eq!(refused.len(), 2 * CARRIERS.len());
        for record in refused {
            let by = (record["room"].as_str(), record["rule"].as_str());
            assert_eq!(by, (Some("waf"), Some("949110")), "{set:?} {record}");
            assert!(record["waf_score"].as_u64().unwrap() >= 5, "{set:?} {record}");
            assert!(rules_of(record).contains(&SQL_INJECTION), "{set:?} {record}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_rule_is_excluded_by_id_tag_target_and_path() {
    const TARGETS: [&str; 3] = ["/?q=", "/?other=", "/search/x?q="];
    let sql = escaped("1' or 1=1-- ");
    let cases = [
        ("[]", [403, 403, 403]),
        ("[942100]", [200, 200, 200]),
        ("[{ tag: attack-sqli }]", [200, 200, 200]),
        ("[{ rule: 942100, target: 'ARGS:q' }]", [200, 403, 200]),
        ("[{ rule: 942100, path_prefix: /search }]", [403, 403, 200]),
        ("[{ tag: attack-sqli, target: 'ARGS:q', path_prefix: /search }]", [403, 403, 200]),
    ];
    for set in sets() {
        let origin = mirror().await;
        let profiles = cases.map(|(exclude, _)| {
            format!("{{ exclude: {exclude}, rules: {{ crs: '{}' }} }}", set.display())
        });
        let edge = judging(&origin, &profiles);
        for (number, (exclude, expected)) in cases.iter().enumerate() {
            let mut found = Vec::new();
            for target in TARGETS {
                let line = format!("GET {target}{sql} HTTP/1.1\r\nhost: p{number}.example\r\n");
                let answer = Client::ask(edge.addr(), format!("{line}{BROWSER}\r\n")).await;
                found.push(answer.status);
            }
            assert_eq!(found, expected, "{set:?} {exclude}");
        }
        for record in edge.stop() {
            let expected: &[u32] =
                if record["status"] == 403 { &[SQL_INJECTION, BY_SCORE] } else { &[] };
            let mut rules = rules_of(&record);
            rules.retain(|rule| *rule < REPORTS);
            assert_eq!(rules, expected, "{set:?} {record}");
        }
    }
}
