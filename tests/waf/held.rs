//! Bodies that are judged before there is a server.

use bytes::Bytes;
use http::Request;

use super::*;
use crate::support::h2_client::{interim, whole};

/// Below, at and above what pingora keeps, and as much as is judged.
const SIZES: [usize; 6] = [6, 60 << 10, 64 << 10, (64 << 10) + 1, 100_000, 128 << 10];

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_costs_no_server_a_connection() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    for by in EVERY_WAY {
        let mut client = Asking::connect(edge.addr(), by).await;
        for size in SIZES {
            let refused = client.send(by, "POST", &sized(size, "attack")).await;
            assert_eq!(refused.status, 403, "{by:?} {size}");
            // All of it was read, so the connection is as good as before.
            assert_ne!(refused.header("connection"), Some("close"), "{by:?} {size}");
        }
    }
    assert_eq!((origin.connections(), origin.received_text().as_str()), (0, ""));
    let records = edge.stop();
    assert_eq!(records.len(), EVERY_WAY.len() * SIZES.len());
    for record in &records {
        let told = (&record["status"], &record["room"], &record["refusal"], &record["attempts"]);
        assert_eq!(told, (&403.into(), &"waf".into(), &"blocked".into(), &0.into()), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judged_body_arrives_as_it_was_sent() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    for by in EVERY_WAY {
        let mut client = Asking::connect(edge.addr(), by).await;
        for size in SIZES.into_iter().chain([0, 1, (128 << 10) + 1, 300_000]) {
            let sent = sized(size, if size > 3 { "end" } else { "" });
            let answer = client.send(by, "POST", &sent).await;
            assert_eq!(answer.status, 200, "{by:?} {size}");
            assert!(answer.text() == sent, "{by:?} {size}: {} bytes", answer.body.len());
        }
    }
    // No connection was lost, to clients or to the server: two workers have one each.
    assert!(origin.connections() <= 2, "{} connections", origin.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judged_body_goes_whole_to_a_second_server() {
    let failing = Origin::answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
    let good = mirror().await;
    let app = "{ servers: ['{0}', { address: '{1}', backup: true }], outlier: ~ }";
    let edge = start(&[("app", &app), ("0", &failing.addr), ("1", &good.addr)]);
    for (count, by) in (1..).zip(EVERY_WAY) {
        let sent = sized(64 << 10, "end");
        let answer = Asking::connect(edge.addr(), by).await.send(by, "PUT", &sent).await;
        assert!(answer.status == 200 && answer.text() == sent, "{by:?}: {answer:?}");
        assert_eq!((failing.requests(), good.requests()), (count, count), "{by:?}");
    }
    drop(edge);
    // What no server has seen of is sent whatever its method and its size.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refusing = socket.local_addr().unwrap();
    let edge = start(&[("app", &app), ("0", &refusing), ("1", &good.addr)]);
    for by in EVERY_WAY {
        let sent = sized(128 << 10, "end");
        let answer = Asking::connect(edge.addr(), by).await.send(by, "POST", &sent).await;
        assert!(answer.status == 200 && answer.text() == sent, "{by:?}: {}", answer.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_that_may_be_closed_gets_a_body_that_cannot_be_sent_again() {
    // It closes each connection just as it is used a second time.
    let origin = Origin::scripted(|mut conn: Conn| async move {
        if let Some(request) = conn.request().await {
            let is_chunked = request.header("transfer-encoding").is_some();
            let body = if is_chunked { unchunked(&request.raw_body) } else { request.raw_body };
            conn.send(ok(std::str::from_utf8(&body).unwrap())).await;
            conn.some().await;
        }
    })
    .await;
    let app = format!("{{ servers: ['{}'], outlier: ~ }}", origin.addr);
    let edge = start_site(&format!("server: {{ threads: 1 }}\n{SITE}"), &[("app", &app)]);
    for by in EVERY_WAY {
        for size in [9, 64 << 10, (64 << 10) + 1, 128 << 10] {
            // Now there is a connection that seems to be good.
            let mut client = Asking::connect(edge.addr(), by).await;
            assert_eq!(client.send(by, "PUT", "a").await.status, 200, "{by:?}");
            let sent = sized(size, "end");
            let answer = client.send(by, "PUT", &sent).await;
            assert!(answer.status == 200 && answer.text() == sent, "{by:?} {size}: {answer:?}");
        }
    }
    for record in edge.stop() {
        assert_eq!(
            (&record["attempts"], &record["failures"]),
            (&1.into(), &serde_json::Value::Null)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_follow_a_held_body() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    for by in [By::Length, By::Chunks] {
        let mut client = Client::connect(edge.addr()).await;
        let bodies = [sized(100_000, "attack"), sized(100_000, "end"), sized(9, "attack")];
        client.send(bodies.each_ref().map(|body| h1(by, "POST", body)).concat()).await;
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(client.response().await.status);
        }
        assert_eq!(statuses, [403, 200, 403], "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_to_be_told_to_send_is_told_once_and_servers_do_not_hear_of_it() {
    let origin = Origin::echo().await;
    let edge = before(&origin, "{}");
    let mut client = Client::connect(edge.addr()).await;
    let head = "POST / HTTP/1.1\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: ";
    for length in [9, 70_000] {
        client.send(format!("{head}{length}\r\n\r\n")).await;
        assert_eq!(client.response_head().await.status, 100);
        assert_eq!(origin.connections(), 0, "nobody has been asked");
        client.send(sized(length, "attack")).await;
        assert_eq!(client.response().await.status, 403);
    }
    for length in [9, 70_000] {
        client.send(format!("{head}{length}\r\n\r\n")).await;
        assert_eq!(client.response_head().await.status, 100);
        client.send(sized(length, "end")).await;
        let answer = client.response().await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("expect"), "{}", answer.text());
    }
    // What is refused for its head is not told to go on.
    client.send(format!("{}9\r\n\r\n", head.replace("/ HTTP", "/attack HTTP"))).await;
    assert_eq!(client.response().await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_over_h2_is_told_once() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    let mut client = H2Client::connect(edge.addr()).await;
    for (end, status) in [("attack", 403), ("end", 200)] {
        let request = Request::post("http://a.example/").header("expect", "100-continue");
        let (mut answer, mut body) = client.open(request.body(()).unwrap(), false).await;
        let told = interim(&mut answer).await.expect("100");
        assert_eq!(told.status(), 100);
        body.send_data(Bytes::from(sized(9, end)), true).unwrap();
        assert!(interim(&mut answer).await.is_none());
        assert_eq!(whole(answer).await.unwrap().response.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_judged_before_its_body_is_read() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    let head = "POST /attack HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100000\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), head).await.status, 403);
    let get = "GET /?attack HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), get).await.status, 403);
    assert_eq!(origin.connections(), 0);
    assert_eq!(edge.access_log(2)[0]["rule"], "10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_judged_whoever_answers_it() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    for (target, status) in [
        ("/?bad", 403),
        ("/own?bad", 403),
        ("/own?attack", 403),
        ("/own", 200),
        ("/free?bad", 200),
        ("/free?attack", 200),
    ] {
        let get = format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        assert_eq!(Client::ask(edge.addr(), get).await.status, status, "{target}");
    }
    // Nobody reads its body, so nobody waits for it.
    let post = "POST /own HTTP/1.1\r\nhost: a.example\r\ncontent-length: 9\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), post).await.status, 200);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_one_client_is_bounded() {
    const MIB: usize = 1 << 20;
    let origin = mirror().await;
    let edge = before(&origin, "{ inspect: 1MiB }");
    let request = h1(By::Length, "POST", &sized(MIB, "end"));
    let (part, last) = request.split_at(request.len() - 1);
    // Sixteen are kept; one more is too much.
    let mut clients = Vec::new();
    for _ in 0..17 {
        let mut client = Client::connect(edge.addr()).await;
        client.try_send(part).await.ok();
        clients.push(client);
    }
    let answers = clients.iter_mut().map(|client| Box::pin(client.response()));
    let (refused, index, others) = futures::future::select_all(answers).await;
    drop(others);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    clients.remove(index);
    // Another client has its own.
    let mut other = Client::connect_from("127.0.0.2", edge.addr()).await;
    other.send(&request).await;
    assert_eq!(other.response().await.status, 200);
    for mut client in clients {
        client.send(last).await;
        assert_eq!(client.response().await.status, 200);
    }
    // All is given back.
    for _ in 0..17 {
        assert_eq!(status(&edge, By::Length, &sized(MIB, "end")).await, 200);
    }
    assert!(edge.stop().iter().any(|record| record["refusal"] == "held_per_client"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_http_1_0_is_not_told_to_go_on() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    let head = "POST / HTTP/1.0\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: 4";
    let answer = Client::ask(edge.addr(), format!("{head}\r\n\r\ngood")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_held_may_be_no_larger_than_any_other() {
    let origin = mirror().await;
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    let site = SITE.replace("limits: { body: 4MiB }", "limits: { body: 1KiB }");
    let edge = start_site(&site, &[("app", &app)]);
    for by in EVERY_WAY {
        for (size, expected) in [(1024, 200), (1025, 413), (50_000, 413)] {
            assert_eq!(status(&edge, by, &sized(size, "end")).await, expected, "{by:?} {size}");
        }
    }
}
