//! Heads over h2: what is malformed, and how many of them there may be.

use http::Request;
use tokio::sync::oneshot;

use super::{edge, outcomes};
use crate::support::h2_client::whole;
use crate::support::h2_frames::{
    DATA, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PROTOCOL_ERROR, REFUSED_STREAM,
    RST_STREAM, STATUS_200, STATUS_400,
};
use crate::support::origin::ok;
use crate::support::{H2Client, H2Frames, Origin, within};

type Fields = Vec<(&'static str, &'static str)>;

const GET: (&str, &str) = (":method", "GET");
const HEAD: (&str, &str) = (":method", "HEAD");
const POST: (&str, &str) = (":method", "POST");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", "a.example");

/// A head of these pseudo-fields, in the order RFC 9113 §8.3 asks for.
fn head(first: &[(&'static str, &'static str)], path: &'static str, rest: &Fields) -> Fields {
    [first, &[(":path", path)], rest].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_heads_over_h2_are_answered_recorded_and_never_forwarded() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]");
    let get = [GET, SCHEME, AUTHORITY];
    let post = [POST, SCHEME, AUTHORITY];
    let bare = [GET, SCHEME];
    let cases: &[(Fields, u64, &str, &str)] = &[
        (head(&get, "/1", &vec![("host", "b.example")]), 400, "host_mismatch", "/1"),
        (head(&get, "/2", &vec![("host", "A.example")]), 400, "host_mismatch", "/2"),
        (
            head(&bare, "/3", &vec![("host", "a.example"), ("host", "a.example")]),
            400,
            "two_hosts",
            "/3",
        ),
        (head(&bare, "/4", &vec![("host", "u@a.example")]), 400, "userinfo", "/4"),
        (head(&bare, "/5", &vec![]), 400, "no_host", "/5"),
        (head(&[GET, SCHEME, (":authority", "u@a.example")], "/6", &vec![]), 400, "userinfo", "/6"),
        (head(&[GET, SCHEME, (":authority", "a.example:")], "/7", &vec![]), 400, "port", "/7"),
        (
            head(&post, "/8", &vec![("content-length", "0"), ("content-length", "0")]),
            400,
            "two_content_lengths",
            "/8",
        ),
        (head(&post, "/9", &vec![("content-length", "00")]), 400, "content_length", "/9"),
        (head(&get, "/\"", &vec![]), 400, "target_byte", "/\""),
        (head(&get, "/\u{e9}", &vec![]), 400, "target_byte", "/\u{e9}"),
        (head(&get, "/?\\", &vec![]), 400, "backslash", "/"),
        (head(&get, "*", &vec![]), 400, "target_form", "*"),
        // A path may not be left out, though the library fills it in.
        (head(&bare, "?q", &vec![("host", "a.example")]), 400, "target_form", "/"),
        (head(&get, "/../x", &vec![]), 400, "above_root", "/../x"),
        (head(&get, "/10", &vec![("x_y", "1")]), 400, "underscore_in_name", "/10"),
        (head(&post, "/11", &vec![("expect", "the worst")]), 417, "expectation", "/11"),
        (head(&[GET, (":scheme", "ftp"), AUTHORITY], "/12", &vec![]), 400, "target_form", "/12"),
        (vec![(":method", "CONNECT"), (":authority", "a.example:443")], 405, "connect", ""),
    ];
    let mut client = H2Frames::connect(edge.addr()).await;
    for (index, (fields, status, refusal, _)) in cases.iter().enumerate() {
        let stream = 1 + 2 * u32::try_from(index).unwrap();
        client.head(stream, fields, END_STREAM).await;
        let answer = client.next_of(stream).await;
        assert_eq!(answer.kind, HEADERS, "{refusal} {fields:?}");
        let is_400 = answer.payload[0] == STATUS_400;
        assert_eq!(is_400, *status == 400, "{refusal} {fields:?}");
        edge.access_log(index + 1);
    }
    // The connection goes on.
    client.head(101, &head(&get, "/good", &vec![]), END_STREAM).await;
    assert_eq!(client.next_of(101).await.payload[0], STATUS_200);
    assert_eq!(origin.requests(), 1);

    let records = edge.stop();
    for ((fields, status, refusal, path), record) in cases.iter().zip(&records) {
        let told = (record["status"].as_u64(), record["refusal"].as_str());
        assert_eq!(told, (Some(*status), Some(*refusal)), "{record}");
        assert_eq!(record["method"], fields[0].1, "{record}");
        assert_eq!((&record["path"], &record["protocol"]), (&(*path).into(), &"HTTP/2.0".into()));
    }
    assert_eq!(records.len(), cases.len() + 1);
}

