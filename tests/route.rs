//! Which route a request takes, and what the route makes of it.

mod bodies;
mod https;
mod matching;
mod redirect;
mod respond;
mod rewrite;
mod strict;
mod total;

use http::Request;

use crate::support::{Client, Edge, H2Client, Response};

/// What both protocols answer to a request such as `GET a.example/x?y`.
///
/// An answer to HEAD is its head alone.
async fn ask(edge: &Edge, request: &str) -> [Response; 2] {
    let (method, url) = request.split_once(' ').unwrap();
    let (host, target) = url.split_at(url.find('/').unwrap());
    let mut client = Client::connect(edge.addr()).await;
    client.send(format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
    let h1 = match method {
        "HEAD" => client.response_head().await,
        _ => client.response().await,
    };
    let request = Request::builder().method(method).uri(format!("http://{url}")).body(()).unwrap();
    let h2 = H2Client::connect(edge.addr()).await.ask(request, "").await.unwrap().response;
    [h1, h2]
}
