//! How fast is pingora's proxy alone, with nothing of Tidegate on the way?
//!
//! The floor of `scripts/bench.sh`: an accept loop and a socket type as lean as
//! pingora allows, one fixed server. No routing, no log, no header fields of
//! ours, no deadlines. And which runtime costs least: one thread each, with a
//! socket each (`single`), or all in one that steals work (`stealing`)?
//!
//!     bare LISTEN SERVER [single|stealing] [THREADS]
//!     bare 127.0.0.1:8080 127.0.0.1:9000 stealing 2

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpPersistentSettings, HttpServerApp};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::ServerSession;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID,
};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{HttpProxy, ProxyHttp, Session};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: tidegate_memory::Allocator = tidegate_memory::Allocator;

/// Writes up to this many bytes wait for a flush, as in Tidegate.
const COALESCE: usize = 4096;

/// Every request to one server.
struct Forward {
    server: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.server, false, String::new())))
    }
}

/// A socket that sends head and body in one segment.
#[derive(Debug)]
struct Socket {
    tcp: TcpStream,
    unsent: Vec<u8>,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.unsent.len() + buf.len() > COALESCE {
            ready!(self.as_mut().poll_flush(cx))?;
            return Pin::new(&mut self.tcp).poll_write(cx, buf);
        }
        self.unsent.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        while !me.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut me.tcp).poll_write(cx, &me.unsent))?;
            me.unsent.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        // The client may be gone already.
        drop(AsyncWriteExt::shutdown(&mut self.tcp).await);
    }
}

impl UniqueID for Socket {
    fn id(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.tcp)
    }
}

impl Ssl for Socket {}
impl Peek for Socket {}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

/// Requests of one connection, one after the other.
async fn serve(tcp: TcpStream, proxy: Arc<HttpProxy<Forward>>, shutdown: watch::Receiver<bool>) {
    drop(tcp.set_nodelay(true));
    let mut stream: Stream = Box::new(Socket { tcp, unsent: Vec::with_capacity(COALESCE) });
    let mut settings: Option<HttpPersistentSettings> = None;
    loop {
        let mut session = ServerSession::new_http1(stream);
        match settings.take() {
            Some(settings) => settings.apply_to_session(&mut session),
            None => session.set_keepalive(Some(600)),
        }
        let Some(reused) = proxy.process_new_http(session, &shutdown).await else {
            return;
        };
        (stream, settings) = reused.consume();
    }
}

async fn accept(listen: SocketAddr, server: SocketAddr) -> io::Result<()> {
    let conf = Arc::new(ServerConf { upstream_keepalive_pool_size: 512, ..ServerConf::default() });
    let proxy = Arc::new(pingora_proxy::http_proxy(&conf, Forward { server }));
    let (_open, shutdown) = watch::channel(false);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(listen)?;
    let listener = socket.listen(4096)?;
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => spawn(serve(tcp, proxy.clone(), shutdown.clone())),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a loop of its own is what is measured")]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}

/// As many threads with a runtime and a listening socket of their own.
#[expect(clippy::disallowed_methods, reason = "threads are what is compared")]
fn run_single(listen: SocketAddr, server: SocketAddr, threads: usize) -> io::Result<()> {
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(accept(listen, server))
    };
    let others: Vec<_> = (1..threads).map(|_| std::thread::spawn(run)).collect();
    run()?;
    others
        .into_iter()
        .try_for_each(|other| other.join().map_err(|_| io::Error::other("a panic"))?)
}

/// One runtime and one socket; idle threads take work from busy ones.
fn run_stealing(listen: SocketAddr, server: SocketAddr, threads: usize) -> io::Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(accept(listen, server))
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let usage = || io::Error::other("usage: bare LISTEN SERVER [single|stealing] [THREADS]");
    let address = |at: usize| words.get(at).and_then(|word| word.parse().ok()).ok_or_else(usage);
    let (listen, server) = (address(0)?, address(1)?);
    let threads = words.get(3).map_or(Ok(1), |word| word.parse().map_err(|_| usage()))?;
    match words.get(2).map_or("single", String::as_str) {
        "single" => run_single(listen, server, threads),
        "stealing" => run_stealing(listen, server, threads),
        _ => Err(usage()),
    }
}
