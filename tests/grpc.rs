//! gRPC through the proxy, with a real client and a real server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{SinkExt as _, Stream, StreamExt as _};
use http::Request as HttpRequest;
use http::uri::PathAndQuery;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

use crate::support::app::{self, GET};
use crate::support::h2_client::whole;
use crate::support::h2_origin::Call;
use crate::support::origin::{self, Conn};
use crate::support::{Authority, Client, Edge, H2Client, H2Origin, Origin, ports, within};

/// Every time-out but `tunnel` is shorter than the silences of these tests, and
/// longer than a busy machine makes anybody wait.
const SITE: &str = "
listeners:
  - address: '127.0.0.1:{port}'
    protocols: [h1, h2c]
    timeouts: { header: 2s, body: 2s, tunnel: {tunnel} }
upstreams:
  app:
    servers: ['{server}']
    protocol: h2c
    timeouts: { first_byte: 2s, between_bytes: 2s }
routes: [{ upstream: app, compress: {} }]
";

fn edge(server: SocketAddr) -> Edge {
    edge_with(server, "15m")
}

fn edge_with(server: SocketAddr, tunnel: &str) -> Edge {
    Edge::start_with(SITE, &[("server", &server), ("tunnel", &tunnel)])
}

/// Silence longer than any time-out that does not apply to streams.
async fn silence() {
    tokio::time::sleep(Duration::from_millis(2500)).await;
}

/// A service of two methods that say again what they hear.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<HttpRequest<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        assert_eq!(request.headers()["te"], "trailers");
        assert!(request.headers().contains_key("x-forwarded-for"));
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(match request.uri().path() {
                "/test.Echo/Say" => grpc.unary(Say, request).await,
                "/test.Echo/Talk" => grpc.streaming(Talk, request).await,
                other => panic!("{other}"),
            })
        })
    }
}

struct Say;

impl UnaryService<String> for Say {
    type Response = String;
    type Future = BoxFuture<'static, Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            match request.get_ref().as_str() {
                "fail" => Err(Status::failed_precondition("not today")),
                _ => Ok(Response::new(request.into_inner())),
            }
        })
    }
}

struct Talk;

impl StreamingService<String> for Talk {
    type Response = String;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        Box::pin(async move {
            let said = request.into_inner().map(|said| match said {
                Ok(said) if said == "fail" => Err(Status::data_loss("broke off")),
                other => other,
            });
            Ok(Response::new(Box::pin(said) as Self::ResponseStream))
        })
    }
}

/// A real server with the service above; it ends with what is returned.
struct GrpcServer {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl GrpcServer {
    fn start() -> GrpcServer {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = incoming.local_addr().unwrap();
        let serving = Server::builder().add_service(Echo).serve_with_incoming(incoming);
        GrpcServer { addr, task: tokio::spawn(async move { serving.await.unwrap() }) }
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn channel(edge: &Edge) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", edge.addr())).unwrap();
    within("a connection", endpoint.connect()).await.unwrap()
}

async fn say(edge: &Edge, what: &str) -> Result<Response<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel(edge).await);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Echo/Say");
    let request = Request::new(what.to_owned());
    within("an answer", client.unary(request, path, ProstCodec::<String, String>::default())).await
}

