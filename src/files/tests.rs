//! A folder asked whole: request in, answer and body out.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};

use super::*;

/// A site of a few files, all last changed at the same second.
struct Site {
    home: tempfile::TempDir,
    config: Config,
}

impl Site {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().to_owned();
        for folder in ["docs", "bare", "a:b"] {
            fs::create_dir(root.join(folder)).expect("a folder");
        }
        let site = Site { home, config: Config { root, ..Config::default() } };
        for (name, text) in [
            ("index.html", "home"),
            ("page.txt", "0123456789"),
            ("empty", ""),
            ("docs/index.html", "docs"),
            ("a:b/index.html", "ab"),
            (".env", "secret"),
            ("app.js", "plain"),
            ("app.js.gz", "gzipped"),
            ("app.js.br", "brotli"),
        ] {
            site.write(name, text.as_bytes());
        }
        site
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.home.path().join(name);
        fs::write(&path, bytes).expect("a file");
        let file = File::options().write(true).open(&path).expect("a file");
        file.set_modified(UNIX_EPOCH + Duration::from_millis(784_111_777_500)).expect("a time");
    }

    fn fallback(mut self, name: &str) -> Self {
        self.config.fallback = Some(name.to_owned());
        self
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        fields: &[(HeaderName, &str)],
    ) -> Result<Served, Missing> {
        let fields = fields.iter().map(|(n, v)| (n.clone(), v.parse().expect("a value")));
        let headers = fields.collect();
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        let files = Files::new(&self.config).expect("a good configuration");
        // Nothing is left of the path where a route took all up to its last slash.
        let url_path = if path.is_empty() { "/" } else { path };
        let ask = Ask { method: &method, path, url_path, query, headers: &headers };
        files.serve(&ask).await
    }

    async fn get(&self, path: &str, fields: &[(HeaderName, &str)]) -> (u16, String) {
        let mut served = self.ask(Method::GET, path, fields).await.expect("an answer");
        let status = served.status.as_u16();
        let length = field(&served, &CONTENT_LENGTH);
        let body = read(&mut served.body).await.expect("a whole body");
        if status != 304 {
            assert_eq!(length, body.len().to_string(), "{path}");
        }
        (status, body)
    }
}

fn field(served: &Served, name: &HeaderName) -> String {
    let mut values = served.headers.iter().filter(|(n, _)| n == name);
    let value = values.next().map(|(_, v)| v.to_str().expect("text").to_owned());
    assert!(values.next().is_none(), "{name} twice");
    value.unwrap_or_default()
}

