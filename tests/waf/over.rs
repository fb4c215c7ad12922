//! How much of a body is judged, and what happens to the rest.

use super::*;

const INSPECTS: [(&str, usize); 4] =
    [("1KiB", 1 << 10), ("64KiB", 64 << 10), ("128KiB", 128 << 10), ("1MiB", 1 << 20)];

/// What an attack gets that ends with the body, for each `over`.
async fn check(by: By, over: &str, just: u16, more: u16, early: u16) {
    let origin = mirror().await;
    for (inspect, bytes) in INSPECTS {
        let edge = before(&origin, &format!("{{ inspect: {inspect}, over: {over} }}"));
        let case = format!("{by:?} {over} {inspect}");
        assert_eq!(status(&edge, by, &sized(bytes, "attack")).await, just, "{case}");
        assert_eq!(status(&edge, by, &sized(bytes + 1, "attack")).await, more, "{case}");
        let early_attack = format!("attack{}", sized(bytes, ""));
        assert_eq!(status(&edge, by, &early_attack).await, early, "{case}");
        // A body that is no attack, as large as may be judged.
        assert_eq!(status(&edge, by, &sized(bytes, "end")).await, 200, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_decides_for_the_whole_body() {
    for by in EVERY_WAY {
        check(by, "inspect_prefix", 403, 200, 403).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_what_is_judged_may_be_refused() {
    for by in EVERY_WAY {
        check(by, "block", 403, 413, 413).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_what_is_judged_may_pass() {
    for by in EVERY_WAY {
        check(by, "pass", 403, 200, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_judged_prefix_is_not_waited_for() {
    let origin = mirror().await;
    for (body, waits) in [
        ("{ inspect: 0 }", false),
        ("{ inspect: 1KiB }", true),
        ("{ inspect: 1KiB, over: pass }", false),
    ] {
        let edge = before(&origin, body);
        let mut client = Client::connect(edge.addr()).await;
        let already = origin.received_text().matches("/first").count();
        client.send("POST /first HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n").await;
        if waits {
            client.send(sized(1025, "")).await;
        }
        crate::support::poll("the head at the server", || {
            (origin.received_text().matches("/first").count() > already).then_some(())
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_h2_the_stream_of_a_refused_body_is_reset_after_its_answer() {
    let origin = mirror().await;
    let edge = before(&origin, "{ inspect: 1KiB, over: block }");
    let mut client = H2Client::connect(edge.addr()).await;
    let request = Request::post("http://a.example/").body(()).unwrap();
    let (answer, mut body) = client.open(request, false).await;
    body.send_data(sized(2000, "").into(), false).unwrap();
    let answer = crate::support::h2_client::whole(answer).await.unwrap();
    assert_eq!(answer.response.status, 413);
    let reset = std::future::poll_fn(|cx| body.poll_reset(cx));
    let reset = crate::support::within("a reset", reset).await.unwrap();
    assert_eq!(reset, h2::Reason::NO_ERROR);
    assert_eq!(client.get("http://a.example/").await.response.status, 200);
    assert_eq!(edge.stop()[0]["refusal"], "body_over_inspect");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_none_that_breaks_off() {
    let origin = mirror().await;
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    let edge = start(&[("app", &app), ("body", &"{ inspect: 1KiB, files: keep }")]);
    let part = "--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n";
    for (kind, start, end) in [
        ("application/json", "{\"a\":\"", "\"}"),
        ("application/json", "{\"a\":[1,{\"b\":\"", "\"}]}"),
        ("text/xml", "<a b='c'>", "</a>"),
        ("application/x-www-form-urlencoded", "a=", ""),
        ("multipart/form-data; boundary=b", part, "\r\n--b--\r\n"),
    ] {
        for (said, length, expected) in
            [("good", 2000, 200), ("attack", 2000, 403), ("attack", 100, 403), ("good", 100, 200)]
        {
            let body = format!("{start}{said}{}{end}", "x".repeat(length));
            for by in [By::Length, By::Chunks] {
                let host = format!("host: a.example\r\ncontent-type: {kind}\r\n");
                let request = h1(by, "POST", &body).replacen("host: a.example\r\n", &host, 1);
                let answer = Client::ask(edge.addr(), request).await;
                assert_eq!(answer.status, expected, "{by:?} {kind} {said} {length}");
            }
        }
    }
    // One that ends like that is refused.
    let host = "host: a.example\r\ncontent-type: application/json\r\n";
    let request = h1(By::Length, "POST", "{\"a\":1").replacen("host: a.example\r\n", host, 1);
    assert_eq!(Client::ask(edge.addr(), request).await.status, 403);
    let by_its_end = edge.stop().into_iter().filter(|record| record["rule"] == "9890010").count();
    assert_eq!(by_its_end, 1);
}
