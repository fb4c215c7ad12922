//! A proxy with its servers and clients, all in the runtime of one test.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

use arc_swap::ArcSwap;
use h2::client::SendRequest;
use http::Response;
use pingora::time::fast_timeout::set_fast_timeout_to_tokio_threshold;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::listen::serve_here;

/// Every time-out but `tunnel` and `first_byte` is short.
const SITE: &str = "
listeners:
  - address: 127.0.0.1:1
    protocols: [h1, h2c]
    timeouts: { header: 10s, body: 10s, write: 10s, idle: 10s, tunnel: 1h }
    limits: { min_rate: {rate} }
upstreams:
  app:
    servers: ['{server}']
    protocol: {protocol}
    timeouts: { first_byte: 10m, between_bytes: 10s }
    retries: { attempts: 1 }
routes: [{ upstream: app }]
# Bodies go on as they come.
defaults: { waf: off }
log: { access: { to: off } }
";

/// What clients must move, where a test says nothing else.
const RATE: &str = "200B/s";

/// A proxy on the runtime of the test, and its servers.
pub(super) struct House {
    listener: Arc<Listener>,
    door: Arc<FrontDoor>,
    app: Arc<HttpProxy<Conductor>>,
    shutdown: Shutdown,
    tasks: JoinSet<()>,
    pub(super) closing: watch::Sender<bool>,
    // Dropped, the clock runs again.
    _stopped: mpsc::Sender<()>,
    _cut: watch::Sender<bool>,
}

impl House {
    fn new(site: &str, protocol: &str, server: SocketAddr, tasks: JoinSet<()>) -> House {
        set_fast_timeout_to_tokio_threshold(Some(Duration::ZERO));
        let text = site.replace("{server}", &server.to_string()).replace("{protocol}", protocol);
        let text = text.replace("{rate}", RATE);
        let written = Written::Text { name: "silence".to_owned(), text };
        let metrics = Metrics::new();
        let loaded = written.load().expect("a configuration");
        let built = loaded.build(|config| Plan::new(config, &metrics));
        let (config, plan) = built.expect("a good site");
        plan.site.resolve_now().expect("addresses");
        let logs = Logs::open(&config.log, rustix::process::geteuid(), &metrics);
        let vault = Vault::small();
        let state = State::new(metrics, logs.expect("none").0, Ledger::default(), vault);
        let site = Arc::new(ArcSwap::from_pointee(plan.site));
        let conductor = Conductor::new(site.clone(), state.clone(), 0);
        let (closing, is_closing) = watch::channel(false);
        let (cut, is_cut) = watch::channel(false);
        House {
            listener: plan.listeners.first().expect("one").clone(),
            door: Arc::new(FrontDoor::new(site, state)),
            app: Arc::new(proxy(&Arc::new(ServerConf::default()), conductor)),
            shutdown: Shutdown::new(is_closing, is_cut),
            tasks,
            closing,
            _stopped: stop_clock(),
            _cut: cut,
        }
    }

    /// In front of a server of HTTP/1: its head is read, then `script` runs.
    pub(super) async fn with_h1<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> House
    where
        F: Future<Output = ()> + Send + 'static,
    {
        House::with_h1_of(SITE, script).await
    }

    /// The same, where answers are sent at this pace.
    pub(super) async fn with_h1_paced<F>(
        pace: &str,
        script: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> House
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cache = format!("cache: {{ profiles: {{ own: {{ pace: {pace} }} }} }}");
        let site = SITE.replace("waf: off", "waf: off, cache: own");
        House::with_h1_of(&format!("{site}{cache}\n"), script).await
    }

    /// The same, where clients must move bytes at this rate.
    pub(super) async fn with_h1_at<F>(
        rate: &str,
        script: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> House
    where
        F: Future<Output = ()> + Send + 'static,
    {
        House::with_h1_of(&SITE.replace("{rate}", rate), script).await
    }

    async fn with_h1_of<F>(site: &str, script: impl Fn(TcpStream) -> F + Send + 'static) -> House
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (listener, addr) = listen().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = read_to(&mut stream, b"\r\n\r\n").await;
                assert!(head.starts_with(b"GET / HTTP/1.1\r\n") || head.starts_with(b"POST / "));
                connections.spawn(script(stream));
            }
        });
        House::new(site, "h1", addr, tasks)
    }

    /// In front of a server of HTTP/2 that says everything again.
    pub(super) async fn with_echo_over_h2() -> House {
        let (listener, addr) = listen().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = h2::server::handshake(stream).await.expect("h2");
                running.spawn(async move {
                    let mut calls = JoinSet::new();
                    while let Some(Ok((request, mut answer))) = connection.accept().await {
                        let head = Response::builder().header("content-type", "application/grpc");
                        let head = head.body(()).expect("a head");
                        let mut say = answer.send_response(head, false).expect("answered");
                        calls.spawn(async move {
                            let mut heard = request.into_body();
                            while let Some(Ok(piece)) = heard.data().await {
                                say.send_data(piece, false).expect("said");
                            }
                        });
                    }
                });
            }
        });
        House::new(SITE, "h2c", addr, tasks)
    }

    /// A client connected to the proxy.
    pub(super) async fn client(&mut self) -> TcpStream {
        let (listener, addr) = listen().await;
        let client = TcpStream::connect(addr).await.expect("connected");
        let (stream, peer) = listener.accept().await.expect("accepted");
        let stream = stream.into_std().expect("a socket");
        let (door, app) = (self.door.clone(), self.app.clone());
        let (listener, shutdown) = (self.listener.clone(), self.shutdown.clone());
        self.tasks.spawn(serve_here(stream, peer, listener, door, app, shutdown));
        client
    }

    /// A client of HTTP/1 that has asked, and the head of what it was told.
    pub(super) async fn ask(&mut self, fields: &str) -> (TcpStream, String) {
        let mut client = self.client().await;
        say(&mut client, &format!("GET / HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n")).await;
        let head = soon("a head", read_to(&mut client, b"\r\n\r\n")).await;
        (client, String::from_utf8(head).expect("text"))
    }

    pub(super) async fn h2_client(&mut self) -> SendRequest<Bytes> {
        self.h2_client_of(h2::client::Builder::new()).await
    }

    pub(super) async fn h2_client_of(
        &mut self,
        options: h2::client::Builder,
    ) -> SendRequest<Bytes> {
        let client = self.client().await;
        let shaken = soon("a connection", options.handshake(client)).await;
        let (send, connection) = shaken.expect("h2");
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                ::log::debug!("the client's connection: {error}");
            }
        });
        send
    }
}

/// Keeps the clock from running ahead whenever nothing is ready, as a paused
/// one does: tokio waits for what blocks.
fn stop_clock() -> mpsc::Sender<()> {
    let (keep, kept) = mpsc::channel();
    // It ends with the sender; nothing is ever sent.
    drop(tokio::task::spawn_blocking(move || kept.recv().is_ok()));
    keep
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}
