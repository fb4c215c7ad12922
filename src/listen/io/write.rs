//! What is written to a client: gathered, so that a head and a small body leave
//! in one segment, and bounded in time beneath.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::AsyncWrite;

use super::{Belongs, COALESCE, EdgeIo};

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
        self.exchange.as_ref().is_some_and(|exchange| exchange.is_gathering())
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_cut()?;
        if self.unsent.len() + buf.len() <= COALESCE || self.is_gathering() {
            if self.unsent.capacity() == 0 {
                self.unsent.reserve_exact(COALESCE);
            }
            self.unsent.extend_from_slice(buf);
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

    /// Writes, and lets nothing else of the exchange run once the client takes
    /// no more; unless it may have more to say, and may want to say it first.
    fn poll_paced<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
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

impl AsyncWrite for EdgeIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_paced(cx, |me, cx| me.poll_gather(cx, buf));
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
