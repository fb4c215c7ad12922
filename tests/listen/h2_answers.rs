//! Answers over h2: interim ones, what h2 forbids, and bodies sent twice.

use bytes::Bytes;
use http::{Request, StatusCode};

use super::{SITE, edge, outcomes};
use crate::support::h2_client::{interim, whole};
use crate::support::origin::ok;
use crate::support::{Edge, H2Client, Origin, within};

#[tokio::test(flavor = "multi_thread")]
async fn who_expects_100_gets_it_once_a_server_is_there() {
    let origin = Origin::ok().await;
    let listener = edge(&origin, "protocols: [h2c]");
    let request = || {
        let request = Request::post("http://a.example/").header("expect", "100-continue");
        request.header("content-length", "5").body(()).unwrap()
    };
    let mut client = H2Client::connect(listener.addr()).await;
    let (mut answer, mut body) = client.open(request(), false).await;
    let go_on = interim(&mut answer).await.expect("a word before the answer");
    assert_eq!((go_on.status(), go_on.headers().len()), (StatusCode::CONTINUE, 0));
    body.send_data(Bytes::from_static(b"12345"), true).unwrap();
    let answer = whole(answer).await.unwrap().response;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    // Who does not wait may be told all the same; who has nothing to send is not.
    for body in ["12345", ""] {
        let request = Request::post("http://a.example/").header("expect", "100-continue");
        let (mut answer, mut stream) =
            client.open(request.body(()).unwrap(), body.is_empty()).await;
        if !body.is_empty() {
            stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
        }
        within("the answer", async {
            while let Some(early) = interim(&mut answer).await {
                assert!(!body.is_empty() && early.status() == 100, "{early:?}");
            }
        })
        .await;
        assert_eq!(whole(answer).await.unwrap().response.status, 200);
    }
    drop(client);
    assert_eq!(outcomes(&listener.stop()), [(200, ""); 3]);

    let [nobody] = crate::support::ports::free();
    let nobody = format!("127.0.0.1:{nobody}");
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &nobody), ("listener", &"protocols: [h2c]")];
    let alone = Edge::start_with(SITE, &places);
    let mut client = H2Client::connect(alone.addr()).await;
    let (mut answer, _body) = client.open(request(), false).await;
    assert!(interim(&mut answer).await.is_none(), "nobody is there to read the body");
    assert_eq!(within("the answer", answer).await.unwrap().status(), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_of_servers_are_passed_on_over_h2() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: close\r\n\
                 keep-alive: timeout=5\r\n\r\n";
    let processing = "HTTP/1.1 102 Processing\r\n\r\n";
    let unasked = "HTTP/1.1 100 Continue\r\n\r\n";
    let origin = Origin::answering([unasked, processing, hints, &ok("final")].concat()).await;
    let edge = edge(&origin, "protocols: [h2c]");
    let mut client = H2Client::connect(edge.addr()).await;
    for _ in 0..2 {
        let request = Request::get("http://a.example/").body(()).unwrap();
        let (mut answer, _) = client.open(request, true).await;
        let processing = interim(&mut answer).await.expect("102");
        assert_eq!(processing.status(), 102);
        let hints = interim(&mut answer).await.expect("103");
        assert_eq!(hints.status(), 103);
        let names: Vec<_> = hints.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["link"]);
        let last = whole(answer).await.unwrap().response;
        assert_eq!((last.status, last.text().as_str()), (200, "final"));
        assert_eq!(last.header("link"), None, "fields of an interim answer stay there");
        assert!(last.header("date").is_some());
    }
    assert_eq!(outcomes(&edge.stop()), [(200, ""); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_without_end_are_not_all_passed_on() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n".repeat(40);
    let origin = Origin::answering(hints + &ok("final")).await;
    let edge = edge(&origin, "protocols: [h2c]");
    let mut client = H2Client::connect(edge.addr()).await;
    let (mut answer, _) =
        client.open(Request::get("http://a.example/").body(()).unwrap(), true).await;
    let mut count = 0;
    while interim(&mut answer).await.is_some() {
        count += 1;
    }
    assert_eq!(count, 16);
    assert_eq!(whole(answer).await.unwrap().response.text(), "final");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_h2_is_sent_again_up_to_64_kib() {
    let unavailable = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let [bad, good] = [Origin::answering(unavailable).await, Origin::ok().await];
    let yaml = SITE.replace("'{origin}'", "'{origin}', { address: '{good}', backup: true }");
    let edge = Edge::start_with(
        &yaml,
        &[("origin", &bad.addr), ("good", &good.addr), ("listener", &"protocols: [h2c]")],
    );
    let mut client = H2Client::connect(edge.addr()).await;
    let put = || {
        let put = Request::put("http://a.example/").header("content-length", "61440");
        put.body(()).unwrap()
    };
    let small = "s".repeat(60 * 1024);
    assert_eq!(client.ask(put(), small.clone()).await.unwrap().response.status, 200);
    assert!(good.received_text().ends_with(&small), "the body came whole");
    let large = "l".repeat(65 * 1024);
    let put = Request::put("http://a.example/").body(()).unwrap();
    assert_eq!(client.ask(put, large).await.unwrap().response.status, 503);
    assert_eq!((bad.requests(), good.requests()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_body_ends_its_stream_with_its_head() {
    let origin = Origin::scripted(|mut conn| async move {
        while let Some(request) = conn.request().await {
            let status = request.target().trim_start_matches('/');
            let length = if status == "204" { "" } else { "content-length: 9\r\n" };
            conn.send(format!("HTTP/1.1 {status} X\r\netag: \"x\"\r\n{length}\r\n")).await;
        }
    })
    .await;
    let edge = edge(&origin, "protocols: [h2c]");
    let mut client = H2Client::connect(edge.addr()).await;
    for (method, status) in [("HEAD", "200"), ("GET", "204"), ("GET", "304")] {
        let url = format!("http://a.example/{status}");
        let request = Request::builder().method(method).uri(url).body(()).unwrap();
        let (answer, _) = client.open(request, true).await;
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.status().as_str(), status);
        assert!(answer.body().is_end_stream(), "{method} {status}: nothing follows");
        assert_eq!(answer.headers()["etag"], "\"x\"");
        assert!(answer.headers().contains_key("date"));
    }
}
