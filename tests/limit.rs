//! How much may be asked: rates, requests under way, bodies, and bans.

mod bans;
mod bodies;
mod delays;
mod offences;
mod rates;
mod under_way;

use crate::support::{Client, Edge, Response};

/// What a trusted proxy of every test here is.
const PROXY: &str = "127.0.0.9";

/// One request from this address, with these fields; none if it is closed
/// without a word.
async fn try_ask(edge: &Edge, from: &str, path: &str, fields: &str) -> Option<Response> {
    let mut client = Client::connect_from(from, edge.addr()).await;
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{fields}\r\n");
    // The other end may have closed already.
    client.try_send(head).await.ok();
    client.response_or_closed().await
}

async fn ask(edge: &Edge, from: &str, path: &str, fields: &str) -> Response {
    try_ask(edge, from, path, fields).await.expect("an answer")
}

async fn status(edge: &Edge, from: &str, path: &str) -> u16 {
    ask(edge, from, path, "").await.status
}

/// The status that a client behind the trusted proxy gets.
async fn behind(edge: &Edge, client: &str, path: &str) -> u16 {
    ask(edge, PROXY, path, &format!("x-forwarded-for: {client}\r\n")).await.status
}
