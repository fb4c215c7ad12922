//! Where clients are sent.

use super::ask;
use crate::support::{Client, Edge};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
routes:
  - { match: { path_prefix: /old/ }, redirect: { to: '/new/{rest}' } }
  - { match: { path: /moved }, redirect: { to: /there, status: 301 } }
  - { match: { path: /found }, redirect: { to: /there, status: 302 } }
  - { match: { path: /see }, redirect: { to: /there, status: 303 } }
  - { match: { path: /for-now }, redirect: { to: /there, status: 307 } }
  - { match: { path_prefix: /www/ }, redirect: { to: 'https://www.{host}{path}' } }
  - { match: { path_prefix: /same/ }, redirect: { to: '{path}' } }
  - { match: { path_prefix: /site/ }, redirect: { to: 'https://other.example:8443/' } }
  - { match: { path_prefix: /login/ }, redirect: { to: '/sign-in?back={path}' } }
  - { match: { path_prefix: /placed/ }, redirect: { to: '/x?a=1&{query}&b=2' } }
  - { match: { path_prefix: /dropped/ }, redirect: { to: '/x?' } }
  - { match: { path_prefix: /part/ }, redirect: { to: '/page#part' } }
  - { match: { path_regex: '/blog/([0-9]+)/(.*)' }, redirect: { to: '/posts/{2}?year={1}' } }
";

fn edge() -> Edge {
    Edge::start(SITE)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_location_is_made_of_the_request() {
    let edge = edge();
    for (asked, status, location) in [
        ("/old/a/b?q=1", 308, "/new/a/b?q=1"),
        ("/old/", 308, "/new/"),
        ("/moved", 301, "/there"),
        ("/found?q", 302, "/there?q"),
        ("/see", 303, "/there"),
        ("/for-now", 307, "/there"),
        ("/www/x?q", 308, "https://www.a.example/www/x?q"),
        ("/same/caf%c3%a9", 308, "/same/caf%C3%A9"),
        ("/site/x?q=1", 308, "https://other.example:8443/?q=1"),
        ("/login/x&y?q=1", 308, "/sign-in?back=/login/x%26y&q=1"),
        ("/placed/?q=1", 308, "/x?a=1&q=1&b=2"),
        ("/dropped/?q=1", 308, "/x"),
        ("/part/?q=1", 308, "/page?q=1#part"),
        ("/blog/2024/a/b?q", 308, "/posts/a/b?year=2024&q"),
    ] {
        for method in ["GET", "POST", "HEAD"] {
            for answer in ask(&edge, &format!("{method} A.example:8080{asked}")).await {
                let told = (answer.status, answer.header("location"));
                assert_eq!(told, (status, Some(location)), "{method} {asked}");
                assert!(answer.body.is_empty(), "{answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_can_lead_itself_to_another_site() {
    let edge = edge();
    for (asked, location) in [
        ("/old//evil.example/x", "/new/evil.example/x"),
        ("/same//evil.example", "/same/evil.example"),
        ("//same/x", "/same/x"),
        ("/blog/1//evil.example", "/posts/evil.example?year=1"),
        ("/blog/1/a@evil.example", "/posts/a@evil.example?year=1"),
        ("/www/x?https://evil.example", "https://www.a.example/www/x?https://evil.example"),
    ] {
        for answer in ask(&edge, &format!("GET a.example{asked}")).await {
            assert_eq!(answer.header("location"), Some(location), "{asked}");
        }
    }
    for asked in ["/old/%0d%0alocation:%20x", "/old/..%5cevil.example", "/www/%0a", "/old/../../x"]
    {
        for answer in ask(&edge, &format!("GET a.example{asked}")).await {
            assert_eq!((answer.status, answer.header("location")), (400, None), "{asked}");
        }
    }
    for host in ["evil.example/", "a@evil.example", "a.example:80@evil.example", "a b", "a%2f"] {
        let request = format!("GET /www/x HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let answer = Client::ask(edge.addr(), request).await;
        assert_eq!((answer.status, answer.header("location")), (400, None), "{host}");
    }
    // Without a host there is none to send to: the path stays on this one.
    let old = Client::ask(edge.addr(), "GET /www/x HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.header("location"), Some("/www/x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leaves_the_connection_usable() {
    let edge = edge();
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..2 {
        let post = "POST /moved HTTP/1.1\r\nhost: a.example\r\n";
        client.send(format!("{post}content-length: 0\r\n\r\n")).await;
        let answer = client.response().await;
        assert_eq!((answer.status, answer.header("content-length")), (301, Some("0")));
    }
    // What is left of a body is never read as a request.
    client.send("POST /moved HTTP/1.1\r\nhost: a.example\r\ncontent-length: 45\r\n\r\n").await;
    assert_eq!(client.response().await.status, 301);
    client.send("GET /smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n!!").await;
    client.send("GET /moved HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await;
    assert_eq!(client.response().await.status, 301);
    client.expect_closed().await;
    let paths: Vec<_> = edge.stop().iter().map(|record| record["path"].clone()).collect();
    assert_eq!(paths, ["/moved"; 4]);
}
