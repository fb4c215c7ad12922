//! Requests and answers before rules: what of them is waited for, and what goes on.

mod audit;
mod core_rules;
mod disguise;
mod ends;
mod files;
mod held;
mod logging;
mod never;
mod over;
mod profiles;
mod reload;
mod responses;
mod seen;
mod suite;
mod told;

use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;

use http::Request;
use tempfile::TempDir;

use crate::support::origin::{Conn, ok};
use crate::support::{Client, Edge, H2Client, Origin, Response};

/// Rules against whatever says `attack`.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/waf/rules.conf");

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c], timeouts: {timeouts} }]
upstreams: { app: {app} }
waf: { standard: { rules: { files: ['{rules}'] }, mode: {mode}, body: {body} } }
defaults: { waf: standard }
routes:
  - { upstream: app, limits: { body: 4MiB } }
  - { match: { path: /own }, respond: {} }
  - { match: { path: /free }, respond: {}, waf: off }
";

/// A proxy with one upstream, and what its tests say otherwise.
fn start(places: &[(&str, &dyn Display)]) -> Edge {
    start_site(SITE, places)
}

/// The same with another site.
fn start_site(site: &str, places: &[(&str, &dyn Display)]) -> Edge {
    let usual: [(&str, &dyn Display); 4] =
        [("rules", &RULES), ("mode", &"block"), ("body", &"{}"), ("timeouts", &"{}")];
    Edge::start_with(site, &[places, &usual].concat())
}

/// The same with this server alone.
fn before(origin: &Origin, body: &str) -> Edge {
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    start(&[("app", &app), ("body", &body)])
}

/// Answers every request with its own body.
async fn mirror() -> Origin {
    Origin::scripted(|mut conn: Conn| async move {
        while let Some(request) = conn.request().await {
            let is_chunked = request.header("transfer-encoding").is_some();
            let body = if is_chunked { unchunked(&request.raw_body) } else { request.raw_body };
            conn.send(ok(std::str::from_utf8(&body).unwrap())).await;
        }
    })
    .await
}

fn unchunked(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = raw.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
        body.extend_from_slice(&raw[line + 2..line + 2 + size]);
        raw = &raw[line + 2 + size + 2..];
        if size == 0 {
            return body;
        }
    }
}

/// So many bytes that end so.
fn sized(bytes: usize, end: &str) -> String {
    "x".repeat(bytes - end.len()) + end
}

/// How a client says how long its body is, and in which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Length,
    Chunks,
    H2Length,
    H2,
}

const EVERY_WAY: [By; 4] = [By::Length, By::Chunks, By::H2Length, By::H2];

/// A client of one protocol on one connection.
enum Asking {
    H1(Client),
    H2(H2Client),
}

impl Asking {
    async fn connect(addr: SocketAddr, by: By) -> Asking {
        match by {
            By::Length | By::Chunks => Asking::H1(Client::connect(addr).await),
            By::H2Length | By::H2 => Asking::H2(H2Client::connect(addr).await),
        }
    }

    /// Sends a whole body; the answer.
    async fn send(&mut self, by: By, method: &str, body: &str) -> Response {
        match self {
            Asking::H1(client) => {
                client.send(h1(by, method, body)).await;
                client.response().await
            }
            Asking::H2(client) => {
                let request = Request::builder().method(method).uri("http://a.example/");
                let request = match by {
                    By::H2Length => request.header("content-length", body.len()),
                    _ => request,
                };
                let answer = client.ask(request.body(()).unwrap(), body.to_owned()).await;
                answer.unwrap().response
            }
        }
    }
}

/// A request over h1, in chunks of 10,000 bytes if any.
fn h1(by: By, method: &str, body: &str) -> String {
    let head = format!("{method} / HTTP/1.1\r\nhost: a.example\r\n");
    if by == By::Length {
        return format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    }
    let chunks = body
        .as_bytes()
        .chunks(10_000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
    format!("{head}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunks.collect::<String>())
}

/// The status that a body gets on a connection of its own.
async fn status(edge: &Edge, by: By, body: &str) -> u16 {
    Asking::connect(edge.addr(), by).await.send(by, "POST", body).await.status
}

/// What a browser sends along; rules against tools miss it otherwise.
const BROWSER: &str =
    "user-agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0\r\naccept: */*\r\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// A proxy that answers by itself what this profile lets pass.
fn answering(profile: &str, rules: &TempDir) -> Edge {
    let site = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
waf: { own: {profile} }
defaults: { waf: own }
routes: [{ respond: {} }, { match: { path: /off }, respond: {}, waf: off }]
";
    let rules = rules.path().display();
    let profile = profile.replace("DIR", &rules.to_string());
    Edge::start_with(site, &[("profile", &profile)])
}

async fn get(edge: &Edge, target: &str) -> u16 {
    let request = format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n{BROWSER}\r\n");
    Client::ask(edge.addr(), request).await.status
}
