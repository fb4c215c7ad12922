//! One request, and its answer.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// No answer is longer.
const LONGEST: usize = 1 << 20;

/// That of the route that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    Low,
    Normal,
    High,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) priority: Priority,
    /// When it should have been sent.
    pub(crate) since: Instant,
    pub(crate) until: Instant,
    /// None where there was no answer.
    pub(crate) status: Option<u16>,
    /// One that can be asked on again.
    pub(crate) connection: Option<TcpStream>,
}

/// Asks, on a new connection if none is given.
pub(crate) async fn ask(
    port: u16,
    priority: Priority,
    since: Instant,
    connection: Option<TcpStream>,
) -> Asked {
    let (status, connection) = match exchange(port, priority, connection).await {
        Ok((answer, connection)) => {
            (Some(answer.status), Some(connection).filter(|_| answer.stays))
        }
        Err(_) => (None, None),
    };
    Asked { priority, since, until: Instant::now(), status, connection }
}

async fn exchange(
    port: u16,
    priority: Priority,
    connection: Option<TcpStream>,
) -> io::Result<(Answer, TcpStream)> {
    let mut stream = match connection {
        Some(stream) => stream,
        None => TcpStream::connect(("127.0.0.1", port)).await?,
    };
    stream.write_all(request(priority)).await?;
    let mut got = Vec::with_capacity(16 * 1024);
    while stream.read_buf(&mut got).await? > 0 && got.len() <= LONGEST {
        if let Some(answer) = Answer::read(&got) {
            return Ok((answer, stream));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn request(priority: Priority) -> &'static [u8] {
    match priority {
        Priority::Low => b"GET /low HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n",
        Priority::Normal => b"GET /normal HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n",
        Priority::High => b"GET /high HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n",
    }
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    stays: bool,
}

impl Answer {
    /// The answer, if all of it is here. Of chunks only the last is looked for.
    fn read(got: &[u8]) -> Option<Answer> {
        let end = got.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, body) = got.split_at(end + 4);
        let head = String::from_utf8_lossy(head).to_lowercase();
        let mut fields = head.lines().skip(1).filter_map(|field| field.split_once(": "));
        let length = fields.clone().find(|(name, _)| *name == "content-length");
        let is_whole = match length {
            Some((_, length)) => body.len() >= length.parse().ok()?,
            None => body.ends_with(b"0\r\n\r\n"),
        };
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let stays = !fields.any(|field| field == ("connection", "close"));
        is_whole.then_some(Answer { status, stays })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let check = |whole: &str, stays| {
            let answer = Some(Answer { status: 200, stays });
            assert_eq!(Answer::read(whole.as_bytes()), answer, "{whole}");
            for end in 0..whole.len() {
                assert_eq!(Answer::read(&whole.as_bytes()[..end]), None, "{end} of {whole}");
            }
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true);
        check("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true);
    }
}
