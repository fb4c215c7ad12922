//! Which file a path names.

use super::{CHANGED, Folder, get, told};
use crate::support::{Client, Edge, H2Client};

const SITE: [(&str, &[u8]); 8] = [
    ("index.html", b"home"),
    ("page.txt", b"0123456789"),
    ("empty", b""),
    ("docs/index.html", b"docs"),
    ("docs/a b/caf\u{e9}.html", b"coffee"),
    ("bare/file", b"file"),
    (".env", b"secret"),
    (".well-known/security.txt", b"contact"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_path_names_a_file_or_the_index_of_a_folder() {
    let folder = Folder::with(&SITE);
    let edge = folder.serve("");
    for (path, body) in [
        ("/", "home"),
        ("/?q", "home"),
        ("/index.html", "home"),
        ("/page.txt?v=2", "0123456789"),
        ("/empty", ""),
        ("/docs/", "docs"),
        ("/docs/index.html", "docs"),
        ("/docs/a%20b/caf%C3%A9.html", "coffee"),
        ("/docs/../page.txt", "0123456789"),
        ("/bare/file", "file"),
    ] {
        assert_eq!(told(&edge, path, "").await, (200, body.to_owned()), "{path}");
        let url = format!("http://a.example{path}");
        let h2 = H2Client::connect(edge.addr()).await.get(&url).await.response;
        assert_eq!((h2.status, h2.text().as_str()), (200, body), "{path}");
        assert_eq!(h2.header("content-length"), Some(body.len().to_string().as_str()));
    }
    // A folder is not listed, and a file is no folder.
    for path in ["/none", "/bare/", "/bare", "/page.txt/", "/page.txt/x", "/index.htm", "/Docs/"] {
        assert_eq!(get(&edge, path, "").await.status, 404, "{path}");
    }
    let mut records = edge.stop();
    records.retain(|record| record["status"] == 404);
    assert_eq!(records.len(), 7);
    assert!(records.iter().all(|record| record["refusal"] == "no_file"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_its_slash_is_sent_to_it() {
    let folder = Folder::with(&SITE);
    let edge = Edge::start_with(
        "listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ match: { path_prefix: /assets }, files: { root: '{root}' } }]",
        &[("root", &folder.root().display())],
    );
    for (path, location) in [
        // Relative, so that it is right behind any other proxy.
        ("/assets/docs?q=1", "./docs/?q=1"),
        ("/assets/docs", "./docs/"),
    ] {
        let answer = get(&edge, path, "").await;
        assert_eq!((answer.status, answer.header("location")), (301, Some(location)), "{path}");
    }
    assert_eq!(told(&edge, "/assets/docs/", "").await.1, "docs");
    assert_eq!(told(&edge, "/assets/page.txt", "").await.1, "0123456789");
    assert_eq!(told(&edge, "/assets/", "").await.1, "home");
    assert_eq!(get(&edge, "/assetspage.txt", "").await.status, 404);
    assert_eq!(get(&edge, "/page.txt", "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_prefix_names_files_by_the_whole_path() {
    let folder = Folder::with(&SITE);
    let edge = Edge::start_with(
        "listeners: [{ address: '127.0.0.1:{port}' }]
routes:
  - { match: { path: /docs/index.html }, files: { root: '{root}' } }
  - { match: { path_regex: '/.*[.]txt' }, files: { root: '{root}' } }",
        &[("root", &folder.root().display())],
    );
    assert_eq!(told(&edge, "/docs/index.html", "").await.1, "docs");
    assert_eq!(told(&edge, "/page.txt", "").await.1, "0123456789");
    assert_eq!(get(&edge, "/index.html", "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_index_that_exists_stands_for_a_folder() {
    let folder = Folder::with(&SITE);
    folder.write("docs/index.htm", b"old docs");
    let edge = folder.serve(", index: [start.html, index.htm, index.html]");
    assert_eq!(told(&edge, "/docs/", "").await.1, "old docs");
    assert_eq!(told(&edge, "/", "").await.1, "home");
    folder.write("start.html", b"start");
    assert_eq!(told(&edge, "/", "").await.1, "start");
    let none = folder.serve(", index: []");
    assert_eq!(get(&none, "/", "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_page_site_answers_every_path_with_its_page() {
    let folder = Folder::with(&SITE);
    let edge = folder.serve(", fallback: index.html");
    for path in ["/", "/users/1", "/users/1/", "/bare/", "/page.txt/x", "/a.js?v=1"] {
        let answer = get(&edge, path, "").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "home"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        let etag = answer.header("etag").unwrap();
        let again = get(&edge, path, &format!("if-none-match: {etag}\r\n")).await;
        assert_eq!(again.status, 304, "{path}");
    }
    assert_eq!(told(&edge, "/page.txt", "").await.1, "0123456789");
    // What is hidden is no page of the site either.
    for path in ["/.env", "/.git/config", "/docs/.x"] {
        assert_eq!(get(&edge, path, "").await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_with_all_that_describes_it() {
    let folder = Folder::with(&SITE);
    let edge = folder.serve("");
    let mut client = Client::connect(edge.addr()).await;
    for method in ["HEAD", "GET", "HEAD"] {
        client.send(format!("{method} /page.txt HTTP/1.1\r\nhost: a.example\r\n\r\n")).await;
        let answer = match method {
            "GET" => client.response().await,
            _ => client.response_head().await,
        };
        for (name, value) in [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", "10"),
            ("last-modified", CHANGED),
            ("accept-ranges", "bytes"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{method}");
        }
        let etag = answer.header("etag").unwrap();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
        assert_eq!((answer.status, answer.header("vary")), (200, None));
    }
    for record in edge.stop() {
        let bytes = if record["method"] == "HEAD" { 0 } else { 10 };
        assert_eq!(record["bytes_out"], bytes, "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_go_by_extension() {
    let types = [
        ("a.html", "text/html; charset=utf-8"),
        ("a.CSS", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.pdf", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ];
    let folder = Folder::with(&types.map(|(name, _)| (name, &b"x"[..])));
    let edge = folder.serve("");
    for (name, expected) in types {
        let answer = get(&edge, &format!("/{name}"), "").await;
        assert_eq!(answer.header("content-type"), Some(expected), "{name}");
        assert_eq!(answer.header("content-encoding"), None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_only_read() {
    let folder = Folder::with(&SITE);
    let edge = folder.serve("");
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in ["/page.txt", "/none"] {
            let request = format!("{method} {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
            let answer = Client::ask(edge.addr(), request).await;
            let told = (answer.status, answer.header("allow"));
            assert_eq!(told, (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
    assert_eq!(told(&edge, "/page.txt", "").await.1, "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_arrives_whole_over_h1_and_h2() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let folder = Folder::with(&[("big.bin", &bytes)]);
    let edge = folder.serve("");
    let mut client = Client::connect(edge.addr()).await;
    let mut h2 = H2Client::connect(edge.addr()).await;
    for _ in 0..2 {
        client.send("GET /big.bin HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        assert!(client.response().await.body == bytes, "h1");
        assert!(h2.get("http://a.example/big.bin").await.response.body == bytes, "h2");
    }
    let old = Client::ask(edge.addr(), "GET /big.bin HTTP/1.0\r\n\r\n").await;
    assert!(old.body == bytes, "HTTP/1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_no_secret() {
    let folder = Folder::with(&SITE);
    let edge = folder.serve("");
    let pipe = folder.root().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    // To open a FIFO would be to wait for its writer.
    assert_eq!(get(&edge, "/pipe", "").await.status, 404);
    // The folder may be replaced while it is served.
    std::fs::rename(folder.root(), folder.around().join("old")).unwrap();
    let answer = get(&edge, "/page.txt", "").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("site"), "{answer:?}");
    folder.write("page.txt", b"new");
    assert_eq!(told(&edge, "/page.txt", "").await, (200, "new".to_owned()));
    let mut records = edge.stop();
    records.retain(|record| record["status"] == 500);
    assert!(records[0]["error"].as_str().unwrap().contains("No such file"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_for_a_folder_leads_to_its_slash() {
    let folder = Folder::with(&[("index.html", b"home"), ("sub/index.html", b"below")]);
    let site = "listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
routes: [{ match: { path_prefix: /docs }, files: { root: '{root}' } }]";
    let edge = Edge::start_with(site, &[("root", &folder.root().display())]);
    for (path, location) in
        [("/docs", "./docs/"), ("/docs?a=b&c", "./docs/?a=b&c"), ("/docs/sub?a", "./sub/?a")]
    {
        let answer = get(&edge, path, "").await;
        assert_eq!((answer.status, answer.header("location")), (301, Some(location)), "{path}");
    }
    assert_eq!(told(&edge, "/docs/", "").await, (200, "home".to_owned()));
    assert_eq!(told(&edge, "/docs/sub/?a", "").await, (200, "below".to_owned()));
    edge.stop();
}
