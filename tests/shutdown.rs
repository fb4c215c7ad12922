//! How the process ends: drained by SIGTERM, at once by SIGINT.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::Semaphore;

use crate::support::origin::{self, Origin};
use crate::support::{Authority, Client, Edge, H2Client, h2_client, poll};

/// A drain that would last longer than any wait of a test.
const SITE: &str = "
server: { drain: 10m }
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

/// The same with a drain that a test can wait out.
const SHORT: &str = "
server: { drain: 300ms }
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

/// Neither a drain nor a deadline ends what says nothing here.
const NEVER: &str = "
server: { drain: 10m }
clients: { trusted_proxies: [127.0.0.0/8] }
listeners:
  - { address: '127.0.0.1:{port}', proxy_protocol: require, timeouts: { header: 10m } }
  - address: '127.0.0.1:{tls_port}'
    timeouts: { header: 10m }
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
routes: [{ respond: { status: 200 } }]
";

const HELD: &str = "GET /held HTTP/1.1\r\nhost: a.example\r\n\r\n";
const QUICK: &str = "GET /quick HTTP/1.1\r\nhost: a.example\r\n\r\n";

/// A server that answers `/held` once it gets a permit, and all else at once.
async fn holding() -> (Origin, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let given = permits.clone();
    let origin = Origin::scripted(move |mut conn| {
        let permits = given.clone();
        async move {
            while let Some(request) = conn.request().await {
                if request.target() == "/held" {
                    permits.acquire().await.unwrap().forget();
                }
                conn.send(origin::ok("whole")).await;
            }
        }
    })
    .await;
    (origin, permits)
}

/// A client whose request waits at the server.
async fn in_flight(edge: &Edge, origin: &Origin) -> Client {
    let before = origin.requests();
    let mut client = Client::connect(edge.addr()).await;
    client.send(HELD).await;
    origin.await_requests(before + 1);
    client
}

/// A client that has had an answer and may ask again.
async fn idle(edge: &Edge) -> Client {
    let mut client = Client::connect(edge.addr()).await;
    client.send(QUICK).await;
    assert_eq!(client.response().await.status, 200);
    client
}

