//! What clients, logs and other rooms are told of a request that is refused.

use std::fs;

use serde_json::Value as Json;

use super::*;
use crate::support::poll;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_its_id_to_the_client_and_its_rule_to_the_logs() {
    let origin = mirror().await;
    let security = "log: { security: { to: '{dir}/security.log' } }\n";
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    let edge = start_site(&format!("{security}{SITE}"), &[("app", &app)]);
    let answer = Client::ask(edge.addr(), h1(By::Length, "POST", "attack")).await;
    assert_eq!(answer.status, 403);
    let id = answer.header("x-request-id").unwrap();
    assert!(answer.text().contains(id), "{}", answer.text());
    let record = edge.access_log(1).remove(0);
    assert_eq!(record["request_id"], id);
    let line: Json = poll("a line of the security log", || {
        let text = fs::read_to_string(edge.dir().join("security.log")).ok()?;
        text.lines().next().map(|line| serde_json::from_str(line).unwrap())
    });
    for told in [&record, &line] {
        let words = ["room", "refusal", "rule"].map(|key| told[key].as_str().unwrap());
        assert_eq!(words, ["waf", "blocked", "20"], "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_requests_get_a_client_banned() {
    let origin = mirror().await;
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    let edge = start_site(&format!("bans: {{ after: 1 }}\n{SITE}"), &[("app", &app)]);
    for _ in 0..2 {
        let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
        client.send(h1(By::Length, "POST", "attack")).await;
        assert_eq!(client.response().await.status, 403);
    }
    edge.await_metric("tidegate_limit_bans", 1.0);
    assert_eq!(edge.metric("tidegate_limit_offences_total{offence=\"blocked\"}"), 2.0);
    let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
    client.try_send(h1(By::Length, "POST", "good")).await.ok();
    assert!(client.response_or_closed().await.is_none(), "it is banned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_only_detects_refuses_nothing() {
    let origin = mirror().await;
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    for mode in ["detect", "off"] {
        let body = "{ inspect: 1KiB, over: block }";
        let edge = start(&[("app", &app), ("mode", &mode), ("body", &body)]);
        for by in EVERY_WAY {
            for size in [6, 2000, 100_000] {
                assert_eq!(status(&edge, by, &sized(size, "attack")).await, 200, "{mode} {by:?}");
            }
        }
    }
}
