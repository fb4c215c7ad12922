//! Checks of servers on the loopback.

use std::cell::RefCell;
use std::sync::atomic::AtomicI64;

use ::http::{HeaderMap, Response};
use bytes::Bytes;
use futures::future::{Either, select};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::balance::Config;
use crate::balance::config::TcpCheck;
use crate::balance::members::{Member, Rules};
use crate::units::Period;

/// The upstream's only server.
fn members(address: SocketAddr) -> Members {
    let name = address.to_string().into();
    let member = Member {
        server: Arc::new(Server::new("app".into(), name, "localhost".into(), address)),
        weight: 1,
        is_backup: false,
        turn: AtomicI64::new(0),
    };
    Members { rules: Arc::new(Rules::new(&Config::default())), list: vec![member] }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = SocketAddr::Inet(listener.local_addr().expect("bound"));
    (listener, address)
}

fn over_http() -> Health {
    Health { http: Some(HttpCheck::default()), ..slow() }
}

fn over_tcp() -> Health {
    Health { tcp: Some(TcpCheck {}), ..slow() }
}

fn over_grpc() -> Health {
    Health { grpc: Some(GrpcCheck::default()), ..slow() }
}

/// A timeout that a busy machine does not reach.
fn slow() -> Health {
    Health { timeout: Period::from_secs(30), ..Health::default() }
}

/// Runs checks while `serve` is given every connection and its number.
///
/// Gives what was wrong at each check, and the standing at the end.
async fn check(
    health: &Health,
    rounds: usize,
    peer: Option<Arc<MakePeer>>,
    serve: impl AsyncFn(usize, TcpStream),
) -> (Vec<Option<String>>, bool) {
    let (listener, address) = listen().await;
    let members = members(address);
    let checker = Checker::new(&Checks::new(health, peer).expect("good words"));
    let verdict = &members.list[0].server.verdict;
    let checks = async {
        let mut whys = Vec::new();
        for _ in 0..rounds {
            checker.check(&members).await;
            whys.push(verdict.why());
        }
        (whys, verdict.is_healthy())
    };
    let serving = async {
        for number in 0.. {
            let (stream, _) = listener.accept().await.expect("a listener");
            serve(number, stream).await;
        }
    };
    match select(Box::pin(checks), Box::pin(serving)).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => unreachable!("serving does not end"),
    }
}

/// Reads the head of a request and sends an answer.
async fn answer(stream: TcpStream, status: u16) -> String {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).await.expect("a request"), 0, "{head}");
    }
    let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nok");
    stream.write_all(answer.as_bytes()).await.expect("a client");
    head
}

/// Answers one gRPC request with a message and the grpc-status in trailers.
async fn answer_grpc(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    message: &'static [u8],
    grpc_status: Option<&'static str>,
) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    let (request, mut respond) = connection.accept().await.expect("a request").expect("a good one");
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let mut body = respond.send_response(Response::new(()), false).expect("open");
    body.send_data(Bytes::from_static(message), false).expect("open");
    let mut trailers = HeaderMap::new();
    if let Some(status) = grpc_status {
        trailers.insert("grpc-status", HeaderValue::from_static(status));
    }
    body.send_trailers(trailers).expect("open");
    // Ends when the client goes.
    while let Some(Ok(_)) = connection.accept().await {}
}

fn some(why: &str) -> Option<String> {
    Some(why.to_owned())
}

#[tokio::test]
async fn a_server_falls_and_rises_by_its_statuses() {
    let statuses = [503, 500, 503, 200, 204, 200];
    let (whys, is_healthy) = check(&over_http(), 6, None, async |number, stream| {
        let head = answer(stream, statuses[number]).await;
        assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    })
    .await;
    let expected =
        [some("answered 503"), some("answered 500"), some("answered 503"), None, None, None];
    assert_eq!(whys, expected);
    assert!(is_healthy);
    let (_, is_healthy) = check(&over_http(), 4, None, async |number, stream| {
        answer(stream, statuses[number]).await;
    })
    .await;
    assert!(!is_healthy, "one good check is no rise");
}

#[tokio::test]
async fn asks_for_the_page_and_the_statuses_that_are_configured() {
    let http = HttpCheck {
        path: "/healthz?full=1".to_owned(),
        host: some("app.internal:8080"),
        expect: serde_json::from_str("[204, \"400-404\"]").expect("good"),
    };
    let health = Health { http: Some(http), ..slow() };
    let statuses = [204, 404, 200];
    let (whys, _) = check(&health, 3, None, async |number, stream| {
        let head = answer(stream, statuses[number]).await.to_ascii_lowercase();
        assert!(head.starts_with("get /healthz?full=1 http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nhost: app.internal:8080\r\n"), "{head}");
        assert!(head.contains("\r\nuser-agent: tidegate-health\r\n"), "{head}");
    })
    .await;
    assert_eq!(whys, [None, None, some("answered 200")]);
}

