//! Servers whose answers break off, at every byte of them.

use super::*;
use crate::support::within;

const BODY: &str = "0123456789abcdef";

fn whole(framing: &str) -> String {
    // Whoever asks on a connection that was used before may ask again.
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncache-control: max-age=60\r\n";
    match framing {
        "chunks" => {
            let (one, two) = BODY.split_at(7);
            let chunks = format!("7\r\n{one}\r\n9\r\n{two}\r\n0\r\n\r\n");
            format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}")
        }
        _ => format!("{head}content-length: {}\r\n\r\n{BODY}", BODY.len()),
    }
}

/// The body of an answer of 200, if the client can take it for whole.
async fn complete(edge: &Edge, over: Over, path: &str) -> Option<Vec<u8>> {
    match over {
        Over::H1 => {
            let mut client = Client::connect(edge.addr()).await;
            let fields = "host: a.example\r\nconnection: close";
            client.send(format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n")).await;
            let head = client.head_or_closed().await?;
            let body = client.read_to_end().await;
            let is_whole = match head.header("content-length") {
                Some(length) => length.parse() == Ok(body.len()),
                None => body.ends_with(b"0\r\n\r\n"),
            };
            (head.status == 200 && is_whole).then_some(body)
        }
        Over::H2 => {
            let mut client = H2Client::connect(edge.addr()).await;
            let request = HttpRequest::get(format!("http://a.example{path}")).body(()).unwrap();
            let (answer, _) = client.open(request, true).await;
            let (head, mut body) = within("an answer", answer).await.ok()?.into_parts();
            let mut read = Vec::new();
            while let Some(piece) = within("data", body.data()).await {
                read.extend_from_slice(&piece.ok()?);
            }
            (head.status == 200).then_some(read)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_anywhere_is_never_whole_and_never_kept() {
    // The first time a path is asked for it breaks off after so many bytes.
    let seen = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let known = seen.clone();
    let origin = Origin::scripted(move |mut conn| {
        let seen = known.clone();
        async move {
            let Some(request) = conn.request().await else { return };
            let mut parts = request.target().split('/').skip(1);
            let (framing, at) = (parts.next().unwrap(), parts.next().unwrap());
            let whole = whole(framing);
            let is_first = seen.lock().unwrap().insert(request.target().to_owned());
            let until = if is_first { at.parse().unwrap() } else { whole.len() };
            conn.send(whole.split_at(until).0).await;
        }
    })
    .await;
    let edge = start("", &origin);
    for framing in ["length", "chunks"] {
        let end = whole(framing).len();
        for at in 0..end {
            for over in BOTH {
                let path = format!("/{framing}/{at}/{over:?}");
                let first = complete(&edge, over, &path).await;
                assert_eq!(first, None, "{path} of {end}");
                let next = get(&edge, over, &path, "").await;
                assert_eq!((next.status, next.text().as_str()), (200, BODY), "{path} of {end}");
                assert!(said(&next).starts_with("tidegate; fwd=uri-miss"), "{path}: {next:?}");
            }
        }
    }
}
