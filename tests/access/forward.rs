//! Another server that is asked who may pass.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use http::Request as HttpRequest;
use serde_json::json;
use tokio::net::TcpStream;

use super::signer::{Signer, after, key_set};
use crate::support::origin::{self, Request};
use crate::support::websocket::{self, echoes};
use crate::support::{Client, Edge, H2Client, Origin, ports};

const SITE: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c], strict: { underscores: pass } }
  - { address: '127.0.0.1:{port2}', strict: { path: raw } }
upstreams: { app: { servers: ['{app}'] } }
routes:
  - upstream: app
    access: { forward: { url: 'http://{auth}/check?key=xyzzy', headers: [x-user, X-Groups] } }
  - match: { path_prefix: /api }
    upstream: app
    rewrite: { strip_prefix: /api }
    access: { forward: { url: 'http://{auth}/check', timeout: 200ms } }
";

fn start(auth: &dyn Display, origin: &Origin) -> Edge {
    Edge::start_with(SITE, &[("auth", auth), ("app", &origin.addr)])
}

/// A server that says yes to who has this cookie, and what it was asked.
async fn judge() -> (Origin, Arc<Mutex<Vec<Request>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let origin = Origin::scripted(move |mut conn| {
        let seen: Arc<Mutex<Vec<Request>>> = seen.clone();
        async move {
            while let Some(request) = conn.request().await {
                let is_known = request.header("cookie") == Some("session=ann");
                seen.lock().unwrap().push(request);
                let answer = match is_known {
                    true => YES,
                    false => NO,
                };
                conn.send(answer).await;
            }
        }
    })
    .await;
    (origin, asked)
}

const YES: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-user: ann\r\nx-other: x\r\n\
                   set-cookie: a=b\r\n\r\nhello";
const NO: &str = "HTTP/1.1 302 Found\r\nlocation: https://login.example/?to=x\r\n\
                  set-cookie: a=1\r\nset-cookie: b=2\r\nx-secret: x\r\ntransfer-encoding: chunked\r\n\
                  content-type: text/plain\r\n\r\n7\r\nsign in\r\n0\r\n\r\n";

/// Ann, whose password is "tide".
const USERS: &str = "ann:$2y$04$N9qo8uLOickgx2ZMRZoMye5LxIOdmkBZduNc1HRtuvNL00ocRV0le\n";

