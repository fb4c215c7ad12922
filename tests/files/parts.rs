//! Conditional requests and ranges.

use super::{CHANGED, EARLIER, Folder, LATER, get, told};
use crate::support::{Client, Edge, H2Client, curl};

const DIGITS: (&str, &[u8]) = ("page.txt", b"0123456789");

async fn etag(edge: &Edge) -> String {
    get(edge, "/page.txt", "").await.header("etag").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_file_gets_no_second_one() {
    let folder = Folder::with(&[DIGITS]);
    let edge = folder.serve("");
    let tag = etag(&edge).await;
    for (fields, status) in [
        (format!("if-none-match: {tag}"), 304),
        (format!("if-none-match: W/{tag}"), 304),
        (format!("if-none-match: \"x\", {tag}"), 304),
        (format!("if-none-match: \"x\"\r\nif-none-match: {tag}"), 304),
        ("if-none-match: *".to_owned(), 304),
        ("if-none-match: \"x\"".to_owned(), 200),
        (format!("if-modified-since: {CHANGED}"), 304),
        (format!("if-modified-since: {LATER}"), 304),
        (format!("if-modified-since: {EARLIER}"), 200),
        ("if-modified-since: yesterday".to_owned(), 200),
        // A tag is the better proof, so a date beside it does not count.
        (format!("if-none-match: \"x\"\r\nif-modified-since: {LATER}"), 200),
        (format!("if-match: {tag}"), 200),
        ("if-match: *".to_owned(), 200),
        ("if-match: \"x\"".to_owned(), 412),
        (format!("if-match: W/{tag}"), 412),
        (format!("if-unmodified-since: {CHANGED}"), 200),
        (format!("if-unmodified-since: {EARLIER}"), 412),
        (format!("if-match: {tag}\r\nif-none-match: {tag}"), 304),
    ] {
        let fields = format!("{fields}\r\n");
        let answer = get(&edge, "/page.txt", &fields).await;
        assert_eq!(answer.status, status, "{fields}");
        let expected = if status == 200 { "0123456789" } else { "" };
        assert_eq!(answer.text(), expected, "{fields}");
        if status == 304 {
            // RFC 9110 §15.4.5: what a cache needs to go on, and no more.
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
            assert_eq!(answer.header("last-modified"), Some(CHANGED));
            assert_eq!(answer.header("content-length"), None);
        }
        let head = format!("HEAD /page.txt HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n");
        let mut client = Client::connect(edge.addr()).await;
        client.send(head).await;
        assert_eq!(client.response_head().await.status, status, "HEAD {fields}");
    }
    // Another content is another version.
    folder.write("page.txt", b"9876543210x");
    assert_ne!(etag(&edge).await, tag);
    let stale = format!("if-none-match: {tag}\r\n");
    assert_eq!(told(&edge, "/page.txt", &stale).await, (200, "9876543210x".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_answers_without_body() {
    let folder = Folder::with(&[DIGITS]);
    let edge = folder.serve("");
    let mut client = Client::connect(edge.addr()).await;
    let mut h2 = H2Client::connect(edge.addr()).await;
    for (fields, status) in
        [("if-none-match: *", 304), ("if-match: \"x\"", 412), ("range: bytes=99-", 416)]
    {
        let request = format!("GET /page.txt HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n\r\n");
        client.send(request).await;
        assert_eq!(client.response().await.status, status);
        let (name, value) = fields.split_once(": ").unwrap();
        let request = http::Request::get("http://a.example/page.txt").header(name, value);
        let answer = h2.ask(request.body(()).unwrap(), "").await.unwrap().response;
        assert_eq!((answer.status, answer.text().as_str()), (status, ""));
    }
    client.send("GET /page.txt HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_range_is_sent_alone() {
    let folder = Folder::with(&[DIGITS, ("empty", b"")]);
    let edge = folder.serve("");
    for (range, body, part) in [
        ("bytes=0-0", "0", "0-0/10"),
        ("bytes=2-4", "234", "2-4/10"),
        ("bytes=7-", "789", "7-9/10"),
        ("bytes=7-99", "789", "7-9/10"),
        ("bytes=-3", "789", "7-9/10"),
        ("bytes=-99", "0123456789", "0-9/10"),
        ("Bytes= 2-4", "234", "2-4/10"),
        ("bytes=99-, 2-4", "234", "2-4/10"),
        ("bytes=0-18446744073709551615", "0123456789", "0-9/10"),
    ] {
        let answer = get(&edge, "/page.txt", &format!("range: {range}\r\n")).await;
        assert_eq!((answer.status, answer.text().as_str()), (206, body), "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes {part}").as_str()));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
        assert!(answer.header("etag").is_some() && answer.header("last-modified").is_some());
        let request = http::Request::get("http://a.example/page.txt").header("range", range);
        let h2 = H2Client::connect(edge.addr()).await.ask(request.body(()).unwrap(), "").await;
        let h2 = h2.unwrap().response;
        assert_eq!((h2.status, h2.text().as_str()), (206, body), "{range}");
    }
    // Whatever is not understood, or cannot be meant, gets the whole.
    for range in [
        "bytes=4-2",
        "bytes=a-b",
        "bytes=",
        "bytes=-",
        "lines=1-2",
        "2-4",
        "bytes=1-2\r\nrange: bytes=3-4",
    ] {
        let answer = told(&edge, "/page.txt", &format!("range: {range}\r\n")).await;
        assert_eq!(answer, (200, "0123456789".to_owned()), "{range}");
    }
    assert_eq!(told(&edge, "/empty", "range: bytes=0-\r\n").await, (200, String::new()));
    let said = curl(&["-r", "2-4", &format!("http://{}/page.txt", edge.addr())]).good();
    assert_eq!(said.stdout, "234");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_beyond_the_end_is_416_with_the_length() {
    let folder = Folder::with(&[DIGITS]);
    let edge = folder.serve("");
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0", "bytes=10-, 99-"] {
        let answer = get(&edge, "/page.txt", &format!("range: {range}\r\n")).await;
        let told = (answer.status, answer.header("content-range"));
        assert_eq!(told, (416, Some("bytes */10")), "{range}");
        assert!(answer.body.is_empty());
    }
    // HEAD knows no ranges (RFC 9110 §14.2).
    let head = "HEAD /page.txt HTTP/1.1\r\nhost: a.example\r\nrange: bytes=99-\r\n\r\n";
    let mut client = Client::connect(edge.addr()).await;
    client.send(head).await;
    let answer = client.response_head().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("10")));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_ranges_are_parts_of_one_body() {
    let folder = Folder::with(&[DIGITS]);
    let edge = folder.serve("");
    let answer = get(&edge, "/page.txt", "range: bytes=0-1, 4-5,-1, 99-\r\n").await;
    assert_eq!((answer.status, answer.header("content-range")), (206, None));
    let media_type = answer.header("content-type").unwrap();
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = String::new();
    for (part, body) in [("0-1", "01"), ("4-5", "45"), ("9-9", "9")] {
        expected += &format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {part}/10\r\n\r\n{body}"
        );
    }
    expected += &format!("\r\n--{boundary}--\r\n");
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-length"), Some(expected.len().to_string().as_str()));
    // Many parts, or such that overlap, would only cost.
    let many = (0..17).map(|_| "0-0").collect::<Vec<_>>().join(",");
    for range in ["0-4,2-6", "0-,0-,0-", &many] {
        let answer = told(&edge, "/page.txt", &format!("range: bytes={range}\r\n")).await;
        assert_eq!(answer, (200, "0123456789".to_owned()), "{range}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_counts_only_for_the_version_that_the_client_has() {
    let folder = Folder::with(&[DIGITS]);
    let edge = folder.serve("");
    let tag = etag(&edge).await;
    for (condition, status) in [
        (tag.clone(), 206),
        (CHANGED.to_owned(), 206),
        (format!("W/{tag}"), 200),
        ("\"x\"".to_owned(), 200),
        (LATER.to_owned(), 200),
        (EARLIER.to_owned(), 200),
        ("nonsense".to_owned(), 200),
    ] {
        let fields = format!("range: bytes=0-1\r\nif-range: {condition}\r\n");
        let expected = if status == 206 { "01" } else { "0123456789" };
        let answer = told(&edge, "/page.txt", &fields).await;
        assert_eq!(answer, (status, expected.to_owned()), "{condition}");
        // A range that this version does not have is none either.
        let fields = format!("range: bytes=99-\r\nif-range: {condition}\r\n");
        let expected = if status == 206 { 416 } else { 200 };
        assert_eq!(get(&edge, "/page.txt", &fields).await.status, expected, "{condition}");
    }
    // A condition that fails goes before the range.
    let fields = format!("range: bytes=0-1\r\nif-none-match: {tag}\r\n");
    assert_eq!(get(&edge, "/page.txt", &fields).await.status, 304);
    let fields = "range: bytes=0-1\r\nif-match: \"x\"\r\n";
    assert_eq!(get(&edge, "/page.txt", fields).await.status, 412);
}
