//! What Tidegate answers itself when nobody else can: short, in the form that
//! the client understands, and of no use to an attacker.

use bytes::Bytes;
use http::Request as HttpRequest;
use serde_json::Value as Json;

use crate::support::{Client, Edge, H2Client, Origin, Response, app, ports};

/// `app` is an upstream without a healthy server, `dead` one without a server;
/// the server of `odd` and `slow` answers nonsense or not at all.
const SITE: &str = "
listeners:
  - address: '127.0.0.1:{port}'
    protocols: [h1, h2c]
    timeouts: { header: 300ms, body: 300ms, tunnel: 300ms }
    limits: { uri: 200, headers: 2KiB, header_count: 20, body: 8 }
upstreams:
  app: { servers: ['127.0.0.1:{nobody}'], health: { tcp: {}, interval: 20ms, fall: 1 } }
  odd: { servers: ['{origin}'], retries: { attempts: 1 } }
  slow: { servers: ['{origin}'], timeouts: { first_byte: 300ms }, retries: { attempts: 1 } }
  dead: { servers: ['127.0.0.1:{nobody}'], outlier: ~ }
routes:
  - { match: { path_prefix: /secret-path/, methods: [GET, HEAD, POST] }, upstream: slow }
  - { match: { path: /secret-path/garbage }, upstream: odd }
  - { match: { path: /ill }, upstream: app }
  - { match: { path: /dead }, upstream: dead }
";

async fn start() -> (Origin, Edge) {
    let origin = Origin::scripted(|mut conn| async move {
        while let Some(request) = conn.request().await {
            match request.target() {
                "/secret-path/garbage" => conn.send("no HTTP\r\n\r\n").await,
                _ => return conn.closed().await,
            };
        }
    })
    .await;
    let [nobody] = ports::free();
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr), ("nobody", &nobody)]);
    app::await_healthy(&edge, 0, false);
    (origin, edge)
}

/// How an answer is provoked: its status, the word of the log, a method, a
/// target, more fields, and what follows the head.
type Case = (u16, &'static str, &'static str, String, String, &'static str);

/// What both protocols may be asked for.
fn cases() -> Vec<Case> {
    let case = |status, word, method, target: &str, fields: &str, body| {
        (status, word, method, target.to_owned(), fields.to_owned(), body)
    };
    let long = format!("/{}", "u".repeat(200));
    let many = "x: y\r\n".repeat(21);
    vec![
        case(400, "encoded_dot_segment", "GET", "/%2e%2e/secret-path", "", ""),
        case(404, "no_route", "GET", "/nothing-here", "", ""),
        case(405, "method", "PUT", "/secret-path/x", "", ""),
        case(408, "body_too_slow", "POST", "/secret-path/x", "content-length: 5\r\n", "ab"),
        case(413, "body_too_large", "POST", "/secret-path/x", "content-length: 9\r\n", "123456789"),
        case(414, "uri_too_long", "GET", &long, "", ""),
        case(431, "head_too_large", "GET", "/secret-path/x", &many, ""),
        case(502, "server_unreachable", "GET", "/dead", "", ""),
        case(502, "server_answer", "GET", "/secret-path/garbage", "", ""),
        case(503, "no_healthy_server", "GET", "/ill", "", ""),
        case(504, "server_too_slow", "GET", "/secret-path/hangs", "", ""),
    ]
}

async fn ask_h1(edge: &Edge, case: &Case, fields: &str) -> Response {
    let (_, _, method, target, own, body) = case;
    let head = format!("{method} {target} HTTP/1.1\r\nhost: a.example\r\n{own}{fields}\r\n");
    Client::ask(edge.addr(), head + body).await
}

async fn ask_h2(edge: &Edge, case: &Case, fields: &str) -> Response {
    let (_, _, method, target, own, body) = case;
    let mut request =
        HttpRequest::builder().method(*method).uri(format!("http://a.example{target}"));
    for line in format!("{own}{fields}").split_terminator("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let mut client = H2Client::connect(edge.addr()).await;
    let (answer, mut stream) = client.open(request.body(()).unwrap(), body.is_empty()).await;
    if !body.is_empty() {
        // Not the end of it: the answer does not wait for that, and may have
        // ended the stream by now.
        stream.send_data(Bytes::from_static(body.as_bytes()), false).ok();
    }
    crate::support::h2_client::whole(answer).await.unwrap().response
}

/// Checks an answer and that its record says the same; the id that both have.
fn check(answer: &Response, status: u16, record: &Json, word: &str) -> String {
    assert_eq!(answer.status, status, "{word}: {answer:?}");
    assert_eq!(
        (record["status"].as_u64(), &record["refusal"]),
        (Some(status.into()), &word.into())
    );
    let id = answer.header("x-request-id").unwrap().to_owned();
    assert_eq!(record["request_id"], id, "{record}");
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()), "{word}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{word}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{word}");
    assert!(answer.header("date").is_some(), "{word}");
    assert_eq!(answer.header("retry-after"), (status == 503).then_some("1"), "{word}");
    assert_eq!(answer.header("allow"), (status == 405).then_some("GET, HEAD, POST"), "{word}");
    assert_eq!((answer.header("server"), answer.header("via")), (None, None), "{word}");
    // Who asks is told what to do, not what we are and what stands behind us.
    let shown = format!("{:?}{}", answer.headers, answer.text()).to_lowercase();
    for detail in ["127.0.0.1", "tidegate", "pingora", "secret-path", "upstream"] {
        assert!(!shown.contains(detail), "{detail} in {shown}");
    }
    id
}

