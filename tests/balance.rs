//! Which server is asked, counted at real servers.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;

use crate::support::app::{self, GET, await_healthy};
use crate::support::origin::{self, Conn};
use crate::support::{Client, Edge, Nginx, Origin, poll, ports, within};

/// A proxy whose `app` has these servers, as `{0}`, `{1}` and so on.
fn edge_of(app: &str, origins: &[Origin]) -> Edge {
    let names: Vec<String> = (0..origins.len()).map(|index| index.to_string()).collect();
    let places: Vec<(&str, &dyn Display)> = names
        .iter()
        .zip(origins)
        .map(|(name, origin)| (name.as_str(), &origin.addr as &dyn Display))
        .collect();
    app::start(app, &places)
}

/// Servers that answer with their place in the list.
async fn named(count: usize) -> Vec<Origin> {
    join_all((0..count).map(|index| Origin::answering(origin::ok(&index.to_string())))).await
}

/// Sends the same request again and again on one connection; every body.
async fn ask(edge: &Edge, count: usize, request: &str) -> Vec<String> {
    let mut client = Client::connect(edge.addr()).await;
    let mut bodies = Vec::new();
    for _ in 0..count {
        client.send(request).await;
        let answer = client.response().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        bodies.push(answer.text());
    }
    bodies
}

