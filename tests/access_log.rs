//! Every request leaves exactly one line, whatever becomes of it or of the log.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::origin::{self, Origin};
use crate::support::{Client, Edge, H2Client, Load, poll};

const SITE: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c], timeouts: { header: 300ms, body: 300ms } }
upstreams: { app: { servers: ['{origin}'], timeouts: { first_byte: 300ms }, retries: { attempts: 1 } } }
routes:
  - { name: app, match: { path_prefix: /app/ }, upstream: app }
  - { name: own, match: { path: /own }, respond: { status: 200, body: own } }
";

/// A request line and what the record of the request says.
type Case = (&'static str, Json);

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n")
}

/// A server that hangs or closes where it is asked to.
async fn odd_origin() -> Origin {
    Origin::scripted(|mut conn| async move {
        while let Some(request) = conn.request().await {
            match request.target() {
                "/app/hangs" => return conn.closed().await,
                "/app/half" => {
                    conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await;
                    return;
                }
                _ => conn.send(origin::ok("four")).await,
            };
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_one_record_that_says_what_became_of_it() {
    let origin = odd_origin().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let answered: [Case; 8] = [
        ("/app/ok", json!({ "status": 200, "bytes_out": 4, "route": "app", "attempts": 1 })),
        ("/own", json!({ "status": 200, "bytes_out": 3, "route": "own", "attempts": 0 })),
        ("/none", json!({ "status": 404, "refusal": "no_route", "route": null })),
        ("/app/%2e%2e/x", json!({ "status": 400, "route": null })),
        ("/app/hangs", json!({ "status": 504, "refusal": "server_too_slow", "upstream": "app" })),
        ("/app/half", json!({ "status": 200, "bytes_out": 5, "refusal": "server_answer" })),
        ("/app/q?token=secret&b=1", json!({ "status": 200, "query": "token=***&b=1" })),
        (
            "/app/q2?user%5Bpwd%5D=secret&login[password]=secret&user[name]=ann",
            json!({ "query": "user%5Bpwd%5D=***&login[password]=***&user[name]=ann" }),
        ),
    ];
    for (path, _) in &answered {
        let mut client = Client::connect(edge.addr()).await;
        client.send(get(path)).await;
        assert!(client.read_to_end().await.starts_with(b"HTTP/1.1 "), "{path}");
    }
    let old = Client::ask(edge.addr(), "GET /app/old HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.status, 200);
    let mut h2 = H2Client::connect(edge.addr()).await;
    assert_eq!(h2.get("http://a.example/app/h2").await.response.status, 200);
    let slow = Client::ask(edge.addr(), "GET /slow HTTP/1.1\r\n").await;
    assert_eq!(slow.status, 408);
    let post = "POST /app/body HTTP/1.1\r\nhost: a.example\r\ncontent-length: 9\r\n\r\n1";
    assert_eq!(Client::ask(edge.addr(), post).await.status, 408);
    let mut cut = Client::connect(edge.addr()).await;
    cut.send("GET /cut HTTP/1.1\r\nhos").await;
    drop(cut);

    let unanswered: [Case; 5] = [
        ("/app/old", json!({ "status": 200, "protocol": "HTTP/1.0" })),
        ("/app/h2", json!({ "status": 200, "protocol": "HTTP/2.0" })),
        ("/slow", json!({ "status": 408, "refusal": "head_too_slow" })),
        ("/app/body", json!({ "status": 408, "refusal": "body_too_slow", "bytes_in": 1 })),
        ("/cut", json!({ "status": 0, "refusal": "head_cut_off" })),
    ];
    let mut records = edge.stop();
    for (path, expected) in answered.into_iter().chain(unanswered) {
        let bare = path.split('?').next().unwrap();
        let at = records.iter().position(|record| record["path"] == bare);
        let record = records.remove(at.unwrap_or_else(|| panic!("{path}: {records:#?}")));
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&record[field], value, "{field} of {path}: {record}");
        }
        assert_eq!(record["client_ip"], "127.0.0.1");
    }
    assert!(records.is_empty(), "{records:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_combined_format_is_that_of_nginx() {
    let site = "
listeners: [{ address: '127.0.0.1:{port}' }]
log: { access: { to: '{dir}/combined.log', format: combined } }
routes: [{ match: { path: /own }, respond: { status: 200, body: own } }]
";
    let mut edge = Edge::start(site);
    // One connection: its lines are in the order of its requests.
    let mut client = Client::connect(edge.addr()).await;
    let head = "host: a.example\r\nuser-agent: a \"b\"\r\nreferer: http://r/\r\n\r\n";
    client.send(format!("GET /own?a=1 HTTP/1.1\r\n{head}")).await;
    assert_eq!(client.response().await.text(), "own");
    client.send("GET /none HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    let none = client.response().await.body.len();
    client.send("nonsense\r\n\r\n").await;
    let nonsense = client.response().await.body.len();
    edge.signal(Signal::TERM);
    edge.wait_exit();

    let text = fs::read_to_string(edge.dir().join("combined.log")).unwrap();
    let lines: Vec<String> = text.lines().map(without_time).collect();
    assert_eq!(
        lines,
        [
            "127.0.0.1 - - [] \"GET /own?a=1 HTTP/1.1\" 200 3 \"http://r/\" \"a \\x22b\\x22\"",
            &format!("127.0.0.1 - - [] \"GET /none HTTP/1.1\" 404 {none} \"-\" \"-\""),
            &format!("127.0.0.1 - - [] \"nonsense  HTTP/1.1\" 400 {nonsense} \"-\" \"-\""),
        ]
    );
}

/// The line with its time, `[10/Oct/2000:20:55:36 +0000]`, checked and removed.
fn without_time(line: &str) -> String {
    let (before, rest) = line.split_once('[').unwrap();
    let (time, after) = rest.split_once(']').unwrap();
    let is_shaped = time.len() == 26 && time.ends_with(" +0000") && time.matches(':').count() == 3;
    assert!(is_shaped, "{line}");
    format!("{before}[]{after}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_load_loses_no_line() {
    let site = "
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: { status: 200, body: own } }]
";
    let mut edge = Edge::start(site);
    let log = |name: &str| edge.dir().join(name);
    let load = Load::wrk(3, &format!("http://{}/", edge.addr()));
    for round in 0..5 {
        poll("lines", || (lines(&log("access.log")) > 100).then_some(()));
        fs::rename(log("access.log"), log(&format!("access.log.{round}"))).unwrap();
        edge.signal(Signal::USR1);
        poll("the new file", || log("access.log").exists().then_some(()));
    }
    let requests = load.wrk_requests();
    edge.await_metric("tidegate_listen_connections_open", 0.0);
    let count = |edge: &Edge| {
        edge.metric("tidegate_proxy_requests_total{method=\"GET\",protocol=\"HTTP/1.1\"}")
    };
    let counted = count(&edge);
    edge.signal(Signal::TERM);
    edge.wait_exit();
    let names = (0..5).map(|round| format!("access.log.{round}")).chain(["access.log".to_owned()]);
    let written: usize = names.map(|name| lines(&edge.dir().join(name))).sum();
    assert_eq!(written as f64, counted);
    assert!(written as u64 >= requests);
}

fn lines(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let (whole, _) = text.split_at(whole);
    for line in whole.lines() {
        serde_json::from_str::<Json>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    whole.lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_lines_and_no_request() {
    let site = "
listeners: [{ address: '127.0.0.1:{port}', limits: { requests_per_connection: 100000 } }]
log: { level: info, access: { to: /dev/full } }
routes: [{ respond: { status: 200, body: own } }]
";
    let mut edge = Edge::start(site);
    let mut client = Client::connect(edge.addr()).await;
    // Lines wait in 16 MiB before they are dropped.
    let long = "x".repeat(4096);
    let request = format!(
        "GET /{long} HTTP/1.1\r\nhost: a.example\r\nuser-agent: {long}\r\nreferer: {long}\r\n\r\n"
    );
    for _ in 0..2000 {
        client.send(&request).await;
        assert_eq!(client.response().await.status, 200);
    }
    let dropped = edge.metric("tidegate_log_lines_dropped_total{log=\"access\"}");
    assert!(dropped > 0.0 && dropped < 2000.0, "{dropped}");
    edge.await_stderr("access log: ");
    let logged = edge.stderr();
    assert_eq!(logged.matches("access log: ").count(), 1, "{logged}");
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_of_a_target_or_a_host_is_written() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
log: { security: { to: security.log } }
routes: [{ respond: {} }]
",
    );
    let asked = [
        "GET http://ann:hunter2@a.example/x?y HTTP/1.1\r\nhost: a.example",
        "CONNECT ann:hunter2@a.example:443 HTTP/1.1\r\nhost: a.example",
        "GET / HTTP/1.1\r\nhost: ann:hunter2@a.example",
        "GET http://ann:hun/ter2@a.example/x HTTP/1.1\r\nhost: a.example",
        "GET http://ann:hun?ter2@a.example/x?y HTTP/1.1\r\nhost: a.example",
        "GET http://ann:hun#ter2@a.example/x HTTP/1.1\r\nhost: a.example",
        "GET http://ann:hun ter2@a.example/x HTTP/1.1\r\nhost: a.example",
        "GET /;jsessionid=hunter2 HTTP/1.1\r\nhost: a.example\r\na b: c",
    ];
    for head in asked {
        let answer = Client::ask(edge.addr(), format!("{head}\r\n\r\n")).await;
        assert!([400, 405].contains(&answer.status), "{head}");
    }
    // Of one that is not refused, too.
    Client::ask(edge.addr(), get("/;jsessionid=hunter2")).await;
    let records = edge.access_log(asked.len() + 1);
    let all = format!("{records:?}");
    assert!(
        !["hunter2", "hun/", "hun?", "hun#", "hun ", "ter2"].iter().any(|p| all.contains(p)),
        "{all}"
    );
    let said: Vec<_> = records.iter().map(|record| (&record["path"], &record["host"])).collect();
    let a = json!("a.example");
    assert_eq!(said[0], (&json!("a.example/x"), &a));
    assert_eq!(said[1], (&json!("a.example:443"), &a));
    assert_eq!(said[2], (&json!("/"), &a));
    for absolute in &said[3..7] {
        assert_eq!(*absolute, (&json!("a.example/x"), &a));
    }
    for in_path in &said[7..] {
        assert_eq!(in_path.0, &json!("/;jsessionid=***"));
    }
    let lines = || fs::read_to_string(edge.dir().join("security.log")).unwrap_or_default();
    let lines = poll("eight refusals", || Some(lines()).filter(|all| all.lines().count() >= 8));
    assert!(!lines.contains("ter2"), "{lines}");
}
