//! The server that the tests of CRS are written for: it answers 200 and nothing, or what it is
//! asked to.

use std::io::Write as _;

use tidegate_suite::backend;
use tidegate_suite::exchange::{Exchange, Response};
use tidegate_suite::framing;

use crate::support::{Conn, Origin};

/// What frames an answer is for the server to say.
const FRAMING: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"connection"];

pub(super) async fn start() -> Origin {
    Origin::scripted(|mut conn| async move {
        while let Some(request) = read(&mut conn).await {
            conn.send(written(&backend::respond(&request))).await;
        }
    })
    .await
}

/// The next request, whatever its bytes are.
async fn read(conn: &mut Conn) -> Option<Exchange> {
    let mut bytes = conn.read_to(b"\r\n\r\n").await?;
    let headers = framing::parse(&bytes).headers;
    if framing::is_chunked(&headers) {
        loop {
            let line = conn.read_to(b"\r\n").await?;
            let size = std::str::from_utf8(&line).unwrap().trim();
            let size = usize::from_str_radix(size, 16).unwrap();
            bytes.extend(line);
            bytes.extend(conn.take(size + 2).await?);
            if size == 0 {
                break;
            }
        }
    } else {
        bytes.extend(conn.take(framing::length(&headers)).await?);
    }
    Some(framing::parse(&bytes))
}

fn written(response: &Response) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} As asked\r\n", response.status).into_bytes();
    for (name, value) in &response.headers {
        if !FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
            bytes.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
    }
    write!(bytes, "content-length: {}\r\n\r\n", response.body.len()).unwrap();
    bytes.extend(&response.body);
    bytes
}
