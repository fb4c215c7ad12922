//! What servers answer, and what of it a client may see.

use super::{GET, edge};
use crate::support::origin::ok;
use crate::support::{Client, Edge, H2Client, Origin};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_http_1_0_becomes_one_of_http_1_1() {
    let origin = Origin::scripted(|mut conn| async move {
        let Some(request) = conn.request().await else { return };
        if request.target() == "/length" {
            conn.send("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
        } else {
            conn.send("HTTP/1.0 200 OK\r\n\r\nabc").await;
        }
    })
    .await;
    let edge = edge(&origin);
    for path in ["/length", "/close"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        let mut client = Client::connect(edge.addr()).await;
        // The client's connection outlives that of the server.
        for _ in 0..2 {
            client.send(&request).await;
            let answer = client.response().await;
            assert_eq!((answer.version.as_str(), answer.status), ("HTTP/1.1", 200));
            assert_eq!(answer.text(), "abc", "{path}");
            assert_ne!(answer.header("connection"), Some("close"), "{path}");
        }
        let old = format!("GET {path} HTTP/1.0\r\n\r\n");
        let answer = Client::ask(edge.addr(), old).await;
        assert_eq!((answer.text().as_str(), answer.header("transfer-encoding")), ("abc", None));
    }
    let mut client = H2Client::connect(edge.addr()).await;
    assert_eq!(client.get("http://a.example/close").await.response.text(), "abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_are_removed_both_ways() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive, x-hop\r\n\
         keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nx-hop: 1\r\nupgrade: h2c\r\n\
         te: trailers\r\nx-end: 1\r\n\r\nok",
    )
    .await;
    let edge = edge(&origin);
    let request = "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: keep-alive, x-mine\r\n\
                   keep-alive: 5\r\nproxy-connection: keep-alive\r\nx-mine: 1\r\nte: gzip\r\n\
                   proxy-authorization: Basic eA==\r\nx-theirs: 1\r\n\r\n";
    let answer = Client::ask(edge.addr(), request).await;
    for name in ["keep-alive", "proxy-connection", "x-hop", "upgrade", "te"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert!(!answer.all("connection").any(|value| value.contains("hop")), "{answer:?}");
    assert_eq!(answer.header("x-end"), Some("1"));
    let h2 = H2Client::connect(edge.addr()).await.get("http://a.example/").await.response;
    for name in ["connection", "keep-alive", "proxy-connection", "x-hop", "upgrade", "te"] {
        assert_eq!(h2.header(name), None, "{name}");
    }

    let sent = origin.received_text().to_lowercase();
    for name in ["keep-alive:", "proxy-connection:", "x-mine:", "te: gzip"] {
        assert!(!sent.contains(&format!("\r\n{name}")), "{name} in {sent}");
    }
    assert!(sent.contains("\r\nx-theirs: 1\r\n"), "{sent}");
}

const COMPRESSED: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app, compress: { types: [text/*] } }]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_that_the_client_refuses_is_not_used() {
    let body = "all work and no play ".repeat(500);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let origin = Origin::answering(answer).await;
    let edge = Edge::start_with(COMPRESSED, &[("origin", &origin.addr)]);
    for (accepted, expected) in [
        ("gzip", Some("gzip")),
        ("gzip;q=0", None),
        ("gzip; q=0.0, identity", None),
        ("gzip;q=0, br", Some("br")),
        ("*;q=0", None),
        ("*, gzip;q=0, zstd;q=0", Some("br")),
        ("gzip;q=0.1, br;q=0", Some("gzip")),
        ("", None),
        ("nonsense", None),
    ] {
        let request =
            format!("GET / HTTP/1.1\r\nhost: a.example\r\naccept-encoding: {accepted}\r\n\r\n");
        let answer = Client::ask(edge.addr(), request).await;
        assert_eq!(answer.header("content-encoding"), expected, "{accepted:?}");
        assert_eq!(answer.text() == body, expected.is_none(), "{accepted:?}");
        assert!(answer.all("vary").any(|value| value.eq_ignore_ascii_case("accept-encoding")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_are_not_final_ones() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
    let processing = "HTTP/1.1 102 Processing\r\n\r\n";
    let unasked = "HTTP/1.1 100 Continue\r\n\r\n";
    let origin = Origin::answering([unasked, processing, hints, &ok("final")].concat()).await;
    let edge = edge(&origin);

    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..2 {
        client.send(GET).await;
        let mut answer = client.response().await;
        while answer.status < 200 {
            answer = client.response().await;
        }
        assert_eq!((answer.status, answer.text().as_str()), (200, "final"));
        assert_eq!(answer.header("link"), None, "fields of an interim answer stay there");
    }
    // HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
    let answer = Client::ask(edge.addr(), "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "final"));
    let answer = H2Client::connect(edge.addr()).await.get("http://a.example/").await.response;
    assert_eq!((answer.status, answer.text().as_str()), (200, "final"));
    drop(client);
    for record in edge.stop() {
        assert_eq!((record["status"].as_u64(), record["attempts"].as_u64()), (Some(200), Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_not_logged() {
    for answer in [
        "HTTP/1.1 200 OK\r\nset-cookie: sid=hush\r\nno field\r\n\r\n",
        "HTTP/1.1 hush\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhush\r\n",
    ] {
        let origin = Origin::answering(answer).await;
        let edge = edge(&origin);
        let mut client = Client::connect(edge.addr()).await;
        client.send(GET).await;
        client.response_head().await;
        let records = edge.access_log(1);
        assert_eq!(records[0]["refusal"], "server_answer", "{answer}");
        let error = records[0]["error"].as_str().unwrap();
        assert!(error.contains("Upstream Invalid"), "{error}");
        assert!(!records[0].to_string().contains("hush"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_of_protocols_that_nobody_asked_for_is_an_unusable_answer() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                  upgrade: websocket\r\n\r\n";
    let origin = Origin::answering(switch).await;
    let edge = edge(&origin);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 502);
    let mut client = H2Client::connect(edge.addr()).await;
    assert_eq!(client.get("http://a.example/").await.response.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_host_is_refused() {
    let origin = Origin::ok().await;
    let edge = edge(&origin);
    assert_eq!(Client::ask(edge.addr(), "GET / HTTP/1.1\r\n\r\n").await.status, 400);
    assert_eq!(Client::ask(edge.addr(), "GET / HTTP/1.1\r\nhost:\r\n\r\n").await.status, 400);
    assert_eq!(origin.connections(), 0);
    // HTTP/1.0 had none yet; HTTP/1.1, which servers are spoken to in, has.
    assert_eq!(Client::ask(edge.addr(), "GET / HTTP/1.0\r\n\r\n").await.status, 200);
    let told = origin.received_text().to_ascii_lowercase();
    assert!(told.contains(&format!("\r\nhost: {}\r\n", origin.addr)), "{told}");
    let refusals: Vec<_> = edge.stop().iter().map(|record| record["refusal"].clone()).collect();
    assert_eq!(refusals[0], "no_host");
    assert_eq!(refusals.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_has_said_is_passed_on_before_it_says_more() {
    // Pingora flushes nothing between the pieces of a body of known length.
    let (go_on, told) = tokio::sync::watch::channel(());
    let origin = Origin::scripted(move |mut conn| {
        let mut told = told.clone();
        async move {
            told.mark_unchanged();
            while conn.request().await.is_some() {
                conn.send("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nfirst").await;
                told.changed().await.unwrap();
                conn.send("second").await;
            }
        }
    })
    .await;
    let edge = edge(&origin);
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..2 {
        client.send(GET).await;
        client.read_to(b"first").await;
        go_on.send_replace(());
        client.read_to(b"second").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_servers_say_about_the_end_of_a_body_is_said_once() {
    for (head, status, length) in [
        ("200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", 200, Some("2")),
        ("200 OK\r\ncontent-length: 2, 2\r\n\r\nok", 200, Some("2")),
        ("204 No Content\r\ncontent-length: 2\r\n\r\n", 204, None),
        ("200 OK\r\ntransfer-encoding: xchunked\r\n\r\nok", 502, None),
        ("200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 502, None),
    ] {
        let origin = Origin::answering(format!("HTTP/1.1 {head}")).await;
        let edge = edge(&origin);
        let h1 = Client::ask(edge.addr(), GET).await;
        let h2 = H2Client::connect(edge.addr()).await.get("http://a.example/").await.response;
        for answer in [h1, h2] {
            assert_eq!(answer.status, status, "{head}: {answer:?}");
            if status != 502 {
                let lengths: Vec<_> = answer.all("content-length").collect();
                assert_eq!(lengths, Vec::from_iter(length), "{head}: {answer:?}");
            }
        }
    }
}
