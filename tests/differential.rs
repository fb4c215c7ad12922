//! One reading: what two parsers could read differently is refused, and the rest
//! means to every server what it means to Tidegate.
//!
//! Tables of raw requests go through the proxy to six real servers, each of which
//! writes down every request that it sees. Each request either is refused, and
//! no server has seen it, or a server has seen that one and no other.

mod cases;
mod servers;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use cases::{Case, Expected, Meaning, Stream};
use servers::{Kind, Line, Server};

use crate::support::h2_frames::{DATA, END_STREAM, Frame, GOAWAY, HEADERS, RST_STREAM, STATUS_200};
use crate::support::origin::{Request, ok};
use crate::support::{Client, Conn, Edge, H2Frames, Origin, Response, poll};

const SITE: &str = "
listeners:
  - address: '127.0.0.1:{port}'
    protocols: [h1, h2c]
    timeouts: { header: 5s, body: 5s }
  - address: '127.0.0.1:{port2}'
    strict: { underscores: pass, encoded_slashes: pass, double_encoding: pass }
upstreams: { app: { servers: ['{origin}'], outlier: ~, retries: { attempts: 1 } } }
routes: [{ upstream: app }]
";

#[tokio::test(flavor = "multi_thread")]
async fn nginx_reads_what_tidegate_reads() {
    check(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_reads_what_tidegate_reads() {
    check(Kind::Apache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_reads_what_tidegate_reads() {
    check(Kind::HaProxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_reads_what_tidegate_reads() {
    check(Kind::Node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gunicorn_reads_what_tidegate_reads() {
    check(Kind::Gunicorn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uvicorn_reads_what_tidegate_reads() {
    check(Kind::Uvicorn).await;
}

/// Sends all tables to one server, then looks at what it has seen.
async fn check(kind: Kind) {
    let backend = backend().await;
    let server = Server::start(kind, backend.addr);
    let edge = Edge::start_with(SITE, &[("origin", &server.addr)]);
    let mut asked = Asked::default();
    for (table, cases) in [
        ("heads", cases::heads()),
        ("hosts", cases::hosts()),
        ("targets", cases::targets()),
        ("bodies", cases::bodies()),
        ("dripped", cases::bodies().into_iter().map(Case::dripped).collect()),
        ("spliced", cases::spliced()),
    ] {
        asked.send(kind, edge.addr(), table, cases).await;
    }
    asked.send(kind, edge.addr2(), "passed", cases::passed_targets()).await;
    asked.send_streams(edge.addr(), cases::streams()).await;
    // Lines are written in the order of answers, or before.
    let last = asked.last.clone();
    let lines = poll("the last line", || {
        let lines = server.lines();
        lines.iter().any(|line| line.case == last).then_some(lines)
    });
    drop(edge);
    let mut wrong = asked.judge(lines);
    wrong.extend(server.complaints());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What answers behind a server that only passes requests on: it tells what
/// body it was sent.
async fn backend() -> Origin {
    Origin::scripted(|mut conn| async move {
        while let Some(body) = body_of_next(&mut conn).await {
            let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
            conn.send(ok("ok").replacen("\r\n", &format!("\r\nx-hex: {hex}\r\n"), 1)).await;
        }
    })
    .await
}

/// The body of the next request; none if it does not come whole.
async fn body_of_next(conn: &mut Conn) -> Option<Vec<u8>> {
    let head = conn.read_to(b"\r\n\r\n").await?;
    // A head may have any bytes.
    let head = String::from_utf8_lossy(&head).into_owned();
    let request = Request { head, raw_body: Vec::new() };
    if request.header("transfer-encoding").is_none() {
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        return conn.take(length).await;
    }
    let mut body = Vec::new();
    loop {
        let line = conn.read_to(b"\r\n").await?;
        let size = str::from_utf8(line.trim_ascii()).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.extend(conn.take(size).await?);
        conn.take(2).await?;
        if size == 0 {
            return Some(body);
        }
    }
}

/// Every request that was sent, by its name.
#[derive(Default)]
struct Asked {
    cases: BTreeMap<String, (Expected, String)>,
    last: String,
    wrong: Vec<String>,
}

/// What came back for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Status(u16),
    Reset,
}

impl Asked {
    /// Sends each case, and after each one a request that nobody could refuse.
    async fn send(&mut self, kind: Kind, addr: SocketAddr, table: &str, cases: Vec<Case>) {
        let mut client = connect(addr).await;
        for (index, case) in cases.into_iter().enumerate() {
            if case.declined_by.contains(&kind) {
                continue;
            }
            let name = format!("{table}.{index}");
            let bytes = case.bytes(&name);
            let shown = bytes.escape_ascii().to_string();
            // Nothing is left of a request that may be anything.
            if case.expected == Expected::RefusedOrOnce {
                client = connect(addr).await;
            }
            for piece in bytes.chunks(case.piece) {
                // It may be refused before all of it is there.
                if client.try_send(piece).await.is_err() {
                    break;
                }
            }
            let answer = answer_to(&mut client, case.is_head()).await;
            let outcome = answer.as_ref().map_or(Outcome::Reset, |a| Outcome::Status(a.status));
            let said = |field| answer.as_ref().and_then(|answer| answer.header(field));
            let came = said("x-case").unwrap_or(&name);
            if came != name {
                self.wrong.push(format!("{name}: the answer to {came}: {shown}"));
            }
            self.note(&name, case.expected.clone(), outcome, &shown);
            if said("connection") == Some("close") && case.expected != Expected::RefusedOrOnce {
                client.expect_closed().await;
            }
            if answer.is_none()
                || said("connection") == Some("close")
                || case.expected == Expected::RefusedOrOnce
            {
                client = connect(addr).await;
            }
            self.fence(&mut client, &name).await;
        }
    }

    /// Asks for something else; the answer must be the one to that.
    async fn fence(&mut self, client: &mut Client, before: &str) {
        let name = format!("{before}.next");
        client.send(format!("GET /next HTTP/1.1\r\nhost: next\r\nx-case: {name}\r\n\r\n")).await;
        let answer = client.response().await;
        if answer.header("x-case") != Some(&name) {
            self.wrong.push(format!("{name}: another answer: {answer:?}"));
        }
        let meaning = Meaning::new("GET", "/next", "next", "");
        self.note(&name, Expected::Once(meaning), Outcome::Status(answer.status), "");
        self.last = name;
    }

    async fn send_streams(&mut self, addr: SocketAddr, streams: Vec<Stream>) {
        for (index, stream) in streams.into_iter().enumerate() {
            let name = format!("streams.{index}");
            let mut client = H2Frames::connect(addr).await;
            let outcome = ask_stream(&mut client, 1, &stream, &name).await;
            let shown = format!("{:?} {:?} {:?}", stream.fields, stream.body, stream.trailers);
            self.note(&name, stream.expected.clone(), outcome, &shown);
            drop(client);
            self.fence(&mut Client::connect(addr).await, &name).await;
        }
    }

    /// Keeps what was asked; the answer alone may be wrong already.
    fn note(&mut self, name: &str, expected: Expected, outcome: Outcome, shown: &str) {
        let is_refusal = match outcome {
            Outcome::Reset => true,
            Outcome::Status(status) => (400..500).contains(&status) || status == 505,
        };
        let is_good = match &expected {
            // Over HTTP/2 the reset of a stream is as good.
            Expected::Refused(status) => {
                outcome == Outcome::Status(*status) || (is_refusal && name.starts_with("streams"))
            }
            Expected::CutOff => is_refusal,
            Expected::Once(_) => outcome == Outcome::Status(200),
            Expected::RefusedOrOnce => is_refusal || outcome == Outcome::Status(200),
        };
        if !is_good {
            self.wrong.push(format!("{name}: {outcome:?}, not {expected:?}: {shown}"));
        }
        let expected = match (expected, outcome) {
            (Expected::RefusedOrOnce, outcome) if outcome != Outcome::Status(200) => {
                Expected::Refused(400)
            }
            (expected, _) => expected,
        };
        self.cases.insert(name.to_owned(), (expected, shown.to_owned()));
    }

    /// Holds what a server has seen against what it should have.
    fn judge(mut self, lines: Vec<Line>) -> Vec<String> {
        let mut seen = BTreeMap::<&str, Vec<&Line>>::new();
        for line in &lines {
            seen.entry(&line.case).or_default().push(line);
        }
        for (name, (expected, shown)) in &self.cases {
            let lines = seen.remove(name.as_str()).unwrap_or_default();
            let is_good = match (expected, &lines[..]) {
                (Expected::Refused(_), lines) => lines.is_empty(),
                (Expected::CutOff, lines) => lines.iter().all(|line| line.status != "200"),
                (Expected::RefusedOrOnce, [line]) => line.status == "200",
                (Expected::Once(meaning), [line]) => **line == meaning.line(name.clone()),
                (Expected::Once(_) | Expected::RefusedOrOnce, _) => false,
            };
            if !is_good {
                self.wrong.push(format!("{name}: {expected:?}: {lines:?}: {shown}"));
            }
        }
        self.wrong.extend(seen.values().map(|lines| format!("nobody asked this: {lines:?}")));
        self.wrong
    }
}

/// Connects so that each piece is sent at once.
async fn connect(addr: SocketAddr) -> Client {
    let stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    Client::over(stream)
}

/// The next answer that is not interim; none if the proxy says nothing.
async fn answer_to(client: &mut Client, is_head: bool) -> Option<Response> {
    loop {
        let answer = match is_head {
            true => Some(client.response_head().await),
            false => client.response_or_closed().await,
        };
        if answer.as_ref().is_none_or(|answer| answer.status >= 200) {
            return answer;
        }
    }
}

async fn ask_stream(client: &mut H2Frames, id: u32, stream: &Stream, name: &str) -> Outcome {
    let fields = stream.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<_> = fields.chain([("x-case", name)]).collect();
    let trailers: Vec<_> =
        stream.trailers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let ends_at = |is_last: bool| if is_last { END_STREAM } else { 0 };
    client.head(id, &fields, ends_at(stream.body.is_none() && trailers.is_empty())).await;
    if let Some(body) = &stream.body {
        client.send(DATA, ends_at(trailers.is_empty()), id, body.as_bytes()).await;
    }
    if !trailers.is_empty() {
        client.head(id, &trailers, END_STREAM).await;
    }
    while let Some(frame) = client.next().await {
        match frame {
            Frame { kind: HEADERS, stream, payload, .. } if stream == id => {
                let status = if payload[0] == STATUS_200 { 200 } else { 400 };
                return Outcome::Status(status);
            }
            Frame { kind: RST_STREAM, stream, .. } if stream == id => return Outcome::Reset,
            Frame { kind: GOAWAY, .. } => return Outcome::Reset,
            _ => {}
        }
    }
    Outcome::Reset
}
