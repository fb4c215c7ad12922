//! Header fields on their way: what servers are told of clients, what clients
//! see of servers, and what the operator changes.

use http::Request as HttpRequest;

use crate::support::origin::{self, Request};
use crate::support::{Authority, Client, Edge, H2Client, Origin, Response};

const SITE: &str = "
clients: { trusted_proxies: ['127.0.0.9/32'] }
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c] }
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

/// What a client says that wants to be someone else.
const SPOOFED: [(&str, &str); 8] = [
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "bank.example"),
    ("forwarded", "for=192.0.2.1;host=bank.example;proto=https"),
    ("x-request-id", "id-of-my-own"),
    ("x-real-ip", "192.0.2.1"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/admin"),
];

/// A request with these fields besides its host.
fn with(fields: &[(&str, &str)]) -> String {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET / HTTP/1.1\r\nhost: a.example:8080\r\n{lines}\r\n")
}

/// Sends it from an address of loopback; what the server saw.
async fn seen_from(from: &str, edge: &Edge, request: &str) -> Request {
    let mut client = Client::connect_from(from, edge.addr()).await;
    client.send(request).await;
    Request::echoed(&client.response().await)
}

/// Compares the one value of each field; none is a field that is not there.
fn check(seen: &Request, expected: &[(&str, Option<&str>)]) {
    for (name, value) in expected {
        let values: Vec<&str> = seen.all(name).collect();
        assert_eq!(values, value.iter().copied().collect::<Vec<_>>(), "{name}: {}", seen.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_told_who_asks_and_nothing_that_a_stranger_made_up() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let expected = [
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("a.example:8080")),
        ("forwarded", Some("for=127.0.0.1;host=\"a.example:8080\";proto=http")),
        ("x-real-ip", None),
        ("x-forwarded-port", None),
        ("x-forwarded-prefix", None),
        ("via", Some("1.1 tidegate")),
    ];
    let h2 = |fields: &[(&str, &str)]| {
        let request = HttpRequest::get("http://a.example:8080/");
        let request =
            fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap()
    };
    for fields in [&SPOOFED[..], &[]] {
        let seen = seen_from("127.0.0.1", &edge, &with(fields)).await;
        check(&seen, &expected);
        assert_ne!(seen.header("x-request-id"), Some("id-of-my-own"));
        let mut client = H2Client::connect(edge.addr()).await;
        let answer = client.ask(h2(fields), "").await.unwrap().response;
        let seen = Request::echoed(&answer);
        check(&seen, &expected);
        assert_ne!(seen.header("x-request-id"), Some("id-of-my-own"));
    }
    // Said twice, it is dropped twice.
    let twice = seen_from("127.0.0.1", &edge, &with(&[SPOOFED, SPOOFED].concat())).await;
    check(&twice, &expected);
    // HTTP/1.0 may name no host, and then nobody does.
    let old = seen_from("127.0.0.1", &edge, "GET / HTTP/1.0\r\nx-forwarded-host: x\r\n\r\n").await;
    check(&old, &[("x-forwarded-host", None), ("forwarded", Some("for=127.0.0.1;proto=http"))]);
    // Who it was is in the log as well.
    assert!(edge.stop().iter().all(|record| record["client_ip"] == "127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let seen = seen_from("127.0.0.9", &edge, &with(&SPOOFED)).await;
    check(
        &seen,
        &[
            ("x-forwarded-for", Some("192.0.2.1, 127.0.0.9")),
            ("x-forwarded-proto", Some("https")),
            ("x-forwarded-host", Some("bank.example")),
            ("forwarded", Some("for=192.0.2.1;host=bank.example;proto=https")),
            ("x-request-id", Some("id-of-my-own")),
            ("x-real-ip", Some("192.0.2.1")),
            ("x-forwarded-port", Some("443")),
            ("x-forwarded-prefix", Some("/admin")),
        ],
    );
    // The nearest address that is no proxy of ours is the client; what stands
    // before it may be made up by that client.
    let way = [("x-forwarded-for", "10.0.0.1, 192.0.2.7"), ("x-forwarded-for", "127.0.0.9")];
    let seen = seen_from("127.0.0.9", &edge, &with(&way)).await;
    let expected = Some("10.0.0.1, 192.0.2.7, 127.0.0.9, 127.0.0.9");
    check(&seen, &[("x-forwarded-for", expected), ("x-forwarded-proto", Some("http"))]);
    assert!(seen.header("forwarded").unwrap().starts_with("for=192.0.2.7;"));
    // A proxy may say it in Forwarded alone (RFC 7239), IPv6 in quotes.
    let rfc = [("forwarded", "for=\"[2001:db8::1]:4711\";proto=https")];
    let seen = seen_from("127.0.0.9", &edge, &with(&rfc)).await;
    let expected = "for=\"[2001:db8::1]\";host=\"a.example:8080\";proto=http";
    check(
        &seen,
        &[("x-forwarded-for", Some("2001:db8::1, 127.0.0.9")), ("forwarded", Some(expected))],
    );
    // Nonsense is not passed on, whoever says it.
    let nonsense = [
        ("x-forwarded-for", "who knows"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "a b\""),
        ("x-request-id", "id with spaces"),
    ];
    let seen = seen_from("127.0.0.9", &edge, &with(&nonsense)).await;
    check(
        &seen,
        &[("x-forwarded-proto", Some("http")), ("x-forwarded-host", Some("a.example:8080"))],
    );
    assert_eq!(seen.header("x-request-id").unwrap().len(), 32);
    let who = |record: &serde_json::Value| {
        let field = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        (field("client_ip"), field("peer_ip"))
    };
    let mut clients: Vec<_> = edge.stop().iter().map(who).collect();
    clients.sort_unstable();
    let expected = ["127.0.0.9", "192.0.2.1", "192.0.2.7", "2001:db8::1"];
    assert_eq!(clients, expected.map(|client| (client.to_owned(), "127.0.0.9".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_told_by_the_field_that_the_proxy_writes() {
    let site = |named: &str| {
        format!(
            "clients: {{ trusted_proxies: ['127.0.0.9/32'], real_ip_header: {named} }}
bans: {{ list: [192.0.2.66] }}
listeners: [{{ address: '127.0.0.1:{{port}}' }}]
routes: [{{ respond: {{}} }}]"
        )
    };
    // Of a banned client: what its proxy wrote, and what it made up itself.
    let (wrote, blank) = ([("forwarded", "for=192.0.2.66")], [("x-forwarded-for", "")]);
    let other = [("x-forwarded-for", "192.0.2.1")];
    for (named, made_up, expected) in [
        ("either", &blank, (403, "192.0.2.66")),
        ("either", &other, (400, "127.0.0.9")),
        ("forwarded", &blank, (403, "192.0.2.66")),
        ("forwarded", &other, (403, "192.0.2.66")),
        ("x_forwarded_for", &other, (200, "192.0.2.1")),
    ] {
        let edge = Edge::start(&site(named));
        let mut client = Client::connect_from("127.0.0.9", edge.addr()).await;
        client.send(with(&[&wrote[..], made_up].concat())).await;
        let status = client.response().await.status;
        let record = edge.stop().remove(0);
        assert_eq!(
            (status, record["client_ip"].as_str().unwrap()),
            expected,
            "{named} {made_up:?}"
        );
        if status == 400 {
            assert_eq!(
                (&record["room"], &record["refusal"]),
                (&"client".into(), &"two_clients".into())
            );
            assert_eq!(record["request_id"].as_str().unwrap().len(), 32);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_told_that_the_client_came_by_https() {
    let origin = Origin::echo().await;
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let site = "
listeners:
  - address: '127.0.0.1:{tls_port}'
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
upstreams: { app: { servers: ['{origin}'], sticky: { cookie: tg_server } } }
routes: [{ upstream: app }]
";
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &origin.addr), ("certs", &certs.dir().display())];
    let edge = Edge::start_with(site, &places);
    let mut h1 = Client::tls(edge.tls_addr(), certs.client(&[]), "a.example").await;
    h1.send("GET / HTTP/1.1\r\nhost: a.example\r\nx-forwarded-proto: http\r\n\r\n").await;
    let h1 = h1.response().await;
    let mut h2 = H2Client::tls(edge.tls_addr(), certs.client(&["h2"]), "a.example").await;
    let h2 = h2.get("https://a.example/").await.response;
    for answer in [h1, h2] {
        // What was said over TLS is not said in the clear later.
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.ends_with("; SameSite=Lax; Secure"), "{cookie}");
        check(
            &Request::echoed(&answer),
            &[
                ("x-forwarded-proto", Some("https")),
                ("x-forwarded-host", Some("a.example")),
                ("forwarded", Some("for=127.0.0.1;host=a.example;proto=https")),
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_proxy_on_the_way_is_named_in_via() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nvia: 1.1 inner\r\n\r\n";
    let origin = Origin::answering(answer).await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let answer = Client::ask(edge.addr(), with(&[("via", "1.0 outer")])).await;
    assert_eq!(answer.all("via").collect::<Vec<_>>(), ["1.1 inner", "1.1 tidegate"]);
    let h2 = H2Client::connect(edge.addr()).await.get("http://a.example/").await.response;
    assert_eq!(h2.all("via").collect::<Vec<_>>(), ["1.1 inner", "1.1 tidegate"]);
    let sent = origin.received_text().to_lowercase();
    assert!(sent.contains("\r\nvia: 1.0 outer\r\n"), "{sent}");
    assert_eq!(sent.matches("\r\nvia: 1.1 tidegate\r\n").count(), 2, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_is_in_the_answer_the_log_and_at_the_server() {
    let origin = Origin::scripted(|mut conn| async move {
        while let Some(request) = conn.request().await {
            let body = &request.head;
            let head = "HTTP/1.1 200 OK\r\nx-request-id: id-of-the-server\r\n";
            conn.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
        }
    })
    .await;
    let site = SITE.replace(
        "[{ upstream: app }]",
        "
  - { upstream: app }
  - { match: { path: /own }, respond: { body: own } }
  - { match: { path: /moved }, redirect: { to: /own } }
  - { match: { path: /post, methods: [POST] }, upstream: app }",
    );
    let edge = Edge::start_with(&site, &[("origin", &origin.addr)]);
    let mut ids = Vec::new();
    for path in ["/", "/", "/own", "/moved", "/%2e%2e/x"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        let h1 = Client::ask(edge.addr(), request).await;
        edge.access_log(ids.len() + 1);
        let url = format!("http://a.example{path}");
        let h2 = H2Client::connect(edge.addr()).await.get(&url).await.response;
        edge.access_log(ids.len() + 2);
        for answer in [h1, h2] {
            let id = answer.header("x-request-id").unwrap().to_owned();
            if path == "/" {
                check(&Request::echoed(&answer), &[("x-request-id", Some(&id))]);
            }
            ids.push(id);
        }
    }
    // What is refused before it is understood has one, too.
    let nonsense = Client::ask(edge.addr(), "nonsense\r\n\r\n").await;
    ids.push(nonsense.header("x-request-id").unwrap().to_owned());
    let records = edge.stop();
    let logged: Vec<_> = records.iter().map(|record| record["request_id"].clone()).collect();
    assert_eq!(logged, ids);
    let is_new = |id: &String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(ids.iter().all(is_new), "{ids:?}");
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_tried_again_keeps_its_id() {
    let bad = Origin::answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
    let good = Origin::echo().await;
    let site = SITE.replace("['{origin}']", "['{bad}', { address: '{good}', backup: true }]");
    let edge = Edge::start_with(&site, &[("bad", &bad.addr), ("good", &good.addr)]);
    let answer = Client::ask(edge.addr(), with(&[])).await;
    let id = answer.header("x-request-id").unwrap();
    let line = format!("\r\nx-request-id: {id}\r\n");
    for server in [bad, good] {
        let sent = server.received_text().to_lowercase();
        assert_eq!(sent.matches(&line).count(), 1, "{sent}");
        assert_eq!(sent.matches("\r\nvia:").count(), 1, "{sent}");
        assert_eq!(sent.matches("\r\nx-forwarded-for: 127.0.0.1\r\n").count(), 1, "{sent}");
    }
}

const REVEALING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nServer: Apache/2.4.1 (Unix)\r\n\
                         X-Powered-By: PHP/5.2\r\nX-Powered-By: Express\r\nX-AspNet-Version: 4\r\n\
                         X-AspNetMvc-Version: 5\r\nx-kept: 1\r\nset-cookie: a=1\r\n\
                         set-cookie: b=2\r\nx-internal: secret\r\n\r\nok";

/// RFC 9113 §8.2.3: HTTP/2 may send each cookie alone, HTTP/1 may not.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_h2_are_one_field_at_the_server() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    for cookies in [&["a=1", "b=\"2\"; c=3", "d=4"][..], &["a=1"], &[]] {
        let request = HttpRequest::get("http://a.example/");
        let request = cookies.iter().fold(request, |request, one| request.header("cookie", *one));
        let mut client = H2Client::connect(edge.addr()).await;
        let answer = client.ask(request.body(()).unwrap(), "").await.unwrap().response;
        let joined = cookies.join("; ");
        check(&Request::echoed(&answer), &[("cookie", Some(&*joined).filter(|c| !c.is_empty()))]);
    }
}

/// What both protocols answer to GET of a path.
async fn get(edge: &Edge, path: &str) -> [Response; 2] {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nx-debug: 1\r\n\r\n");
    let h1 = Client::ask(edge.addr(), request).await;
    let request = HttpRequest::get(format!("http://a.example{path}")).header("x-debug", "1");
    let mut client = H2Client::connect(edge.addr()).await;
    [h1, client.ask(request.body(()).unwrap(), "").await.unwrap().response]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reveals_the_software_of_servers_is_hidden() {
    let origin = Origin::answering(REVEALING).await;
    let site = SITE.replace(
        "[{ upstream: app }]",
        "
  - { upstream: app }
  - { match: { path: /named }, upstream: app, headers: { response: { set: { server: shop } } } }",
    );
    let edge = Edge::start_with(&site, &[("origin", &origin.addr)]);
    for path in ["/", "/named"] {
        for answer in get(&edge, path).await {
            for name in ["x-powered-by", "x-aspnet-version", "x-aspnetmvc-version"] {
                assert_eq!(answer.all(name).count(), 0, "{name}");
            }
            let named = (path == "/named").then_some("shop");
            assert_eq!(answer.header("server"), named, "{path}");
            // All else is the server's to say.
            assert_eq!(answer.header("x-kept"), Some("1"));
            assert_eq!(answer.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
        }
    }
}

const RULES: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams:
  app: { servers: ['{origin}'] }
  echo: { servers: ['{echo}'] }
  dead: { servers: ['127.0.0.1:{nobody}'] }
defaults:
  headers:
    request: { set: { x-site: default }, add: { x-added: '1' }, remove: [x-debug] }
    response: { set: { X-Frame-Options: DENY }, add: { set-cookie: c=3 }, remove: [X-Internal] }
routes:
  - match: { path_prefix: /request }
    upstream: echo
    headers:
      request:
        set: { X-Env: prod, x-forwarded-proto: https, x-debug: '0' }
        add: { via: '1.1 other', x-new: '1' }
        remove: [x-debug, user-agent, x-not-there]
  - match: { path: /own }
    upstream: app
    headers:
      response: { set: { x-kept: changed }, add: { x-kept: more }, remove: [set-cookie] }
  - match: { path: /fixed }
    respond: { body: fixed }
  - match: { path: /moved }
    redirect: { to: /x }
  - match: { path: /dead }
    upstream: dead
  - match: { path: /default }
    upstream: app
  - match: { path: /default/request }
    upstream: echo
";

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_changes_what_servers_and_clients_get() {
    let (origin, echo) = (Origin::answering(REVEALING).await, Origin::echo().await);
    let [nobody] = crate::support::ports::free();
    let places: [(&str, &dyn std::fmt::Display); 3] =
        [("origin", &origin.addr), ("echo", &echo.addr), ("nobody", &nobody)];
    let edge = Edge::start_with(RULES, &places);
    for answer in get(&edge, "/request").await {
        let seen = Request::echoed(&answer);
        let via: Vec<&str> = seen.all("via").collect();
        assert_eq!(via, ["1.1 tidegate", "1.1 other"]);
        check(
            &seen,
            &[
                ("x-env", Some("prod")),
                // The operator has the last word, also on what is ours to tell.
                ("x-forwarded-proto", Some("https")),
                ("x-new", Some("1")),
                ("x-debug", Some("0")),
                ("user-agent", None),
                // What a route says replaces what defaults say.
                ("x-site", None),
                ("x-added", None),
            ],
        );
    }
    for answer in get(&edge, "/default/request").await {
        let expected = [("x-site", Some("default")), ("x-added", Some("1")), ("x-debug", None)];
        check(&Request::echoed(&answer), &expected);
    }
    for answer in get(&edge, "/own").await {
        assert_eq!(answer.all("x-kept").collect::<Vec<_>>(), ["changed", "more"]);
        assert_eq!(answer.all("set-cookie").count(), 0);
        assert_eq!(
            (answer.header("x-frame-options"), answer.header("x-internal")),
            (None, Some("secret"))
        );
    }
    for answer in get(&edge, "/default").await {
        assert_eq!(answer.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2", "c=3"]);
        assert_eq!(answer.header("x-internal"), None);
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    }
    // Answers of our own have them too, whatever they are.
    for (path, status) in [("/fixed", 200), ("/moved", 308), ("/dead", 502), ("/none", 404)] {
        for answer in get(&edge, path).await {
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
            assert_eq!(answer.all("via").count(), 0, "{path} passed no proxy");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_values_pass_as_they_are_both_ways() {
    let long = "v".repeat(6000);
    let answer = format!(
        "HTTP/1.1 299 Odd\r\ncontent-length: 0\r\nX-Mixed: A b\tc\r\nx-empty:\r\nx-long: {long}\r\n\
         x-same: 2\r\nx-same: 1\r\n\r\n"
    );
    let origin = Origin::answering(answer).await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    for answer in get(&edge, "/").await {
        assert_eq!(answer.status, 299);
        assert_eq!(answer.header("x-mixed"), Some("A b\tc"));
        assert_eq!(answer.header("x-empty"), Some(""));
        assert_eq!(answer.header("x-long"), Some(long.as_str()));
        assert_eq!(answer.all("x-same").collect::<Vec<_>>(), ["2", "1"]);
    }
    let sent = [("cookie", "a=1; b=\"2\""), ("X-Same", "2"), ("x-same", "1"), ("x-empty", "")];
    let echo = Origin::answering(origin::ok("ok")).await;
    let edge = Edge::start_with(SITE, &[("origin", &echo.addr)]);
    Client::ask(edge.addr(), with(&sent)).await;
    let text = echo.received_text().to_lowercase();
    for line in
        ["cookie: a=1; b=\"2\"", "x-same: 2\r\nx-same: 1", "x-empty: ", "host: a.example:8080"]
    {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in {text}");
    }
}
