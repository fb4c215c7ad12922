//! A reload replaces the site as a whole, or not at all.

use std::fs;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use crate::support::origin::{self, Origin};
use crate::support::{Client, Edge, Load, Nginx, poll, ports};

const ASK: &str = "GET /a HTTP/1.1\r\nhost: a.example\r\n\r\n";

/// One route to one server, which the answers name.
const NAMED: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['SERVER'] } }
routes:
  - name: all
    upstream: app
    headers: { response: { set: { x-site: NAME } } }
";

fn named(name: &str, server: &str) -> String {
    NAMED.replace("NAME", name).replace("SERVER", server)
}

async fn site_of(edge: &Edge) -> String {
    let answer = Client::ask(edge.addr(), ASK).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("x-site").unwrap().to_owned()
}

/// Replaces the file and reloads it; the new site is there afterwards.
fn reload(edge: &Edge, yaml: &str) {
    edge.write_config(yaml);
    let answer = edge.admin_post("/api/reload");
    assert_eq!((answer.status, answer.text().as_str()), (200, "reloaded\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_replaces_routes_and_servers_together() {
    let (one, two) = (Origin::answering(origin::ok("1")).await, Origin::ok().await);
    let edge = Edge::start_with(&named("one", "{one}"), &[("one", &one.addr), ("two", &two.addr)]);
    assert_eq!(site_of(&edge).await, "one");
    edge.write_config(&named("two", "{two}"));
    assert_eq!(site_of(&edge).await, "one");
    edge.signal(Signal::HUP);
    edge.await_stderr("reloaded");
    assert_eq!(site_of(&edge).await, "two");
    assert_eq!((one.requests(), two.requests()), (2, 1));
    assert_eq!(edge.stop().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_keeps_the_site_it_began_with() {
    let permits = Arc::new(Semaphore::new(0));
    let given = permits.clone();
    let origin = Origin::scripted(move |mut conn| {
        let permits = given.clone();
        async move {
            while conn.request().await.is_some() {
                permits.acquire().await.unwrap().forget();
                conn.send(origin::ok("whole")).await;
            }
        }
    })
    .await;
    let edge = Edge::start_with(&named("old", "{origin}"), &[("origin", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send(ASK).await;
    origin.await_requests(1);

    // Neither the route nor the server is there any more.
    reload(
        &edge,
        "{ listeners: [{ address: '127.0.0.1:{port}' }], routes: [{ respond: { status: 202 } }] }",
    );
    permits.add_permits(1);
    let answer = client.response().await;
    assert_eq!((answer.status, answer.header("x-site")), (200, Some("old")));
    // The connection stays, its next request has the new site.
    client.send(ASK).await;
    assert_eq!(client.response().await.status, 202);
    let records = edge.stop();
    assert_eq!((&records[0]["route"], &records[1]["status"]), (&"all".into(), &202.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_every_fault_is_told() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(&named("good", "{origin}"), &[("origin", &origin.addr)]);
    let file = edge.dir().join("tidegate.yaml");
    let good = fs::read_to_string(&file).unwrap();
    let (same, _) = good.split_at(good.find("upstreams:").unwrap());
    let line = same.lines().count();
    let check = |text: &str, faults: &[(usize, &str)]| {
        fs::write(&file, format!("{same}{text}")).unwrap();
        let answer = edge.admin_post("/api/reload");
        assert_eq!(answer.status, 422);
        let faults = faults.iter().map(|(at, what)| format!("tidegate.yaml:{}:{what}", line + at));
        assert_eq!(answer.text().lines().collect::<Vec<_>>(), faults.collect::<Vec<_>>());
    };
    check(
        "upstreams:\n  app: { servers: ['127.0.0.1:1'], balence: random }\n\
         routes:\n  - { upstream: app, mirror: media }\n",
        &[
            (2, "36: upstreams.app.balence: unknown key (did you mean `balance`?)"),
            (4, "22: routes[0].mirror: is not supported yet"),
        ],
    );
    check(
        "routes:\n  - { upstream: nobody }\n\
         \u{20} - { match: { path: /a }, respond: { status: 99 } }\n",
        &[
            (2, "17: routes[0].upstream: there is no upstream `nobody`"),
            (3, "47: routes[1].respond.status: is not from 200 to 599"),
        ],
    );
    fs::write(&file, "routes: [").unwrap();
    edge.signal(Signal::HUP);
    edge.await_stderr("not reloaded, the site stays as it is: tidegate.yaml:");
    fs::remove_file(&file).unwrap();
    let answer = edge.admin_post("/api/reload");
    assert_eq!(answer.status, 422);
    assert!(answer.text().starts_with("tidegate.yaml:1:1: cannot be read"), "{}", answer.text());
    assert_eq!(site_of(&edge).await, "good");
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_new_process_is_refused_by_name() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(&named("old", "{origin}"), &[("origin", &origin.addr)]);
    let new = named("new", "{origin}");
    for (section, yaml) in [
        ("server", format!("{new}\nserver: {{ drain: 4s }}")),
        ("admin", format!("{new}\nadmin: {{ token: another-token-0123456789 }}")),
        ("log", format!("{new}\nlog: {{ level: info }}")),
        ("listeners", new.replace("}' }]", "}', timeouts: { idle: 5s } }]")),
        ("listeners", new.replace("{port}' }]", "{port}' }, { address: '127.0.0.1:{port2}' }]")),
    ] {
        edge.write_config(&yaml);
        let answer = edge.admin_post("/api/reload");
        let what = format!("`{section}` changed, which needs a new process: start one with -u\n");
        assert_eq!((answer.status, answer.text()), (422, what));
        assert_eq!(site_of(&edge).await, "old");
    }
    reload(&edge, &new);
    assert_eq!(site_of(&edge).await, "new");
    edge.stop();
}

/// Two servers; the second is found out by checks or by its failures.
const CHECKED: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams:
  app:
    servers: ['{good}', '{bad}']
    health: { http: { path: /healthz }, interval: 1h, timeout: 1s, fall: 1 }
  failing:
    servers: ['{closed}', '{closed2}']
    outlier: { errors: 1, eject: 1h, max_ejected: 100% }
routes:
  - { name: app, upstream: app }
  - { name: failing, match: { path: /failing }, upstream: failing }
";

#[tokio::test(flavor = "multi_thread")]
async fn counters_and_health_survive() {
    let good = Origin::ok().await;
    // It takes connections and says nothing: a check needs its whole timeout.
    let bad = Origin::scripted(|mut conn| async move { conn.closed().await }).await;
    let [closed, closed2] = ports::free().map(|port: u16| format!("127.0.0.1:{port}"));
    let places: [(&str, &dyn std::fmt::Display); 4] =
        [("good", &good.addr), ("bad", &bad.addr), ("closed", &closed), ("closed2", &closed2)];
    let edge = Edge::start_with(CHECKED, &places);
    poll("the check of the bad server", || {
        let status = upstreams(&edge);
        (status["app"][1]["healthy"] == false).then_some(())
    });
    let failed = Client::ask(edge.addr(), ASK.replace("/a", "/failing")).await;
    assert_eq!(failed.status, 502);
    for _ in 0..3 {
        assert_eq!(Client::ask(edge.addr(), ASK).await.status, 200);
    }
    let series = "tidegate_route_requests_total{route=\"app\",status=\"200\"}";
    edge.await_metric(series, 3.0);
    let before = upstreams(&edge);
    assert_eq!(before["failing"][0]["ejected"], true, "{before}");

    reload(&edge, &CHECKED.replace("/failing }", "/broken }"));
    assert_eq!(stable(upstreams(&edge)), stable(before));
    assert_eq!(edge.metric(series), 3.0);
    // The last server that is up stays in, and refuses.
    assert_eq!(Client::ask(edge.addr(), ASK.replace("/a", "/broken")).await.status, 502);
    assert_eq!(Client::ask(edge.addr(), ASK).await.status, 200);
    edge.await_metric(series, 4.0);
    edge.stop();
}

fn upstreams(edge: &Edge) -> Json {
    serde_json::from_slice(&edge.admin_get("/api/upstreams").body).unwrap()
}

/// Without what changes as time passes.
fn stable(mut status: Json) -> Json {
    for servers in status.as_object_mut().unwrap().values_mut() {
        for server in servers.as_array_mut().unwrap() {
            for field in ["ewma_ms", "in_flight"] {
                server.as_object_mut().unwrap().remove(field);
            }
        }
    }
    status
}

/// Connections to servers are kept for so short a time that they end within the test.
const LOADED: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { NAME: { servers: ['{origin}'], connections: { idle_timeout: 1s }, health: { http: { path: /1k } } } }
routes:
  - name: NAME
    upstream: NAME
    headers: { response: { set: { x-site: NAME } } }
  - { match: { path: /page }, respond: { status: 200 }, error_pages: { 503: '{root}/1k' } }
";

#[tokio::test(flavor = "multi_thread")]
async fn thirty_reloads_under_load_fail_no_request_and_leak_nothing() {
    let nginx = Nginx::start("");
    fs::write(nginx.root().join("1k"), [b'x'; 1024]).unwrap();
    let site = |name: &str| LOADED.replace("NAME", name);
    // Every site reads the page, every upstream is new.
    let mut edge = Edge::start_with(
        &site("start"),
        &[("origin", &nginx.addr), ("root", &nginx.root().display())],
    );
    let ask = ASK.replace("/a", "/1k");
    assert_eq!(Client::ask(edge.addr(), &ask).await.status, 200);
    edge.await_metric(OPEN, 0.0);
    let before = descriptors(&edge);

    let load = Load::wrk(4, &format!("http://{}/1k", edge.addr()));
    poll("the load", || (edge.metric(OPEN) >= 16.0).then_some(()));
    for round in 0..30 {
        let name = format!("site{round}");
        reload(&edge, &site(&name));
        let answer = Client::ask(edge.addr(), &ask).await;
        assert_eq!(answer.header("x-site"), Some(name.as_str()));
    }
    let requests = load.wrk_requests();
    edge.await_metric(OPEN, 0.0);
    poll("few descriptors", || (descriptors(&edge) < before + 8).then_some(()));
    // What only gone sites named is forgotten once no request uses them.
    reload(&edge, &site("last"));
    let metrics = edge.admin_get("/metrics").text();
    assert!(metrics.contains("\"last\"") && !metrics.contains("\"site28\""), "{metrics}");

    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
    let records = edge.records();
    assert!(records.len() as u64 >= requests + 31, "{} of {requests}", records.len());
    // At its end `wrk` leaves without its last answers.
    let failed = records.iter().filter(|record| record["status"] != 200).count();
    assert!(failed <= 16, "{failed}");
}

const OPEN: &str = "tidegate_listen_connections_open";

fn descriptors(edge: &Edge) -> usize {
    fs::read_dir(format!("/proc/{}/fd", edge.pid().as_raw_nonzero())).unwrap().count()
}
