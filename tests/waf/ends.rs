//! Held bodies that do not come, and what changes meanwhile.

use bytes::Bytes;

use super::*;
use crate::support::h2_client::whole;

/// Two requests of which only a part comes, over h1 and h2.
const PART: &str = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100000\r\n\r\npart";

async fn part_over_h2(
    client: &mut H2Client,
) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
    let request = Request::post("http://a.example/").body(()).unwrap();
    let (answer, mut body) = client.open(request, false).await;
    body.send_data(Bytes::from("part"), false).unwrap();
    (answer, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_holds_up_no_server() {
    let origin = mirror().await;
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    let edge = start(&[("app", &app), ("timeouts", &"{ body: 2s }")]);
    let mut slow = Client::connect(edge.addr()).await;
    slow.send(PART).await;
    let mut slow_h2 = H2Client::connect(edge.addr()).await;
    let (answer, _body) = part_over_h2(&mut slow_h2).await;
    for by in EVERY_WAY {
        assert_eq!(status(&edge, by, "good").await, 200);
    }
    let [h1, h2] = [slow.response().await.status, whole(answer).await.unwrap().response.status];
    assert_eq!([h1, h2], [408, 408]);
    assert_eq!(origin.received_text().matches("POST").count(), EVERY_WAY.len());
    let records = edge.stop();
    let told = |record: &&serde_json::Value| record["refusal"] == "body_too_slow";
    let slow: Vec<_> = records.iter().filter(told).collect();
    assert_eq!(slow.len(), 2, "{records:?}");
    assert!(slow.iter().all(|record| record["attempts"] == 0), "{slow:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_allows_in_all_ends_a_held_body() {
    let origin = mirror().await;
    let site = SITE.replace("limits: { body: 4MiB }", "timeouts: { total: 2s }");
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    let edge = start_site(&site, &[("app", &app)]);
    let mut slow = Client::connect(edge.addr()).await;
    slow.send(PART).await;
    let mut slow_h2 = H2Client::connect(edge.addr()).await;
    let (answer, _body) = part_over_h2(&mut slow_h2).await;
    let [h1, h2] = [slow.response().await.status, whole(answer).await.unwrap().response.status];
    assert_eq!([h1, h2], [504, 504]);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_body_is_no_larger_than_its_route_allows() {
    let origin = mirror().await;
    let site = SITE.replace("limits: { body: 4MiB }", "limits: { body: 100000 }");
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    let edge = start_site(&site, &[("app", &app), ("body", &"{ inspect: 1MiB }")]);
    for by in EVERY_WAY {
        assert_eq!(status(&edge, by, &sized(100_001, "")).await, 413, "{by:?}");
        assert_eq!(status(&edge, by, &sized(200_000, "")).await, 413, "{by:?}");
    }
    assert_eq!(origin.connections(), 0);
    for by in EVERY_WAY {
        assert_eq!(status(&edge, by, &sized(100_000, "")).await, 200, "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_with_two_readings_are_a_fault_while_they_are_held() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.send("4\r\npart\r\n").await;
    client.send("0x4\r\npart\r\n").await;
    assert_eq!(client.response().await.status, 400);
    assert_eq!(origin.connections(), 0);
    assert_eq!(edge.stop()[0]["refusal"], "chunks");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_waited_for_no_longer() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    let mut client = Client::connect(edge.addr()).await;
    client.send(PART).await;
    drop(client);
    let mut client = H2Client::connect(edge.addr()).await;
    let (_answer, mut body) = part_over_h2(&mut client).await;
    body.send_reset(h2::Reason::CANCEL);
    for record in edge.access_log(2) {
        assert_eq!((&record["status"], &record["attempts"]), (&0.into(), &0.into()), "{record}");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_by_then_is_a_502() {
    let origin = mirror().await;
    let app = format!("{{ servers: ['{}'], retries: {{ attempts: 1 }} }}", origin.addr);
    let edge = start(&[("app", &app)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send(PART).await;
    drop(origin);
    client.send(sized(100_000 - 4, "")).await;
    assert_eq!(client.response().await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_body_is_judged_by_the_profile_that_it_began_with() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    let mut client = Client::connect(edge.addr()).await;
    // Once it is told to go on, it has begun.
    let waiting = PART.replace("\r\n\r\npart", "\r\nexpect: 100-continue\r\n\r\n");
    client.send(waiting).await;
    assert_eq!(client.response_head().await.status, 100);
    edge.write_config(&SITE.replace("defaults: { waf: standard }", "defaults: { waf: off }"));
    assert_eq!(edge.admin_post("/api/reload").status, 200);
    assert_eq!(status(&edge, By::Length, "attack").await, 200);
    client.send(sized(100_000, "attack")).await;
    assert_eq!(client.response().await.status, 403);
}
