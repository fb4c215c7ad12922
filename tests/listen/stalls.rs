//! Clients that ask for much and take nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::SITE;
use crate::support::h2_frames::END_STREAM;
use crate::support::{Client, DEADLINE, Edge, H2Frames, H2Origin, poll};

const STREAMS: usize = 100;
const FIELDS: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")];

/// What the proxy may hold of one answer: what pingora hands over at once
/// (four reads), one more read on its way, the buffer that it was read into,
/// and what the stream may have written.
const HELD: usize = (4 + 1 + 1 + 1) * 64 * 1024;
/// What a socket of the Unix domain holds (net.core.wmem_default).
const IN_SOCKET: usize = 208 * 1024;

/// A server whose answers never end; a Unix socket holds a known amount.
struct Endless {
    // Of all connections.
    written: Arc<AtomicUsize>,
    opened: Arc<AtomicUsize>,
}

impl Endless {
    fn at(path: &Path) -> Endless {
        let listener = UnixListener::bind(path).unwrap();
        let (written, opened) = (Arc::default(), Arc::default());
        let endless = Endless { written, opened };
        let (written, opened) = (endless.written.clone(), endless.opened.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream, written.clone()));
            }
        });
        endless
    }

    /// What all connections took, once no more moves.
    async fn written(&self) -> usize {
        let start = Instant::now();
        let mut last = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.written.load(Ordering::SeqCst);
            if now == last && self.opened.load(Ordering::SeqCst) == STREAMS {
                return now;
            }
            assert!(start.elapsed() < DEADLINE, "{now} bytes and more");
            last = now;
        }
    }
}

async fn answer(mut stream: UnixStream, written: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let mut piece: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    let body = vec![b'x'; 64 * 1024];
    while let Ok(sent) = stream.write(piece).await {
        written.fetch_add(sent, Ordering::SeqCst);
        piece = &body;
    }
}

/// Opens many streams with these windows; what the servers got rid of.
async fn read_for(window: u32) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("origin");
    let origin = Endless::at(&socket);
    let server = format!("unix:{}", socket.display());
    let edge = Edge::start_with(SITE, &[("origin", &server), ("listener", &"protocols: [h2c]")]);
    let mut client = H2Frames::connect(edge.addr()).await;
    client.give_windows(window).await;
    for stream in 0..STREAMS {
        client.head(1 + 2 * u32::try_from(stream).unwrap(), &FIELDS, END_STREAM).await;
    }
    origin.written().await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_take_nothing_leave_others_their_server() {
    let asked = Arc::<AtomicUsize>::default();
    let counted = asked.clone();
    let origin = H2Origin::scripted(move |mut call| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match call.request.uri().path() {
                "/" => call.answer(vec![b'x'; 4 << 20]),
                _ => call.answer(vec![b'x'; 100_000]),
            }
        }
    })
    .await;
    let site = SITE.replace("servers:", "protocol: h2c, servers:");
    let site = format!("server: {{ threads: 1 }}\n{site}");
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &origin.addr), ("listener", &"protocols: [h1, h2c]")];
    let edge = Edge::start_with(&site, &places);
    let mut stuck = H2Frames::connect(edge.addr()).await;
    stuck.give_windows(0).await;
    for stream in 0..50 {
        stuck.head(1 + 2 * stream, &FIELDS, END_STREAM).await;
        // One after the other: each finds the connection of the first.
        let calls = stream as usize + 1;
        poll("a call", || (asked.load(Ordering::SeqCst) == calls).then_some(()));
    }
    // The servers' answers have come as far as they may.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let other = Client::ask(edge.addr(), "GET /other HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!((other.status, other.body.len()), (200, 100_000));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_without_a_window_hold_little() {
    let read = read_for(0).await;
    assert!(read <= STREAMS * (HELD + IN_SOCKET), "{} KiB a stream", read / STREAMS / 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_client_that_reads_nothing_hold_little() {
    let read = read_for(u32::MAX >> 1).await;
    assert!(read <= STREAMS * (HELD + IN_SOCKET), "{} KiB a stream", read / STREAMS / 1024);
}
