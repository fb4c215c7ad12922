//! Links that are signed.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::origin::Request;
use crate::support::tools::run;
use crate::support::{Client, Edge, Origin};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - match: { path_prefix: /media/ }
    upstream: app
    access: { signed: { key: the key of links } }
  - match: { path_prefix: /other/ }
    upstream: app
    rewrite: { strip_prefix: /other }
    access: { signed: { key: [new-key-of-links, old-key-of-links], parameter: x-ticket, expires: until } }
";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The signature by the commands of docs/access.md, as an operator would run them.
fn signature(key: &str, text: &str) -> String {
    let page = include_str!("../../docs/access.md");
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let signs = block.lines().find(|line| line.contains("openssl")).unwrap();
    let script = format!("key='{key}'; text='{text}'; {signs}; printf %s \"$sig\"");
    run("bash", "bash", &["-c", &script], "").good().stdout
}

async fn ask(edge: &Edge, method: &str, target: &str) -> crate::support::Response {
    let head = format!("{method} {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    Client::ask(edge.addr(), head).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_until_it_expires_and_for_nothing_else() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let until = now() + 3600;
    let target = format!("/media/a.mp4?quality=hd&exp={until}");
    let sig = signature("the key of links", &format!("GET {target}"));
    let link = format!("{target}&sig={sig}");

    let answer = ask(&edge, "GET", &link).await;
    assert_eq!(answer.status, 200, "{link}");
    assert_eq!(Request::echoed(&answer).target(), "/media/a.mp4?quality=hd");

    let longer = link.replace(&until.to_string(), &(until + 1).to_string());
    let elsewhere = link.replace("a.mp4", "b.mp4");
    let another = link.replace("quality=hd", "quality=sd");
    let twice = format!("{link}&sig={sig}");
    let unsigned = "/media/a.mp4".to_owned();
    for bad in [&longer, &elsewhere, &another, &twice, &unsigned, &target] {
        assert_eq!(ask(&edge, "GET", bad).await.status, 403, "{bad}");
    }
    assert_eq!(ask(&edge, "POST", &link).await.status, 403);

    let over = format!("/media/a.mp4?exp={}", now() - 1);
    let sig = signature("the key of links", &format!("GET {over}"));
    assert_eq!(ask(&edge, "GET", &format!("{over}&sig={sig}")).await.status, 403);

    let records = edge.stop();
    // Records follow their answers, and not always in their order.
    let count = |tag| records.iter().filter(|record| record["refusal"].as_str() == tag).count();
    let counts = (count(None), count(Some("signature")), count(Some("expired")));
    assert_eq!((counts, records.len()), ((1, 7, 1), 9), "{records:?}");
    // Who signed it and until when is told, with what is not.
    let good = records.iter().find(|record| record["refusal"].is_null()).unwrap();
    assert_eq!(good["query"], format!("quality=hd&exp={until}&sig=***"));
    assert!(records.iter().all(|record| record["room"] != "proxy"), "{records:?}");
    assert_eq!(origin.requests(), 1);
}

/// Each client has a link of its own: what is kept is found by all of them.
#[tokio::test(flavor = "multi_thread")]
async fn links_to_one_file_are_one_in_the_cache_and_a_bad_one_finds_nothing() {
    let kept = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 1\r\n\r\nx";
    let origin = Origin::answering(kept).await;
    let site = SITE.replace("access: { signed", "cache: standard\n    access: { signed");
    let edge = Edge::start_with(&site, &[("origin", &origin.addr)]);
    for (later, expected) in [(100, "tidegate; fwd=uri-miss; ttl="), (200, "tidegate; hit; ttl=")] {
        let target = format!("/media/a.mp4?quality=hd&exp={}", now() + later);
        let sig = signature("the key of links", &format!("GET {target}"));
        let answer = ask(&edge, "GET", &format!("{target}&sig={sig}")).await;
        let said = answer.header("cache-status").unwrap_or_default();
        assert!(said.starts_with(expected), "{answer:?}");
        assert_eq!(ask(&edge, "GET", &target).await.status, 403);
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_names_of_the_operators_and_keys_replace_each_other() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let until = now() + 3600;
    for (method, key, status) in [
        ("PUT", "new-key-of-links", 200),
        ("PUT", "old-key-of-links", 200),
        ("HEAD", "old-key-of-links", 200),
        ("PUT", "no-key-of-a-link", 403),
    ] {
        let signed_as = if method == "HEAD" { "GET" } else { method };
        let sig = signature(key, &format!("{signed_as} /other/a?until={until}"));
        let link = format!("/other/a?x-ticket={sig}&until={until}");
        let mut client = Client::connect(edge.addr()).await;
        let head = format!("{method} {link} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        client.send(head).await;
        assert_eq!(client.response_head().await.status, status, "{method} by {key}");
    }
    // No log shows a signature: not where it is wrong, nor where no route asks for it.
    ask(&edge, "GET", "/none?x-ticket=secret").await;
    let seen = origin.received_text();
    assert!(seen.contains("PUT /a HTTP/1.1\r\n") && !seen.contains("until"), "{seen}");
    assert!(!seen.contains("x-ticket"), "{seen}");
    let shown = edge.admin_get("/api/config").text();
    assert!(!shown.contains("the key of links") && !shown.contains("old-key-of-links"), "{shown}");
    for record in edge.stop() {
        assert!(record["query"].as_str().unwrap().starts_with("x-ticket=***"), "{record}");
    }
}
