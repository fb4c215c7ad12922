//! The security log: what was refused, by whom, and why.

use std::fs;

use serde_json::Value as Json;

use crate::support::{Client, Edge, poll, within};

const SITE: &str = "
log: { security: { to: '{dir}/security.log', per_second: {per_second} } }
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ name: open, match: { path: /open }, respond: {} },
  { name: shut, match: { path: /shut }, respond: {}, access: { deny: [127.0.0.0/8] } }]
";

fn lines(edge: &Edge) -> Vec<Json> {
    let text = fs::read_to_string(edge.dir().join("security.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn await_lines(edge: &Edge, count: usize) -> Vec<Json> {
    poll("lines of the security log", || Some(lines(edge)).filter(|lines| lines.len() >= count))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_line_that_says_who_refused_whom_and_why() {
    let edge = Edge::start_with(SITE, &[("per_second", &100)]);
    for request in [
        "GET /open HTTP/1.1\r\n",
        "GET /shut?token=t HTTP/1.1\r\n",
        "GET /no HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\na b: c\r\n",
    ] {
        Client::ask(edge.addr(), format!("{request}host: a.example\r\n\r\n")).await;
    }
    // An answer may be there before its line is.
    let mut lines = await_lines(&edge, 3);
    lines.sort_by_key(|line| line["room"].to_string());
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line["room"].as_str().unwrap(), line["refusal"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("access", "network"), ("route", "no_route"), ("sanitise", "space_in_name")]);
    let first = &lines[0];
    assert_eq!(first["client_ip"], "127.0.0.1", "{first}");
    assert_eq!((&first["route"], &first["status"]), (&"shut".into(), &403.into()));
    assert_eq!((&first["path"], &first["query"]), (&"/shut".into(), &"token=***".into()));
    assert_eq!(first["skipped"], Json::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_the_site_is_no_line() {
    let edge = Edge::start(
        "
log: { security: { to: '{dir}/security.log' } }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['127.0.0.1:1'], outlier: ~, retries: { attempts: 1 } } }
routes: [{ match: { path: /open }, upstream: app },
  { match: { path: /asks }, respond: {}, access: { forward: { url: 'http://127.0.0.1:1/' } } },
  { match: { path: /shut }, respond: {}, access: { deny: [127.0.0.0/8] } }]
",
    );
    for (path, status) in [("/open", 502), ("/asks", 503), ("/shut", 403)] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        assert_eq!(Client::ask(edge.addr(), request).await.status, status, "{path}");
    }
    let told = await_lines(&edge, 1);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["refusal"], "network");
    let word = |record: &Json| record["refusal"].as_str().unwrap().to_owned();
    let mut refused: Vec<String> = edge.stop().iter().map(word).collect();
    refused.sort_unstable();
    assert_eq!(refused, ["forward_unreachable", "network", "server_unreachable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_a_bounded_sample_that_counts_the_rest() {
    const REFUSALS: u64 = 200;
    let edge = Edge::start_with(SITE, &[("per_second", &1)]);
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..REFUSALS {
        client.send("GET /shut HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        assert_eq!(client.response().await.status, 403);
    }
    // The line of a later second counts what had none before.
    let told = |lines: &[Json]| {
        let skipped = lines.iter().filter_map(|line| line["skipped"].as_u64());
        skipped.sum::<u64>() + lines.len() as u64
    };
    let lines = within("the count of what was skipped", async {
        loop {
            client.send("GET /shut HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
            client.response().await;
            let lines = lines(&edge);
            if told(&lines) >= REFUSALS {
                return lines;
            }
        }
    })
    .await;
    assert!((lines.len() as u64) < REFUSALS / 4, "{} lines", lines.len());
    assert!(edge.metric("tidegate_log_refusals_skipped_total") >= (REFUSALS - 50) as f64);
}
