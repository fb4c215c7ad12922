//! TLS to servers: who is believed, what is shown, and which connections are shared.

use std::fmt::Display;
use std::path::Path;

use crate::support::app::{self, GET};
use crate::support::h2_origin::Call;
use crate::support::{Authority, Client, Edge, H2Client, H2Origin, Nginx, Response, ports};

/// An nginx that ends TLS with `FILE.pem` of a folder, and its TLS address.
fn nginx(folder: &Path, file: &str, more: &str) -> (Nginx, String) {
    let [port] = ports::free();
    let at = folder.display();
    let nginx = Nginx::start(&format!(
        "listen 127.0.0.1:{port} ssl http2;
         ssl_certificate {at}/{file}.pem; ssl_certificate_key {at}/{file}.key; {more}
         location / {{
             return 200 '$server_protocol sni=$ssl_server_name client=$ssl_client_s_dn';
         }}"
    ));
    (nginx, format!("127.0.0.1:{port}"))
}

/// A proxy whose `app` is the server, with these words under `tls`.
fn edge(server: &str, tls: &str, ca: &Authority) -> Edge {
    let dir = ca.dir().display();
    let places: [(&str, &dyn Display); 3] = [("server", &server), ("tls", &tls), ("ca", &dir)];
    app::start("{ servers: ['{server}'], tls: {tls} }", &places)
}

async fn ask(edge: &Edge) -> Response {
    Client::ask(edge.addr(), GET).await
}

