//! Heads that are slow, large or malformed.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::MissedTickBehavior;

use super::{edge, outcomes};
use crate::support::{Client, Edge, H2Client, Origin};

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_stops_is_answered_408() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "timeouts: { header: 300ms }");

    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /slow HTTP/1.1\r\nhost: a.exa").await;
    let answer = client.response().await;
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    client.expect_closed().await;

    let records = edge.stop();
    assert_eq!(outcomes(&records), [(408, "head_too_slow")]);
    assert_eq!((&records[0]["method"], &records[0]["path"]), (&"GET".into(), &"/slow".into()));
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_has_a_deadline_of_its_own() {
    let origin = Origin::ok().await;
    let other = "timeouts: { header: 1h }\n  - { address: '127.0.0.1:{port2}', timeouts: { header: 300ms } }";
    let edge = edge(&origin, other);
    let (head, rest) = ("GET / HTTP/1.1\r\nhost: a.exa", "mple\r\n\r\n");
    let mut patient = Client::connect(edge.addr()).await;
    patient.send(head).await;
    let mut hurried = Client::connect(edge.addr2()).await;
    hurried.send(head).await;
    assert_eq!(hurried.response().await.status, 408);
    patient.send(rest).await;
    assert_eq!(patient.response().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_a_head_is_total_though_bytes_drip() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "timeouts: { header: 400ms }");

    let (read, mut write) = TcpStream::connect(edge.addr()).await.unwrap().into_split();
    // Each byte comes well within the deadline; the whole would take 40 s.
    let head = format!("GET / HTTP/1.1\r\nhost: a.example\r\nx-long: {}", "x".repeat(4000));
    let drip = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        for (sent, byte) in head.bytes().enumerate() {
            tick.tick().await;
            if write.write_all(&[byte]).await.is_err() {
                return sent;
            }
        }
        head.len()
    });
    let mut client = Client::over(tokio::io::join(read, tokio::io::sink()));
    assert_eq!(client.response().await.status, 408);
    assert!(!drip.is_finished(), "the answer came while bytes still dripped");
    drip.abort();

    assert_eq!(outcomes(&edge.stop()), [(408, "head_too_slow")]);
}