#[tokio::test]
async fn a_silent_server_is_unhealthy_when_the_time_is_over() {
    let health = Health { timeout: Period(Duration::from_millis(20)), fall: 1, ..over_http() };
    let open = RefCell::new(Vec::new());
    let (whys, is_healthy) = check(&health, 1, None, async |_, stream| {
        open.borrow_mut().push(stream);
    })
    .await;
    assert_eq!(whys, [some("no answer within 20 ms")]);
    assert!(!is_healthy);
}

#[tokio::test]
async fn an_open_port_is_enough_for_tcp() {
    let (whys, is_healthy) = check(&over_tcp(), 2, None, async |_, stream| drop(stream)).await;
    assert_eq!(whys, [None, None]);
    assert!(is_healthy);
}

#[tokio::test]
async fn a_closed_port_is_unhealthy_in_every_way() {
    for health in [over_tcp(), over_http(), over_grpc()] {
        let (listener, address) = listen().await;
        drop(listener);
        let members = members(address);
        let health = Health { fall: 1, ..health };
        Checker::new(&Checks::new(&health, None).expect("good words")).check(&members).await;
        let verdict = &members.list[0].server.verdict;
        assert!(!verdict.is_healthy());
        let why = verdict.why().expect("a reason");
        assert!(why.contains("ConnectRefused"), "{why}");
    }
}

#[tokio::test]
async fn checks_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let address = std::os::unix::net::SocketAddr::from_pathname(&path).expect("short");
    let members = members(SocketAddr::Unix(address));
    let health = Health { fall: 1, ..over_tcp() };
    Checker::new(&Checks::new(&health, None).expect("good words")).check(&members).await;
    assert_eq!(members.list[0].server.verdict.why(), None);
}

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 2];

#[tokio::test]
async fn a_grpc_server_says_how_it_is() {
    let answers: [(&[u8], _); 5] = [
        (SERVING, Some("0")),
        (NOT_SERVING, Some("0")),
        (SERVING, Some("12")),
        (SERVING, None),
        (b"", Some("0")),
    ];
    let (whys, _) = check(&over_grpc(), 5, None, async |number, stream| {
        let (message, status) = answers[number];
        answer_grpc(stream, message, status).await;
    })
    .await;
    let expected = [
        None,
        some("says NOT_SERVING"),
        some("answered grpc-status 12"),
        some("answered without grpc-status"),
        some("answered what is no HealthCheckResponse"),
    ];
    assert_eq!(whys, expected);
}

#[tokio::test]
async fn a_grpc_check_uses_the_tls_settings_of_the_upstream() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("its own versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key.into())
        .expect("its own key");
    server.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let peer: Arc<MakePeer> = Arc::new(|server| {
        let mut peer = plain(server.address());
        peer.scheme = pingora::upstreams::peer::Scheme::HTTPS;
        peer.sni = server.host().to_owned();
        peer.options.verify_cert = false;
        peer
    });
    let (whys, _) = check(&over_grpc(), 1, Some(peer), async |_, stream| {
        let stream = acceptor.accept(stream).await.expect("TLS");
        assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
        answer_grpc(stream, SERVING, Some("0")).await;
    })
    .await;
    assert_eq!(whys, [None]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_rises_starts_slowly() {
    let members = members(SocketAddr::Inet("127.0.0.1:1".parse().expect("good")));
    let server = &members.list[0].server;
    let slow_start = Duration::from_secs(10);
    let checks = Checks::new(&Health { fall: 1, rise: 1, ..over_tcp() }, None).expect("good words");
    let checker = Checker::new(&checks);
    checker.judge(server, Err("refused".to_owned()));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(server.share_of_weight(server.age_ms(Instant::now()), slow_start), 1.0);
    checker.judge(server, Ok(()));
    assert_eq!(server.share_of_weight(server.age_ms(Instant::now()), slow_start), 0.1);
}

#[test]
fn rounds_are_an_interval_apart_give_or_take_a_tenth() {
    for (seconds, expected) in [(5, 4_500..=5_500), (60, 54_000..=66_000)] {
        let health = Health { interval: Period::from_secs(seconds), ..over_tcp() };
        let checker = Checker::new(&Checks::new(&health, None).expect("good words"));
        let pauses: Vec<u128> = (0..100).map(|_| checker.pause().as_millis()).collect();
        assert!(pauses.iter().all(|pause| expected.contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
