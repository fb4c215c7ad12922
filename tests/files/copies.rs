//! Encoded copies of files, and files that are compressed on their way.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::symlink;

use super::{Folder, get, told};
use crate::support::Edge;

const SITE: [(&str, &[u8]); 7] = [
    ("app.js", b"plain script"),
    ("app.js.zst", b"as zstd"),
    ("app.js.br", b"as brotli"),
    ("app.js.gz", b"as gzip"),
    ("old.css", b"plain style"),
    ("old.css.gz", b"style as gzip"),
    ("only.txt.gz", b"no plain file"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_that_a_client_wants_most_is_sent() {
    let folder = Folder::with(&SITE);
    let edge = folder.serve("");
    let mut tags = BTreeSet::new();
    for (accepted, coding, body) in [
        ("gzip, deflate, br, zstd", Some("zstd"), "as zstd"),
        ("gzip, br", Some("br"), "as brotli"),
        ("gzip", Some("gzip"), "as gzip"),
        ("x-gzip", Some("gzip"), "as gzip"),
        ("GZIP;q=1.0, br;q=0.9", Some("gzip"), "as gzip"),
        ("zstd;q=0.1, br;q=0.2, gzip;q=0.1", Some("br"), "as brotli"),
        ("zstd;q=0, br;q=0, gzip", Some("gzip"), "as gzip"),
        ("*", Some("zstd"), "as zstd"),
        ("*, zstd;q=0", Some("br"), "as brotli"),
        ("identity;q=0, gzip;q=0.1", Some("gzip"), "as gzip"),
        ("identity, gzip;q=0.5", None, "plain script"),
        ("gzip;q=0", None, "plain script"),
        ("*;q=0", None, "plain script"),
        ("deflate", None, "plain script"),
        ("", None, "plain script"),
    ] {
        let answer = get(&edge, "/app.js", &format!("accept-encoding: {accepted}\r\n")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{accepted:?}");
        assert_eq!(answer.header("content-encoding"), coding, "{accepted:?}");
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        tags.insert(answer.header("etag").unwrap().to_owned());
    }
    assert_eq!(tags.len(), 4, "each has a tag of its own: {tags:?}");
    let none = get(&edge, "/app.js", "").await;
    assert_eq!(
        (none.text().as_str(), none.header("vary")),
        ("plain script", Some("accept-encoding"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_copies_beside_their_file_are_any() {
    let folder = Folder::with(&SITE);
    std::fs::write(folder.around().join("secret"), "secret").unwrap();
    symlink("../secret", folder.root().join("old.css.br")).unwrap();
    let edge = folder.serve("");
    let all = "accept-encoding: gzip, br, zstd\r\n";
    assert_eq!(told(&edge, "/old.css", all).await.1, "style as gzip");
    assert_eq!(told(&edge, "/old.css", "accept-encoding: br\r\n").await.1, "plain style");
    assert_eq!(get(&edge, "/only.txt", all).await.status, 404);
    // Asked for by its own name, a copy is a file like others.
    let answer = get(&edge, "/app.js.gz", all).await;
    assert_eq!((answer.text().as_str(), answer.header("content-encoding")), ("as gzip", None));
    assert_eq!(answer.header("content-type"), Some("application/gzip"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_ranges_are_those_of_the_copy() {
    let folder = Folder::with(&SITE);
    let edge = folder.serve("");
    let gzip = "accept-encoding: gzip\r\n";
    let tag = get(&edge, "/app.js", gzip).await.header("etag").unwrap().to_owned();
    let condition = format!("if-none-match: {tag}\r\n");
    let same = get(&edge, "/app.js", &format!("{gzip}{condition}")).await;
    assert_eq!((same.status, same.header("etag")), (304, Some(tag.as_str())));
    assert_eq!(same.header("vary"), Some("accept-encoding"));
    // The client that has it as gzip does not have the plain file.
    assert_eq!(get(&edge, "/app.js", &condition).await.status, 200);

    let part = get(&edge, "/app.js", &format!("{gzip}range: bytes=3-6\r\n")).await;
    assert_eq!((part.status, part.text().as_str()), (206, "gzip"));
    assert_eq!(part.header("content-encoding"), Some("gzip"));
    assert_eq!(part.header("content-range"), Some("bytes 3-6/7"));
    let other = format!("accept-encoding: br\r\nrange: bytes=3-6\r\nif-range: {tag}\r\n");
    assert_eq!(told(&edge, "/app.js", &other).await, (200, "as brotli".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_copy_is_compressed_on_its_way() {
    let text = "all work and no play ".repeat(50);
    let folder = Folder::with(&SITE);
    folder.write("long.txt", text.as_bytes());
    let edge = Edge::start_with(
        "listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ files: { root: '{root}' }, compress: { types: [text/*] } }]",
        &[("root", &folder.root().display())],
    );
    let gzip = "accept-encoding: gzip\r\n";
    let answer = get(&edge, "/long.txt", gzip).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!((answer.header("accept-ranges"), answer.header("content-length")), (None, None));
    let mut decoded = String::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut decoded).unwrap();
    assert_eq!(decoded, text);
    // Its tag is weak, and still proves that the client has it.
    let tag = answer.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let condition = format!("{gzip}if-none-match: {tag}\r\n");
    assert_eq!(get(&edge, "/long.txt", &condition).await.status, 304);
    // A part is never of what was compressed.
    let part = get(&edge, "/long.txt", &format!("{gzip}range: bytes=0-499\r\n")).await;
    assert_eq!((part.status, &part.body[..]), (206, &text.as_bytes()[..500]));
    assert_eq!(part.header("content-encoding"), None);
    // A copy that is there costs no time.
    let copy = get(&edge, "/app.js", gzip).await;
    assert_eq!(copy.text(), "as gzip");
    assert_eq!(copy.all("vary").collect::<Vec<_>>(), ["accept-encoding"]);
}
