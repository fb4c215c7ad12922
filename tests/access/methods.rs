//! Methods that a route takes.

use crate::support::{Client, Edge};

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_told_which_there_are() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: {}, access: { methods: [GET, POST] } }]
",
    );
    for (method, status) in [("GET", 200), ("POST", 200), ("PUT", 405), ("OPTIONS", 405)] {
        let request = format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        let answer = Client::ask(edge.addr(), request).await;
        assert_eq!(answer.status, status, "{method}");
        let allow = (status == 405).then_some("GET, HEAD, POST");
        assert_eq!(answer.header("allow"), allow, "{method}");
    }
    let mut client = Client::connect(edge.addr()).await;
    client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.response_head().await.status, 200);
}
