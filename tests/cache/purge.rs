//! What operators purge is gone, or stale, at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use super::*;

/// Asks for a purge, as an operator does.
pub(super) fn purge(edge: &Edge, body: &str) -> Response {
    let mut stream = TcpStream::connect(edge.admin()).unwrap();
    let head = format!(
        "POST /api/cache/purge HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
         authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        edge.admin(),
        edge.token(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Response::whole(&answer)
}

async fn is_hit(edge: &Edge, path: &str) -> bool {
    said(&get(edge, Over::H1, path, "").await).starts_with("tidegate; hit")
}

const TAGGED: &str =
    "cache-control: max-age=60\nsurrogate-key: news home\ncache-tag: sport\nxkey: culture";

/// One of these would stay.
const TWO: &str = "{\"url\": \"http://a.example/\", \"all\": true}";

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_hits_what_it_names_and_nothing_else() {
    let origin = numbered(TAGGED).await;
    let edge = start("key: { query: { drop: [utm_*] } }", &origin);
    for (wish, hits) in [
        ("{\"url\": \"http://a.example/a/x?b=1&utm_c=2\"}", [true, true, true, false]),
        ("{\"url\": \"https://A.example/a/../a/y\"}", [true, false, true, true]),
        ("{\"prefix\": \"http://a.example/a/\"}", [true, false, true, false]),
        ("{\"host\": \"a.example\"}", [false; 4]),
        ("{\"host\": \"b.example\"}", [true; 4]),
        ("{\"tag\": \"home\"}", [false; 4]),
        ("{\"tag\": \"sport\"}", [false; 4]),
        ("{\"tag\": \"culture\"}", [false; 4]),
        ("{\"tag\": \"none\"}", [true; 4]),
        ("{\"all\": true}", [false; 4]),
    ] {
        let paths = ["/", "/a/y", "/ab", "/a/x?b=1"];
        for path in paths {
            get(&edge, Over::H1, path, "").await;
            assert!(is_hit(&edge, path).await, "{path}");
        }
        let answer = purge(&edge, wish);
        assert_eq!((answer.status, answer.text().as_str()), (200, "purged\n"), "{wish}");
        for (path, expected) in paths.into_iter().zip(hits) {
            assert_eq!(is_hit(&edge, path).await, expected, "{wish} {path}");
        }
    }
    for bad in ["", "{}", "{\"url\": \"/x\"}", "{\"all\": false}", "{\"urll\": \"http://a/\"}", TWO]
    {
        assert_eq!(purge(&edge, bad).status, 422, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_softly_is_asked_about() {
    let origin = serving(|request| match request.header("if-none-match") {
        Some(_) => "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n".to_owned(),
        None => ok("cache-control: max-age=60\netag: \"a\"", "whole"),
    })
    .await;
    let edge = start("", &origin);
    get(&edge, Over::H1, "/x", "").await;
    assert_eq!(purge(&edge, "{\"url\": \"http://a.example/x\", \"soft\": true}").status, 200);
    let validated = get(&edge, Over::H1, "/x", "").await;
    assert_eq!((validated.status, validated.text().as_str()), (200, "whole"));
    assert!(said(&validated).starts_with("tidegate; fwd=stale; fwd-status=304"), "{validated:?}");
    assert!(is_hit(&edge, "/x").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_is_purged_too() {
    let go = Arc::new(tokio::sync::Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let go = waits.clone();
        async move {
            while conn.request().await.is_some() {
                go.notified().await;
                conn.send(ok("cache-control: max-age=60", "old")).await;
            }
        }
    })
    .await;
    let edge = start("", &origin);
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    origin.await_requests(1);
    assert_eq!(purge(&edge, "{\"all\": true}").status, 200);
    go.notify_one();
    assert_eq!(client.response().await.text(), "old");
    go.notify_one();
    assert!(!is_hit(&edge, "/x").await, "it was asked for before the purge");
    assert!(is_hit(&edge, "/x").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_purges_a_running_process() {
    let origin = numbered(TAGGED).await;
    let edge = start("", &origin);
    let run = |arguments: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["purge", "-c", "tidegate.yaml"])
            .args(arguments)
            .current_dir(edge.dir())
            .output()
            .unwrap();
        (ran.status.success(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    for arguments in [
        &["--url", "http://a.example/x"][..],
        &["--prefix", "http://a.example/"],
        &["--host", "a.example"],
        &["--tag", "news", "--soft"],
        &["--all"],
    ] {
        get(&edge, Over::H1, "/x", "").await;
        assert!(is_hit(&edge, "/x").await);
        assert_eq!(run(arguments), (true, String::new()), "{arguments:?}");
        assert!(!is_hit(&edge, "/x").await, "{arguments:?}");
    }
    let (is_good, told) = run(&["--url", "nowhere"]);
    assert!(!is_good && told.contains("`nowhere` is no URL"), "{told}");
    assert!(!run(&[]).0 && !run(&["--all", "--host", "a"]).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_that_may_use_the_method() {
    let origin = numbered(TAGGED).await;
    let yaml = site("").replace("memory: 16MiB", "memory: 16MiB, purge_from: [127.0.0.9]");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    let ask = async |from: &str, fields: &str| {
        let mut client = Client::connect_from(from, edge.addr()).await;
        client.send(format!("PURGE /x HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n")).await;
        client.response().await
    };
    get(&edge, Over::H1, "/x", "").await;
    assert_eq!(ask("127.0.0.8", "").await.status, 403);
    assert!(is_hit(&edge, "/x").await);
    let purged = ask("127.0.0.9", "").await;
    assert_eq!((purged.status, purged.text().as_str()), (200, "purged\n"));
    assert!(!is_hit(&edge, "/x").await);
    assert!(is_hit(&edge, "/x").await);
    assert_eq!(ask("127.0.0.9", "soft-purge: 1\r\n").await.status, 200);
    let stale = get(&edge, Over::H1, "/x", "").await;
    assert!(said(&stale).starts_with("tidegate; fwd=stale"), "{stale:?}");
    assert!(!origin.received_text().contains("PURGE"));
}
