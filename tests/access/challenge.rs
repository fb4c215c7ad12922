//! The challenge, as clients without a browser meet it: what they get, and what
//! solutions and passes are worth.

use std::fmt::Display;

use http::Request;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

use crate::support::origin::Request as Seen;
use crate::support::{Client, Edge, H2Client, Origin, Response, poll, websocket};

const SITE: &str = "
server: { shed: { queue: 1000 } }
clients: { trusted_proxies: [127.0.0.9] }
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] }, chat: { servers: ['{chat}'] } }
routes:
  - upstream: app
    access: { challenge: always, challenge_difficulty: 8 }
  - match: { path: /chat }
    upstream: chat
    access: { challenge: always, challenge_difficulty: 8 }
  - match: { path: /asked }
    upstream: app
    access:
      challenge: always
      challenge_difficulty: 8
      forward: { url: 'http://{origin}/check' }
  - match: { path_prefix: /media/ }
    files: { root: '{dir}/www' }
    access: { challenge: always, challenge_difficulty: 8 }
  - match: { path: /harder }
    respond: { body: harder }
    access: { challenge: always, challenge_difficulty: 9, challenge_lasts: 7d }
  - match: { path: /easier }
    respond: { body: easier }
    access: { challenge: always, challenge_difficulty: 7 }
  - match: { path: /calm }
    upstream: app
    access: { challenge: shedding }
  - match: { path: /open }
    upstream: app
";

const BROWSER: &str = "accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

async fn start(places: &[(&str, &dyn Display)]) -> (Edge, Origin) {
    let origin = Origin::echo().await;
    let own: [(&str, &dyn Display); 2] = [("origin", &origin.addr), ("chat", &"127.0.0.1:9")];
    let edge = Edge::start_with(SITE, &[places, &own].concat());
    (edge, origin)
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n")
}

/// What the page has written in an attribute of its script.
#[track_caller]
fn data<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("data-{name}=\"")).expect("a puzzle");
    rest.split('"').next().unwrap()
}

/// Does the work of a page; the solution.
fn solve(page: &Response) -> String {
    let page = page.text();
    let bits = data(&page, "bits").parse().unwrap();
    attempts(data(&page, "puzzle")).find(|attempt| is_solved(attempt, bits)).unwrap()
}

fn attempts(puzzle: &str) -> impl Iterator<Item = String> {
    (0_u32..).map(move |number| format!("{puzzle}{number:08x}"))
}

fn is_solved(attempt: &str, bits: u32) -> bool {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    let work = attempt.get(attempt.len() - 40..).unwrap();
    let hash = suite.common.hash_provider.hash(work.as_bytes());
    u32::from_be_bytes(hash.as_ref()[..4].try_into().unwrap()) >> (32 - bits) == 0
}

/// Solves what a path asks for; the answer to the solution.
async fn solve_at(edge: &Edge, path: &str) -> Response {
    let page = Client::ask(edge.addr(), get(path, BROWSER)).await;
    assert_eq!(page.status, 403, "{path}");
    send(edge, path, &solve(&page)).await
}

async fn send(edge: &Edge, path: &str, solution: &str) -> Response {
    let field = format!("{BROWSER}tidegate-solution: {solution}\r\n");
    Client::ask(edge.addr(), get(path, &field)).await
}