/// The server is not believed: 502, and log and metrics say why.
async fn expect_refused(edge: Edge, why: &str) {
    assert_eq!(ask(&edge).await.status, 502, "{why}");
    let series = "tidegate_upstream_failures_total{failure=\"tls\",upstream=\"app\"}";
    edge.await_metric(series, 2.0);
    let records = edge.stop();
    let error = records[0]["error"].as_str().unwrap();
    assert_eq!(records[0]["refusal"], "server_unreachable", "{error}");
    assert!(error.contains(why), "{why}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_known_authorities_are_believed() {
    let (certs, other) = (Authority::new(), Authority::new());
    certs.write("app", &["app.internal"]);
    let (_nginx, server) = nginx(certs.dir(), "app", "");

    expect_refused(edge(&server, "{ sni: app.internal }", &certs), "UnknownIssuer").await;
    let with_ca = "{ sni: app.internal, ca: '{ca}/ca.pem' }";
    // Both authorities have the same name, so it is the signature that is wrong.
    expect_refused(edge(&server, with_ca, &other), "BadSignature").await;
    let answer = ask(&edge(&server, with_ca, &certs)).await;
    assert_eq!(answer.text(), "HTTP/1.1 sni=app.internal client=");
    let unverified = edge(&server, "{ sni: app.internal, verify: false }", &certs);
    assert_eq!(ask(&unverified).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_certificate_is_refused() {
    let own = rcgen::generate_simple_self_signed(["app.internal".to_owned()]).unwrap();
    let certs = Authority::new();
    std::fs::write(certs.dir().join("own.pem"), own.cert.pem()).unwrap();
    std::fs::write(certs.dir().join("own.key"), own.signing_key.serialize_pem()).unwrap();
    let (_nginx, server) = nginx(certs.dir(), "own", "");
    expect_refused(edge(&server, "{ sni: app.internal }", &certs), "UnknownIssuer").await;
    // Unless it is the very one that is asked for.
    let pinned = edge(&server, "{ sni: app.internal, ca: '{ca}/own.pem' }", &certs);
    assert_eq!(ask(&pinned).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() {
    let certs = Authority::new();
    certs.write("other", &["other.internal"]);
    certs.write("ip", &["127.0.0.1"]);
    let (_other, server) = nginx(certs.dir(), "other", "");
    let wrong = edge(&server, "{ sni: app.internal, ca: '{ca}/ca.pem' }", &certs);
    expect_refused(wrong, "not valid for name").await;
    // Without a name of its own, the address is what it must be for.
    let no_name = edge(&server, "{ ca: '{ca}/ca.pem' }", &certs);
    expect_refused(no_name, "not valid for name").await;
    let (_ip, server) = nginx(certs.dir(), "ip", "");
    let by_address = edge(&server, "{ ca: '{ca}/ca.pem' }", &certs);
    assert_eq!(ask(&by_address).await.text(), "HTTP/1.1 sni= client=");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_where_a_server_wants_one() {
    let certs = Authority::new();
    certs.write("app", &["app.internal"]);
    certs.write("edge", &["edge.internal"]);
    let ca = certs.ca();
    let verify = format!("ssl_verify_client on; ssl_client_certificate {};", ca.display());
    let (_nginx, server) = nginx(certs.dir(), "app", &verify);
    let words = "sni: app.internal, ca: '{ca}/ca.pem'";
    let with = format!("{{ {words}, cert: '{{ca}}/edge.pem', key: '{{ca}}/edge.key' }}");
    let answer = ask(&edge(&server, &with, &certs)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("client=CN=edge.internal"), "{answer:?}");
    // nginx says no in HTTP, and that is passed on.
    let answer = ask(&edge(&server, &format!("{{ {words} }}"), &certs)).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("No required SSL certificate"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_spoken_to_in_the_protocol_asked_for() {
    let certs = Authority::new();
    certs.write("app", &["app.internal"]);
    let (_nginx, server) = nginx(certs.dir(), "app", "");
    let tls = certs.server(&["app.internal"]);
    let respond = |mut call: Call| async move {
        let what = format!("{:?} {}", call.request.version(), call.request.uri());
        call.answer(what);
    };
    let h2 = H2Origin::scripted_tls(tls, respond).await;
    let h2c = H2Origin::scripted(respond).await;
    let h1_only = Nginx::start("location / { return 200 'plain'; }");
    let with_tls = ", tls: { sni: app.internal, ca: '{ca}/ca.pem' }";
    for (server, words, expected) in [
        (&server, format!("h2{with_tls}"), "HTTP/2.0 sni=app.internal client="),
        (&server, format!("h1{with_tls}"), "HTTP/1.1 sni=app.internal client="),
        (&h2.addr.to_string(), format!("h2{with_tls}"), "HTTP/2.0 https://a.example/"),
        (&h2c.addr.to_string(), "h2c".to_owned(), "HTTP/2.0 http://a.example/"),
        (&h1_only.addr.to_string(), "h1".to_owned(), "plain"),
    ] {
        let app = format!("{{ servers: ['{{server}}'], protocol: {words} }}");
        let edge = app::start(&app, &[("server", server), ("ca", &certs.dir().display())]);
        assert_eq!(ask(&edge).await.text(), expected);
        let mut client = H2Client::connect(edge.addr()).await;
        let answer = client.get("http://a.example/").await.response;
        assert_eq!(answer.text(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_share_one_h2_connection() {
    let origin = H2Origin::scripted(|mut call: Call| async move { call.answer("ok") }).await;
    let app = "{ servers: ['{server}'], protocol: h2c }";
    let edge = app::start(app, &[("server", &origin.addr)]);
    for _ in 0..20 {
        assert_eq!(ask(&edge).await.status, 200);
    }
    // Each of two threads may open one, and one more for a request that comes
    // a moment before the last one has given its connection back.
    assert!(origin.connections() <= 4, "{}", origin.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_shared_only_by_those_who_believe_the_same() {
    let (certs, other) = (Authority::new(), Authority::new());
    certs.write("app", &["app.internal"]);
    let (_nginx, server) = nginx(certs.dir(), "app", "");
    let edge = Edge::start_with(
        "
        listeners: [{ address: '127.0.0.1:{port}' }]
        upstreams:
          lax: { servers: ['{server}'], tls: { sni: app.internal, verify: false } }
          good: { servers: ['{server}'], tls: { sni: app.internal, ca: '{ca}' } }
          bad: { servers: ['{server}'], tls: { sni: app.internal, ca: '{other}' } }
          plain: { servers: ['{server}'] }
        routes:
          - { match: { path_prefix: /lax }, upstream: lax }
          - { match: { path_prefix: /good }, upstream: good }
          - { match: { path_prefix: /bad }, upstream: bad }
          - { match: { path_prefix: /plain }, upstream: plain }
        ",
        &[("server", &server), ("ca", &certs.ca().display()), ("other", &other.ca().display())],
    );
    let get = |path| format!("GET /{path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
    for _ in 0..3 {
        // nginx answers 400 to plain HTTP on a TLS port.
        for (path, status) in [("lax", 200), ("good", 200), ("bad", 502), ("plain", 400)] {
            assert_eq!(Client::ask(edge.addr(), get(path)).await.status, status, "{path}");
        }
    }
}
