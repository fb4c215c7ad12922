//! How long connections live, and how many there may be.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

use super::{SITE, edge, outcomes};
use crate::support::origin::ok;
use crate::support::{Client, Edge, H2Client, Origin, poll, within};

const FULL: &str = "tidegate_listen_connections_refused_total{reason=\"full\"}";
const GET: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_many_requests() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "");
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..5 {
        client.send(GET).await;
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(edge.metric("tidegate_listen_connections_accepted_total"), 1.0);
    assert_eq!((origin.connections(), origin.requests()), (1, 5));
    drop(client);
    assert_eq!(edge.stop().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order_one_by_one() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now_there, most_there) = (now.clone(), most.clone());
    let origin = Origin::scripted(move |mut conn| {
        let (now, most) = (now_there.clone(), most_there.clone());
        async move {
            while let Some(request) = conn.request().await {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Whoever would overtake has the time to.
                tokio::task::yield_now().await;
                let body = String::from_utf8(request.raw_body.clone()).unwrap();
                now.fetch_sub(1, Ordering::SeqCst);
                conn.send(ok(&format!("{} {body}", request.target()))).await;
            }
        }
    })
    .await;
    let edge = edge(&origin, "");

    let mut client = Client::connect(edge.addr()).await;
    let post = "POST /2 HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\n\r\nbody";
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
    client.send([get("/1"), post.into(), get("/3"), get("/4")].concat()).await;
    for expected in ["/1 ", "/2 body", "/3 ", "/4 "] {
        assert_eq!(client.response().await.text(), expected);
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    drop(client);
    let paths: Vec<_> = edge.stop().iter().map(|record| record["path"].clone()).collect();
    assert_eq!(paths, ["/1", "/2", "/3", "/4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_chunked_body_is_never_misread() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "");
    let post = "POST /1 HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n\
                3\r\nabc\r\n0\r\n\r\n";
    let mut client = Client::connect(edge.addr()).await;
    for request in [post, GET, post] {
        client.send(request).await;
        assert_eq!(client.response().await.status, 200);
    }
    // Pipelined behind chunks, in the same bytes or within them.
    let both = [post, GET, post, GET].concat();
    client.send(&both).await;
    for _ in 0..4 {
        assert_eq!(client.response().await.status, 200);
    }
    for cut in [post.len() - 7, post.len() - 1, post.len() + 4] {
        let (first, second) = both.split_at(cut);
        client.send(first).await;
        origin.await_heads(&["/1"]);
        client.send(second).await;
        for _ in 0..4 {
            assert_eq!(client.response().await.status, 200);
        }
    }
    drop(client);
    assert_eq!(edge.stop().len(), 19);
    assert_eq!(origin.requests(), 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]\n    timeouts: { idle: 2s }");

    let mut silent = Client::connect(edge.addr()).await;
    let mut served = Client::connect(edge.addr()).await;
    served.send(GET).await;
    assert_eq!(served.response().await.status, 200);
    let mut h2 = H2Client::connect(edge.addr()).await;
    assert_eq!(h2.get("http://a.example/").await.response.status, 200);

    silent.expect_closed().await;
    served.expect_closed().await;
    h2.closed().await.expect("a goodbye, not a reset");
    // Who never asked anything is not a request.
    assert_eq!(outcomes(&edge.stop()), [(200, ""), (200, "")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_after_its_last_request() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]\n    limits: { requests_per_connection: 2 }");

    let mut client = Client::connect(edge.addr()).await;
    client.send([GET, GET, GET].concat()).await;
    assert_ne!(client.response().await.header("connection"), Some("close"));
    assert_eq!(client.response().await.header("connection"), Some("close"));
    client.expect_closed().await;

    let mut h2 = H2Client::connect(edge.addr()).await;
    for _ in 0..2 {
        assert_eq!(h2.get("http://a.example/").await.response.status, 200);
    }
    h2.closed().await.expect("a goodbye, not a reset");
    assert_eq!(edge.stop().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_and_h2_share_a_port() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]");

    assert_eq!(
        H2Client::connect(edge.addr()).await.get("http://a.example/").await.response.status,
        200
    );
    edge.access_log(1);
    // Begins as the preface of h2 does.
    let rest = "ATCH / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), format!("P{rest}")).await.status, 200);
    let almost = "PRI * HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), almost).await.status, 400);
    let mut pieces = Client::connect(edge.addr()).await;
    pieces.send("P").await;
    edge.await_metric("tidegate_listen_connections_accepted_total", 4.0);
    pieces.send(rest).await;
    assert_eq!(pieces.response().await.status, 200);
    drop(pieces);

    let protocols: Vec<_> = edge.stop().iter().map(|record| record["protocol"].clone()).collect();
    assert_eq!(protocols, ["HTTP/2.0", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_alone_refuses_h2_and_h2c_alone_refuses_h1() {
    let origin = Origin::ok().await;
    let edge =
        edge(&origin, "protocols: [h1]\n  - { address: '127.0.0.1:{port2}', protocols: [h2c] }");

    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), preface).await.status, 505);
    edge.access_log(1);
    let mut client = Client::connect(edge.addr2()).await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 505);
    client.expect_closed().await;
    assert_eq!(outcomes(&edge.stop()), [(505, "version"), (505, "protocol")]);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h2_client_is_told_how_many_streams_it_may_open() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]\n    h2: { streams: 7 }");
    let stream = TcpStream::connect(edge.addr()).await.unwrap();
    let (mut send, mut connection) = h2::client::handshake(stream).await.unwrap();
    let request = http::Request::get("http://a.example/").body(()).unwrap();
    let (answer, _) = send.send_request(request, true).unwrap();
    // What the settings say is known once anything has been answered.
    let answer = within("an answer", async {
        tokio::select! {
            ended = &mut connection => panic!("{ended:?}"),
            answer = answer => answer.unwrap(),
        }
    });
    assert_eq!(answer.await.status(), 200);
    assert_eq!(connection.max_concurrent_send_streams(), 7);
}

/// Starts [`SITE`] with these keys under `server`, and a trusted proxy.
fn capped(origin: &Origin, server: &str) -> Edge {
    let trust = "clients: { trusted_proxies: [127.0.0.9/32] }";
    let yaml = format!("server: {{ {server} }}\n{trust}\n{SITE}");
    Edge::start_with(&yaml, &[("origin", &origin.addr), ("listener", &"")])
}

/// A connection from `ip` that has been served once, and stays open.
async fn served(edge: &Edge, ip: &str) -> Option<Client> {
    let mut client = Client::connect_from(ip, edge.addr()).await;
    client.try_send(GET).await.ok();
    let answer = client.response_or_closed().await?;
    assert_eq!(answer.status, 200);
    Some(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_capped_in_all() {
    let origin = Origin::ok().await;
    let edge = capped(&origin, "connections: 2");

    let first = served(&edge, "127.0.0.1").await.expect("a seat");
    let _second = served(&edge, "127.0.0.2").await.expect("a seat");
    for _ in 0..3 {
        assert!(served(&edge, "127.0.0.3").await.is_none());
    }
    assert_eq!(edge.metric(FULL), 3.0);
    // Nothing of it is kept, here or there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.3:0".parse().unwrap()).unwrap();
    let refused = async { socket.connect(edge.addr()).await?.read_u8().await };
    let end = within("an end", refused).await.unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    // Said at once, and not three times.
    assert_eq!(edge.stderr().matches("1 connections refused: server.connections").count(), 1);
    assert_eq!(edge.stderr().matches("server.connections (2)").count(), 1);
    assert_eq!(edge.metric("tidegate_listen_connections_open"), 2.0);

    drop(first);
    edge.await_metric("tidegate_listen_connections_open", 1.0);
    assert!(served(&edge, "127.0.0.3").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_capped_per_client_except_for_trusted_proxies() {
    let origin = Origin::ok().await;
    let edge = capped(&origin, "connections_per_client: 2");

    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(served(&edge, "127.0.0.1").await.expect("a seat"));
    }
    for _ in 0..3 {
        assert!(served(&edge, "127.0.0.1").await.is_none());
    }
    held.push(served(&edge, "127.0.0.2").await.expect("another client has seats"));
    for _ in 0..4 {
        held.push(served(&edge, "127.0.0.9").await.expect("a proxy is exempt"));
    }
    drop(held);
    edge.await_metric("tidegate_listen_connections_open", 0.0);
    assert!(served(&edge, "127.0.0.1").await.is_some());
    assert_eq!(edge.metric(FULL), 3.0);
    assert_eq!(edge.stderr().matches("refused, the last of 127.0.0.1: its network").count(), 1);
    assert_eq!(edge.stderr().matches("server.connections_per_client (2)").count(), 1);
}

const MADE_ROOM: &str = "tidegate_listen_connections_cut_total{reason=\"made_room\"}";

/// Connects from many addresses, with half a head each; none of them asks for
/// anything before the next one is there.
async fn flood(edge: &Edge, net: &str) -> Vec<Client> {
    let mut flood = Vec::new();
    for host in 1..=100 {
        let mut client = Client::connect_from(&format!("{net}.{host}"), edge.addr()).await;
        client.try_send("GET / HTTP/1.1\r\nhost: a.").await.ok();
        flood.push(client);
    }
    flood
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_keeps_nobody_out_who_asks_for_something() {
    let origin = Origin::ok().await;
    let edge = capped(&origin, "connections: 20");
    let mut kept = served(&edge, "127.0.0.1").await.expect("a seat");
    drop(served(&edge, "127.0.0.2").await.expect("a seat"));
    let mut _flooding = flood(&edge, "127.1.0").await;
    _flooding.extend(flood(&edge, "127.1.1").await);
    for _ in 0..3 {
        assert!(served(&edge, "127.0.0.2").await.is_some(), "served before");
        assert!(served(&edge, "127.0.0.3").await.is_some(), "a stranger");
        kept.send(GET).await;
        assert_eq!(kept.response().await.status, 200);
        _flooding.extend(flood(&edge, "127.1.2").await);
    }
    assert!(edge.metric(MADE_ROOM) >= 400.0, "{}", edge.metric(MADE_ROOM));
    poll("those to be gone that had to leave", || {
        (edge.metric("tidegate_listen_connections_open") <= 20.0).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_make_no_room_and_the_last_seats_are_for_known_clients() {
    let (release, released) = tokio::sync::watch::channel(false);
    let origin = Origin::scripted(move |mut conn| {
        let mut released = released.clone();
        async move {
            while let Some(request) = conn.request().await {
                if request.target() == "/held" {
                    released.wait_for(|released| *released).await.unwrap();
                }
                conn.send(ok("ok")).await;
            }
        }
    })
    .await;
    let edge = capped(&origin, "connections: 10");
    drop(served(&edge, "127.0.0.2").await.expect("a seat"));
    edge.await_metric("tidegate_listen_connections_open", 0.0);
    let mut asking = Vec::new();
    for host in 1..=9 {
        let mut client = Client::connect_from(&format!("127.1.0.{host}"), edge.addr()).await;
        client.send(GET.replace("/ ", "/held ")).await;
        origin.await_requests(1 + host);
        asking.push(client);
    }
    let _turned_away = flood(&edge, "127.1.1").await;
    edge.await_metric(FULL, 100.0);
    let known = served(&edge, "127.0.0.2").await;
    assert!(known.is_some(), "the last seat is kept for it");
    assert!(served(&edge, "127.0.0.3").await.is_none(), "a stranger");
    release.send(true).unwrap();
    for client in &mut asking {
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(edge.metric(MADE_ROOM), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_makes_room_for_a_client_that_was_served() {
    let origin = Origin::ok().await;
    let listener: &dyn std::fmt::Display = &"protocols: [h1, h2c]";
    let yaml = format!("server: {{ connections: 3 }}\n{SITE}");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr), ("listener", listener)]);
    drop(served(&edge, "127.0.0.2").await.expect("a seat"));
    edge.await_metric("tidegate_listen_connections_open", 0.0);
    let mut h2 = H2Client::connect(edge.addr()).await;
    assert_eq!(h2.get("http://a.example/").await.response.status, 200);
    let mut second = served(&edge, "127.0.0.1").await.expect("a seat");
    let mut third = served(&edge, "127.0.0.1").await.expect("a seat");
    // One connection of three goes, that of HTTP/2, which rests for longest.
    let mut newcomer = served(&edge, "127.0.0.2").await.expect("room is made");
    assert_eq!(edge.metric(MADE_ROOM), 1.0);
    h2.closed().await.expect("a goodbye, not a reset");
    for client in [&mut second, &mut third, &mut newcomer] {
        client.send(GET).await;
        assert_eq!(client.response().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_descriptors_is_said_once_a_while_and_passes() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "");
    drop(served(&edge, "127.0.0.1").await.expect("a seat"));
    // Its limits are those of this process, raised.
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = |current| {
        let limit = Rlimit { current, maximum: most };
        prlimit(Some(edge.pid()), Resource::Nofile, limit).unwrap();
    };
    limit(Some(3));
    let mut client = Client::connect(edge.addr()).await;
    let said = format!("cannot accept on {}", edge.addr());
    edge.await_stderr(&said);
    limit(most);
    // Nobody but the next attempt lets it in.
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
    // How often there were others meanwhile does not matter.
    assert_eq!(edge.stderr().matches(&said).count(), 1);
}