/// The pass of an answer to a solution, as a Cookie has it.
#[track_caller]
fn pass(answer: &Response) -> String {
    assert_eq!(answer.status, 204, "{answer:?}");
    let cookie = answer.header("set-cookie").expect("a cookie");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_lets_everything_through_and_stays_with_us() {
    let chat = Origin::scripted(websocket::echo).await;
    let (edge, origin) = start(&[("chat", &chat.addr)]).await;
    std::fs::write(edge.dir().join("www/clip"), "0123456789").unwrap();
    let paid = solve_at(&edge, "/shop?a=b").await;
    assert_eq!(paid.header("cache-control"), Some("no-store"));
    let attributes = paid.header("set-cookie").unwrap().split_once("; ").unwrap().1;
    assert_eq!(attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Lax");
    let pass = pass(&paid);

    let fields = format!("{BROWSER}cookie: a=b; {pass}; c=d\r\n");
    let seen = Seen::echoed(&Client::ask(edge.addr(), get("/shop", &fields)).await);
    assert_eq!(seen.header("cookie"), Some("a=b; c=d"));
    let fields = format!("cookie: {pass}\r\ncontent-length: 2\r\n");
    let post = format!("POST /shop HTTP/1.1\r\nhost: a.example\r\n{fields}\r\nhi");
    let seen = Seen::echoed(&Client::ask(edge.addr(), post).await);
    assert_eq!(seen.header("cookie"), None);
    // A route without a challenge keeps it from servers, too.
    let fields = format!("cookie: {pass}\r\ncookie: c=d\r\n");
    let seen = Seen::echoed(&Client::ask(edge.addr(), get("/open", &fields)).await);
    assert_eq!(seen.all("cookie").collect::<Vec<_>>(), ["c=d"]);

    let fields = format!("range: bytes=2-5\r\ncookie: {pass}\r\n");
    let part = Client::ask(edge.addr(), get("/media/clip", &fields)).await;
    assert_eq!((part.status, part.text().as_str()), (206, "2345"));
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = Request::get("http://a.example/shop");
    let request = request.header("cookie", "a=b").header("cookie", &pass).body(()).unwrap();
    let seen = Seen::echoed(&h2.ask(request, "").await.unwrap().response);
    assert_eq!(seen.header("cookie"), Some("a=b"));
    // Nor does a server that is asked about the request see it.
    let fields = format!("cookie: {pass}; c=d\r\n");
    let seen = Seen::echoed(&Client::ask(edge.addr(), get("/asked", &fields)).await);
    assert_eq!(seen.header("cookie"), Some("c=d"));
    let received = origin.received_text();
    assert!(received.contains(" /check HTTP/1.1") && !received.contains("tg_pass"), "{received}");

    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let refused = Client::ask(edge.addr(), get("/chat", upgrade)).await;
    assert_eq!(refused.status, 403);
    let mut client = Client::connect(edge.addr()).await;
    client.send(get("/chat", &format!("{upgrade}cookie: {pass}\r\n"))).await;
    assert_eq!(client.response_head().await.status, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_for_navigations_and_others_are_told_why_not() {
    let (edge, origin) = start(&[]).await;
    let page = Client::ask(edge.addr(), get("/", BROWSER)).await;
    assert_eq!(page.status, 403);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("retry-after"), None);
    assert!(page.body.len() <= 6 << 10);
    let text = page.text();
    assert!(text.contains(page.header("x-request-id").unwrap()), "{text}");
    assert!(text.contains("<noscript>"), "{text}");

    let gone = "\"detail\":\"Only browsers that have opened a page of this site";
    for (request, media_type, part) in [
        (get("/", "accept: application/json\r\n"), "application/problem+json", gone),
        (get("/", "accept: image/*\r\n"), "text/html; charset=utf-8", "Only browsers that"),
        (get("/", ""), "text/html; charset=utf-8", "Only browsers that"),
        (
            get("/", &format!("{BROWSER}sec-fetch-mode: cors\r\n")),
            "text/html; charset=utf-8",
            "load the page again",
        ),
        (
            format!("POST / HTTP/1.1\r\nhost: a.example\r\n{BROWSER}content-length: 2\r\n\r\nhi"),
            "text/html; charset=utf-8",
            "load the page again",
        ),
    ] {
        let answer = Client::ask(edge.addr(), &request).await;
        assert_eq!(answer.status, 403, "{request}");
        assert_eq!(answer.header("content-type"), Some(media_type), "{request}");
        let text = answer.text();
        assert!(text.contains(part) && !text.contains("data-puzzle"), "{request}: {text}");
    }
    let mut head = Client::connect(edge.addr()).await;
    head.send(format!("HEAD / HTTP/1.1\r\nhost: a.example\r\n{BROWSER}\r\n")).await;
    assert_eq!(head.response_head().await.status, 403);
    assert_eq!(origin.requests(), 0);
    // What machines need, and what is not under pressure.
    for path in ["/robots.txt", "/.well-known/acme-challenge/x", "/open", "/calm"] {
        assert_eq!(Client::ask(edge.addr(), get(path, "")).await.status, 200, "{path}");
    }
    let refused = "tidegate_proxy_refusals_total{refusal=\"challenge\",room=\"access\"}";
    edge.await_metric(refused, 7.0);
    let records = edge.stop();
    let refused = records.iter().filter(|record| record["status"] == 403);
    for record in refused {
        assert_eq!((&record["room"], &record["refusal"]), (&"access".into(), &"challenge".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_own_fresh_work_is_worth_a_pass() {
    let (edge, origin) = start(&[]).await;
    let page = Client::ask(edge.addr(), get("/", BROWSER)).await;
    let solution = solve(&page);
    let (puzzle, _) = solution.split_at(solution.len() - 8);
    let lazy = attempts(puzzle).find(|attempt| !is_solved(attempt, 8)).unwrap();
    // Made in another century.
    let forged = solution.replacen('0', "1", 1);
    for (path, sent) in [
        ("/", "x"),
        ("/", solution.get(1..).unwrap()),
        ("/", &forged),
        ("/", &lazy),
        ("/harder", &solution),
        ("/easier", &solution),
    ] {
        let answer = send(&edge, path, sent).await;
        assert_eq!(answer.status, 403, "{sent}");
        assert_eq!(answer.header("set-cookie"), None);
        assert!(!answer.text().contains("data-puzzle"), "{sent}");
    }
    // By who did not get the puzzle, and for another host.
    let field = format!("tidegate-solution: {solution}\r\n");
    let mut other = Client::connect_from("127.0.0.2", edge.addr()).await;
    other.send(get("/", &field)).await;
    assert_eq!(other.response().await.status, 403);
    let elsewhere = get("/", &field).replace("a.example", "b.example");
    assert_eq!(Client::ask(edge.addr(), elsewhere).await.status, 403);

    let pass = pass(&send(&edge, "/", &solution).await);
    let field = format!("{BROWSER}cookie: {pass}\r\n");
    for (from, forwarded, status) in [
        ("127.0.0.1", "", 200),
        ("127.0.0.2", "", 403),
        // The client counts, whatever proxy it comes through.
        ("127.0.0.9", "x-forwarded-for: 127.0.0.1\r\n", 200),
        ("127.0.0.9", "x-forwarded-for: 2001:db8::1\r\n", 403),
    ] {
        let mut client = Client::connect_from(from, edge.addr()).await;
        client.send(get("/", &format!("{field}{forwarded}"))).await;
        let answer = client.response().await;
        assert_eq!(answer.status, status, "{from} {forwarded}");
        // Who comes from elsewhere can do the work there.
        assert_eq!(status == 403, answer.text().contains("data-puzzle"), "{from}");
    }
    let elsewhere = get("/", &field).replace("a.example", "b.example");
    assert_eq!(Client::ask(edge.addr(), elsewhere).await.status, 403);
    assert_eq!(origin.requests(), 2);
    let records = edge.stop();
    let count = |word: &str| records.iter().filter(|record| record["refusal"] == word).count();
    for (word, expected) in [
        ("challenge_malformed", 2),
        ("challenge_forged", 3),
        ("challenge_unsolved", 1),
        ("challenge_difficulty", 2),
        ("challenge_other_network", 3),
        ("challenge_solved", 1),
    ] {
        assert_eq!(count(word), expected, "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_and_pass_are_what_the_route_says() {
    let (edge, _origin) = start(&[]).await;
    for (path, bits) in [("/", "8"), ("/harder", "9"), ("/easier", "7")] {
        let page = Client::ask(edge.addr(), get(path, BROWSER)).await;
        assert_eq!(data(&page.text(), "bits"), bits, "{path}");
    }
    let paid = solve_at(&edge, "/harder").await;
    assert!(paid.header("set-cookie").unwrap().contains("; Max-Age=604800;"), "{paid:?}");
    let (hard, usual) = (pass(&paid), pass(&solve_at(&edge, "/").await));
    for (pass, path, status) in [
        (&hard, "/harder", 200),
        (&hard, "/", 200),
        (&hard, "/easier", 200),
        (&usual, "/harder", 403),
        (&usual, "/easier", 200),
    ] {
        let field = format!("cookie: {pass}\r\n");
        let answer = Client::ask(edge.addr(), get(path, &field)).await;
        assert_eq!(answer.status, status, "{path} with {pass}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_pass_does_nothing_wrong_and_who_fakes_work_does() {
    let edge = Edge::start(
        "
bans: { after: 3, within: 1m }
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: {}, access: { challenge: always, challenge_difficulty: 8 } }]
",
    );
    let mut page = Response::default();
    for _ in 0..5 {
        page = Client::ask(edge.addr(), get("/", BROWSER)).await;
        assert!(page.text().contains("data-puzzle"), "{page:?}");
    }
    let page = page.text();
    let lazy = attempts(data(&page, "puzzle")).find(|attempt| !is_solved(attempt, 8)).unwrap();
    for _ in 0..3 {
        assert_eq!(send(&edge, "/", &lazy).await.status, 403);
    }
    let is_banned = || edge.admin_get("/api/bans").text().contains("127.0.0.1");
    poll("the ban", || is_banned().then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rule_of_the_route_breaks_the_page_or_takes_the_pass() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
routes:
  - respond: { body: ok }
    access: { challenge: always, challenge_difficulty: 8 }
    headers:
      response:
        set: { content-security-policy: \"default-src 'self'\", cache-control: max-age=60 }
        remove: [set-cookie]
",
    );
    let page = Client::ask(edge.addr(), get("/", BROWSER)).await;
    assert!(page.header("content-security-policy").unwrap().contains("; script-src 'sha256-"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let paid = send(&edge, "/", &solve(&page)).await;
    assert_eq!(paid.header("cache-control"), Some("no-store"));
    let field = format!("cookie: {}\r\n", pass(&paid));
    let answer = Client::ask(edge.addr(), get("/", &field)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("max-age=60")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_and_every_process_with_the_key_know_the_pass() {
    let shared = tempfile::tempdir().unwrap();
    let site = "
server: { pid_file: '{shared}/tidegate.pid', upgrade_sock: '{shared}/run/tidegate.sock' }
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: { body: ok }, access: { challenge: always, challenge_difficulty: 8 } }]
";
    let start = || Edge::start_with(site, &[("shared", &shared.path().display())]);
    let edge = start();
    let field = format!("cookie: {}\r\n", pass(&solve_at(&edge, "/").await));
    edge.write_config(&site.replace("body: ok", "body: new"));
    assert_eq!(edge.admin_post("/api/reload").status, 200);
    let answer = Client::ask(edge.addr(), get("/", &field)).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "new"));
    edge.stop();
    let edge = start();
    assert_eq!(Client::ask(edge.addr(), get("/", &field)).await.status, 200);
    edge.stop();
    std::fs::remove_file(shared.path().join("run/challenge.key")).unwrap();
    let edge = start();
    assert_eq!(Client::ask(edge.addr(), get("/", &field)).await.status, 403);
}
