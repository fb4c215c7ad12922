//! IPv6 from end to end: a listener, its bounds, and what is said of a client.

use crate::support::origin::Request;
use crate::support::{Client, Edge, Origin, ports};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
const SITE: &str = "
server: { connections_per_client: 2 }
listeners:
  - address: '[::1]:{port6}'
  - address: '127.0.0.1:{port}'
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_ipv6_is_served_bounded_and_named() {
    let origin = Origin::echo().await;
    let port = ports::free_v6();
    let edge = Edge::start_with(SITE, &[("port6", &port), ("origin", &origin.addr)]);
    let addr = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));

    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(addr).await;
        client.send(GET).await;
        let seen = Request::echoed(&client.response().await);
        assert_eq!(seen.header("x-forwarded-for"), Some("::1"));
        let forwarded = "for=\"[::1]\";host=a.example;proto=http";
        assert_eq!(seen.header("forwarded"), Some(forwarded));
        held.push(client);
    }
    let mut third = Client::connect(addr).await;
    third.try_send(GET).await.ok();
    assert!(third.response_or_closed().await.is_none(), "a third from the same network");
    edge.await_stderr("refused, the last of ::1: its network");
    // Who comes over IPv4 is somebody else.
    let seen = Request::echoed(&Client::ask(edge.addr(), GET).await);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    drop(held);

    let records = edge.stop();
    let clients: Vec<_> = records.iter().map(|record| record["client_ip"].clone()).collect();
    assert_eq!(clients, ["::1", "::1", "127.0.0.1"]);
}
