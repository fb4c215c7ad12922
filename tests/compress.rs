//! Answers made smaller on their way, for clients that want it and nobody else.
//!
//! That a coding which is refused is not used is among the `traps`.

use std::io::Read as _;

use http::Request as HttpRequest;
use tokio::sync::mpsc;

use crate::support::h2_origin::Call;
use crate::support::origin::Conn;
use crate::support::{Client, Edge, H2Client, H2Origin, Nginx, Origin, Response};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app, compress: { types: [text/*, application/json] } }]
";

const ALL: &str = "gzip, deflate, br, zstd";

/// Words that become smaller the harder a coder tries.
fn text(length: usize) -> String {
    const WORDS: &str = "the of and to in a is that for it as was with be by on not he his but at \
                         are this have from or had an they which one you were all her she there";
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let (mut text, mut state) = (String::new(), 12_345_u64);
    while text.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let many = if state >> 60 < 5 { words.len() } else { 12 };
        text += words[(state >> 33) as usize % many];
        text.push(' ');
    }
    text.truncate(length);
    text
}

/// A server that answers 200 with these fields, one a line, and this body.
async fn serving(fields: &str, body: &str) -> Origin {
    let fields = fields.replace('\n', "\r\n");
    let length = body.len();
    Origin::answering(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{fields}\r\n\r\n{body}"
    ))
    .await
}

fn start(origin: &Origin) -> Edge {
    Edge::start_with(SITE, &[("origin", &origin.addr)])
}

fn request(method: &str, path: &str, accepted: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a.example\r\naccept-encoding: {accepted}\r\n\r\n")
}

/// What both protocols answer to GET by a client that accepts this.
async fn get(edge: &Edge, path: &str, accepted: &str) -> [Response; 2] {
    let h1 = Client::ask(edge.addr(), request("GET", path, accepted)).await;
    let request = HttpRequest::get(format!("http://a.example{path}"));
    let request = request.header("accept-encoding", accepted).body(()).unwrap();
    let h2 = H2Client::connect(edge.addr()).await.ask(request, "").await.unwrap().response;
    [h1, h2]
}

/// The body as the client reads it; fails unless it is whole.
fn decode(answer: &Response) -> String {
    let (body, mut text) = (&answer.body[..], String::new());
    let read = match answer.header("content-encoding") {
        None => return answer.text(),
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_string(&mut text),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_string(&mut text),
        Some("zstd") => zstd::stream::read::Decoder::new(body).unwrap().read_to_string(&mut text),
        Some(other) => panic!("{other}"),
    };
    read.unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn each_coding_decodes_to_what_the_server_sent() {
    let body = text(200_000);
    let fields = "content-type: text/html; charset=utf-8\netag: \"v1\"\naccept-ranges: bytes\n\
                  content-md5: x\ncontent-digest: sha-256=:x:\nx-kept: 1";
    let origin = serving(fields, &body).await;
    let edge = start(&origin);
    for coding in ["gzip", "br", "zstd"] {
        for answer in get(&edge, "/", coding).await {
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert_eq!(decode(&answer), body, "{coding}");
            assert!(answer.body.len() < body.len() / 2, "{coding}: {}", answer.body.len());
            // What was true of the server's bytes is not true of these.
            for name in ["content-length", "accept-ranges", "content-md5", "content-digest"] {
                assert_eq!(answer.header(name), None, "{name}");
            }
            assert_eq!(answer.header("etag"), Some("W/\"v1\""));
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(answer.header("x-kept"), Some("1"));
        }
    }
    for record in edge.stop() {
        assert!(record["bytes_out"].as_u64().unwrap() < 100_000, "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coding_wanted_most_is_used() {
    let body = text(5000);
    let origin = serving("content-type: text/plain\nvary: origin", &body).await;
    let edge = start(&origin);
    for (accepted, coding) in [
        (ALL, Some("zstd")),
        ("gzip, br", Some("br")),
        ("GZip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("*", Some("zstd")),
        ("zstd;q=0.1, br;q=0.2, gzip;q=0.3", Some("gzip")),
        ("br;q=0.999, gzip", Some("gzip")),
        ("gzip;q=0.5, *;q=0.4", Some("gzip")),
        ("*;q=0, gzip", Some("gzip")),
        ("identity;q=0, gzip;q=0.001", Some("gzip")),
        ("identity;q=0.5, gzip;q=0.4", None),
        ("identity", None),
        ("identity, *;q=0", None),
        ("deflate, compress", None),
        ("gzip;q=1.5", None),
    ] {
        for answer in get(&edge, "/", accepted).await {
            assert_eq!(answer.header("content-encoding"), coding, "{accepted}");
            assert_eq!(decode(&answer), body, "{accepted}");
            let vary: Vec<&str> = answer.all("vary").collect();
            assert_eq!(vary, ["origin", "accept-encoding"], "{accepted}");
        }
    }
    // Two lines are one list; and who says nothing gets it as it is.
    let lines = "accept-encoding: gzip;q=0.5\r\naccept-encoding: br\r\n";
    for (lines, coding) in [(lines, Some("br")), ("", None)] {
        let request = format!("GET / HTTP/1.1\r\nhost: a.example\r\n{lines}\r\n");
        let answer = Client::ask(edge.addr(), request).await;
        assert_eq!(answer.header("content-encoding"), coding);
    }
}

/// An answer that stays as it is: its status, its fields, and its body.
type Untouched = (u16, &'static str, String);

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_harmed_or_gain_nothing_stays_as_it_is() {
    let cases: [Untouched; 15] = [
        (206, "content-type: text/plain\ncontent-range: bytes 0-999/5000", text(1000)),
        (200, "content-type: text/plain\ncontent-range: bytes 0-999/5000", text(1000)),
        (200, "content-type: text/plain\ncache-control: public, No-Transform", text(1000)),
        (200, "content-type: text/plain\ncontent-encoding: gzip", text(1000)),
        (200, "content-type: text/plain\ncontent-encoding: compress", text(1000)),
        (200, "content-type: text/plain", text(255)),
        (200, "content-type: text/plain", String::new()),
        (200, "content-type: image/png", text(1000)),
        (200, "content-type: application/jsonp", text(1000)),
        (200, "content-type: textual/plain", text(1000)),
        (200, "content-type: application/octet-stream", text(1000)),
        (200, "x-no-type: 1", text(1000)),
        (200, "content-type: text/event-stream", text(1000)),
        (200, "content-type: application/grpc+json", text(1000)),
        (204, "content-type: text/plain", String::new()),
    ];
    for (status, fields, body) in cases {
        let length = if status == 204 {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        let lines = fields.replace('\n', "\r\n");
        let head = format!("HTTP/1.1 {status} So\r\n{length}etag: \"v1\"\r\n{lines}\r\n\r\n");
        let origin = Origin::answering(head + &body).await;
        let edge = start(&origin);
        for answer in get(&edge, "/", ALL).await {
            assert_eq!((answer.status, answer.text()), (status, body.clone()), "{fields}");
            assert_eq!(answer.header("etag"), Some("\"v1\""), "{fields}");
            // Nobody gets another, so that nothing varies.
            assert_eq!(answer.header("vary"), None, "{fields}");
            let length = (status != 204).then(|| body.len().to_string());
            assert_eq!(answer.header("content-length"), length.as_deref(), "{fields}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_and_statuses_that_gain_are_compressed() {
    for (status, media_type) in [
        (200, "text/css"),
        (200, "TEXT/Plain; charset=utf-8"),
        (200, "application/json;charset=utf-8"),
        (404, "text/html"),
        (500, "application/json"),
    ] {
        let body = text(256);
        let head = format!("HTTP/1.1 {status} So\r\ncontent-type: {media_type}\r\n");
        let origin = Origin::answering(format!("{head}content-length: 256\r\n\r\n{body}")).await;
        let edge = start(&origin);
        for answer in get(&edge, "/", "gzip").await {
            assert_eq!((answer.status, decode(&answer)), (status, body.clone()), "{media_type}");
            assert_eq!(answer.header("content-encoding"), Some("gzip"), "{media_type}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_forbid_to_change_anything() {
    let body = text(1000);
    let origin = serving("content-type: text/plain", &body).await;
    let edge = start(&origin);
    let fields = "accept-encoding: gzip\r\ncache-control: no-transform\r\n";
    let request = format!("GET / HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n");
    let answer = Client::ask(edge.addr(), request).await;
    assert_eq!((answer.header("content-encoding"), answer.text()), (None, body));
    assert_eq!(answer.header("vary"), Some("accept-encoding"));
}

/// RFC 9110 §8.6 and §9.3.2: what HEAD tells is what GET would get.
#[tokio::test(flavor = "multi_thread")]
async fn head_tells_of_the_answer_that_get_would_get() {
    let body = text(5000);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\netag: \"v1\"\r\n";
    let head = format!("{head}accept-ranges: bytes\r\ncontent-length: 5000\r\n\r\n");
    let origin = Origin::scripted(move |mut conn: Conn| {
        let (head, body) = (head.clone(), body.clone());
        async move {
            while let Some(request) = conn.request().await {
                let is_head = request.line().starts_with("HEAD ");
                conn.send(if is_head { head.clone() } else { format!("{head}{body}") }).await;
            }
        }
    })
    .await;
    let edge = start(&origin);
    let told = |answer: &Response| {
        let names = ["content-encoding", "content-length", "etag", "vary", "accept-ranges"];
        names.map(|name| answer.header(name).map(str::to_owned))
    };
    let mut client = Client::connect(edge.addr()).await;
    let mut h2 = H2Client::connect(edge.addr()).await;
    for accepted in ["gzip", "br;q=0.5, zstd;q=0.1", "identity"] {
        client.send(request("HEAD", "/", accepted)).await;
        let head = told(&client.response_head().await);
        client.send(request("GET", "/", accepted)).await;
        let answer = client.response().await;
        assert_eq!(head, told(&answer), "{accepted}");
        assert_eq!(decode(&answer).len(), 5000);
        let mut ask = async |method: &str| {
            let request = HttpRequest::builder().method(method).uri("http://a.example/");
            let request = request.header("accept-encoding", accepted).body(()).unwrap();
            h2.ask(request, "").await.unwrap().response
        };
        let (head, answer) = (ask("HEAD").await, ask("GET").await);
        assert_eq!(told(&head), told(&answer), "{accepted}");
        assert_eq!((head.body.len(), decode(&answer).len()), (0, 5000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_gets_it_as_it_is_with_its_length() {
    let body = text(5000);
    let origin = serving("content-type: text/plain\netag: \"v1\"", &body).await;
    let edge = start(&origin);
    for connection in ["", "connection: keep-alive\r\n"] {
        let request = format!("GET / HTTP/1.0\r\n{connection}accept-encoding: gzip\r\n\r\n");
        let answer = Client::ask(edge.addr(), request).await;
        assert_eq!((answer.header("content-encoding"), answer.text()), (None, body.clone()));
        assert_eq!(answer.header("content-length"), Some("5000"));
        assert_eq!(answer.header("etag"), Some("\"v1\""));
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_level_makes_smaller_bodies() {
    let body = text(100_000);
    let origin = serving("content-type: text/plain", &body).await;
    let site = SITE.replace(
        "routes: [{ upstream: app, compress: { types: [text/*, application/json] } }]",
        "defaults: { compress: { level: 9 } }
routes:
  - { match: { path: /fast }, upstream: app, compress: { level: 1 } }
  - { match: { path: /small }, upstream: app }
  - { match: { path: /other }, upstream: app, compress: { types: [text/html] } }",
    );
    let edge = Edge::start_with(&site, &[("origin", &origin.addr)]);
    for coding in ["gzip", "br", "zstd"] {
        let [fast, fast_h2] = get(&edge, "/fast", coding).await;
        let [small, small_h2] = get(&edge, "/small", coding).await;
        for answer in [&fast, &fast_h2, &small, &small_h2] {
            assert_eq!(
                (answer.header("content-encoding"), decode(answer)),
                (Some(coding), body.clone())
            );
        }
        let sizes = (small.body.len(), fast.body.len());
        assert!(sizes.0 < sizes.1, "{coding}: {sizes:?}");
    }
    // A route's own types are all that it compresses.
    for answer in get(&edge, "/other", "gzip").await {
        assert_eq!((answer.header("content-encoding"), answer.text()), (None, body.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_say_which_types_are_compressed() {
    let body = text(1000);
    let site = SITE.replace(
        "routes: [{ upstream: app, compress: { types: [text/*, application/json] } }]",
        "defaults: { compress: { types: [application/json] } }\nroutes: [{ upstream: app }]",
    );
    for (kind, coding) in [("application/json", Some("gzip")), ("text/plain", None)] {
        let origin = serving(&format!("content-type: {kind}"), &body).await;
        let edge = Edge::start_with(&site, &[("origin", &origin.addr)]);
        for answer in get(&edge, "/", "gzip").await {
            assert_eq!(answer.header("content-encoding"), coding, "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_nothing_is_compressed() {
    let body = text(1000);
    let origin = serving("content-type: text/plain\netag: \"v1\"", &body).await;
    let site = SITE.replace(", compress: { types: [text/*, application/json] }", "");
    let edge = Edge::start_with(&site, &[("origin", &origin.addr)]);
    for answer in get(&edge, "/", ALL).await {
        assert_eq!((answer.header("content-encoding"), answer.text()), (None, body.clone()));
        assert_eq!((answer.header("vary"), answer.header("etag")), (None, Some("\"v1\"")));
    }
    // What the client accepts is the server's to know in either case.
    assert!(origin.received_text().to_lowercase().contains(&format!("accept-encoding: {ALL}\r\n")));
}

/// As far as it can be read.
fn decode_so_far(coding: &str, encoded: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn std::io::Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(encoded)),
        "br" => Box::new(brotli::Decompressor::new(encoded, 4096)),
        _ => Box::new(zstd::stream::read::Decoder::new(encoded).unwrap()),
    };
    let (mut decoded, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = reader.read(&mut piece) {
        decoded.extend_from_slice(&piece[..length]);
    }
    decoded
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_comes_bit_by_bit_is_passed_on_bit_by_bit() {
    let pieces = ["the head of a page; ", "its middle; ", "its end"];
    for coding in ["gzip", "br", "zstd"] {
        let (go, goes) = mpsc::unbounded_channel::<()>();
        let goes = std::sync::Arc::new(tokio::sync::Mutex::new(goes));
        let origin = Origin::scripted(move |mut conn: Conn| {
            let goes = goes.clone();
            async move {
                conn.request().await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";
                conn.send(format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
                for piece in pieces {
                    conn.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await;
                    goes.lock().await.recv().await;
                }
                conn.send("0\r\n\r\n").await;
                conn.closed().await;
            }
        })
        .await;
        let edge = start(&origin);
        let mut client = Client::connect(edge.addr()).await;
        client.send(request("GET", "/", coding)).await;
        let answer = client.response_head().await;
        assert_eq!(answer.header("content-encoding"), Some(coding));
        let (mut encoded, mut expected) = (Vec::new(), String::new());
        for piece in pieces {
            // The server waits: only what it has sent so far can be here.
            expected += piece;
            while decode_so_far(coding, &encoded) != expected.as_bytes() {
                let size = String::from_utf8(client.read_to(b"\r\n").await).unwrap();
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                assert_ne!(size, 0, "{coding}: ended after {expected:?}");
                encoded.extend(client.take(size).await);
                assert_eq!(client.take(2).await, b"\r\n");
            }
            go.send(()).unwrap();
        }
        // The end of the coding, then that of the chunks.
        let rest = client.read_to(b"0\r\n\r\n").await;
        assert!(!rest.is_empty(), "{coding}");
    }
}

/// A client must be able to tell half a page from a whole one.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let half = text(3000);
    let origin = Origin::scripted(move |mut conn: Conn| {
        let half = half.clone();
        async move {
            conn.request().await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";
            conn.send(format!("{head}content-length: 6000\r\n\r\n{half}")).await;
        }
    })
    .await;
    let edge = start(&origin);
    for coding in ["gzip", "br", "zstd"] {
        let mut client = Client::connect(edge.addr()).await;
        client.send(request("GET", "/", coding)).await;
        assert_eq!(client.response_head().await.header("content-encoding"), Some(coding));
        let rest = client.read_to_end().await;
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{coding}");
        let request = HttpRequest::get("http://a.example/").header("accept-encoding", coding);
        let mut h2 = H2Client::connect(edge.addr()).await;
        assert!(h2.ask(request.body(()).unwrap(), "").await.is_err(), "{coding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_our_own_are_compressed_too() {
    let long = text(1000);
    let edge = Edge::start_with(
        "listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
defaults: { compress: {} }
routes:
  - { match: { path: /long }, respond: { body: '{long}' } }
  - { match: { path: /short }, respond: { body: short } }
  - { match: { path: /old }, redirect: { to: /new } }
  - { match: { path: /dead }, upstream: dead }
upstreams: { dead: { servers: ['127.0.0.1:{nobody}'] } }",
        &[("long", &long), ("nobody", &crate::support::ports::free::<1>()[0])],
    );
    for (path, status, coding) in
        [("/long", 200, Some("gzip")), ("/short", 200, None), ("/old", 308, None)]
    {
        for answer in get(&edge, path, "gzip").await {
            assert_eq!(
                (answer.status, answer.header("content-encoding")),
                (status, coding),
                "{path}"
            );
        }
    }
    for answer in get(&edge, "/long", ALL).await {
        assert_eq!(decode(&answer), long);
    }
    // Refusals are not: they are many where there is no time to spare.
    for (path, status) in [("/dead", 502), ("/long%00", 400)] {
        for answer in get(&edge, path, "br").await {
            assert_eq!((answer.status, answer.header("content-encoding")), (status, None));
            assert!(answer.text().contains("<!doctype html>"), "{}", answer.text());
        }
    }
}

/// The tag that we weakened is understood by a real server.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_page_need_not_get_it_again() {
    let nginx = Nginx::start("");
    std::fs::write(nginx.root().join("page.txt"), text(5000)).unwrap();
    let edge = Edge::start_with(SITE, &[("origin", &nginx.addr)]);
    let [answer, _] = get(&edge, "/page.txt", "gzip").await;
    assert_eq!(decode(&answer), text(5000));
    let tag = answer.header("etag").unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    let fields = format!("accept-encoding: gzip\r\nif-none-match: {tag}\r\n");
    let request = format!("GET /page.txt HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n");
    let again = Client::ask(edge.addr(), request).await;
    assert_eq!((again.status, again.header("content-encoding")), (304, None));
    let ranged = "GET /page.txt HTTP/1.1\r\nhost: a.example\r\naccept-encoding: gzip\r\n";
    let part = Client::ask(edge.addr(), format!("{ranged}range: bytes=10-19\r\n\r\n")).await;
    assert_eq!((part.status, part.header("content-encoding")), (206, None));
    assert_eq!(part.body, text(5000).as_bytes()[10..20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_body_gets_no_coding() {
    let origin = H2Origin::scripted(|mut call: Call| async move {
        let path = call.request.uri().path().to_owned();
        let head = http::Response::builder().header("content-type", "text/html").body(()).unwrap();
        match path.as_str() {
            "/head" => call.only_head(head),
            "/data" => call.begin(head).send_data("".into(), true).unwrap(),
            _ => call.begin(head).send_data("text ".repeat(100).into(), true).unwrap(),
        }
    })
    .await;
    let site = SITE.replace("'{origin}'] }", "'{origin}'], protocol: h2c }");
    let edge = Edge::start_with(&site, &[("origin", &origin.addr)]);
    for coding in ["gzip", "br", "zstd"] {
        for answer in get(&edge, "/head", coding).await {
            assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
            assert!(answer.body.is_empty(), "{answer:?}");
        }
        for answer in get(&edge, "/data", coding).await {
            assert_eq!(decode(&answer), "", "{coding}");
        }
        for answer in get(&edge, "/text", coding).await {
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert_eq!(decode(&answer), "text ".repeat(100));
        }
    }
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_has_the_tag_and_the_vary_of_its_200() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("long.txt"), text(5000)).unwrap();
    std::fs::write(folder.path().join("short.txt"), "short").unwrap();
    let site = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
routes: [{ files: { root: '{root}' }, compress: {} }]
";
    let edge = Edge::start_with(site, &[("root", &folder.path().display())]);
    for (path, accepted) in
        [("/long.txt", "gzip"), ("/long.txt", "identity"), ("/short.txt", "gzip")]
    {
        let ask = |fields: &str| {
            let head = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n");
            Client::ask(edge.addr(), head)
        };
        let accept = format!("accept-encoding: {accepted}\r\n");
        let whole = ask(&accept).await;
        let tag = whole.header("etag").unwrap();
        assert_eq!(tag.starts_with("W/"), whole.header("content-encoding").is_some());
        let again = ask(&format!("{accept}if-none-match: {tag}\r\n")).await;
        assert_eq!(again.status, 304);
        for name in ["etag", "vary", "last-modified"] {
            assert_eq!(again.header(name), whole.header(name), "{path} {accepted} {name}");
        }
        for name in ["content-type", "content-length", "content-encoding"] {
            assert_eq!(again.header(name), None, "{name}");
        }
    }
    edge.stop();
}