fn refuses(addr: std::net::SocketAddr) {
    poll("the listening socket to refuse", || {
        let tried = std::net::TcpStream::connect(addr);
        tried.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_requests_in_flight_end() {
    let (origin, permits) = holding().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    assert_eq!(edge.admin_get("/readyz").status, 200);
    let mut client = in_flight(&edge, &origin).await;

    edge.signal(Signal::TERM);
    edge.await_stderr("draining 1 connection");
    refuses(edge.addr());
    let ready = edge.admin_get("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (503, "draining\n"));
    assert_eq!(edge.admin_get("/healthz").status, 200);

    permits.add_permits(1);
    let answer = client.response().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "whole"));
    assert_eq!(answer.header("connection"), Some("close"));
    client.expect_closed().await;
    let (status, records) = ended(edge, 1);
    assert!(status.success(), "{status}");
    assert_eq!(records[0]["path"], "/held");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_h2_streams_end() {
    let (origin, permits) = holding().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let mut client = H2Client::connect(edge.addr()).await;
    let request = http::Request::get("http://a.example/held").body(()).unwrap();
    let (answer, _) = client.open(request, true).await;
    origin.await_requests(1);

    edge.signal(Signal::TERM);
    edge.await_stderr("draining 1 connection");
    permits.add_permits(1);
    assert_eq!(h2_client::whole(answer).await.unwrap().response.text(), "whole");
    client.closed().await.unwrap();
    let (status, records) = ended(edge, 1);
    assert!(status.success(), "{status}");
    assert_eq!(records[0]["protocol"], "HTTP/2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_hold_the_end_up() {
    let (origin, _) = holding().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let mut kept = idle(&edge).await;
    let mut silent = Client::connect(edge.addr()).await;
    let mut h2 = H2Client::connect(edge.addr()).await;
    assert_eq!(h2.get("http://a.example/quick").await.response.status, 200);
    edge.await_metric("tidegate_proxy_requests_total{method=\"GET\",protocol=\"HTTP/2.0\"}", 1.0);

    edge.signal(Signal::TERM);
    kept.expect_closed().await;
    silent.expect_closed().await;
    h2.closed().await.unwrap();
    let (status, _) = ended(edge, 2);
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_begins_does_not_hold_the_end_up() {
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let edge = Edge::start_with(NEVER, &[("certs", &certs.dir().display())]);
    // None says a word: not the PROXY header, not the first of a handshake, not
    // the preface of the protocol it has negotiated.
    let mut announced = Client::connect(edge.addr()).await;
    let mut tls = Client::connect(edge.tls_addr()).await;
    let mut h2 = Client::tls(edge.tls_addr(), certs.client(&["h2"]), "a.example").await;
    edge.await_metric("tidegate_listen_connections_accepted_total", 3.0);
    edge.signal(Signal::TERM);
    announced.expect_closed().await;
    tls.expect_closed().await;
    // What the server had to say of HTTP/2 first is of no interest here.
    h2.read_to_end().await;
    let (status, _) = ended(edge, 0);
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_began_is_heard_out() {
    let (origin, _) = holding().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    let (first, rest) = HELD.split_at(10);
    let first = first.replace("held", "slow");
    client.send(&first).await;
    edge.await_metric("tidegate_listen_connections_accepted_total", 1.0);

    edge.signal(Signal::TERM);
    edge.await_stderr("draining 1 connection");
    client.send(rest).await;
    let answer = client.response().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    ended(edge, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_bounds_the_wait_for_a_stuck_request() {
    let (origin, _) = holding().await;
    let edge = Edge::start_with(SHORT, &[("origin", &origin.addr)]);
    let mut client = in_flight(&edge, &origin).await;
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = http::Request::get("http://a.example/held").body(()).unwrap();
    let (answer, _) = h2.open(request, true).await;
    origin.await_requests(2);

    let start = Instant::now();
    edge.signal(Signal::TERM);
    edge.await_stderr("2 connections are cut after 300ms");
    assert_eq!(client.read_to_end().await, b"");
    h2_client::whole(answer).await.unwrap_err();
    let (status, records) = ended(edge, 2);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    assert!(status.success(), "{status}");
    assert!(records.iter().all(|record| record["status"] == 0), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_stops_at_once() {
    let (origin, _) = holding().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let _kept = idle(&edge).await;
    let mut client = in_flight(&edge, &origin).await;

    edge.signal(Signal::INT);
    assert_eq!(client.read_to_end().await, b"");
    let (status, records) = ended(edge, 2);
    assert!(status.success(), "{status}");
    assert_eq!((&records[0]["path"], &records[0]["status"]), (&"/quick".into(), &200.into()));
    assert_eq!(records[1]["status"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_ends_a_drain() {
    let (origin, _) = holding().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let mut client = in_flight(&edge, &origin).await;
    edge.signal(Signal::TERM);
    edge.await_stderr("draining 1 connection");

    edge.signal(Signal::INT);
    assert_eq!(client.read_to_end().await, b"");
    let (status, _) = ended(edge, 1);
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_wait_to_be_accepted_are_answered() {
    let (origin, _) = holding().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    // Stopped, the process accepts nothing: the kernel alone takes these.
    edge.signal(Signal::STOP);
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(edge.addr()).await;
        client.send(QUICK).await;
        waiting.push(client);
    }
    edge.signal(Signal::TERM);
    edge.signal(Signal::CONT);
    for mut client in waiting {
        assert_eq!(client.response().await.status, 200);
    }
    ended(edge, 20);
}

/// Waits for the process to end; its status and exactly `count` records.
fn ended(mut edge: Edge, count: usize) -> (std::process::ExitStatus, Vec<serde_json::Value>) {
    let status = edge.wait_exit();
    let records = edge.records();
    assert_eq!(records.len(), count, "{records:#?}");
    (status, records)
}