fn counts(origins: &[Origin]) -> Vec<usize> {
    origins.iter().map(Origin::requests).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn round_robin_takes_turns_by_weight() {
    let origins = named(3).await;
    let edge = edge_of(
        "{ servers: [{ address: '{0}', weight: 3 }, '{1}', { address: '{2}', weight: 2 }] }",
        &origins,
    );
    ask(&edge, 60, GET).await;
    assert_eq!(counts(&origins), [30, 10, 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_asks_all_by_weight() {
    let origins = named(2).await;
    let edge =
        edge_of("{ balance: random, servers: ['{0}', { address: '{1}', weight: 3 }] }", &origins);
    ask(&edge, 400, GET).await;
    // 100 are expected of the first; 40 more or less are 4.6 standard
    // deviations, and 65 are 7.5: once in 10^13 runs.
    let first = origins[0].requests();
    assert!((35..=165).contains(&first), "{first}");
    assert_eq!(origins[1].requests(), 400 - first);
}

/// Requests that `clients` send one after the other, 400 in all.
async fn load(edge: &Edge, clients: usize) {
    let left = AtomicUsize::new(400);
    let one = || async {
        let mut client = Client::connect(edge.addr()).await;
        while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            client.send(GET).await;
            assert_eq!(client.response().await.status, 200);
        }
    };
    join_all((0..clients).map(|_| one())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn least_requests_prefers_the_fast_server() {
    // Time is what the fast server answers, so that a busy machine changes
    // nothing: with two of four requests there, it answers 40 while each of
    // the slow server's is under way, as 1 ms is to 20.
    let (tick, ticks) = watch::channel(0_u64);
    let tick = Arc::new(tick);
    let fast = {
        let tick = tick.clone();
        Origin::scripted(move |mut conn| {
            let tick = tick.clone();
            async move {
                while conn.request().await.is_some() {
                    conn.send(origin::ok("fast")).await;
                    tick.send_modify(|ticks| *ticks += 1);
                }
            }
        })
        .await
    };
    let arrived = tick.clone();
    let slow = Origin::scripted(move |mut conn| {
        let (mut ticks, arrived) = (ticks.clone(), arrived.clone());
        async move {
            while conn.request().await.is_some() {
                // The last request of all may be this one: have it noticed.
                arrived.send_modify(|_| {});
                let until = ticks.borrow().saturating_add(40);
                ticks.wait_for(|now| *now >= until).await.ok();
                conn.send(origin::ok("slow")).await;
            }
        }
    })
    .await;
    let origins = [fast, slow];
    let edge = edge_of("{ balance: least_requests, servers: ['{0}', '{1}'] }", &origins);
    let last = async {
        // The requests that are left at the slow server have nothing to wait for.
        let seen = || origins[0].requests() + origins[1].requests();
        let mut ticks = tick.subscribe();
        within("the last request", ticks.wait_for(|_| seen() == 400)).await.ok();
        tick.send_replace(u64::MAX);
    };
    tokio::join!(load(&edge, 4), last);
    let fast = origins[0].requests();
    assert!(fast >= 320, "{fast} of 400 at the fast server");
    assert!(origins[1].requests() >= 2, "the slow server is asked too");
}

/// Answers every request after this long.
async fn taking(millis: u64) -> Origin {
    Origin::scripted(move |mut conn: Conn| async move {
        while conn.request().await.is_some() {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            conn.send(origin::ok("")).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn peak_ewma_prefers_the_fast_server() {
    // The slow one takes 400 ms instead of the 20 ms that the room's own test
    // has: a busy machine delays the fast one by as much as that now and then,
    // and a peak is remembered.
    let origins = [taking(1).await, taking(400).await];
    let edge = edge_of("{ balance: peak_ewma, servers: ['{0}', '{1}'] }", &origins);
    load(&edge, 4).await;
    let fast = origins[0].requests();
    assert!(fast >= 320, "{fast} of 400 at the fast server");
    assert_eq!(origins[1].requests(), 400 - fast);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_asked_only_while_no_primary_answers() {
    let mut origins = named(2).await;
    let edge = edge_of(
        "{ servers: [{ address: '{0}', backup: true }, '{1}'],
           outlier: { errors: 1, eject: 1h } }",
        &origins,
    );
    assert_eq!(ask(&edge, 10, GET).await, ["1"; 10]);
    drop(origins.pop());
    assert_eq!(ask(&edge, 10, GET).await, ["0"; 10]);
    let attempts: Vec<_> = edge.stop().iter().map(|r| r["attempts"].as_u64().unwrap()).collect();
    // The first one after the loss finds out.
    assert_eq!(attempts[..10], [1; 10]);
    assert_eq!(attempts[10], 2);
    assert_eq!(attempts[11..], [1; 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sticky_client_stays_until_its_server_dies() {
    let mut origins: Vec<Option<Origin>> = named(3).await.into_iter().map(Some).collect();
    let addrs: Vec<_> = origins.iter().flatten().map(|origin| origin.addr.to_string()).collect();
    let edge = app::start(
        "{ servers: ['{0}', '{1}', '{2}'], sticky: { cookie: tg_server } }",
        &[("0", &addrs[0]), ("1", &addrs[1]), ("2", &addrs[2])],
    );
    let with =
        |cookie: &str| format!("GET / HTTP/1.1\r\nhost: a.example\r\ncookie: {cookie}\r\n\r\n");
    let cookie_of = |answer: &crate::support::Response| {
        let set = answer.header("set-cookie")?;
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
        set.split(';').next().map(str::to_owned)
    };

    let answer = Client::ask(edge.addr(), GET).await;
    let (first, cookie) = (answer.text(), cookie_of(&answer).unwrap());
    assert!(cookie.starts_with("tg_server="), "{cookie}");
    for _ in 0..6 {
        let answer = Client::ask(edge.addr(), with(&cookie)).await;
        assert_eq!((answer.text(), cookie_of(&answer)), (first.clone(), None));
    }
    origins[first.parse::<usize>().unwrap()].take().unwrap().end().await;
    let answer = Client::ask(edge.addr(), with(&cookie)).await;
    let (second, renewed) = (answer.text(), cookie_of(&answer).unwrap());
    assert_ne!((&second, &renewed), (&first, &cookie));
    for _ in 0..6 {
        let answer = Client::ask(edge.addr(), with(&renewed)).await;
        assert_eq!((answer.text(), cookie_of(&answer)), (second.clone(), None));
    }
    // A cookie that names no server is no fault.
    let answer = Client::ask(edge.addr(), with("tg_server=nonsense")).await;
    assert!(answer.status == 200 && cookie_of(&answer).is_some(), "{answer:?}");
}

/// Sends three requests for each of 24 keys: each key has one server, and all
/// together several.
async fn check_hash(balance: &str, request: impl Fn(usize) -> String) {
    let origins = named(4).await;
    let servers = "servers: ['{0}', '{1}', '{2}', '{3}']";
    let edge =
        edge_of(&format!("{{ balance: {{ consistent_hash: {balance} }}, {servers} }}"), &origins);
    let mut chosen = Vec::new();
    for key in 0..24 {
        let bodies = ask(&edge, 3, &request(key)).await;
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{balance}, key {key}: {bodies:?}");
        chosen.push(bodies[0].clone());
    }
    chosen.sort();
    chosen.dedup();
    assert!(chosen.len() > 1, "{balance}: every key is on {chosen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn consistent_hash_keeps_a_key_on_its_server() {
    let get = |target: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n")
    };
    check_hash("uri", |key| get(&format!("/{key}?q"), "")).await;
    check_hash("{ header: x-user }", |key| get("/", &format!("x-user: {key}\r\n"))).await;
    check_hash("{ cookie: user }", |key| get("/", &format!("cookie: a=b; user={key}\r\n"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consistent_hash_keeps_a_client_on_its_server() {
    let origins = named(4).await;
    let edge = edge_of(
        "{ balance: { consistent_hash: client_ip }, servers: ['{0}', '{1}', '{2}', '{3}'] }",
        &origins,
    );
    let mut chosen = Vec::new();
    for last in 1..=24 {
        let from = format!("127.0.0.{last}");
        let mut bodies = Vec::new();
        for _ in 0..3 {
            // A connection each: it is the address that counts.
            let mut client = Client::connect_from(&from, edge.addr()).await;
            client.send(GET).await;
            bodies.push(client.response().await.text());
        }
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{from}: {bodies:?}");
        chosen.push(bodies[0].clone());
    }
    chosen.sort();
    chosen.dedup();
    assert!(chosen.len() > 1, "every client is on {chosen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_has_more_requests_than_it_may() {
    let (release, held) = watch::channel(false);
    let hold = || {
        let held = held.clone();
        Origin::scripted(move |mut conn| {
            let mut held = held.clone();
            async move {
                while conn.request().await.is_some() {
                    held.wait_for(|is_released| *is_released).await.ok();
                    conn.send(origin::ok("")).await;
                }
            }
        })
    };
    let origins = [hold().await, hold().await];
    let edge = edge_of("{ servers: ['{0}', '{1}'], connections: { max_per_server: 2 } }", &origins);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(edge.addr()).await;
        client.send(GET).await;
        clients.push(client);
    }
    origins[0].await_requests(2);
    origins[1].await_requests(2);
    let refused = Client::ask(edge.addr(), GET).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    release.send(true).unwrap();
    for mut client in clients {
        assert_eq!(client.response().await.status, 200);
    }
    // A client may have its answer a moment before its place is free.
    poll("both servers to be free", || {
        app::servers(&edge).iter().all(|server| server["in_flight"] == 0).then_some(())
    });
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 200);
    let records = edge.stop();
    let refusals: Vec<_> = records.iter().filter_map(|record| record["refusal"].as_str()).collect();
    assert_eq!(refusals, ["all_servers_busy"]);
}

/// Connections with a request that has no answer yet: now, and at most; and
/// the requests that found no server.
#[derive(Default)]
struct Busy {
    now: AtomicUsize,
    peak: AtomicUsize,
    refused: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_has_more_busy_connections_than_it_may() {
    const MOST: usize = 3;
    const CLIENTS: usize = 12;
    let busy = Arc::new(Busy::default());
    let counted = busy.clone();
    let origin = Origin::scripted(move |mut conn| {
        let busy = counted.clone();
        async move {
            while conn.request().await.is_some() {
                let now = busy.now.fetch_add(1, Ordering::SeqCst) + 1;
                busy.peak.fetch_max(now, Ordering::SeqCst);
                // At first, until every client is here or was refused, and as many are here
                // as may be: a refusal comes sooner than the request that it stands behind.
                let is_full = || {
                    let peak = busy.peak.load(Ordering::SeqCst);
                    peak >= MOST && peak + busy.refused.load(Ordering::SeqCst) >= CLIENTS
                };
                while !is_full() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                busy.now.fetch_sub(1, Ordering::SeqCst);
                conn.send(origin::ok("")).await;
            }
        }
    })
    .await;
    let app = format!("{{ servers: ['{{0}}'], connections: {{ max_per_server: {MOST} }} }}");
    let edge = edge_of(&app, std::slice::from_ref(&origin));
    let clients = (0..CLIENTS).map(|_| async {
        for _ in 0..30 {
            match Client::ask(edge.addr(), GET).await.status {
                200 => {}
                503 => drop(busy.refused.fetch_add(1, Ordering::SeqCst)),
                status => panic!("{status}"),
            }
        }
    });
    join_all(clients).await;
    assert_eq!(busy.peak.load(Ordering::SeqCst), MOST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_splits_requests_between_upstreams_by_weight() {
    let [blue, green] = [Origin::ok().await, Origin::ok().await];
    let edge = Edge::start_with(
        "
        listeners: [{ address: '127.0.0.1:{port}' }]
        upstreams:
          blue: { servers: ['{blue}'] }
          green: { servers: ['{green}'] }
        routes: [{ upstreams: { blue: 90, green: 10 } }]
        ",
        &[("blue", &blue.addr), ("green", &green.addr)],
    );
    ask(&edge, 1000, GET).await;
    // 100 are expected; 70 are 7.4 standard deviations: once in 10^13 runs.
    assert!((30..=170).contains(&green.requests()), "{}", green.requests());
    assert_eq!(blue.requests(), 1000 - green.requests());
}

/// Fails every check and answers everything else.
async fn looks_ill() -> Origin {
    Origin::scripted(|mut conn: Conn| async move {
        while let Some(request) = conn.request().await {
            let is_check = request.target() == "/healthz";
            let ill = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned();
            conn.send(if is_check { ill } else { origin::ok("served") }).await;
        }
    })
    .await
}

const CHECKED: &str = "health: { http: { path: /healthz }, interval: 20ms, fall: 1 }";

#[tokio::test(flavor = "multi_thread")]
async fn without_a_healthy_server_requests_are_refused_at_once() {
    let origins = [looks_ill().await, looks_ill().await];
    let app = format!("{{ servers: ['{{0}}', '{{1}}'], {CHECKED}, required: true }}");
    let edge = edge_of(&app, &origins);
    await_healthy(&edge, 0, false);
    await_healthy(&edge, 1, false);

    let answer = Client::ask(edge.addr(), GET).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    let ready = edge.admin_get("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (503, "no server: app\n"));
    assert_eq!(edge.admin_get("/healthz").status, 200);

    let seen = [origins[0].received_text(), origins[1].received_text()].concat();
    assert!(!seen.contains("GET / "), "a server was asked:\n{seen}");
    let records = edge.stop();
    assert_eq!(
        (&records[0]["attempts"], &records[0]["refusal"]),
        (&0.into(), &"no_healthy_server".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_required_may_be_down() {
    let origins = [looks_ill().await];
    let edge = edge_of(&format!("{{ servers: ['{{0}}'], {CHECKED}, required: off }}"), &origins);
    await_healthy(&edge, 0, false);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 503);
    let ready = edge.admin_get("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn try_all_asks_servers_that_fail_their_checks() {
    let origins = [looks_ill().await];
    let app =
        format!("{{ servers: ['{{0}}'], {CHECKED}, required: true, when_none_healthy: try_all }}");
    let edge = edge_of(&app, &origins);
    await_healthy(&edge, 0, false);
    assert_eq!(ask(&edge, 2, GET).await, ["served"; 2]);
    assert_eq!(edge.admin_get("/readyz").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_may_be_names_ipv6_addresses_and_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("app.sock");
    let [port] = ports::free();
    let nginx = Nginx::start(&format!(
        "listen [::1]:{port}; listen unix:{};
         location / {{ return 200 '$server_addr $http_host'; }}",
        socket.display()
    ));
    let name = format!("localhost:{}", nginx.addr.port());
    let v6 = format!("[::1]:{port}");
    let unix = format!("unix:{}", socket.display());
    for (server, address) in [(&name, "127.0.0.1"), (&v6, "::1"), (&unix, &unix)] {
        let edge = app::start("{ servers: ['{server}'] }", &[("server", server)]);
        let said = ask(&edge, 2, GET).await;
        let said_address = said[0].split(' ').next().unwrap().trim_matches(['[', ']']);
        assert_eq!(said_address, address, "{said:?}");
        assert!(said[0].ends_with(" a.example"), "{said:?}");
        let records = edge.stop();
        assert_eq!(records[0]["server"], server.as_str());
    }
}