async fn read(body: &mut Body) -> io::Result<String> {
    let mut text = Vec::new();
    while let Some(piece) = body.next().await? {
        assert!(!piece.is_empty() && piece.len() <= 64 * 1024);
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn sends_a_file_with_all_that_describes_it() {
    let site = Site::new();
    for method in [Method::GET, Method::HEAD] {
        let mut served = site.ask(method.clone(), "/page.txt", &[]).await.expect("an answer");
        assert_eq!(served.status, 200);
        for (name, expected) in [
            (CONTENT_TYPE, "text/plain; charset=utf-8"),
            (CONTENT_LENGTH, "10"),
            (LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (ETAG, "\"ae1b981da166f00-a\""),
            (ACCEPT_RANGES, "bytes"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (VARY, ""),
        ] {
            assert_eq!(field(&served, &name), expected, "{name}");
        }
        let body = read(&mut served.body).await.expect("a body");
        assert_eq!(body, if method == Method::GET { "0123456789" } else { "" });
    }
}

#[tokio::test]
async fn finds_indexes_and_adds_slashes() {
    let site = Site::new();
    assert_eq!(site.get("/", &[]).await, (200, "home".to_owned()));
    assert_eq!(site.get("", &[]).await, (200, "home".to_owned()));
    assert_eq!(site.get("/docs/", &[]).await, (200, "docs".to_owned()));
    for (path, location) in
        [("/docs", "./docs/"), ("docs?a=1&b", "./docs/?a=1&b"), ("/a:b", "./a:b/")]
    {
        let served = site.ask(Method::GET, path, &[]).await.expect("an answer");
        assert_eq!(served.status, 301, "{path}");
        assert_eq!(field(&served, &LOCATION), location);
    }
}

#[tokio::test]
async fn other_files_may_stand_for_a_folder() {
    let mut site = Site::new();
    site.config.index = ["none.html", "page.txt"].map(str::to_owned).to_vec();
    assert_eq!(site.get("/", &[]).await, (200, "0123456789".to_owned()));
    let missing = site.ask(Method::GET, "/docs/", &[]).await.expect_err("index.html is none");
    assert_eq!(missing.to_string(), "no such file");
}

#[tokio::test]
async fn what_is_not_served_says_why() {
    let site = Site::new();
    symlink("/etc", site.home.path().join("etc")).expect("a link");
    for (path, expected) in [
        ("/none", "no such file"),
        ("/none/none", "no such file"),
        ("/page.txt/", "no such file"),
        ("/page.txt/x", "no such file"),
        ("/bare", "no such file"),
        ("/bare/", "no such file"),
        ("/.env", "this path is not for clients"),
        ("/.none", "this path is not for clients"),
        ("/etc/passwd", "this path is not for clients"),
        ("/docs/%2e%2e/page.txt", "this path is not for clients"),
    ] {
        let missing = site.ask(Method::GET, path, &[]).await.expect_err(path);
        assert_eq!(missing.to_string(), expected, "{path}");
    }
    let missing = site.ask(Method::POST, "/page.txt", &[]).await;
    assert!(matches!(missing, Err(Missing::Method)));
}

#[tokio::test]
async fn the_fallback_answers_for_missing_files_only() {
    let site = Site::new().fallback("/index.html");
    for path in ["/none", "/a/b/c", "/bare/", "/page.txt/"] {
        assert_eq!(site.get(path, &[]).await, (200, "home".to_owned()), "{path}");
    }
    let missing = site.ask(Method::GET, "/.env", &[]).await;
    assert!(matches!(missing, Err(Missing::Forbidden)));
}

#[tokio::test]
async fn conditions_spare_the_body() {
    let site = Site::new();
    let etag = "\"ae1b981da166f00-a\"";
    let served = site.ask(Method::GET, "/page.txt", &[(IF_NONE_MATCH, etag)]).await;
    let served = served.expect("an answer");
    assert_eq!(served.status, 304);
    assert_eq!(field(&served, &ETAG), etag);
    // Of the 200 it stands for: the client is told neither.
    assert_eq!(field(&served, &CONTENT_LENGTH), "10");
    assert_eq!(field(&served, &CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(site.get("/page.txt", &[(IF_MATCH, "\"x\"")]).await.0, 412);
    let stale = [(IF_RANGE, "\"x\""), (RANGE, "bytes=1-2")];
    assert_eq!(site.get("/page.txt", &stale).await.0, 200);
    let fresh = [(IF_RANGE, etag), (RANGE, "bytes=1-2")];
    assert_eq!(site.get("/page.txt", &fresh).await, (206, "12".to_owned()));
}

#[tokio::test]
async fn sends_parts_of_a_file() {
    let site = Site::new();
    let served = site.ask(Method::GET, "/page.txt", &[(RANGE, "bytes=-3")]).await;
    assert_eq!(field(&served.expect("an answer"), &CONTENT_RANGE), "bytes 7-9/10");
    assert_eq!(site.get("/page.txt", &[(RANGE, "bytes=-3")]).await, (206, "789".to_owned()));
    let served = site.ask(Method::GET, "/page.txt", &[(RANGE, "bytes=10-")]).await;
    assert_eq!(field(&served.expect("an answer"), &CONTENT_RANGE), "bytes */10");
    assert_eq!(site.get("/page.txt", &[(RANGE, "bytes=10-")]).await, (416, String::new()));
    assert_eq!(site.get("/empty", &[(RANGE, "bytes=0-")]).await, (200, String::new()));
    let head = site.ask(Method::HEAD, "/page.txt", &[(RANGE, "bytes=0-1")]).await;
    assert_eq!(head.expect("an answer").status, 200);
}

#[tokio::test]
async fn sends_several_parts_in_one_body() {
    let site = Site::new();
    let range = [(RANGE, "bytes=0-1,-1")];
    let mut served = site.ask(Method::GET, "/page.txt", &range).await.expect("an answer");
    let media_type = field(&served, &CONTENT_TYPE);
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let head = "Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes";
    let expected = format!(
        "\r\n--{boundary}\r\n{head} 0-1/10\r\n\r\n01\
         \r\n--{boundary}\r\n{head} 9-9/10\r\n\r\n9\r\n--{boundary}--\r\n"
    );
    assert_eq!(field(&served, &CONTENT_LENGTH), expected.len().to_string());
    assert_eq!(field(&served, &CONTENT_RANGE), "");
    assert_eq!(read(&mut served.body).await.expect("a body"), expected);
}

#[tokio::test]
async fn encoded_copies_go_to_clients_that_want_them() {
    let site = Site::new();
    let mut etags = Vec::new();
    for (accepted, coding, body) in [
        ("gzip, br", "br", "brotli"),
        ("gzip, zstd", "gzip", "gzipped"),
        ("zstd", "", "plain"),
        ("br;q=0, gzip;q=0.5", "gzip", "gzipped"),
    ] {
        let fields = [(ACCEPT_ENCODING, accepted)];
        let mut served = site.ask(Method::GET, "/app.js", &fields).await.expect("an answer");
        assert_eq!(field(&served, &CONTENT_ENCODING), coding, "{accepted}");
        assert_eq!(field(&served, &CONTENT_TYPE), "text/javascript; charset=utf-8");
        assert_eq!(field(&served, &VARY), "accept-encoding");
        assert_eq!(read(&mut served.body).await.expect("a body"), body);
        etags.push(field(&served, &ETAG));
    }
    assert_eq!(etags.iter().collect::<std::collections::HashSet<_>>().len(), 3, "{etags:?}");
    // Asked for by its own name, a copy is a file like others.
    let served = site.ask(Method::GET, "/app.js.gz", &[]).await.expect("an answer");
    assert_eq!(field(&served, &CONTENT_ENCODING), "");
    assert_eq!(field(&served, &CONTENT_TYPE), "application/gzip");
}

#[tokio::test]
async fn big_files_come_in_pieces_and_shrunk_ones_fail() {
    let site = Site::new();
    site.write("big.bin", &vec![7; 200_000]);
    assert_eq!(site.get("/big.bin", &[]).await.1.len(), 200_000);

    let mut served = site.ask(Method::GET, "/big.bin", &[]).await.expect("an answer");
    assert!(served.body.next().await.expect("a piece").is_some());
    assert_eq!(served.body.length(), 200_000 - 64 * 1024);
    site.write("big.bin", b"short");
    let error = read(&mut served.body).await.expect_err("the file is shorter now");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn times_that_http_cannot_write_do_no_harm() {
    let site = Site::new();
    let file = File::options().write(true).open(site.home.path().join("page.txt"));
    let file = file.expect("a file");
    for time in [UNIX_EPOCH - Duration::from_secs(9), UNIX_EPOCH + Duration::from_secs(1 << 33)] {
        file.set_modified(time).expect("a time");
        assert_eq!(site.get("/page.txt", &[]).await.0, 200, "{time:?}");
    }
}

#[test]
fn faults_name_their_keys() {
    let site = Site::new();
    let check = |config: Config, expected: &[&str]| {
        let faults = Files::new(&config).expect_err("a fault");
        let keys: Vec<_> = faults.iter().map(|fault| fault.at.to_string()).collect();
        assert_eq!(keys, expected, "{config:?}");
    };
    check(Config::default(), &["root"]);
    check(Config { root: site.home.path().join("page.txt"), ..Config::default() }, &["root"]);
    check(Config { root: site.home.path().join("none"), ..Config::default() }, &["root"]);
    let index = ["index.html", "../x", "a/b", ".x"].map(str::to_owned).to_vec();
    let fallback = Some("none.html".to_owned());
    check(
        Config { index, fallback, ..site.config.clone() },
        &["index[1]", "index[2]", "index[3]", "fallback"],
    );
    let both =
        Config { index: vec![String::new()], fallback: Some("..".to_owned()), ..Config::default() };
    check(both, &["root", "index[0]", "fallback"]);
    check(site.fallback("docs").config, &["fallback"]);
}