fn check_html(answer: &Response, status: u16, id: &str) {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    let page = answer.text();
    assert!(page.contains(&format!("<title>{status} ")), "{page}");
    assert!(page.contains(&format!("<code>{id}</code>")), "{page}");
}

fn check_problem(answer: &Response, status: u16, id: &str) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: Json = serde_json::from_slice(&answer.body).unwrap();
    let keys: Vec<&String> = problem.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["type", "title", "status", "detail", "request_id"]);
    assert_eq!(problem["status"], status);
    assert_eq!((&problem["request_id"], &problem["type"]), (&id.into(), &"about:blank".into()));
}

const BROWSER: &str = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn people_get_pages_and_programs_get_problems() {
    let (_origin, edge) = start().await;
    let mut asked = 0;
    for case in cases() {
        let (status, word, ..) = case;
        for (fields, is_problem) in
            [(BROWSER, false), ("", false), ("accept: application/json\r\n", true)]
        {
            for is_h2 in [false, true] {
                let answer = match is_h2 {
                    false => ask_h1(&edge, &case, fields).await,
                    true => ask_h2(&edge, &case, fields).await,
                };
                asked += 1;
                let record = edge.access_log(asked).pop().unwrap();
                let id = check(&answer, status, &record, word);
                match is_problem {
                    true => check_problem(&answer, status, &id),
                    false => check_html(&answer, status, &id),
                }
            }
        }
    }
    assert_eq!(edge.stop().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_gets_the_same_answers() {
    let (origin, edge) = start().await;
    let large = format!("x-large: {}\r\n", "v".repeat(3000));
    let cases: [(u16, &str, &str, &str, &str); 7] = [
        (400, "no_host", "GET / HTTP/1.1\r\n", "", "\r\n"),
        (400, "two_hosts", "GET / HTTP/1.1\r\n", "host: a\r\nhost: b\r\n", "\r\n"),
        (400, "bare_lf", "GET / HTTP/1.1\r\n", "host: a\n", "\r\n"),
        (408, "head_too_slow", "GET / HTTP/1.1\r\n", "host: a.example\r\n", ""),
        (417, "expectation", "GET / HTTP/1.1\r\n", "host: a\r\nexpect: more\r\n", "\r\n"),
        (431, "head_too_large", "GET / HTTP/1.1\r\n", &large, "\r\n"),
        (505, "version", "GET / HTTP/3.0\r\n", "host: a\r\n", "\r\n"),
    ];
    let mut asked = 0;
    for (status, word, line, fields, end) in cases {
        for (accept, is_problem) in
            [(BROWSER, false), ("", false), ("Accept: application/problem+json\r\n", true)]
        {
            let mut client = Client::connect(edge.addr()).await;
            client.send(format!("{line}{accept}{fields}{end}")).await;
            let answer = client.response().await;
            assert_eq!(answer.header("connection"), Some("close"), "{word}");
            client.expect_closed().await;
            asked += 1;
            let record = edge.access_log(asked).pop().unwrap();
            let id = check(&answer, status, &record, word);
            match is_problem {
                true => check_problem(&answer, status, &id),
                false => check_html(&answer, status, &id),
            }
        }
    }
    assert_eq!((edge.stop().len(), origin.connections()), (asked, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_what_the_client_wants_most() {
    let edge = Edge::start(
        "listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ match: { path: /x }, respond: {} }]",
    );
    for (accept, is_problem) in [
        ("text/html, application/json", false),
        ("text/html;q=0.5, application/json", true),
        ("application/problem+json;q=0.5, text/html;q=0.4", true),
        ("application/json;q=0, text/html;q=0.1", false),
        ("application/*", true),
        ("*/*", false),
        ("text/*, application/json;q=0.9", false),
        ("image/png", false),
        ("application/json\r\naccept: text/html;q=0.3", true),
        ("nonsense", false),
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: a.example\r\naccept: {accept}\r\n\r\n");
        let answer = Client::ask(edge.addr(), request).await;
        assert_eq!(answer.status, 404);
        let id = answer.header("x-request-id").unwrap();
        match is_problem {
            true => check_problem(&answer, 404, id),
            false => check_html(&answer, 404, id),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_calls_get_a_status_that_their_clients_understand() {
    let (_origin, edge) = start().await;
    let grpc = "content-type: application/grpc\r\nte: trailers\r\n";
    let mut asked = 0;
    for case in cases() {
        let (status, word, ..) = case;
        // A call may be silent for long: it is not cut off as other bodies are.
        if status == 408 {
            continue;
        }
        let expected = match status {
            400 => "13",
            404 => "12",
            502..=504 => "14",
            _ => "2",
        };
        let answer = ask_h2(&edge, &case, grpc).await;
        assert_eq!((answer.status, answer.header("grpc-status")), (200, Some(expected)), "{word}");
        assert_eq!(answer.header("content-type"), Some("application/grpc"), "{word}");
        assert!(answer.header("grpc-message").is_some_and(|text| text.ends_with('.')), "{word}");
        assert!(answer.body.is_empty(), "{word}");
        asked += 1;
        let record = edge.access_log(asked).pop().unwrap();
        assert_eq!((&record["refusal"], record["status"].as_u64()), (&word.into(), Some(200)));
        assert_eq!(record["request_id"], answer.header("x-request-id").unwrap());
    }
    // gRPC-Web comes over HTTP/1.1, where an answer needs an end.
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..2 {
        let head = "POST /nothing HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n";
        client.send(format!("{head}content-type: application/grpc-web+proto\r\n\r\n")).await;
        let answer = client.response().await;
        assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("12")));
        assert_eq!(answer.header("content-length"), Some("0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_gets_the_head_of_the_answer_alone() {
    let (_origin, edge) = start().await;
    let get = "GET /nothing HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let length = Client::ask(edge.addr(), get).await.body.len().to_string();
    let mut client = Client::connect(edge.addr()).await;
    for path in ["/nothing", "/none"] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nhost: a.example\r\n\r\n")).await;
        let answer = client.response_head().await;
        assert_eq!((answer.status, answer.header("content-length")), (404, Some(length.as_str())));
    }
    // The connection goes on where the request was understood.
    client.send(get).await;
    assert_eq!(client.response().await.status, 404);
    for request in ["HEAD / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\nhost: a b\r\n\r\n"] {
        let mut client = Client::connect(edge.addr()).await;
        client.send(request).await;
        let answer = client.response_head().await;
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
        client.expect_closed().await;
    }
}

const OWN_PAGES: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c], limits: { uri: 200 } }]
upstreams:
  dead: { servers: ['127.0.0.1:{nobody}'], outlier: ~ }
  failing: { servers: ['{origin}'] }
defaults:
  error_pages: { 404: '{pages}/404.html', 400: '{pages}/400.html', 414: '{pages}/414.html', 502: '{pages}/502.html' }
  headers: { response: { set: { x-frame-options: DENY } } }
routes:
  - { match: { path: /dead }, upstream: dead }
  - { match: { path: /own }, upstream: dead, error_pages: { 502: '{pages}/own.html' } }
  - { match: { path: /plain }, upstream: dead, error_pages: { 503: '{pages}/own.html' } }
  - { match: { path: /failing }, upstream: failing }
  - { match: { path_prefix: /files/ }, files: { root: '{pages}' } }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_pages_take_the_place_of_ours() {
    let pages = tempfile::tempdir().unwrap();
    for name in ["400", "404", "414", "502", "own"] {
        std::fs::write(pages.path().join(format!("{name}.html")), format!("<p>{name}")).unwrap();
    }
    let [nobody] = ports::free();
    let bad = "HTTP/1.1 502 Bad\r\ncontent-length: 6\r\n\r\ntheirs";
    let origin = Origin::answering(bad).await;
    let places: [(&str, &dyn std::fmt::Display); 3] =
        [("nobody", &nobody), ("pages", &pages.path().display()), ("origin", &origin.addr)];
    let edge = Edge::start_with(OWN_PAGES, &places);
    let long = format!("/{}", "u".repeat(200));
    for (target, status, page) in [
        ("/dead", 502, "<p>502"),
        ("/own", 502, "<p>own"),
        ("/files/none", 404, "<p>404"),
        // Where no route is found, the defaults have the word.
        ("/nowhere", 404, "<p>404"),
        ("/%2e%2e/x", 400, "<p>400"),
        (&long, 414, "<p>414"),
        // What a server says is the server's.
        ("/failing", 502, "theirs"),
    ] {
        let case: Case = (status, "", "GET", target.to_owned(), String::new(), "");
        for answer in [ask_h1(&edge, &case, BROWSER).await, ask_h2(&edge, &case, BROWSER).await] {
            assert_eq!((answer.status, answer.text().as_str()), (status, page), "{target}");
            assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{target}");
            // They may load what they like: our policy is for our page alone.
            assert_eq!(answer.header("content-security-policy"), None);
        }
        // Programs still get what they can read.
        let problem = ask_h1(&edge, &case, "accept: application/json\r\n").await;
        if page != "theirs" {
            check_problem(&problem, status, problem.header("x-request-id").unwrap());
        }
    }
    let no_host = Client::ask(edge.addr(), "GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!((no_host.status, no_host.text().as_str()), (400, "<p>400"));
    assert_eq!(no_host.header("x-frame-options"), Some("DENY"));
    // A route's own pages are all that it has.
    let request = "GET /plain HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let plain = Client::ask(edge.addr(), request).await;
    check_html(&plain, 502, plain.header("x-request-id").unwrap());
}
