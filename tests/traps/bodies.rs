//! Bodies on their way from h2 to h1.

use bytes::Bytes;
use http::{HeaderMap, Request};

use super::edge;
use crate::support::h2_client::whole;
use crate::support::{H2Client, Origin};

/// How an h2 client ends its body.
enum End {
    Data(&'static [&'static str]),
    Trailers(&'static [&'static str]),
}

/// Pingora issue 935: an empty last DATA frame ended a chunked body twice, and
/// the second end was read as the start of the next request on the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_ends_once() {
    for (end, body) in [
        (End::Data(&["abc", ""]), "3\r\nabc\r\n0\r\n\r\n"),
        (End::Data(&["abc", "de", ""]), "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        (End::Data(&["abc"]), "3\r\nabc\r\n0\r\n\r\n"),
        (End::Data(&[""]), "0\r\n\r\n"),
        (End::Data(&["", ""]), "0\r\n\r\n"),
        (End::Trailers(&["abc"]), "3\r\nabc\r\n0\r\n\r\n"),
        (End::Trailers(&[]), "0\r\n\r\n"),
    ] {
        let origin = Origin::ok().await;
        let edge = edge(&origin);
        let mut client = H2Client::connect(edge.addr()).await;
        let request = Request::post("http://a.example/first").body(()).unwrap();
        let (answer, mut stream) = client.open(request, false).await;
        let (pieces, has_trailers) = match end {
            End::Data(pieces) => (pieces, false),
            End::Trailers(pieces) => (pieces, true),
        };
        for (index, piece) in pieces.iter().enumerate() {
            let is_last = !has_trailers && index + 1 == pieces.len();
            stream.send_data(Bytes::from_static(piece.as_bytes()), is_last).unwrap();
        }
        if has_trailers {
            let sum = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
            stream.send_trailers(sum).unwrap();
        }
        assert_eq!(whole(answer).await.unwrap().response.status, 200, "{body:?}");
        // The same connection serves the next request, which begins where the body ended.
        assert_eq!(client.get("http://a.example/second").await.response.status, 200);

        assert_eq!((origin.connections(), origin.requests()), (1, 2), "{body:?}");
        let sent = origin.received_text();
        let (_, after_head) = sent.split_once("\r\n\r\n").unwrap();
        let (sent_body, _) = after_head.split_once("GET /second HTTP/1.1").unwrap();
        // Pieces may be put together on the way; there is one end in any case.
        assert_eq!(sent_body.matches("0\r\n\r\n").count(), 1, "{sent_body:?}");
        assert!(sent_body.ends_with("0\r\n\r\n"), "{sent_body:?}");
        assert_eq!(letters(sent_body), letters(body));
    }
}

/// What a body says, without the lines around its chunks.
fn letters(body: &str) -> String {
    body.split("\r\n").skip(1).step_by(2).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_h2_breaks_reaches_no_server_as_a_whole_request() {
    let origin = Origin::ok().await;
    let edge = edge(&origin);
    let mut client = H2Client::connect(edge.addr()).await;
    let request = || Request::post("http://a.example/").header("content-length", "5");
    for body in ["abc", "abcdefgh"] {
        let answer = client.ask(request().body(()).unwrap(), body).await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.response.status >= 400));
    }
    // The connection of the broken one is not used again.
    assert_eq!(client.get("http://a.example/next").await.response.status, 200);
    for record in &edge.access_log(3)[..2] {
        assert_eq!(record["refusal"], "body_length", "{record}");
    }
    let last = origin.received().pop().unwrap();
    assert!(last.starts_with(b"GET /next HTTP/1.1\r\n"), "{:?}", origin.received_text());
    assert_eq!(origin.requests(), 1, "{}", origin.received_text());
}
