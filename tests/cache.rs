//! Answers without the server: what is kept, for whom and how long, over both
//! protocols. Time does not pass: servers say how old their answers are.

mod broken;
mod changed;
mod filling;
mod hits;
mod keys;
mod kept;
mod large;
mod lifetimes;
mod news;
mod pace;
mod parts;
mod prefetch;
mod process;
mod purge;
mod searched;
mod shared;
mod slices;
mod stale;
mod validation;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request as HttpRequest;

use crate::support::origin::Request;
use crate::support::{Client, Edge, H2Client, Origin, Response};

/// The versions of HTTP that clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    H1,
    H2,
}

const BOTH: [Over; 2] = [Over::H1, Over::H2];

/// A site of one server whose answers this profile keeps.
fn site(profile: &str) -> String {
    format!(
        "listeners: [{{ address: '127.0.0.1:{{port}}', protocols: [h1, h2c] }}]
upstreams: {{ app: {{ servers: ['{{origin}}'], outlier: ~, retries: {{ attempts: 1 }} }} }}
cache: {{ memory: 16MiB, profiles: {{ own: {{ {profile} }} }} }}
routes: [{{ upstream: app, cache: own }}]"
    )
}

fn start(profile: &str, origin: &Origin) -> Edge {
    Edge::start_with(&site(profile), &[("origin", &origin.addr)])
}

/// A server that gives each request what `answer` makes of it.
async fn serving(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Origin {
    let answer = Arc::new(answer);
    Origin::scripted(move |mut conn| {
        let answer = answer.clone();
        async move {
            while let Some(request) = conn.request().await {
                conn.send(answer(&request)).await;
            }
        }
    })
    .await
}

/// A server whose answers all have these fields, one a line, and are numbered in
/// their bodies.
async fn numbered(fields: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    serving(move |request| {
        let body = count.fetch_add(1, Ordering::SeqCst).to_string();
        let is_head = request.line().starts_with("HEAD ");
        answer("200 OK", fields, if is_head { "" } else { &body }, body.len())
    })
    .await
}

/// A 200 with these fields, one a line.
fn ok(fields: &str, body: &str) -> String {
    answer("200 OK", fields, body, body.len())
}

fn answer(status: &str, fields: &str, body: &str, length: usize) -> String {
    let fields: String = fields.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}")
}

/// One request, with these fields, one a line.
async fn send(edge: &Edge, over: Over, method: &str, path: &str, fields: &str) -> Response {
    let fields: Vec<(&str, &str)> =
        fields.lines().filter_map(|line| line.trim().split_once(": ")).collect();
    match over {
        Over::H1 => {
            let lines: String =
                fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let body = if matches!(method, "POST" | "PUT") { "content-length: 0\r\n" } else { "" };
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{lines}{body}\r\n"
            );
            let mut client = Client::connect(edge.addr()).await;
            client.send(head).await;
            match method {
                "HEAD" => client.response_head().await,
                _ => client.response().await,
            }
        }
        Over::H2 => {
            let mut request =
                HttpRequest::builder().method(method).uri(format!("http://a.example{path}"));
            for (name, value) in fields {
                request = request.header(name, value);
            }
            let mut client = H2Client::connect(edge.addr()).await;
            client.ask(request.body(()).unwrap(), "").await.unwrap().response
        }
    }
}

async fn get(edge: &Edge, over: Over, path: &str, fields: &str) -> Response {
    send(edge, over, "GET", path, fields).await
}

/// What the cache says that it did; of a lifetime, the tens of seconds that it is within, as a
/// busy machine takes its time.
fn said(answer: &Response) -> &'static str {
    let said = answer.header("cache-status").unwrap_or_default();
    let parts = said.split("; ").map(|part| match part.strip_prefix("ttl=") {
        None => part.to_owned(),
        Some(seconds) => {
            let seconds: i64 = seconds.parse().expect("seconds");
            format!("ttl={}", seconds + (-seconds).rem_euclid(10))
        }
    });
    parts.collect::<Vec<_>>().join("; ").leak()
}

/// How old it is said to be, in tens of seconds.
fn age(answer: &Response) -> Option<u64> {
    let age = answer.header("age")?.parse::<u64>().expect("seconds");
    Some(age / 10 * 10)
}

/// A path of its own for each version, so that they share nothing.
fn path(over: Over) -> String {
    format!("/{over:?}")
}