/// Sends `head` byte by byte, at least 50 ms apart, until a byte is refused.
fn drip(mut write: OwnedWriteHalf, head: String) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for byte in head.bytes() {
            tick.tick().await;
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_a_preface_is_total_though_bytes_drip() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]\n    timeouts: { header: 400ms }");
    let (read, write) = TcpStream::connect(edge.addr()).await.unwrap().into_split();
    // Each byte comes well within the deadline; the whole takes 1.2 s.
    let dripping = drip(write, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into());
    let mut client = Client::over(tokio::io::join(read, tokio::io::sink()));
    // What is no preface in time is a head of HTTP/1, and a wrong one.
    let answer = client.response().await;
    assert!(matches!(answer.status, 408 | 505), "{answer:?}");
    dripping.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_begins_with_the_first_byte_of_a_head() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "timeouts: { header: 300ms }");

    // Idle for longer than the deadline before and between two heads.
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.send("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    }
    // And a second head has a deadline of its own.
    client.send("GET / HTTP/1.1\r\n").await;
    assert_eq!(client.response().await.status, 408);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_a_head_are_exact() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "limits: { uri: 20, headers: 200, header_count: 4 }");

    let target = |length: usize| format!("/{}", "u".repeat(length - 1));
    let uri = |length| format!("GET {} HTTP/1.1\r\nhost: a.example\r\n\r\n", target(length));
    let count = |fields: usize| {
        format!("GET / HTTP/1.1\r\nhost: a.example\r\n{}\r\n", "x: y\r\n".repeat(fields - 1))
    };
    let size = |length: usize| {
        let head = "GET / HTTP/1.1\r\nhost: a.example\r\nx: ";
        format!("{head}{}\r\n\r\n", "v".repeat(length - head.len() - 4))
    };
    let large_uri_alone = format!("GET {}", target(5000));
    let many_alone = format!("GET / HTTP/1.1\r\n{}", "x: y\r\n".repeat(9));
    let cases = [
        (uri(20), 200, ""),
        (uri(21), 414, "uri_too_long"),
        (large_uri_alone, 414, "uri_too_long"),
        (count(4), 200, ""),
        (count(5), 431, "head_too_large"),
        (many_alone, 431, "head_too_large"),
        (size(200), 200, ""),
        (size(201), 431, "head_too_large"),
        (size(9000), 431, "head_too_large"),
    ];
    let mut expected = Vec::new();
    for (index, (head, status, refusal)) in cases.iter().enumerate() {
        let answer = Client::ask(edge.addr(), head).await;
        assert_eq!(answer.status, *status as u16, "case {index}");
        expected.push((*status, *refusal));
        edge.access_log(expected.len());
    }
    assert_eq!(outcomes(&edge.stop()), expected);
    assert_eq!(origin.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_a_head_hold_over_h2() {
    let origin = Origin::ok().await;
    let limits = "limits: { uri: 20, headers: 2000, header_count: 4 }";
    let edge = edge(&origin, &format!("protocols: [h1, h2c]\n    {limits}"));
    let mut client = H2Client::connect(edge.addr()).await;
    let uri =
        |length: usize| http::Request::get(format!("http://a.example/{}", "u".repeat(length - 1)));
    let fields = |name: &str, count: usize| {
        let request = http::Request::get("http://a.example/");
        (0..count).fold(request, |request, _| request.header(name, "a=1"))
    };
    let cases = [
        (uri(20), 200, ""),
        (uri(21), 414, "uri_too_long"),
        (fields("x", 3), 200, ""),
        (fields("x", 5), 431, "head_too_large"),
        // However many fields cookies are sent in, they are one.
        (fields("cookie", 9), 200, ""),
    ];
    let mut expected = Vec::new();
    for (request, status, refusal) in cases {
        let answer = client.ask(request.body(()).unwrap(), "").await.unwrap().response;
        assert_eq!(answer.status, status as u16, "{refusal}");
        expected.push((status, refusal));
        edge.access_log(expected.len());
    }
    assert_eq!(outcomes(&edge.stop()), expected);
    assert_eq!(origin.requests(), 3);
}

/// What is twice the size, the h2 library answers before anybody sees a request:
/// there is no record.
#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_a_head_over_h2_is_bounded() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]\n    limits: { headers: 1000 }");
    let mut client = H2Client::connect(edge.addr()).await;
    for (length, status) in [(500, 200), (1001, 431), (2001, 431), (500, 200)] {
        let request = http::Request::get("http://a.example/").header("x", "v".repeat(length));
        let answer = client.ask(request.body(()).unwrap(), "").await.unwrap().response;
        assert_eq!(answer.status, status, "{length} bytes");
    }
    assert_eq!(origin.requests(), 2);
    assert_eq!(outcomes(&edge.stop()), [(200, ""), (431, "head_too_large"), (200, "")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_refused_head_says_what_came_of_it() {
    let origin = Origin::ok().await;
    let bounds = "limits: { uri: 20, headers: 200 }\n    timeouts: { header: 300ms }";
    let edge = edge(&origin, bounds);
    let fields = "host: a.example\r\nuser-agent: agent/1\r\nreferer: http://b.example/\r\n";
    let long = "x".repeat(300);
    let cases = [
        (format!("GET /a%2f HTTP/1.1\r\n{fields}\r\n"), 400, "/a%2f", true),
        (format!("GET /slow HTTP/1.1\r\n{fields}cookie: secr"), 408, "/slow", true),
        ("GET /slow HTTP/1.1\r\nhost: a.exam".to_owned(), 408, "/slow", false),
        (format!("GET /{long} HTTP/1.1\r\n{fields}\r\n"), 414, &format!("/{long}"), true),
        (format!("GET /large HTTP/1.1\r\n{fields}x: {long}"), 431, "/large", true),
        // One of two hosts would be a guess.
        ("GET /two HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), 400, "/two", false),
    ];
    for (index, (head, status, path, is_known)) in cases.iter().enumerate() {
        assert_eq!(Client::ask(edge.addr(), head).await.status, *status, "{head}");
        let record = edge.access_log(index + 1).pop().unwrap();
        assert_eq!((&record["method"], &record["path"]), (&"GET".into(), &(*path).into()));
        let host = if *is_known { "a.example" } else { "" };
        assert_eq!(record["host"], host, "{record}");
        assert_eq!(record["user_agent"].as_str(), is_known.then_some("agent/1"), "{record}");
        assert_eq!(record["referer"].as_str(), is_known.then_some("http://b.example/"));
        assert!(!record.to_string().contains("secr"), "{record}");
    }
}

/// Refusals of heads that end where they seem to: the connection may go on.
const SOUND: [&str; 5] = [
    "encoded_dot_segment",
    "above_root",
    "encoded_control",
    "underscore_in_name",
    "protected_option",
];

/// A whole head of these lines, each ended with CR LF.
fn head(lines: &[&str]) -> Vec<u8> {
    let mut head: Vec<u8> =
        lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
    head.extend(b"\r\n");
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_heads_are_answered_and_never_forwarded() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "");

    let get = "GET / HTTP/1.1";
    let post = "POST / HTTP/1.1";
    let host = "host: a.example";
    let cases: &[(Vec<u8>, u64, &str)] = &[
        (b"GET / HTTP/1.1\nhost: a.example\n\n".to_vec(), 400, "bare_lf"),
        (head(&[get, host, "x: a\rb"]), 400, "bare_cr"),
        (head(&["GET /  HTTP/1.1", host]), 400, "request_line"),
        (head(&["GET / HTTP/2.0", host]), 505, "version"),
        (head(&["get / HTTP/1.1", host]), 400, "method"),
        (head(&["GET /a b HTTP/1.1", host]), 400, "request_line"),
        (head(&["GET /\u{e9} HTTP/1.1", host]), 400, "target_byte"),
        (head(&["GET /%2e%2e/%2e%2e/etc HTTP/1.1", host]), 400, "encoded_dot_segment"),
        (head(&["GET /../etc HTTP/1.1", host]), 400, "above_root"),
        (head(&["GET /a%00 HTTP/1.1", host]), 400, "encoded_control"),
        (head(&[get, host, "x: a", " folded"]), 400, "folded_line"),
        (head(&[get, host, "x : a"]), 400, "space_in_name"),
        (head(&[get, host, "x_y: a"]), 400, "underscore_in_name"),
        (head(&[get, host, "x: a\0b"]), 400, "header_value"),
        (head(&[get]), 400, "no_host"),
        (head(&[get, host, "host: b.example"]), 400, "two_hosts"),
        (head(&[get, "host: a b"]), 400, "host"),
        (head(&[post, host, "content-length: +1"]), 400, "content_length"),
        (head(&[post, host, "content-length: 1", "content-length: 1"]), 400, "two_content_lengths"),
        (
            head(&[post, host, "content-length: 1", "transfer-encoding: chunked"]),
            400,
            "length_and_chunked",
        ),
        (head(&[post, host, "transfer-encoding: gzip, chunked"]), 400, "transfer_encoding"),
        (
            head(&["POST / HTTP/1.0", host, "transfer-encoding: chunked"]),
            400,
            "transfer_encoding_in_http_1_0",
        ),
        (head(&[get, host, "connection: host"]), 400, "protected_option"),
        (head(&[post, host, "expect: the worst", "content-length: 0"]), 417, "expectation"),
    ];
    for (index, (bytes, status, refusal)) in cases.iter().enumerate() {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let mut client = Client::connect(edge.addr()).await;
        client.send(bytes).await;
        let answer = client.response().await;
        assert_eq!(u64::from(answer.status), *status, "{refusal}: {shown:?}");
        if !SOUND.contains(refusal) {
            // What follows such a head may be anything, so it is no request.
            client.try_send(head(&["GET /smuggled HTTP/1.1", host])).await.ok();
            client.expect_closed().await;
        }
        edge.access_log(index + 1);
    }
    let expected: Vec<_> = cases.iter().map(|(_, status, refusal)| (*status, *refusal)).collect();
    assert_eq!(outcomes(&edge.stop()), expected);
    assert_eq!(origin.connections(), 0, "{}", origin.received_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_trace_are_refused() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]");

    let connect = "CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n";
    let check = |answer: crate::support::Response| {
        let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)));
    };
    check(Client::ask(edge.addr(), connect).await);
    edge.access_log(1);
    let trace = "TRACE / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    check(Client::ask(edge.addr(), trace).await);
    let trace = http::Request::builder().method("TRACE").uri("http://a.example/").body(()).unwrap();
    let mut client = H2Client::connect(edge.addr()).await;
    check(client.ask(trace, "").await.unwrap().response);
    let connect = http::Request::connect("a.example:443").body(()).unwrap();
    check(client.ask(connect, "").await.unwrap().response);

    let records = edge.stop();
    assert_eq!(
        outcomes(&records),
        [(405, "connect"), (405, "trace"), (405, "trace"), (405, "connect")]
    );
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_head_is_recorded_without_an_answer() {
    let origin = Origin::ok().await;
    let edge: Edge = edge(&origin, "");
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET / HTTP/1.1\r\nhost:").await;
    client.finish().await;
    client.expect_closed().await;
    assert_eq!(outcomes(&edge.stop()), [(0, "head_cut_off")]);
}
