//! `tidegate explain`: a refusal explained, its way out written down, and that it is one.

use std::io::Write as _;

use serde_json::{Value as Json, json};

use super::*;
use crate::support::Edge;

/// A site before one server, with what its profile has beside the default.
const SITE: &str = "
listeners: [{ address: '127.0.0.1:8080' }]
upstreams: { app: { servers: ['127.0.0.1:9'] } }
WAF
routes:
  - { name: app, upstream: app }
  - { name: files, match: { path_prefix: /own }, respond: {} }
  - { name: open, match: { path_prefix: /open }, upstream: app, waf: off }
";
const SEEN: &str =
    "  - { name: seen, match: { path_prefix: /seen }, upstream: app, waf: watching }\n";
const WATCHING: &str = "waf: { watching: { mode: detect } }";

/// An attack, as a value in a form or a query.
const ATTACK: &str = "1%27+UNION+SELECT+name%2Cpw+FROM+users--+";
const AGENT: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0\r\nAccept: */*\r\n";

fn site(waf: &str) -> Folder {
    let seen = if waf == WATCHING { SEEN } else { "" };
    Folder::with(&format!("{}{seen}", SITE.replace("WAF", waf)))
}

/// Explains a request; the exit code, and what was said.
fn explain(folder: &Folder, request: &str, more: &[&str]) -> (i32, String) {
    folder.write("request", request);
    folder.run(&[&["explain", "-c", "tidegate.yaml", "request"], more].concat())
}

fn explain_json(folder: &Folder, request: &str) -> Json {
    let (_, said) = explain(folder, request, &["--format", "json"]);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{AGENT}\r\n")
}

fn post(path: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: a.example\r\n{AGENT}Content-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// What `explain` says to write into the configuration.
fn yaml_of(said: &str) -> &str {
    let at = said.find("\nwaf:\n").unwrap_or_else(|| panic!("no way out: {said}"));
    said.get(at + 1..).unwrap()
}

#[test]
fn a_refusal_is_explained() {
    let folder = site(WATCHING);
    let (code, said) = explain(&folder, &get(&format!("/search?q={ATTACK}&page=2")), &[]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "GET /search of a.example: route `app`, profile `standard`",
        "CRITICAL +5",
        "builtin/50-sql.conf:",
        "ARGS:q = 1' UNION SELECT name,pw FROM users-- ",
        "is against it; score ",
        ", 5 refuse.",
        "(tried: score 0)",
        "target: \"ARGS:q\", path_prefix: \"/search\" }",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains("page"), "{said}");
    let (code, said) = explain(&folder, &get("/search?q=shoes"), &[]);
    assert_eq!((code, said.contains("Passes: score 0, 5 refuse.")), (0, true), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exclusion_lets_the_request_pass_here_and_there() {
    let multipart = format!(
        "--b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n{}\r\n--b--\r\n",
        "1' UNION SELECT name,pw FROM users-- "
    );
    let json =
        json!({ "list": [{ "text": "x" }, { "text": "1' UNION SELECT name,pw FROM users-- " }] });
    for (request, target) in [
        (get(&format!("/search?q={ATTACK}")), "ARGS:q"),
        (
            post("/posts/17", "application/x-www-form-urlencoded", &format!("a=b&text={ATTACK}")),
            "ARGS:text",
        ),
        (
            post("/posts/17", "application/json", &json.to_string()),
            "ARGS:/^json[.]list[.][0-9]+[.]text$/",
        ),
        (post("/posts/17", "multipart/form-data; boundary=b", &multipart), "ARGS:text"),
    ] {
        let folder = site("");
        let (code, said) = explain(&folder, &request, &[]);
        assert_eq!(code, 1, "{said}");
        let yaml = yaml_of(&said);
        assert!(yaml.contains(&format!("target: \"{target}\"")), "{yaml}");
        assert!(!yaml.contains("/17"), "{yaml}");

        let (code, said) = explain(&site(yaml), &request, &[]);
        assert_eq!(code, 0, "{said}");
        let (code, said) = explain(&site(yaml), &request.replace("text", "area"), &[]);
        assert_eq!(code, i32::from(request.starts_with("POST")), "another value: {said}");

        let origin = Origin::ok().await;
        for (waf, expected) in [("", 403), (yaml, 200)] {
            let edge = judging(waf, &origin);
            let answer = Client::ask(edge.addr(), request.clone()).await;
            assert_eq!(answer.status, expected, "{waf}: {request}");
        }
    }
}

#[test]
fn what_explain_says_is_there_for_programs() {
    let folder = site(WATCHING);
    let told = explain_json(&folder, &get(&format!("/search?q={ATTACK}")));
    assert_eq!(told["verdict"], "refused", "{told}");
    assert_eq!((&told["profile"], &told["route"]), (&json!("standard"), &json!("app")));
    let found = told["matches"].as_array().unwrap();
    let scores: i64 = found.iter().map(|one| one["score"].as_i64().unwrap()).sum();
    assert_eq!(json!(scores), told["score"], "{told}");
    assert_eq!(found[0]["values"][0]["name"], "ARGS:q", "{told}");
    assert_eq!(told["remedy"]["exclude"][0]["target"], "ARGS:q", "{told}");
    assert_eq!(explain_json(&folder, &get("/"))["verdict"], "passes");
    let seen = explain_json(&folder, &get(&format!("/seen?q={ATTACK}")));
    assert_eq!((&seen["verdict"], &seen["profile"]), (&json!("detected"), &json!("watching")));
}

#[test]
fn the_profile_is_that_of_the_route_or_the_one_that_is_named() {
    let folder = site(WATCHING);
    let attack = |path: &str| get(&format!("{path}?q={ATTACK}"));
    for (path, more, expected, part) in [
        ("/", &[][..], 1, "route `app`, profile `standard`"),
        ("/seen", &[], 0, "Passes, for the profile only detects."),
        ("/open", &[], 0, "Route `open`: its route has waf: off."),
        ("/seen", &["--profile", "standard"], 1, "profile `standard`"),
        ("/open", &["--profile", "watching"], 0, "(tried: score 0)"),
    ] {
        let (code, said) = explain(&folder, &attack(path), more);
        assert_eq!(code, expected, "{path}: {said}");
        assert!(said.contains(part), "{path}: no {part:?} in {said}");
    }
    // Of what we answer by ourselves no body is judged.
    let form = format!("q={ATTACK}");
    let request = post("/own", "application/x-www-form-urlencoded", &form);
    assert_eq!(explain(&folder, &request, &[]).0, 0);
    assert_eq!(explain(&folder, &request, &["--profile", "standard"]).0, 1);
}

#[test]
fn a_request_may_be_written_as_for_curl() {
    let folder = site("");
    let ask =
        |arguments: &[&str]| folder.run(&[&["explain", "-c", "tidegate.yaml"], arguments].concat());
    let data = format!("text={ATTACK}");
    let url = "http://a.example/posts";
    let agent = "User-Agent: Mozilla/5.0";
    let (code, said) = ask(&[url, "-H", agent, "--data-raw", &data, "--compressed"]);
    assert_eq!((code, said.contains("ARGS:text = 1' UNION")), (1, true), "{said}");
    let (code, said) =
        ask(&["--url", url, "-H", agent, "-F", "text=1' UNION SELECT a,b FROM c-- "]);
    assert_eq!((code, said.contains("ARGS:text")), (1, true), "{said}");
    let json = r#"{"text":"1' UNION SELECT a,b FROM c-- "}"#;
    let (code, said) = ask(&[url, "-H", agent, "-H", "Content-Type: application/json", "-d", json]);
    assert_eq!((code, said.contains("ARGS:json.text")), (1, true), "{said}");
    let (code, said) = ask(&[url, "-H", agent, "--json", json]);
    assert_eq!((code, said.contains("ARGS:json.text")), (1, true), "{said}");
    folder.write("attack", "1' UNION SELECT a,b FROM c-- ");
    for data in ["text@attack", "text=1' UNION SELECT a,b FROM c-- "] {
        let (code, said) = ask(&[url, "-H", agent, "--data-urlencode", data]);
        assert_eq!((code, said.contains("ARGS:text = 1' UNION")), (1, true), "{data}: {said}");
    }
    let (code, said) = ask(&["--method", "PUT", "-H", agent, url, "-d", "text=hello"]);
    assert_eq!((code, said.starts_with("PUT /posts of a.example")), (0, true), "{said}");
}

#[test]
fn a_line_of_the_security_log_is_explained() {
    let line = json!({
        "time": "2026-01-01T00:00:00.000Z", "room": "waf", "refusal": "blocked", "rule": "7100230",
        "client_ip": "192.0.2.1", "method": "POST", "host": "a.example", "path": "/posts/1",
        "user_agent": "Mozilla/5.0", "request_id": "0123", "waf_score": 5,
        "waf_rules": [1, 2, 7100230],
        "waf_matches": [{ "id": 1, "values": [
            { "name": "ARGS:text", "value": "1' UNION SELECT name,pw FROM users-- " },
        ] }, { "id": 2, "values": [{ "name": "REQUEST_COOKIES:a", "value": "***" }] }],
    });
    let folder = site("");
    let (code, said) = explain(&folder, &format!("{line}\n"), &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("target: \"ARGS:text\", path_prefix: \"/posts\""), "{said}");
    assert!(said.contains("do not match what its line tells of the request; "), "{said}");
    assert!(said.contains("\n    1 ARGS:text\n    2 REQUEST_COOKIES:a\n"), "{said}");
    // By way of a pipe, as from grep.
    let mut command = folder.command(&["explain", "-c", "tidegate.yaml", "-"]);
    let mut pipe = tempfile::tempfile().unwrap();
    writeln!(pipe, "{line}").unwrap();
    std::io::Seek::rewind(&mut pipe).unwrap();
    assert_eq!(ran(command.stdin(pipe)), (1, said));
}

#[test]
fn what_rules_are_never_asked_about_is_said() {
    let folder = site("");
    for (request, part) in [
        ("GET / HTTP/1.1\r\n\r\n", "(sanitise, `no_host`)"),
        ("GET /%2e%2e/%00 HTTP/1.1\r\nHost: a\r\n\r\n", "(sanitise, `"),
    ] {
        let (code, said) = explain(&folder, request, &[]);
        assert_eq!(code, 1, "{said}");
        assert!(said.starts_with("Refused before any rule is asked: "), "{said}");
        assert!(said.contains(part), "{said}");
    }
    let config = SITE.replace("WAF", "").replace("  - { name: app, upstream: app }\n", "");
    let (code, said) = explain(&Folder::with(&config), &get("/"), &[]);
    assert_eq!(
        (code, said.as_str()),
        (1, "Refused before any rule is asked: no route takes it.\n")
    );
}

#[test]
fn a_body_that_is_larger_than_what_is_judged_is_said() {
    let folder = site("waf: { standard: { body: { inspect: 1KiB, over: block } } }");
    let (code, said) = explain(&folder, &post("/", "text/plain", &"x".repeat(2000)), &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("its body is larger than what is judged"), "{said}");
    assert!(said.contains("See waf.standard.body: `inspect` and `over`."), "{said}");
}

#[test]
fn what_cannot_be_explained_is_said() {
    let folder = site("");
    folder.write("good", &get("/"));
    folder.write("cut", "GET / HTTP/1.1\r\nHost: a\r\n");
    folder.write("short", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    folder.write("bad.yaml", "routes: [{ respond: {}, waf: none }]\n");
    for (arguments, part) in [
        (&["none"][..], "none: No such file or directory"),
        (&["cut"], "cut: is cut short: no empty line ends its header fields"),
        (&["short"], "short: is cut short: 3 bytes of body, but Content-Length says 9"),
        (
            &["good", "--profile", "standart"],
            "there is no profile `standart` (did you mean `standard`?)",
        ),
        (&["good", "-c", "nowhere.yaml"], "nowhere.yaml"),
        (&["good", "-c", "bad.yaml"], "bad.yaml:1:30: routes[0].waf: there is no profile `none`"),
        (&["good", "-d", "x"], "`good` is a file"),
        (&[], "nothing to explain"),
        (&["ftp://a.example/"], "`ftp` is not HTTP"),
        (&["good", "--nonsense"], "unexpected argument '--nonsense'"),
        (&["good", "--listener", "127.0.0.1:80"], "there is no listener `127.0.0.1:80`"),
        (&["good", "--response", "none"], "none: No such file or directory"),
        (&["good", "--response", "good"], "good: has no status line; write HTTP/1.1 200 OK"),
        (&["-", "--response", "-"], "standard input is either the request or the answer"),
    ] {
        let conf: &[&str] = if arguments.contains(&"-c") { &[] } else { &["-c", "tidegate.yaml"] };
        let (code, said) = folder.run(&[&["explain"], conf, arguments].concat());
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
    }
}

#[test]
fn help_says_what_the_exit_codes_mean() {
    let (code, said) = Folder::new().run(&["explain", "--help"]);
    assert_eq!(code, 0);
    for part in [
        "exit code",
        "--profile <NAME>",
        "--response <FILE>",
        "--listener <ADDRESS>",
        "--header <FIELD>",
        "security log",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

/// What a server says of a folder, and rules are against.
const LISTING: &str = "<html><head><title>Index of /backup</title></head></html>";

fn answer(kind: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A proxy with these rules before a server.
fn judging(waf: &str, origin: &Origin) -> Edge {
    let config = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{origin}'] } }
defaults: { waf: standard }
routes: [{ upstream: app }]
";
    Edge::start_with(&format!("{config}{waf}\n"), &[("origin", &origin.addr)])
}

const JUDGING: &str = "waf: { standard: { responses: true } }";

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_explained_and_its_exclusion_lets_it_pass_here_and_there() {
    let folder = site(JUDGING);
    folder.write("answer", &answer("text/html", LISTING));
    let asked = get("/backup/");
    let (code, said) = explain(&folder, &asked, &["--response", "answer"]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "7108040 ERROR +4 An answer is the listing of a directory",
        "RESPONSE_BODY = <html><head><title>Index of /backup",
        "Refused: rule 7100330 is against its answer; score 0, 5 refuse; of its answer score 4, 4",
        "If the answer is harmless, this lets it pass (tried: score 0).",
        "- { rule: 7108040, target: \"RESPONSE_BODY\", path_prefix: \"/backup\" }",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let yaml = format!("{}\n    responses: true\n", yaml_of(&said).trim_end());
    let excluding = site(&yaml);
    excluding.write("answer", &answer("text/html", LISTING));
    let (code, said) = explain(&excluding, &asked, &["--response", "answer"]);
    assert_eq!(code, 0, "{said}");

    let origin = Origin::answering(answer("text/html", LISTING)).await;
    for (waf, expected) in [(JUDGING, 403), (&yaml, 200)] {
        assert_eq!(
            Client::ask(judging(waf, &origin).addr(), asked.clone()).await.status,
            expected,
            "{waf}"
        );
    }
}

#[test]
fn an_answer_is_read_as_people_have_it_and_told_to_programs() {
    let folder = site(JUDGING);
    let shown = format!("HTTP/2 200 \ncontent-type: text/html\n\n{LISTING}\n");
    folder.write("request", &get("/backup/"));
    let mut command = folder.command(&[
        "explain",
        "-c",
        "tidegate.yaml",
        "request",
        "--response",
        "-",
        "--format",
        "json",
    ]);
    let mut pipe = tempfile::tempfile().unwrap();
    write!(pipe, "{shown}").unwrap();
    std::io::Seek::rewind(&mut pipe).unwrap();
    let (code, said) = ran(command.stdin(pipe));
    let told: Json = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((code, &told["refusal"]), (1, &json!("answer_blocked")), "{told}");
    assert_eq!((&told["score"], &told["answer_score"]), (&json!(0), &json!(4)), "{told}");
    let found = &told["matches"][0];
    assert_eq!((&found["of"], &found["score"]), (&json!("answer"), &json!(4)), "{told}");
    assert_eq!(told["remedy"]["exclude"][0]["rule"], 7_108_040, "{told}");
    assert_eq!(told["remedy"]["answer_score"], 0, "{told}");
    // What no rule looks at passes.
    folder.write("picture", &answer("image/png", LISTING));
    let (code, said) = explain(&folder, &get("/backup/"), &["--response", "picture"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Passes: score 0, 5 refuse; of its answer score 0, 4 refuse."), "{said}");
}

#[test]
fn an_answer_that_nobody_judges_is_said() {
    let attack = format!("/?q={ATTACK}");
    for (waf, path, code, part) in [
        ("", "/", 0, "The answer is not judged: `standard` has no `responses: true`."),
        (JUDGING, "/own", 0, "The answer is not judged: the route asks no server."),
        (JUDGING, &attack, 1, "The answer is not judged: no server is asked, for the request is"),
        (JUDGING, "/open", 0, "Route `open`: its route has waf: off."),
    ] {
        let folder = site(waf);
        folder.write("answer", &answer("text/html", LISTING));
        let (exit, said) = explain(&folder, &get(path), &["--response", "answer"]);
        assert_eq!(exit, code, "{path}: {said}");
        assert!(said.contains(part), "{path}: no {part:?} in {said}");
        assert!(!said.contains("7108040 ERROR"), "{said}");
    }
}

#[test]
fn listeners_that_read_a_request_otherwise_are_told_apart() {
    let strict = "{ address: '127.0.0.1:8081', strict: { underscores: pass } }";
    let config = SITE.replace("WAF", "").replace("8080' }", &format!("8080' }}, {strict}"));
    let folder = Folder::with(&config);
    let asked = get("/").replace("\r\n\r\n", "\r\nX_Sum: 1\r\n\r\n");
    let (code, said) = explain(&folder, &asked, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.starts_with("By listener 127.0.0.1:8080:\n\nRefused before any rule"), "{said}");
    let other = "By listener 127.0.0.1:8081 it is otherwise (--listener 127.0.0.1:8081 says more):\n\
                 Passes: score 0, 5 refuse.";
    assert!(said.contains(other), "{said}");
    let told = explain_json(&folder, &asked);
    assert_eq!(
        (&told["listener"], &told["verdict"]),
        (&json!("127.0.0.1:8080"), &json!("refused"))
    );
    assert_eq!(told["others"][0]["listener"], "127.0.0.1:8081", "{told}");
    assert_eq!(told["others"][0]["verdict"], "passes", "{told}");
    for (listener, expected) in [("127.0.0.1:8080", 1), ("127.0.0.1:8081", 0)] {
        let (code, said) = explain(&folder, &asked, &["--listener", listener]);
        assert_eq!((code, said.contains("By listener")), (expected, false), "{said}");
    }
    // Where they agree, nobody needs to know of them.
    let (code, said) = explain(&folder, &get("/"), &[]);
    assert_eq!((code, said.contains("listener")), (0, false), "{said}");
}

#[test]
fn what_was_not_inspected_is_said_and_which_bound_it_was() {
    let folder = site("");
    let texts = vec!["\"x\""; 11_000].join(",");
    let request = post("/events", "application/json", &format!("[{texts}]"));
    let (code, said) = explain(&folder, &request, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("Refused: more arguments than are inspected; score 0"), "{said}");
    assert!(said.contains("No exclusion lets it pass."), "{said}");
    let line = json!({
        "room": "waf", "refusal": "not_inspected", "method": "POST", "host": "a.example",
        "path": "/events", "waf_score": 0, "waf_rules": [],
    });
    let (code, said) = explain(&folder, &format!("{line}\n"), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("\nThe line says `not_inspected`, which is not by rules"), "{said}");
    assert!(!explain(&folder, &get("/"), &[]).1.contains("The line says"));
}

#[test]
fn nothing_at_all_is_not_taken_for_a_request() {
    let (code, said) = explain(&site(""), "", &[]);
    assert_eq!(code, 2);
    assert!(said.contains("is empty; write a line of the security log, or a request"), "{said}");
}

/// A site with rules of one's own, and what its listener and its profile have beside that.
fn of_rules(rules: &str, listener: &str) -> Folder {
    let waf = "waf: { standard: { rules: { files: [own.conf] } } }";
    let config = SITE.replace("WAF", waf);
    let folder = Folder::with(&config.replace("8080'", &format!("8080'{listener}")));
    folder.write("own.conf", rules);
    folder
}

#[test]
fn a_request_is_judged_as_its_listener_and_its_client_make_it() {
    let rules = r#"
SecRule REQUEST_HEADERS:x_a "@rx ." "id:10,phase:1,deny,log"
SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24" "id:11,phase:1,deny,log"
SecRule REQUEST_BODY|ARGS_POST "@contains attack" "id:12,phase:2,deny,log"
"#;
    let request = get("/").replace("Accept", "x_a: 1\r\nAccept");
    for (underscores, expected) in [("pass", 1), ("drop", 0), ("refuse", 1)] {
        let strict = format!(", strict: {{ underscores: {underscores} }}");
        let (code, said) = explain(&of_rules(rules, &strict), &request, &[]);
        assert_eq!(code, expected, "{underscores}: {said}");
        assert_eq!(said.contains("rule 10 is against it"), underscores == "pass", "{said}");
    }
    let folder = of_rules(rules, "");
    for (client, expected) in [("192.0.2.9", 1), ("198.51.100.1", 0)] {
        let (code, said) = explain(&folder, &get("/"), &["--client", client]);
        assert_eq!(code, expected, "{client}: {said}");
        let line = json!({ "method": "GET", "host": "a", "path": "/", "client_ip": client });
        let (code, said) = explain(&folder, &format!("{line}\n"), &[]);
        assert_eq!(code, expected, "{client} of a log: {said}");
        let (code, said) = explain(&folder, &format!("{line}\n"), &["--client", "192.0.2.9"]);
        assert_eq!(code, 1, "{client} of a log: {said}");
    }
    let kind = "application/x-www-form-urlencoded";
    let form = post("/", kind, "a=attack");
    assert_eq!(explain(&folder, &form, &[]).0, 1);
}

#[test]
fn what_stands_behind_a_file_is_explained_and_what_a_rule_hides_is_not_told() {
    let rules = r#"
SecRule ARGS "@contains attack" "id:12,phase:2,deny,log,t:lowercase,sanitiseArg:card,msg:'m'"
"#;
    let folder = of_rules(rules, "");
    let part = |head: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name={head}\r\n\r\n{content}\r\n")
    };
    let file = part("\"f\"; filename=\"f\"", &"y".repeat(300_000));
    let kind = "multipart/form-data; boundary=b";
    for (name, value, shown) in
        [("q", "an Attack", true), ("card", "Attack-4711", false), ("q", "good", false)]
    {
        let body = [file.as_str(), &part(&format!("\"{name}\""), value), "--b--\r\n"].concat();
        let (code, said) = explain(&folder, &post("/", kind, &body), &[]);
        assert_eq!(code, i32::from(value != "good"), "{said}");
        assert_eq!(said.contains(value), shown, "{said}");
        let told = explain_json(&folder, &post("/", kind, &body)).to_string();
        assert_eq!(told.contains(value), shown, "{told}");
    }
}