fn ask(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: a.example\r\ncookie: session=ann\r\n{fields}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in_is_named_by_the_server_asked_alone() {
    let (origin, (auth, asked)) = (Origin::echo().await, judge().await);
    let edge = start(&auth.addr, &origin);
    let lies = "x-user: root\r\nX-USER: admin\r\nx_user: root\r\nx-groups: wheel\r\n";
    let mut client = Client::connect(edge.addr()).await;
    for more in ["", "connection: x-user\r\n"] {
        client.send(ask("/a?b=c", &format!("{lies}{more}"))).await;
        let answer = client.response().await;
        assert_eq!(answer.header("set-cookie"), None);
        let seen = Request::echoed(&answer);
        assert_eq!(seen.all("x-user").collect::<Vec<_>>(), ["ann"]);
        for gone in ["x-groups", "x_user", "x-other", "x-forwarded-uri", "x-forwarded-method"] {
            assert_eq!(seen.header(gone), None, "{gone}");
        }
    }
    // One connection was enough, and the question held none of the lies.
    assert_eq!(auth.connections(), 1);
    for question in &*asked.lock().unwrap() {
        assert_eq!(question.line(), "GET /check?key=xyzzy HTTP/1.1");
        assert!(!question.head.to_lowercase().contains("user"), "{}", question.head);
    }
    let shown = edge.admin_get("/api/config").text();
    assert!(shown.contains("/check?***") && !shown.contains("xyzzy"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_a_field_is_copied() {
    const GROUPS: &str =
        "HTTP/1.1 204 No\r\nx-user: ann\r\nx-groups: crew\r\nx-groups: cook\r\n\r\n";
    let auth = Origin::scripted(|mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(GROUPS).await;
        }
    })
    .await;
    let origin = Origin::echo().await;
    let edge = start(&auth.addr, &origin);
    let answer = Client::ask(edge.addr(), ask("/", "x-groups: wheel\r\n")).await;
    let seen = Request::echoed(&answer);
    assert_eq!(seen.all("x-groups").collect::<Vec<_>>(), ["crew", "cook"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_is_about_the_request_and_is_not_the_request() {
    let (origin, (auth, asked)) = (Origin::ok().await, judge().await);
    let edge = start(&auth.addr, &origin);
    let body = "x".repeat(300_000);
    let fields = "authorization: Bearer x\r\nuser-agent: t\r\nx-forwarded-for: 192.0.2.1\r\n\
                  x-forwarded-uri: /public\r\nx-forwarded_uri: /public\r\nx-original-url: /public\r\n\
                  x-forwarded-method: GET\r\nif-none-match: \"x\"\r\nrange: bytes=0-1\r\n\
                  te: trailers\r\nconnection: te, X-Hop\r\nx-hop: x\r\n\
                  cookie: tg_pass=x\r\ncontent-type: text/plain\r\n";
    let head = format!("content-length: {}\r\n{fields}", body.len());
    let request = ask("/a?b=c", &head).replacen("GET", "POST", 1) + &body;
    assert_eq!(Client::ask(edge.addr(), request).await.status, 200);
    let received = origin.received_text();
    assert!(received.ends_with(&body) && received.starts_with("POST /a?b=c HTTP/1.1\r\n"));
    let asked = asked.lock().unwrap();
    let [question] = asked.as_slice() else { panic!("{asked:?}") };
    for (name, value) in [
        ("host", Some(auth.addr.to_string().as_str())),
        ("cookie", Some("session=ann")),
        ("authorization", Some("Bearer x")),
        ("user-agent", Some("t")),
        ("x-forwarded-method", Some("POST")),
        ("x-forwarded-uri", Some("/a?b=c")),
        ("x-forwarded-host", Some("a.example")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-for", Some("127.0.0.1")),
    ] {
        assert_eq!(question.all(name).collect::<Vec<_>>(), Vec::from_iter(value), "{name}");
    }
    for gone in [
        "content-length",
        "transfer-encoding",
        "content-type",
        "if-none-match",
        "range",
        "te",
        "x-hop",
        "x-forwarded_uri",
        "x-original-url",
    ] {
        assert_eq!(question.header(gone), None, "{gone}");
    }
    let id = question.header("x-request-id").unwrap().to_owned();
    drop(asked);
    assert_eq!(edge.stop()[0]["request_id"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_that_is_judged_is_the_path_that_is_served() {
    let (origin, (auth, asked)) = (Origin::echo().await, judge().await);
    let edge = start(&auth.addr, &origin);
    for target in [
        "/a/../admin",
        "//admin",
        "/./admin/",
        "/%61dmin?x=/../y",
        "http://a.example/x/../admin",
        "/a%20b",
    ] {
        for addr in [edge.addr(), edge.addr2()] {
            let answer = Client::ask(addr, ask(target, "")).await;
            let served = Request::echoed(&answer).target().to_owned();
            let question = asked.lock().unwrap().pop().unwrap();
            assert_eq!(question.header("x-forwarded-uri"), Some(served.as_str()), "{target}");
            assert!(served.starts_with('/'), "{served}");
        }
    }
    // What two servers could read differently is not even asked about.
    assert_eq!(Client::ask(edge.addr(), ask("/public/%2e%2e/admin", "")).await.status, 400);
    assert!(asked.lock().unwrap().is_empty());
    // What a route rewrites is judged as the client knows it.
    let answer = Client::ask(edge.addr(), ask("/api/x", "")).await;
    assert_eq!(Request::echoed(&answer).target(), "/x");
    let question = asked.lock().unwrap().pop().unwrap();
    assert_eq!(question.header("x-forwarded-uri"), Some("/api/x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_told_in_the_words_of_the_server_asked() {
    let (origin, (auth, _)) = (Origin::ok().await, judge().await);
    let edge = start(&auth.addr, &origin);
    let stranger = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..2 {
        client.send(stranger).await;
        let answer = client.response().await;
        assert_eq!((answer.status, answer.text().as_str()), (302, "sign in"));
        assert_eq!(answer.header("location"), Some("https://login.example/?to=x"));
        assert_eq!(answer.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!((answer.header("x-secret"), answer.header("content-length")), (None, Some("7")));
    }
    client.send(stranger.replacen("GET", "HEAD", 1)).await;
    assert_eq!(client.response_head().await.status, 302);
    drop(edge);
    for (said, status) in [
        ("HTTP/1.1 401 No\r\nwww-authenticate: Basic realm=x\r\ncontent-length: 0\r\n\r\n", 401),
        ("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno", 403),
        ("HTTP/1.1 307 No\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n", 307),
    ] {
        let auth = Origin::answering(said).await;
        let edge = start(&auth.addr, &origin);
        let answer = Client::ask(edge.addr(), stranger).await;
        assert_eq!(answer.status, status);
        let challenge = (status == 401).then_some("Basic realm=x");
        assert_eq!(answer.header("www-authenticate"), challenge);
        let records = edge.stop();
        assert_eq!(records[0]["refusal"], "forward_refused");
        // It was not followed anywhere.
        assert_eq!(auth.requests(), 1);
    }
    assert_eq!(origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_one_before_its_body() {
    let origin = Origin::ok().await;
    let auth = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\nhalf").await;
    let edge = start(&auth.addr, &origin);
    for _ in 0..2 {
        assert_eq!(Client::ask(edge.addr(), ask("/", "")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_asked_hears_what_was_verified_and_nothing_else() {
    let (origin, (auth, asked)) = (Origin::echo().await, judge().await);
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::new("one", "ES256");
    std::fs::write(folder.path().join("keys.json"), key_set(&[&signer])).unwrap();
    std::fs::write(folder.path().join("users"), USERS).unwrap();
    let yaml = "
listeners: [{ address: '127.0.0.1:{port}', strict: { underscores: pass } }]
upstreams: { app: { servers: ['{app}'] } }
routes:
  - upstream: app
    access:
      jwt: { jwks: '{at}/keys.json', headers: { x-user: sub, x_role: role } }
      forward: { url: 'http://{auth}/', headers: [x-groups] }
  - match: { path: /hidden }
    upstream: app
    access: { basic: { file: '{at}/users', pass: off }, forward: { url: 'http://{auth}/' } }
  - match: { path: /shown }
    upstream: app
    access: { basic: { file: '{at}/users' }, forward: { url: 'http://{auth}/' } }
";
    let at = folder.path().display();
    let edge = Edge::start_with(yaml, &[("at", &at), ("auth", &auth.addr), ("app", &origin.addr)]);
    let token = signer.sign("ES256", &json!({ "exp": after(300), "sub": "ann", "role": "cook" }));
    let bearer = format!("authorization: Bearer {token}\r\n");
    let lies = "x-user: root\r\nX-USER: admin\r\nx_user: root\r\nx-role: captain\r\n\
                x_role: captain\r\nx-groups: wheel\r\nconnection: x-user\r\n";
    for fields in [bearer.clone(), format!("{bearer}{lies}")] {
        let answer = Client::ask(edge.addr(), ask("/", &fields)).await;
        assert_eq!(answer.status, 200, "{fields}");
        let question = asked.lock().unwrap().pop().unwrap();
        for (name, value) in [("x-user", Some("ann")), ("x_role", Some("cook")), ("x_user", None)] {
            assert_eq!(question.all(name).collect::<Vec<_>>(), Vec::from_iter(value), "{name}");
        }
        assert_eq!((question.header("x-role"), question.header("x-groups")), (None, None));
        assert!(question.header("authorization").is_some());
    }
    let given = "authorization: Basic YW5uOnRpZGU=\r\n";
    for (path, is_shown) in [("/hidden", false), ("/shown", true)] {
        let answer = Client::ask(edge.addr(), ask(path, given)).await;
        assert_eq!(answer.status, 200, "{path}");
        let question = asked.lock().unwrap().pop().unwrap();
        assert_eq!(question.header("authorization").is_some(), is_shown, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_nobody_passes() {
    let origin = Origin::ok().await;
    let large = "x".repeat(64 * 1024 + 1);
    let large = format!("HTTP/1.1 403 No\r\ncontent-length: {}\r\n\r\n{large}", large.len());
    for (said, status, tag) in [
        ("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", 502, "forward_answer"),
        ("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", 502, "forward_answer"),
        ("HTTP/1.1 304 No\r\n\r\n", 502, "forward_answer"),
        (&large, 502, "forward_answer"),
        ("no HTTP at all\r\n\r\n", 503, "forward_unreachable"),
        ("HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\nhalf", 502, "forward_answer"),
        ("HTTP/1.1 403 No\r\ncontent-length: 10\r\n\r\nhalf", 503, "forward_too_slow"),
        ("", 503, "forward_too_slow"),
    ] {
        let auth = Origin::answering(said).await;
        let edge = start(&auth.addr, &origin);
        let answer = Client::ask(edge.addr(), ask("/api/x", "")).await;
        assert_eq!(answer.status, status, "{said:.40}");
        assert_eq!(answer.header("retry-after"), (status == 503).then_some("1"));
        let records = edge.stop();
        assert_eq!((&records[0]["refusal"], &records[0]["room"]), (&tag.into(), &"access".into()));
        assert!(records[0]["error"].as_str().unwrap().starts_with("forward: "), "{records:?}");
    }
    let dead = format!("127.0.0.1:{}", ports::free::<1>()[0]);
    let edge = start(&dead, &origin);
    assert_eq!(Client::ask(edge.addr(), ask("/", "")).await.status, 503);
    assert_eq!(edge.stop()[0]["refusal"], "forward_unreachable");
    assert_eq!(origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_over_h2_and_before_a_websocket() {
    let ((auth, _), origin) = (judge().await, Origin::echo().await);
    let edge = start(&auth.addr, &origin);
    let mut client = H2Client::connect(edge.addr()).await;
    for (cookie, status) in [("session=ann", 200), ("session=bob", 302), ("session=ann", 200)] {
        let request = HttpRequest::get("http://a.example/").header("cookie", cookie).body(());
        let answer = client.ask(request.unwrap(), "").await.unwrap().response;
        assert_eq!(answer.status, status);
        if status == 200 {
            assert_eq!(Request::echoed(&answer).header("x-user"), Some("ann"));
        }
    }
    drop((client, edge));

    let server = Origin::scripted(websocket::echo).await;
    let auth = Origin::scripted(|mut conn| async move {
        while let Some(request) = conn.request().await {
            assert_eq!((request.header("upgrade"), request.header("connection")), (None, None));
            let is_known = request.header("authorization") == Some("Basic YW5u");
            conn.send(if is_known { origin::ok("") } else { NO.to_owned() }).await;
        }
    })
    .await;
    let edge = start(&auth.addr, &server);
    let stream = TcpStream::connect(edge.addr()).await.unwrap();
    let mut socket = websocket::signed_in(stream, "ws://a.example/chat", "Basic YW5u").await;
    echoes(&mut socket, "hello").await;
    let shaken = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(Client::ask(edge.addr(), ask("/chat", shaken)).await.status, 302);
    assert_eq!(server.connections(), 1);
}
