//! Connections to servers: how many are kept, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::support::origin::ok;
use crate::support::{Client, Edge, Origin, poll};

const SITE: &str = "
server: { threads: 1 }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{origin}'], connections: { {connections} } } }
routes: [{ upstream: app }]
";
const GET: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

/// A server that answers as often as it is allowed to.
struct Kept {
    origin: Origin,
    allowed: Arc<Semaphore>,
    /// Connections that the proxy has closed.
    ended: Arc<AtomicUsize>,
}

impl Kept {
    async fn start() -> Kept {
        let (allowed, ended) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (permits, ends) = (allowed.clone(), ended.clone());
        let origin = Origin::scripted(move |mut conn| {
            let (permits, ends) = (permits.clone(), ends.clone());
            async move {
                while conn.request().await.is_some() {
                    permits.acquire().await.unwrap().forget();
                    conn.send(ok("kept")).await;
                }
                ends.fetch_add(1, Ordering::SeqCst);
            }
        })
        .await;
        Kept { origin, allowed, ended }
    }

    fn edge(&self, connections: &str) -> Edge {
        Edge::start_with(SITE, &[("origin", &self.origin.addr), ("connections", &connections)])
    }

    fn await_ended(&self, count: usize) {
        poll(&format!("{count} connections to end"), || {
            (self.ended.load(Ordering::SeqCst) == count).then_some(())
        });
    }

    /// One more request, answered at once.
    async fn ask(&self, edge: &Edge) {
        self.allowed.add_permits(1);
        assert_eq!(Client::ask(edge.addr(), GET).await.text(), "kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_are_kept_than_may_be_idle() {
    let kept = Kept::start().await;
    let edge = kept.edge("idle: 2");
    let mut clients = Vec::new();
    for opened in 1..=5 {
        let mut client = Client::connect(edge.addr()).await;
        client.send(GET).await;
        // One after the other: each finds those before it open.
        kept.origin.await_requests(opened);
        clients.push(client);
    }
    kept.allowed.add_permits(5);
    for client in &mut clients {
        assert_eq!(client.response().await.status, 200);
    }
    kept.await_ended(3);
    for _ in 0..3 {
        kept.ask(&edge).await;
    }
    assert_eq!(kept.origin.connections(), 5, "those that are left are used again");
    assert_eq!(kept.ended.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_no_longer_than_it_may_be_idle() {
    let kept = Kept::start().await;
    let edge = kept.edge("idle_timeout: 300ms");
    kept.ask(&edge).await;
    kept.await_ended(1);
    kept.ask(&edge).await;
    assert_eq!(kept.origin.connections(), 2);
}
