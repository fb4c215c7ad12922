//! What pages of other origins may do with a route.

use crate::support::{Client, Edge, H2Client, Origin, Response};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - match: { path: /api, methods: [GET, PUT] }
    upstream: app
    access: { methods: [GET, PUT], signed: { key: nobody has this key } }
    cors:
      origins: [https://shop.example, 'https://*.partner.example']
      methods: [PUT]
      headers: [X-Token]
      expose: [X-Total]
      credentials: on
      max_age: 10m
  - match: { path: /open }
    upstream: app
    cors: { origins: ['*'] }
  - match: { path: /listed }
    upstream: app
    cors: { origins: [https://shop.example] }
  - match: { path: /none }
    upstream: app
";

/// What a server says that does not know better.
const SERVER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\naccess-control-allow-origin: *\r\n\
                      access-control-allow-credentials: true\r\nvary: accept-language\r\n\r\n";

async fn ask(edge: &Edge, method: &str, path: &str, fields: &str) -> Response {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n");
    Client::ask(edge.addr(), head).await
}

fn said<'a>(answer: &'a Response, names: &[&str]) -> Vec<Option<&'a str>> {
    names.iter().map(|name| answer.header(&format!("access-control-{name}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_without_a_server_and_without_credentials() {
    let origin = Origin::answering(SERVER).await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let names = ["allow-origin", "allow-methods", "allow-headers", "allow-credentials", "max-age"];
    let asks = |origin: &str| {
        format!(
            "origin: {origin}\r\naccess-control-request-method: PUT\r\n\
             access-control-request-headers: x-token\r\n"
        )
    };
    for taken in ["https://shop.example", "https://eu.partner.example"] {
        let answer = ask(&edge, "OPTIONS", "/api", &asks(taken)).await;
        let expected = [Some(taken), Some("PUT"), Some("x-token"), Some("true"), Some("600")];
        assert_eq!((answer.status, said(&answer, &names)), (204, expected.to_vec()));
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    for other in ["https://evil.example", "https://partner.example", "null"] {
        let answer = ask(&edge, "OPTIONS", "/api", &asks(other)).await;
        assert_eq!((answer.status, said(&answer, &names)), (204, vec![None; 5]), "{other}");
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    let any = ask(&edge, "OPTIONS", "/open", &asks("https://any.example")).await;
    let expected = [Some("*"), None, None, None, Some("3600")];
    assert_eq!((any.status, said(&any, &names)), (204, expected.to_vec()));
    assert_eq!(any.header("vary"), None);
    // The same over h2.
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = http::Request::options("http://a.example/api")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "PUT");
    let answer = h2.ask(request.body(()).unwrap(), "").await.unwrap().response;
    assert_eq!(
        (answer.status, said(&answer, &names[..2])),
        (204, vec![Some("https://shop.example"), Some("PUT")])
    );

    // What is no question of a browser is a request like any other.
    assert_eq!(ask(&edge, "OPTIONS", "/api", "origin: https://shop.example\r\n").await.status, 405);
    assert_eq!(
        ask(&edge, "OPTIONS", "/api", &asks("https://shop.example").replace("PUT", "POST"))
            .await
            .status,
        405
    );
    assert_eq!(origin.requests(), 0);
    assert_eq!(ask(&edge, "OPTIONS", "/none", &asks("https://shop.example")).await.status, 200);
    assert_eq!(origin.requests(), 1);
    let preflights = edge.stop();
    assert_eq!(
        (&preflights[0]["status"], &preflights[0]["route"]),
        (&204.into(), &"route-0".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_which_origins_may_read_them() {
    let origin = Origin::answering(SERVER).await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let names = ["allow-origin", "allow-credentials", "expose-headers"];
    let vary = |answer: &Response| answer.all("vary").map(str::to_owned).collect::<Vec<_>>();
    for (path, from, expected, varies) in [
        ("/listed", Some("https://shop.example"), [Some("https://shop.example"), None, None], true),
        ("/listed", Some("https://evil.example"), [None; 3], true),
        ("/listed", None, [None; 3], true),
        ("/open", Some("https://any.example"), [Some("*"), None, None], false),
        ("/open", None, [Some("*"), None, None], false),
        // A route without the key leaves it to its server.
        ("/none", Some("https://any.example"), [Some("*"), Some("true"), None], false),
    ] {
        let fields = from.map(|from| format!("origin: {from}\r\n")).unwrap_or_default();
        let answer = ask(&edge, "GET", path, &fields).await;
        assert_eq!(
            (answer.status, said(&answer, &names)),
            (200, expected.to_vec()),
            "{path} {from:?}"
        );
        let expected: &[&str] =
            if varies { &["accept-language", "origin"] } else { &["accept-language"] };
        assert_eq!(vary(&answer), expected, "{path} {from:?}");
    }
    // A page may read why it was refused.
    let refused = ask(&edge, "GET", "/api", "origin: https://shop.example\r\n").await;
    assert_eq!(refused.status, 403);
    let expected = [Some("https://shop.example"), Some("true"), Some("x-total")];
    assert_eq!(said(&refused, &names), expected);
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_count_as_requests() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
rate_limits: { few: { rate: 1/h, burst: 2 } }
routes:
  - { respond: {}, cors: { origins: ['*'], methods: [PUT] }, rate_limits: [few] }
",
    );
    let asks = "origin: https://shop.example\r\naccess-control-request-method: PUT\r\n";
    for (method, status) in [("OPTIONS", 204), ("PUT", 200), ("OPTIONS", 429), ("PUT", 429)] {
        let fields = if method == "PUT" { "content-length: 0\r\n" } else { asks };
        assert_eq!(ask(&edge, method, "/", fields).await.status, status, "{method}");
    }
}
