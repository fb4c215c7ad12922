//! Reads of what belongs to one request, and not a byte more.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::super::body_end::LastByte;
use super::{Belongs, EdgeIo};

impl EdgeIo {
    /// Reads of a body of which this many bytes are missing.
    pub(super) fn poll_length(
        &mut self,
        left: u64,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let keeps_end = self.keeps_end();
        if keeps_end && left == 1 {
            return self.poll_last(cx);
        }
        let most = usize::try_from(left - u64::from(keeps_end)).unwrap_or(usize::MAX);
        let limit = most.min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(limit));
        let read = self.transport.poll_read(cx, &mut part);
        let n = part.filled().len();
        buf.advance(n);
        self.belongs = Belongs::Bytes(left - n as u64);
        read
    }

    /// Reads of a chunked body; what comes after it is kept.
    pub(super) fn poll_chunks(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, keeps_end) = (buf.filled().len(), self.keeps_end());
        ready!(self.transport.poll_read(cx, buf))?;
        let (Belongs::Chunks(chunks), (_, come)) =
            (&mut self.belongs, buf.filled().split_at(before))
        else {
            return Poll::Ready(Ok(()));
        };
        let used = match chunks.follow(come) {
            Ok(used) => used,
            Err(bad) => {
                // None of it is told, lest a server sees an end in it.
                buf.set_filled(before);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, bad)));
            }
        };
        let (body, next) = come.split_at(used);
        self.ahead.extend_from_slice(next);
        let mut told = used;
        if chunks.is_done() {
            self.belongs = Belongs::Bytes(0);
            if let (true, Some(last)) = (keeps_end, body.last()) {
                told -= 1;
                self.end = Some(*last);
                self.tell_end(LastByte::Framing);
            }
        }
        buf.set_filled(before + told);
        // No bytes would be taken for the end of the connection.
        if told == 0 && self.end.is_some() { self.poll_ahead(cx) } else { Poll::Ready(Ok(())) }
    }

    /// The end was read and kept, or is wanted now.
    pub(super) fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.keeps_end() {
            return self.poll_ahead(cx);
        }
        if let Some(last) = self.end.take() {
            buf.put_slice(&[last]);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads the last byte of a body and keeps it.
    fn poll_last(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        ready!(self.transport.poll_read(cx, &mut buf))?;
        let &[last] = buf.filled() else {
            return Poll::Ready(Ok(()));
        };
        self.belongs = Belongs::Bytes(0);
        self.end = Some(last);
        self.tell_end(LastByte::Data(last));
        self.poll_ahead(cx)
    }

    fn keeps_end(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.body_end().is_kept())
    }

    fn tell_end(&self, last: LastByte) {
        if let Some(exchange) = &self.exchange {
            exchange.body_end().tell(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::super::Framing;
    use super::super::tests::asked;
    use super::*;

    /// What of a body is read while its end is kept, what that is, and what is
    /// read once it is kept no more; the client sends one piece after the other.
    async fn read_kept(framing: Framing, pieces: &[&str]) -> (String, LastByte, String) {
        let (_seats, mut io, exchange, mut client) = asked().await;
        io.begin_request(&mut BytesMut::new(), 0, framing).expect("no byte has come");
        let kept = exchange.keep_end();
        let (mut read, mut buf) = (String::new(), [0; 64]);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let sending = async {
            for piece in pieces {
                client.write_all(piece.as_bytes()).await.expect("sent");
                tokio::task::yield_now().await;
            }
            std::future::pending().await
        };
        let reading = async {
            loop {
                // Whoever waits for more is told beside it that all is there.
                tokio::select! {
                    biased;
                    n = io.read(&mut buf) => match n.expect("read") {
                        0 => panic!("ended after {read:?}"),
                        n => read += &text(&buf[..n]),
                    },
                    last = kept.came() => return last,
                }
            }
        };
        let last = tokio::select! {
            last = reading => last,
            () = sending => unreachable!("it goes on"),
        };
        drop(kept);
        let n = io.read(&mut buf).await.expect("the end");
        let end = text(&buf[..n]);
        (read, last, end)
    }

    #[tokio::test]
    async fn the_end_of_a_body_is_kept_and_told_beside_it() {
        let (a, z) = (LastByte::Data(b'a'), LastByte::Data(b'z'));
        for (pieces, expected) in [
            (&["a"][..], ("", a, "a")),
            (&["abcz"], ("abc", z, "z")),
            (&["ab", "c", "z"], ("abc", z, "z")),
            // What follows is not the body's.
            (&["abcz", "GET"], ("abc", z, "z")),
        ] {
            let length = pieces.concat().trim_end_matches("GET").len() as u64;
            let (read, last, end) = read_kept(Framing::Length(length), pieces).await;
            assert_eq!((&*read, last, &*end), expected, "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn the_last_byte_of_chunks_is_no_data() {
        for pieces in [
            &["2\r\nab\r\n0\r\n\r\n"][..],
            &["2\r\nab\r\n", "0\r\n\r\n"],
            &["2\r\nab\r\n0\r\n\r", "\n"],
            &["2\r\nab\r\n0\r\n", "\r\nGET / HTTP/1.1\r\n"],
        ] {
            let (read, last, end) = read_kept(Framing::Chunked, pieces).await;
            let expected = ("2\r\nab\r\n0\r\n\r", LastByte::Framing, "\n");
            assert_eq!((&*read, last, &*end), expected, "{pieces:?}");
        }
    }
}
