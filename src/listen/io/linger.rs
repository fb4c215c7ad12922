//! Keeps a connection whose request was not read until its client has the answer.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::connection::Connection;
use super::super::worker::spawn_linger;
use super::{EdgeIo, LINGER, LINGER_BYTES, LINGER_READS};

/// Pingora drops a connection whose request it did not read to the end, and
/// closing it there would reset it: the client would lose the answer that says
/// why (RFC 9112 §9.6). So the socket stays until the client has seen it.
impl Drop for EdgeIo {
    fn drop(&mut self) {
        self.pace.forget();
        self.send_unsent();
        // One that is cut has had its last words; the process does not wait.
        if !self.is_unread() || self.check_cut().is_err() {
            return;
        }
        let kept = self.transport.as_fd().try_clone_to_owned();
        match kept.map(std::net::TcpStream::from).and_then(TcpStream::from_std) {
            Ok(stream) => spawn_linger(linger(self.connection.clone(), stream)),
            Err(error) => ::log::debug!("not lingering for {}: {error}", self.connection.peer),
        }
    }
}

/// Says that nothing more comes, and drops what still does; the connection
/// keeps its seat until then.
async fn linger(connection: Arc<Connection>, mut stream: TcpStream) {
    let drained = async {
        stream.shutdown().await?;
        let mut dropped = vec![0; LINGER_BYTES];
        let mut reads = 0..LINGER_READS;
        while reads.next().is_some() && stream.read(&mut dropped).await? > 0 {}
        io::Result::Ok(())
    };
    if let Ok(Err(error)) = tokio::time::timeout(LINGER, drained).await {
        ::log::debug!("lingering for {} ended early: {error}", connection.peer);
    }
}
