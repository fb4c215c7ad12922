//! Parts of bodies that are stored whole.

use super::*;

const BODY: &str = "0123456789";
const FIELDS: &str = "cache-control: max-age=60\netag: \"a\"\ncontent-type: text/plain
    content-digest: sha-256=:x=:\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT";

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_cut_from_the_whole() {
    let origin = serving(|_| ok(FIELDS, BODY)).await;
    let edge = start("", &origin);
    for over in BOTH {
        // The first has its part of what is fetched whole.
        for (range, expected, of) in [
            ("bytes=2-4", "234", "bytes 2-4/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-2", "89", "bytes 8-9/10"),
            ("bytes=0-99", BODY, "bytes 0-9/10"),
        ] {
            let part = get(&edge, over, &path(over), &format!("range: {range}")).await;
            assert_eq!((part.status, part.text().as_str()), (206, expected), "{range}");
            assert_eq!(part.header("content-range"), Some(of));
            assert_eq!(part.header("content-type"), Some("text/plain"));
            assert_eq!((part.header("etag"), part.header("content-digest")), (Some("\"a\""), None));
        }
        let beyond = get(&edge, over, &path(over), "range: bytes=10-").await;
        assert_eq!((beyond.status, beyond.text().as_str()), (416, ""));
        assert_eq!(beyond.header("content-range"), Some("bytes */10"));
        let whole = get(&edge, over, &path(over), "").await;
        assert_eq!((whole.status, whole.text().as_str()), (200, BODY));
        assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    }
    assert_eq!(origin.requests(), 2);
    assert!(!origin.received_text().contains("range: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_parts_come_in_one_answer() {
    let origin = serving(|_| ok(FIELDS, BODY)).await;
    let edge = start("", &origin);
    for over in BOTH {
        for _ in 0..2 {
            let parts = get(&edge, over, &path(over), "range: bytes=0-1,4-5").await;
            assert_eq!(parts.status, 206);
            let media_type = parts.header("content-type").unwrap_or_default().to_owned();
            let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
            let part = |range: &str, bytes: &str| {
                format!(
                    "\r\n--{boundary}\r\nContent-Type: text/plain\r\n\
                     Content-Range: bytes {range}/10\r\n\r\n{bytes}"
                )
            };
            let expected =
                part("0-1", "01") + &part("4-5", "45") + &format!("\r\n--{boundary}--\r\n");
            assert_eq!(parts.text(), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_another_version_is_the_whole() {
    let origin = serving(|_| ok(FIELDS, BODY)).await;
    let edge = start("", &origin);
    for over in BOTH {
        for (version, status) in [
            ("\"a\"", 206),
            ("\"b\"", 200),
            ("W/\"a\"", 200),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 206),
            ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ] {
            let fields = format!("range: bytes=0-1\nif-range: {version}");
            let answer = get(&edge, over, &path(over), &fields).await;
            assert_eq!(answer.status, status, "{version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_came_in_chunks_has_parts_once_it_is_whole() {
    let origin = serving(|_| {
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n\
         4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"
            .to_owned()
    })
    .await;
    let edge = start("", &origin);
    for over in BOTH {
        assert_eq!(get(&edge, over, &path(over), "").await.text(), BODY);
        let part = get(&edge, over, &path(over), "range: bytes=3-5").await;
        assert_eq!((part.status, part.text().as_str()), (206, "345"));
        let whole = get(&edge, over, &path(over), "").await;
        assert_eq!(whole.header("content-length"), Some("10"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_none_gets_all_and_one_of_nothing_is_refused() {
    let origin = serving(|_| ok("cache-control: max-age=60", "0123456789")).await;
    let edge = start("", &origin);
    get(&edge, Over::H1, "/", "").await;
    for over in BOTH {
        for (range, status) in [
            ("bytes=-0", 416),
            ("bytes=10-", 416),
            ("bytes=5-2", 200),
            ("bytes=", 200),
            ("bytes=a-b", 200),
            ("bytes=-1", 206),
        ] {
            let answer = get(&edge, over, "/", &format!("range: {range}")).await;
            assert_eq!(answer.status, status, "{range} {over:?}: {answer:?}");
            let said = answer.header("content-range");
            let expected = [(206, "bytes 9-9/10"), (416, "bytes */10")];
            let expected = expected.iter().find(|(of, _)| *of == status).map(|(_, said)| *said);
            assert_eq!(said, expected, "{range} {over:?}");
        }
    }
    assert_eq!(origin.requests(), 1);
}
