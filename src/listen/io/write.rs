//! What is written to a client: gathered, so that a head and a small body leave
//! in one segment, and bounded in time beneath.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http::HeaderValue;
use tokio::io::AsyncWrite;

use super::super::throttle::Turn;
use super::{Belongs, COALESCE, EdgeIo};

/// Bytes of `Sun, 06 Nov 1994 08:49:37 GMT`.
const FIXDATE: usize = 29;

impl EdgeIo {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            let (_, rest) = self.unsent.split_at(sent);
            match self.transport.poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => sent += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.unsent.drain(..sent);
                    return Poll::Pending;
                }
            }
        }
        self.unsent.clear();
        Poll::Ready(Ok(()))
    }

    /// Sends what has been gathered, down to the socket.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.transport.poll_flush(cx)
    }

    /// Sends what no flush will send any more, as far as the socket takes it:
    /// pingora drops a connection whose server broke off, and the client is to
    /// see how far the answer came.
    pub(super) fn send_unsent(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let sent = self.poll_drain(&mut cx).map(|drained| drained.is_ok());
        if sent.is_pending() || self.transport.poll_flush(&mut cx).is_pending() {
            ::log::debug!("the end of an answer to {} is lost", self.connection.peer);
        }
    }

    fn is_gathering(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.leaving.is_gathering())
    }

    /// How much of a piece may be written at the pace of its answer. What is gathered
    /// waits for nothing.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(exchange) = &self.exchange else { return Poll::Ready(usize::MAX) };
        if self.is_gathering() {
            return Poll::Ready(usize::MAX);
        }
        loop {
            let at = match exchange.leaving.turn() {
                Turn::Now(most) => return Poll::Ready(most),
                Turn::At(at) => at,
            };
            let turn = self.turn.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if turn.deadline() != at {
                turn.as_mut().reset(at);
            }
            ready!(turn.as_mut().poll(cx));
        }
    }

    /// Writes as much of a body as may leave now.
    fn poll_throttled(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.exchange.as_ref().is_some_and(|exchange| exchange.leaving.take_head()) {
            return self.poll_gather(cx, buf);
        }
        self.check_cut()?;
        let Poll::Ready(most) = self.poll_turn(cx) else {
            // What may leave does not wait for what may not.
            return match self.poll_send(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            };
        };
        let (piece, _) = buf.split_at(most.min(buf.len()));
        let written = self.poll_gather(cx, piece);
        if let (Poll::Ready(Ok(sent)), Some(exchange)) = (&written, &self.exchange) {
            exchange.leaving.sent(*sent);
        }
        written
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_cut()?;
        let date = self.take_date(buf);
        let at_once =
            self.exchange.as_ref().is_some_and(|exchange| exchange.leaving.sends_at_once());
        let is_small = self.unsent.len() + buf.len() <= COALESCE && !at_once;
        if is_small || self.is_gathering() || date.is_some() {
            if self.unsent.capacity() == 0 {
                self.unsent.reserve_exact(COALESCE);
            }
            let start = self.unsent.len();
            self.unsent.extend_from_slice(buf);
            if let (Some(date), Some(head)) = (date, self.unsent.get_mut(start..)) {
                put_date(head, date.as_bytes());
            }
            if at_once && !self.is_gathering() {
                // What the socket does not take leaves with what follows.
                if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                    return Poll::Ready(Err(error));
                }
            }
            return Poll::Ready(Ok(buf.len()));
        }
        while !self.unsent.is_empty() {
            let held = self.unsent.len();
            let sent = ready!(self.transport.poll_write_both(cx, &self.unsent, buf))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.drain(..sent.min(held));
            if sent > held {
                return Poll::Ready(Ok(sent - held));
            }
        }
        self.transport.poll_write(cx, buf)
    }

    /// The Date that the head which is written now is to have, if it is kept.
    fn take_date(&self, head: &[u8]) -> Option<HeaderValue> {
        let exchange = self.exchange.as_ref().filter(|_| self.frames.is_none())?;
        let is_final = head.starts_with(b"HTTP/1.") && head.get(8..10) != Some(b" 1");
        is_final.then(|| exchange.leaving.take_date())?
    }

    /// Writes, and lets nothing else of the exchange run once the client takes
    /// no more; unless it may have more to say, and may want to say it first.
    fn poll_paced<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.exchange.as_ref().is_some_and(|exchange| exchange.leaving.runs_ahead()) {
            return write(self, cx);
        }
        // Most writes do not wait, and keeping a pace costs something.
        if !self.pace.stands() {
            let written = write(self, cx);
            let has_asked = self.exchange.is_some() && matches!(self.belongs, Belongs::Bytes(0));
            if written.is_ready() || !has_asked {
                return written;
            }
        }
        let pace = self.pace.clone();
        pace.poll(cx, |cx| write(self, cx))
    }

    /// A client that is written to is not waited for to send; and no rate is
    /// asked of who reads an answer that comes when it comes.
    fn forgive<T>(&mut self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() {
            self.speed.stop();
        }
        if written.is_pending() && self.exchange.as_ref().is_some_and(|it| it.is_open_ended()) {
            self.transport.forgive();
        }
        written
    }
}

/// Writes a date over that of a head, where both are of the one form that is
/// written today.
fn put_date(head: &mut [u8], date: &[u8]) {
    const NAME: &[u8] = b"date: ";
    let is_name = |at: &usize| {
        let (before, from) = head.split_at(*at);
        before.ends_with(b"\r\n")
            && from.get(..NAME.len()).is_some_and(|it| it.eq_ignore_ascii_case(NAME))
    };
    // Most bytes of a head are passed over by the dozen.
    let place = memchr::memchr2_iter(b'D', b'd', head).find(is_name);
    let Some(start) = place.map(|at| at + NAME.len()) else { return };
    let end = start + date.len();
    if date.len() == FIXDATE
        && head.get(end..end + 2) == Some(b"\r\n")
        && let Some(old) = head.get_mut(start..end)
    {
        old.copy_from_slice(date);
    }
}

impl AsyncWrite for EdgeIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_paced(cx, |me, cx| me.poll_throttled(cx, buf));
        if let (Some(frames), Poll::Ready(Ok(sent))) = (&mut self.frames, &written) {
            frames.follow_ours(buf.get(..*sent).unwrap_or_default());
        }
        self.forgive(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_gathering() {
            return Poll::Ready(Ok(()));
        }
        let sent = self.poll_paced(cx, Self::poll_send);
        self.forgive(sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pace.forget();
        ready!(self.poll_drain(cx))?;
        self.transport.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, date: &str, expected: &str) {
        let mut head = head.as_bytes().to_vec();
        put_date(&mut head, date.as_bytes());
        assert_eq!(String::from_utf8_lossy(&head), expected);
    }

    #[test]
    fn a_head_keeps_its_date() {
        let head =
            |date: &str| format!("HTTP/1.1 200 OK\r\na: date: b\r\nDate: {date}\r\n\r\nbody");
        let (ours, theirs) = ("Mon, 07 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT");
        check(&head(ours), theirs, &head(theirs));
        check(&head(ours), "Sunday, 06-Nov-94 08:49:37 GMT", &head(ours));
        check(&head(ours), "", &head(ours));
        check("HTTP/1.1 200 OK\r\n\r\n", theirs, "HTTP/1.1 200 OK\r\n\r\n");
        check("HTTP/1.1 200 OK\r\ndate: x\r\n\r\n", theirs, "HTTP/1.1 200 OK\r\ndate: x\r\n\r\n");
    }
}