/// What is no message of HTTP/2 at all, the h2 library resets before anybody
/// sees a request: there is no answer, and no record.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_of_h2_is_reset_and_never_forwarded() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]");
    let get = [GET, SCHEME, AUTHORITY];
    let post = [POST, SCHEME, AUTHORITY];
    let cases: &[Fields] = &[
        head(&get, "http://b.example/", &vec![]),
        head(&get, "b.example", &vec![]),
        head(&get, "/a b", &vec![]),
        head(&get, "/a\r\nx: y", &vec![]),
        head(&get, "/a\0", &vec![]),
        head(&get, "", &vec![]),
        vec![GET, SCHEME, AUTHORITY],
        head(&[GET, AUTHORITY], "/", &vec![]),
        head(&[SCHEME, AUTHORITY], "/", &vec![]),
        head(&get, "/", &vec![("connection", "close")]),
        head(&get, "/", &vec![("transfer-encoding", "chunked")]),
        head(&get, "/", &vec![("upgrade", "websocket")]),
        head(&get, "/", &vec![("te", "gzip")]),
        head(&post, "/", &vec![("content-length", "1"), ("content-length", "2")]),
        head(&post, "/", &vec![("content-length", "1, 1")]),
        head(&post, "/", &vec![("content-length", "-1")]),
        // Nothing follows, though a byte was announced.
        head(&post, "/", &vec![("content-length", "1")]),
        vec![(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, AUTHORITY, (":path", "/")],
    ];
    let mut client = H2Frames::connect(edge.addr()).await;
    for (index, fields) in cases.iter().enumerate() {
        let stream = 1 + 2 * u32::try_from(index).unwrap();
        client.head(stream, fields, END_STREAM).await;
        let answer = client.next_of(stream).await;
        assert_eq!((answer.kind, answer.reason()), (RST_STREAM, PROTOCOL_ERROR), "{fields:?}");
    }
    client.head(101, &head(&get, "/good", &vec![]), END_STREAM).await;
    assert_eq!(client.next_of(101).await.payload[0], STATUS_200);
    assert_eq!(origin.requests(), 1, "{}", origin.received_text());
    assert_eq!(outcomes(&edge.stop()), [(200, "")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_malformed_heads_end_a_connection_but_no_good_request() {
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let origin = Origin::scripted(move |mut conn| {
        let released = released.lock().unwrap().take();
        async move {
            conn.request().await;
            released.expect("one request").await.unwrap();
            conn.send(ok("good")).await;
        }
    })
    .await;
    let edge = edge(&origin, "protocols: [h2c]");
    let mut client = H2Client::connect(edge.addr()).await;
    let good = Request::get("http://a.example/good").body(()).unwrap();
    let (good, _) = client.open(good, true).await;
    origin.await_heads(&["/good"]);
    for _ in 0..32 {
        assert_eq!(client.get("http://u@a.example/bad").await.response.status, 400);
    }
    let goodbye = client.refused().await;
    assert_eq!(goodbye.reason(), Some(h2::Reason::NO_ERROR), "{goodbye}");
    release.send(()).unwrap();
    assert_eq!(whole(good).await.unwrap().response.text(), "good");
    client.closed().await.expect("a goodbye, not a reset");
    assert_eq!(edge.stop().len(), 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_with_malformed_heads_is_cut_off() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]");
    // It takes no notice of the goodbye after half of them. A HEAD has no page
    // for an answer, which would use up the client's window.
    let mut client = H2Frames::connect(edge.addr()).await;
    let mut sent = 0;
    let reason = 'cut_off: loop {
        let stream = 1 + 2 * sent;
        client.head(stream, &head(&[HEAD, SCHEME], "/", &vec![]), END_STREAM).await;
        sent += 1;
        loop {
            let frame = client.next().await.expect("a word before the end");
            match frame.kind {
                GOAWAY if frame.reason() != 0 => break 'cut_off frame.reason(),
                HEADERS => break,
                _ => {}
            }
        }
    };
    assert_eq!((reason, sent), (ENHANCE_YOUR_CALM, 64));
    while client.next().await.is_some() {}
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_more_than_allowed_is_refused_and_its_request_never_forwarded() {
    let (release, released) = tokio::sync::watch::channel(false);
    let origin = Origin::scripted(move |mut conn| {
        let mut released = released.clone();
        async move {
            conn.request().await;
            released.wait_for(|released| *released).await.unwrap();
            conn.send(ok("good")).await;
        }
    })
    .await;
    let edge = edge(&origin, "protocols: [h2c]\n    h2: { streams: 2 }");
    let mut client = H2Frames::connect(edge.addr()).await;
    let get = head(&[GET, SCHEME, AUTHORITY], "/", &vec![]);
    // Who does not yet know the settings may be wrong; so the refusal is of one
    // stream, and says that nothing was done (RFC 9113 §5.1.2).
    for stream in [1, 3, 5] {
        client.head(stream, &get, END_STREAM).await;
    }
    let refused = client.next_of(5).await;
    assert_eq!((refused.kind, refused.reason()), (RST_STREAM, REFUSED_STREAM));
    origin.await_requests(2);
    release.send(true).unwrap();
    let mut answered = Vec::new();
    while answered.len() < 2 {
        let frame = client.next().await.expect("two answers");
        if frame.kind == HEADERS {
            assert_eq!(frame.payload[0], STATUS_200, "{frame:?}");
            answered.push(frame.stream);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
    drop(client);
    assert_eq!(origin.requests(), 2);
    assert_eq!(edge.stop().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_h2_begins_when_it_comes() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]");
    let mut client = H2Client::connect(edge.addr()).await;
    for count in 1..=2 {
        // What the connection did before is no part of the next request.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let asked = std::time::Instant::now();
        client.get("http://a.example/").await;
        let record = edge.access_log(count).pop().unwrap();
        let took = asked.elapsed().as_secs_f64() * 1000.0;
        let recorded = record["duration_ms"].as_f64().unwrap();
        assert!(recorded <= took, "{recorded} ms of {took} ms");
    }
}

/// The nine bytes before a payload of this length, on stream 1.
fn frame_head(kind: u8, flags: u8, length: u8) -> [u8; 9] {
    [0, 0, length, kind, flags, 0, 0, 0, 1]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_over_h2_that_does_not_end_is_given_up() {
    let origin = Origin::ok().await;
    // An idle connection would be kept for longer than a test may take.
    let edge = edge(&origin, "protocols: [h2c]\n    timeouts: { header: 300ms, idle: 1h }");
    let unfinished = [
        frame_head(HEADERS, 0, 200)[..4].to_vec(),
        [&frame_head(HEADERS, END_STREAM, 200)[..], &[0; 9]].concat(),
        // A whole frame, after which CONTINUATION must come.
        [&frame_head(HEADERS, END_STREAM, 1)[..], &[0x82]].concat(),
        frame_head(DATA, 0, 200)[..8].to_vec(),
    ];
    let began = std::time::Instant::now();
    for bytes in unfinished {
        let mut client = H2Frames::connect(edge.addr()).await;
        client.send_raw(&bytes).await;
        assert_eq!(client.next().await, None, "{bytes:?}");
    }
    let elapsed = began.elapsed();
    assert!(elapsed < std::time::Duration::from_secs(30), "by default each takes ten seconds");
    // Each byte comes in time; the whole would not for an hour.
    let mut client = H2Frames::connect(edge.addr()).await;
    client.send_raw(&[0, 0x40, 0, HEADERS, 0, 0, 0, 0, 1]).await;
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    let drip = async {
        loop {
            tick.tick().await;
            if edge.metric("tidegate_listen_connections_open") == 0.0 {
                return;
            }
            client.send_raw(&[0]).await;
        }
    };
    within("the connection to end", drip).await;
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_idle_connections_have_no_deadline_of_heads() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]\n    timeouts: { header: 300ms }");
    let mut client = H2Frames::connect(edge.addr()).await;
    let later = || tokio::time::sleep(std::time::Duration::from_millis(700));
    later().await;
    client.head(1, &head(&[POST, SCHEME, AUTHORITY], "/", &vec![]), 0).await;
    later().await;
    client.send_raw(&frame_head(DATA, END_STREAM, 4)).await;
    client.send_raw(b"bo").await;
    later().await;
    client.send_raw(b"dy").await;
    assert_eq!(client.next_of(1).await.payload[0], STATUS_200);
    later().await;
    client.head(3, &head(&[GET, SCHEME, AUTHORITY], "/", &vec![]), END_STREAM).await;
    assert_eq!(client.next_of(3).await.payload[0], STATUS_200);
}