/// A call whose both directions are open.
async fn talk(edge: &Edge) -> (mpsc::Sender<String>, Streaming<String>) {
    let (send, receive) = mpsc::channel(1);
    let mut client = tonic::client::Grpc::new(channel(edge).await);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Echo/Talk");
    let codec = ProstCodec::<String, String>::default();
    let call = client.streaming(Request::new(receive), path, codec);
    (send, within("a call", call).await.unwrap().into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_is_answered_with_one_and_a_status() {
    let server = GrpcServer::start();
    let edge = edge(server.addr);
    assert_eq!(say(&edge, "hello").await.unwrap().into_inner(), "hello");
    let large = "x".repeat(3 << 20);
    assert_eq!(say(&edge, &large).await.unwrap().into_inner(), large);
    let status = say(&edge, "fail").await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not today"));
    let records = edge.stop();
    assert!(records.iter().all(|record| record["status"] == 200), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_streams_both_ways_and_outlives_silence() {
    let server = GrpcServer::start();
    let edge = edge(server.addr);
    let (mut send, mut heard) = talk(&edge).await;
    for message in ["one", "two", "three"] {
        // Each one is sent only when the one before it has come back.
        send.send(message.to_owned()).await.unwrap();
        let said = within("a message", heard.message()).await.unwrap();
        assert_eq!(said.as_deref(), Some(message));
        if message != "three" {
            silence().await;
        }
    }
    drop(send);
    assert_eq!(within("the end", heard.message()).await.unwrap(), None);
    assert!(heard.trailers().await.unwrap().is_some(), "trailers reach the client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_after_messages_reaches_the_client() {
    let server = GrpcServer::start();
    let edge = edge(server.addr);
    let (mut send, mut heard) = talk(&edge).await;
    send.send("one".to_owned()).await.unwrap();
    assert_eq!(within("a message", heard.message()).await.unwrap().as_deref(), Some("one"));
    send.send("fail".to_owned()).await.unwrap();
    let status = within("a status", heard.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "broke off"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_streams_for_as_long_as_it_likes() {
    let (reporter, service) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let serving = Server::builder().add_service(service).serve_with_incoming(incoming);
    let server = tokio::spawn(serving);
    let edge = edge(addr);
    reporter.set_service_status("shop", ServingStatus::NotServing).await;

    let mut client = HealthClient::new(channel(&edge).await);
    let about = || HealthCheckRequest { service: "shop".to_owned() };
    let once = within("an answer", client.check(about())).await.unwrap();
    assert_eq!(once.into_inner().status, 2);
    let mut statuses = within("a call", client.watch(about())).await.unwrap().into_inner();
    for status in [ServingStatus::Serving, ServingStatus::NotServing] {
        let before = within("a status", statuses.message()).await.unwrap().unwrap();
        assert_ne!(before.status, status as i32);
        silence().await;
        reporter.set_service_status("shop", status).await;
    }
    let unknown = HealthCheckRequest { service: "other".to_owned() };
    let status = within("an answer", client.check(unknown)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_stream_may_come_with_its_first_message() {
    let server = H2Origin::scripted(|mut call: Call| async move {
        call.whole().await;
        silence().await;
        call.answer("at last");
    })
    .await;
    let edge = edge(server.addr);
    let mut client = H2Client::connect(edge.addr()).await;
    let post = HttpRequest::post("http://a.example/");
    let request = post.header("content-type", "application/grpc").body(()).unwrap();
    let answer = client.ask(request, "12345").await.unwrap().response;
    assert_eq!((answer.status, answer.text().as_str()), (200, "at last"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_grpc_over_h2_asks_for_trailers() {
    let server = H2Origin::scripted(|mut call: Call| async move {
        let te = call.request.headers().get("te").cloned();
        call.answer(format!("{te:?}"));
    })
    .await;
    let edge = edge(server.addr);
    for (media_type, expected) in
        [("application/grpc", "Some(\"trailers\")"), ("application/grpc-web", "None")]
    {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-type: {media_type}\r\n\
             content-length: 0\r\n\r\n"
        );
        let answer = Client::ask(edge.addr(), request).await;
        assert_eq!(answer.text(), expected, "{media_type}");
    }
    let old = Origin::echo().await;
    let edge = app::start("{ servers: ['{0}'] }", &[("0", &old.addr)]);
    let mut client = H2Client::connect(edge.addr()).await;
    let post = HttpRequest::post("http://a.example/").header("te", "trailers");
    let request = post.header("content-type", "application/grpc").body(()).unwrap();
    let answer = client.ask(request, "").await.unwrap().response;
    assert_eq!(origin::Request::echoed(&answer).header("te"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_servers_reach_clients() {
    let server = H2Origin::scripted(|mut call: Call| async move {
        let (body, trailers) = call.whole().await;
        let mut stream = call.begin(http::Response::new(()));
        let said = format!("{} {:?}", body.len(), trailers.map(|t| t["x-sum"].clone()));
        stream.send_data(said.into(), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-end", "done".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
    })
    .await;
    let edge = edge(server.addr);
    let mut client = H2Client::connect(edge.addr()).await;
    let request = HttpRequest::post("http://a.example/").body(()).unwrap();
    let (answer, mut body) = client.open(request, false).await;
    body.send_data("12345".into(), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "five".parse().unwrap());
    body.send_trailers(trailers).unwrap();
    let answer = whole(answer).await.unwrap();
    assert_eq!(answer.trailers.unwrap()["x-end"], "done");
    // Those of clients do not reach servers: pingora 0.9 does not read them.
    // No gRPC client sends any.
    assert_eq!(answer.response.text(), "5 None");
}

/// TLS on both sides.
const SECURE: &str = "
listeners:
  - address: '127.0.0.1:{tls_port}'
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
upstreams:
  app:
    servers: ['{server}']
    protocol: h2
    tls: { sni: app.internal, ca: '{certs}/ca.pem' }
routes: [{ upstream: app }]
";

#[tokio::test(flavor = "multi_thread")]
async fn calls_pass_over_tls_on_both_sides() {
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    // A server that is not asked for h2 turns the proxy away.
    let server =
        H2Origin::scripted_tls(certs.server(&["app.internal"]), |mut call: Call| async move {
            assert_eq!(call.request.headers()["te"], "trailers");
            assert_eq!(call.request.uri(), "https://a.example/test.Echo/Say");
            let (said, _) = call.whole().await;
            let head = http::Response::builder().header("content-type", "application/grpc");
            let mut stream = call.begin(head.body(()).unwrap());
            stream.send_data(said.into(), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "9".parse().unwrap());
            trailers.insert("grpc-message", "not today".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        })
        .await;
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("server", &server.addr), ("certs", &certs.dir().display())];
    let edge = Edge::start_with(SECURE, &places);
    let mut client = H2Client::tls(edge.tls_addr(), certs.client(&["h2"]), "a.example").await;
    let request = HttpRequest::post("https://a.example/test.Echo/Say")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = client.ask(request.body(()).unwrap(), "a message").await.unwrap();
    assert_eq!((answer.response.status, answer.response.text().as_str()), (200, "a message"));
    let trailers = answer.trailers.expect("trailers reach the client");
    assert_eq!(trailers["grpc-status"], "9");
    assert_eq!(trailers["grpc-message"], "not today");
    assert_eq!(edge.stop()[0]["protocol"], "HTTP/2.0");
}

/// What a gRPC client is told when there is no answer of the server.
async fn check_refused(edge: &Edge, code: Code, number: &str) {
    assert_eq!(say(edge, "hello").await.unwrap_err().code(), code);
    // On the wire: 200, and all is in the one head (trailers-only).
    let mut client = H2Client::connect(edge.addr()).await;
    let request = HttpRequest::post("http://a.example/test.Echo/Say")
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, mut body) = client.open(request, false).await;
    // The answer may be there first.
    body.send_data(vec![0_u8; 5].into(), true).ok();
    let (head, body) = within("an answer", answer).await.unwrap().into_parts();
    assert!(body.is_end_stream(), "nothing follows");
    let status = head.headers["grpc-status"].to_str().unwrap();
    assert_eq!((head.status.as_u16(), status), (200, number));
    assert_eq!(head.headers["content-type"], "application/grpc");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_as_grpc_statuses() {
    let [closed] = ports::free();
    let refused = SocketAddr::from(([127, 0, 0, 1], closed));
    let edge_refused = edge(refused);
    check_refused(&edge_refused, Code::Unavailable, "14").await;
    // The log knows what it was.
    let records = edge_refused.stop();
    assert!(records.iter().all(|record| record["refusal"] == "server_unreachable"), "{records:?}");

    let silent = Origin::scripted(|mut conn: Conn| async move { conn.closed().await }).await;
    let edge = edge_with(silent.addr, "200ms");
    check_refused(&edge, Code::Unavailable, "14").await;

    let edge = Edge::start(
        "{ listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }],
        routes: [{ match: { path: /other }, respond: { status: 200 } }] }",
    );
    check_refused(&edge, Code::Unimplemented, "12").await;
    // Others are told in HTTP.
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_all_ends_its_stream_over_h2() {
    let [closed] = ports::free();
    let edge = edge(SocketAddr::from(([127, 0, 0, 1], closed)));
    let mut client = H2Client::connect(edge.addr()).await;
    let request = HttpRequest::head("http://a.example/").body(()).unwrap();
    let (answer, _) = client.open(request, true).await;
    let answer = within("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), 502);
    assert!(answer.body().is_end_stream(), "nothing follows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_alone_makes_nobody_patient() {
    // A client of HTTP/2 that says so to a server of HTTP/1, and sends no more.
    let old = Origin::echo().await;
    let yaml = SITE.replace("protocol: h2c", "protocol: h1");
    let edge_old = Edge::start_with(&yaml, &[("server", &old.addr), ("tunnel", &"15m")]);
    let mut client = H2Client::connect(edge_old.addr()).await;
    let post = HttpRequest::post("http://a.example/");
    let request = post.header("content-type", "application/grpc").body(()).unwrap();
    let (answer, mut body) = client.open(request, false).await;
    body.send_data("x".into(), false).unwrap();
    let answer = whole(answer).await.unwrap().response;
    assert!(answer.header("grpc-status").is_some(), "{answer:?}");
    drop(body);
    assert_eq!(edge_old.stop()[0]["refusal"], "body_too_slow");
    // A client of HTTP/1 that says so to a server of HTTP/2, which answers nothing.
    let server = H2Origin::scripted(|mut call: Call| async move {
        call.whole().await;
        std::future::pending::<()>().await;
    })
    .await;
    let edge = edge(server.addr);
    let mut client = Client::connect(edge.addr()).await;
    client
        .send(
            "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-type: application/grpc\r\n\
             content-length: 1\r\n\r\nx",
        )
        .await;
    // Nor is it told as a call is: that takes HTTP/2.
    let answer = client.response().await;
    assert_eq!((answer.status, answer.header("grpc-status")), (504, None));
    assert_eq!(edge.stop()[0]["refusal"], "server_too_slow");
}
