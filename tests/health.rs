//! Active checks and ejection: servers that fail go out, and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpSocket;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use crate::support::app::{self, GET, await_healthy, servers};
use crate::support::origin::{Conn, ok};
use crate::support::{Authority, Client, Edge, Origin, poll};

/// A server that answers `/healthz` with the status that `health` holds, and
/// counts these answers in `checks`.
async fn checked(health: &Arc<AtomicUsize>, checks: &Arc<AtomicUsize>) -> Origin {
    let (health, checks) = (health.clone(), checks.clone());
    Origin::scripted(move |mut conn: Conn| {
        let (health, checks) = (health.clone(), checks.clone());
        async move {
            while let Some(request) = conn.request().await {
                if request.target() != "/healthz?full=1" {
                    conn.send(ok("served")).await;
                    continue;
                }
                assert_eq!(request.header("host"), Some("check.internal"));
                assert_eq!(request.header("user-agent"), Some("tidegate-health"));
                let status = health.load(Ordering::SeqCst);
                checks.fetch_add(1, Ordering::SeqCst);
                conn.send(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
            }
        }
    })
    .await
}

const HTTP: &str =
    "http: { path: '/healthz?full=1', host: check.internal, expect: [204, 300-399] }";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_goes_out_and_comes_back_by_what_its_page_says() {
    let (health, checks) = (Arc::new(AtomicUsize::new(204)), Arc::default());
    let ill = checked(&health, &checks).await;
    let other = Origin::answering(ok("other")).await;
    // The other one answers 200, which is not expected.
    let app = format!(
        "{{ servers: ['{{ill}}', {{ address: '{{other}}', backup: true }}],
            health: {{ {HTTP}, interval: 20ms, rise: 5, fall: 6 }}, when_none_healthy: try_all }}"
    );
    let edge = app::start(&app, &[("ill", &ill.addr), ("other", &other.addr)]);
    await_healthy(&edge, 1, false);
    for status in [399, 204, 300] {
        health.store(status, Ordering::SeqCst);
        let until = checks.load(Ordering::SeqCst) + 8;
        poll("more checks", || (checks.load(Ordering::SeqCst) >= until).then_some(()));
        assert_eq!(servers(&edge)[0]["healthy"], true, "{status}");
    }
    assert_eq!(Client::ask(edge.addr(), GET).await.text(), "served");

    checks.store(0, Ordering::SeqCst);
    health.store(200, Ordering::SeqCst);
    await_healthy(&edge, 0, false);
    let failed = checks.load(Ordering::SeqCst);
    assert!(failed >= 6, "out after {failed} checks");
    assert_eq!(servers(&edge)[0]["why"], "answered 200");
    edge.await_stderr("is unhealthy: answered 200");

    checks.store(0, Ordering::SeqCst);
    health.store(204, Ordering::SeqCst);
    await_healthy(&edge, 0, true);
    let good = checks.load(Ordering::SeqCst);
    assert!(good >= 5, "back after {good} checks");
    edge.await_stderr("is healthy again");
    assert_eq!(Client::ask(edge.addr(), GET).await.text(), "served");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_checks_that_are_not_in_a_row_change_nothing() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let origin = Origin::scripted(move |mut conn: Conn| {
        let counted = counted.clone();
        async move {
            while conn.request().await.is_some() {
                let is_odd = counted.fetch_add(1, Ordering::SeqCst) % 2 == 1;
                let status = if is_odd { 500 } else { 200 };
                conn.send(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
            }
        }
    })
    .await;
    let app =
        "{ servers: ['{origin}'], health: { http: {}, interval: 10ms, timeout: 15s, fall: 2 } }";
    let edge = app::start(app, &[("origin", &origin.addr)]);
    poll("20 checks", || (count.load(Ordering::SeqCst) >= 20).then_some(()));
    assert!(!edge.stderr().contains("is unhealthy"), "{}", edge.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_a_check_in_time_is_out() {
    let silent = Origin::scripted(|mut conn: Conn| async move { conn.closed().await }).await;
    let app = "{ servers: ['{silent}'],
        health: { http: { path: / }, interval: 20ms, timeout: 50ms, fall: 2 } }";
    let edge = app::start(app, &[("silent", &silent.addr)]);
    await_healthy(&edge, 0, false);
    assert_eq!(servers(&edge)[0]["why"], "no answer within 50 ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_upstream_is_checked_at_its_own_interval() {
    let (often, seldom) = (Origin::ok().await, Origin::ok().await);
    let site = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams:
  often: { servers: ['{often}'], health: { http: {}, interval: 20ms } }
  seldom: { servers: ['{seldom}'], health: { http: {}, interval: 1h } }
routes: [{ upstream: often }]
";
    let edge = Edge::start_with(site, &[("often", &often.addr), ("seldom", &seldom.addr)]);
    often.await_requests(100);
    assert!(seldom.requests() <= 1, "{} checks within an hour", seldom.requests());
    drop(edge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_check_connects() {
    // Bound, so that nobody else can be there; not listening, so that it refuses.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    let app = "{ servers: ['{addr}'], health: { tcp: {}, interval: 20ms, rise: 1, fall: 1 } }";
    let edge = app::start(app, &[("addr", &addr)]);
    await_healthy(&edge, 0, false);
    let listener = socket.listen(16).unwrap();
    await_healthy(&edge, 0, true);
    drop(listener);
    await_healthy(&edge, 0, false);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_check_asks_the_health_service() {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop.Orders", ServingStatus::Serving).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let serving = tonic::transport::Server::builder().add_service(service);
    let server = tokio::spawn(serving.serve_with_incoming(incoming));
    let app = "{ servers: ['{addr}'], protocol: h2c,
        health: { grpc: { service: shop.Orders }, interval: 20ms, rise: 2, fall: 2 } }";
    let edge = app::start(app, &[("addr", &addr)]);

    let set = async |status| reporter.set_service_status("shop.Orders", status).await;
    set(ServingStatus::NotServing).await;
    await_healthy(&edge, 0, false);
    assert_eq!(servers(&edge)[0]["why"], "says NOT_SERVING");
    set(ServingStatus::Serving).await;
    await_healthy(&edge, 0, true);
    server.abort();
    await_healthy(&edge, 0, false);
    drop(edge);

    // A service that the server does not know is no healthy one.
    let (_reporter, service) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let serving = tonic::transport::Server::builder().add_service(service);
    let server = tokio::spawn(serving.serve_with_incoming(incoming));
    let edge = app::start(app, &[("addr", &addr)]);
    await_healthy(&edge, 0, false);
    assert_eq!(servers(&edge)[0]["why"], "answered grpc-status 5");
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_speak_tls_as_requests_do() {
    let certs = Authority::new();
    let script = |mut conn: Conn| async move {
        while conn.request().await.is_some() {
            conn.send(ok("")).await;
        }
    };
    let origin = Origin::scripted_tls(certs.server(&["app.internal"]), script).await;
    let app = "{ servers: ['{origin}'], tls: { sni: app.internal, ca: '{ca}' },
        health: { http: {}, interval: 20ms, timeout: 15s, rise: 1, fall: 1 } }";
    let edge = app::start(app, &[("origin", &origin.addr), ("ca", &certs.ca().display())]);
    origin.await_requests(3);
    assert_eq!(servers(&edge)[0]["healthy"], true);
    let other = Authority::new();
    let edge = app::start(app, &[("origin", &origin.addr), ("ca", &other.ca().display())]);
    await_healthy(&edge, 0, false);
}

/// Answers with the status that `status` holds.
async fn switched(status: &Arc<AtomicUsize>) -> Origin {
    let status = status.clone();
    Origin::scripted(move |mut conn: Conn| {
        let status = status.clone();
        async move {
            while conn.request().await.is_some() {
                let status = status.load(Ordering::SeqCst);
                conn.send(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
            }
        }
    })
    .await
}

async fn statuses(edge: &Edge, count: usize) -> Vec<u16> {
    let mut client = Client::connect(edge.addr()).await;
    let mut statuses = Vec::new();
    for _ in 0..count {
        client.send(GET).await;
        statuses.push(client.response().await.status);
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_requests_is_ejected_and_comes_back() {
    let status = Arc::new(AtomicUsize::new(500));
    let [failing, good] = [switched(&status).await, Origin::ok().await];
    let app = "{ servers: ['{0}', '{1}'], outlier: { errors: 3, eject: 5s } }";
    let edge = app::start(app, &[("0", &failing.addr), ("1", &good.addr)]);

    // In turn until the third failure.
    assert_eq!(statuses(&edge, 6).await.iter().filter(|status| **status == 500).count(), 3);
    assert_eq!(servers(&edge)[0]["ejected"], true);
    edge.await_stderr("failed 3 times in a row and is out for 5000 ms");
    status.store(200, Ordering::SeqCst);
    let seen = failing.requests();
    poll("the server to be back", || (servers(&edge)[0]["ejected"] == false).then_some(()));
    assert_eq!(failing.requests(), seen, "asked while it was out");
    assert_eq!(statuses(&edge, 8).await, [200; 8]);
    assert!(failing.requests() > seen, "not asked after its time out");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_servers_are_ejected_than_may_be() {
    let status = Arc::new(AtomicUsize::new(500));
    for (share, expected) in [("0%", [5, 5]), ("50%", [1, 9]), ("100%", [1, 9])] {
        let [one, other] = [switched(&status).await, switched(&status).await];
        let app = format!(
            "{{ servers: ['{{0}}', '{{1}}'],
                outlier: {{ errors: 1, eject: 1h, max_ejected: {share} }} }}"
        );
        let edge = app::start(&app, &[("0", &one.addr), ("1", &other.addr)]);
        let mut failed = 0;
        for _ in 0..10 {
            failed += usize::from(Client::ask(edge.addr(), GET).await.status == 500);
        }
        let mut seen = [one.requests(), other.requests()];
        seen.sort_unstable();
        assert_eq!(seen, expected, "{share}");
        assert_eq!(
            failed,
            seen.iter().sum::<usize>(),
            "{share}: the last one is asked whatever it says"
        );
        let ejected = servers(&edge).iter().filter(|server| server["ejected"] == true).count();
        assert_eq!(ejected, expected.iter().filter(|seen| **seen == 1).count(), "{share}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_and_lost_connections_eject_too() {
    let silent = Origin::scripted(|mut conn: Conn| async move {
        conn.request().await;
        conn.closed().await;
    });
    let rude = Origin::scripted(|mut conn: Conn| async move {
        conn.request().await;
    });
    for failing in [silent.await, rude.await] {
        let good = Origin::ok().await;
        let app = "{ servers: ['{0}', '{1}'], outlier: { errors: 2, eject: 1h },
            timeouts: { first_byte: 2s } }";
        let edge = app::start(app, &[("0", &failing.addr), ("1", &good.addr)]);
        assert_eq!(statuses(&edge, 10).await, [200; 10]);
        assert_eq!(failing.requests(), 2);
        assert_eq!(servers(&edge)[0]["ejected"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_may_eject_nothing() {
    let status = Arc::new(AtomicUsize::new(500));
    let [one, other] = [switched(&status).await, Origin::ok().await];
    let app = "{ servers: ['{0}', '{1}'], outlier: ~ }";
    let edge = app::start(app, &[("0", &one.addr), ("1", &other.addr)]);
    statuses(&edge, 40).await;
    assert_eq!((one.requests(), other.requests()), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_starts_slowly() {
    let (health, checks) = (Arc::new(AtomicUsize::new(500)), Arc::default());
    let back = checked(&health, &checks).await;
    let steady = {
        let health = Arc::new(AtomicUsize::new(204));
        checked(&health, &Arc::default()).await
    };
    let app = format!(
        "{{ servers: ['{{0}}', '{{1}}'], slow_start: 1h,
            health: {{ {HTTP}, interval: 20ms, rise: 1, fall: 1 }} }}"
    );
    let edge = app::start(&app, &[("0", &back.addr), ("1", &steady.addr)]);
    await_healthy(&edge, 0, false);
    health.store(204, Ordering::SeqCst);
    await_healthy(&edge, 0, true);
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..110 {
        client.send(GET).await;
        assert_eq!(client.response().await.status, 200);
    }
    let requests = |index: usize| servers(&edge)[index]["requests"].as_u64().unwrap();
    // A tenth of its weight: 10 of 110.
    assert_eq!((requests(0), requests(1)), (10, 100));
}
