//! Names and passwords.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use http::Request as HttpRequest;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::origin::Request;
use crate::support::websocket::{self, echoes};
use crate::support::{Client, Edge, H2Client, Origin};

/// The password "tide", quick to verify.
const TIDE: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdCBvZiBhIHRlc3QhIQ$KwZ8Cx061zPZm+ona2vMoWAL2TcpYXbRDjVO8l7PufQ";
const TIDE_BCRYPT: &str = "$2y$04$N9qo8uLOickgx2ZMRZoMye5LxIOdmkBZduNc1HRtuvNL00ocRV0le";
/// The password "moon".
const MOON: &str = "$2b$04$N9qo8uLOickgx2ZMRZoMyetdc2qkK4fkuO255iCysUZ5yy2dXwssa";

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{app}'] } }
routes:
  - upstream: app
    access: { basic: { file: '{users}' } }
  - match: { path_prefix: /hidden }
    upstream: app
    access: { basic: { file: '{users}', realm: the quay, pass: off } }
";

/// A file of users in a folder of its own.
fn users(lines: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    std::fs::write(&path, lines).unwrap();
    (folder, path)
}

fn start(users: &Path, origin: &Origin) -> Edge {
    Edge::start_with(SITE, &[("users", &users.display()), ("app", &origin.addr)])
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn ask(path: &str, fields: &[(&str, &str)]) -> String {
    let fields: String =
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_knows_a_password_comes_in() {
    let origin = Origin::echo().await;
    let (_folder, file) =
        users(&format!("# staff\nann:{TIDE}\nbob:{TIDE_BCRYPT}\ncap'n hook:{MOON}\n"));
    let edge = start(&file, &origin);
    // All on one connection.
    let mut client = Client::connect(edge.addr()).await;
    let cases = [
        (Some(basic("ann", "tide")), 200, None),
        (Some(basic("bob", "tide")), 200, None),
        (Some(basic("cap'n hook", "moon")), 200, None),
        (Some(basic("ann", "tide").replace("Basic", "bAsIc")), 200, None),
        (None, 401, Some("basic_missing")),
        (Some("Bearer abc".to_owned()), 401, Some("basic_missing")),
        (Some(basic("ann", "Tide")), 401, Some("basic_wrong")),
        (Some(basic("ann", "")), 401, Some("basic_wrong")),
        (Some(basic("bob", "moon")), 401, Some("basic_wrong")),
        (Some(basic("Ann", "tide")), 401, Some("basic_wrong")),
        (Some(basic("carl", "tide")), 401, Some("basic_wrong")),
        (Some(basic("", "")), 401, Some("basic_wrong")),
        (Some("Basic".to_owned()), 401, Some("basic_malformed")),
        (Some("Basic YW5u".to_owned()), 401, Some("basic_malformed")),
        (Some(format!("Basic {}", "A".repeat(4096))), 401, Some("basic_malformed")),
    ];
    for (given, status, _) in &cases {
        let given: Vec<(&str, &str)> =
            given.iter().map(|given| ("authorization", given.as_str())).collect();
        client.send(ask("/", &given)).await;
        let answer = client.response().await;
        assert_eq!(answer.status, *status, "{given:?}");
        let challenge = (*status == 401).then_some(r#"Basic realm="restricted", charset="UTF-8""#);
        assert_eq!(answer.header("www-authenticate"), challenge);
    }
    assert_eq!(origin.requests(), 4);
    let records = edge.stop();
    for (record, (given, _, tag)) in records.iter().zip(&cases) {
        assert_eq!(record["refusal"].as_str(), *tag, "{given:?}");
        assert_eq!(record["room"].as_str(), tag.map(|_| "access"));
    }
    let names: Vec<_> = records.iter().filter_map(|record| record["user"].as_str()).collect();
    assert_eq!(names, ["ann", "bob", "cap'n hook", "ann"]);
    assert!(!format!("{records:?}").contains("tide"), "no password is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_sees_the_password_unless_told_otherwise() {
    let origin = Origin::echo().await;
    let (_folder, file) = users(&format!("ann:{TIDE}"));
    let edge = start(&file, &origin);
    let given = basic("ann", "tide");
    for (path, seen) in [("/", Some(given.as_str())), ("/hidden", None)] {
        let answer = Client::ask(edge.addr(), ask(path, &[("authorization", &given)])).await;
        assert_eq!(Request::echoed(&answer).header("authorization"), seen, "{path}");
    }
    let refused = Client::ask(edge.addr(), ask("/hidden", &[])).await;
    let challenge = r#"Basic realm="the quay", charset="UTF-8""#;
    assert_eq!(refused.header("www-authenticate"), Some(challenge));
    // Two of them might be read differently by others.
    let twice = [("authorization", given.as_str()), ("authorization", "Basic eDp5")];
    for path in ["/", "/hidden"] {
        assert_eq!(Client::ask(edge.addr(), ask(path, &twice)).await.status, 400);
    }
    assert_eq!(origin.requests(), 2);
    let records = edge.stop();
    assert_eq!(records.last().unwrap()["refusal"], "credentials_twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_asked_for_over_h2_and_before_a_websocket() {
    let origin = Origin::echo().await;
    let (_folder, file) = users(&format!("ann:{TIDE}"));
    let edge = start(&file, &origin);
    let mut client = H2Client::connect(edge.addr()).await;
    for (password, status) in [("tide", 200), ("Tide", 401), ("tide", 200)] {
        let request = HttpRequest::get("http://a.example/")
            .header("authorization", basic("ann", password))
            .body(())
            .unwrap();
        let answer = client.ask(request, "").await.unwrap();
        assert_eq!(answer.response.status, status);
    }
    drop((edge, client));

    let server = Origin::scripted(websocket::echo).await;
    let edge = start(&file, &server);
    let handshake = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let refused = Client::ask(edge.addr(), ask("/chat", &handshake)).await;
    assert_eq!(refused.status, 401);
    assert_eq!(server.connections(), 0);
    let stream = TcpStream::connect(edge.addr()).await.unwrap();
    let given = basic("ann", "tide");
    let mut socket = websocket::signed_in(stream, "ws://a.example/chat", &given).await;
    echoes(&mut socket, "hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessers_do_not_keep_out_who_has_signed_in() {
    let origin = Origin::ok().await;
    let slow = hashed("tide", &[]);
    let (_folder, file) = users(&format!("ann:{slow}"));
    let edge = start(&file, &origin);
    let right = ask("/", &[("authorization", &basic("ann", "tide"))]);
    assert_eq!(Client::ask(edge.addr(), &right).await.status, 200);
    let addr = edge.addr();
    let guesses = (0..60).map(|guess| async move {
        let guess = basic("ann", &guess.to_string());
        let answer = Client::ask(addr, ask("/", &[("authorization", &guess)])).await;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        answer.status
    });
    let (statuses, signed_in) = tokio::join!(join_all(guesses), async {
        let mut client = Client::connect(addr).await;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            client.send(&right).await;
            statuses.push(client.response().await.status);
        }
        statuses
    });
    assert_eq!(signed_in, [200; 20]);
    assert!(statuses.iter().all(|status| matches!(status, 401 | 503)), "{statuses:?}");
    // Of one client, so many may wait: the others are told at once.
    assert!(statuses.contains(&503) && statuses.contains(&401), "{statuses:?}");
    let records = edge.stop();
    assert!(records.iter().any(|record| record["refusal"] == "basic_busy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_the_file_again() {
    let origin = Origin::ok().await;
    let (_folder, file) = users(&format!("ann:{TIDE}\n"));
    let edge = start(&file, &origin);
    let status = async |name: &str, password: &str| {
        let given = basic(name, password);
        Client::ask(edge.addr(), ask("/", &[("authorization", &given)])).await.status
    };
    assert_eq!((status("ann", "tide").await, status("ann", "moon").await), (200, 401));
    std::fs::write(&file, format!("ann:{MOON}\nbob:{TIDE}\n")).unwrap();
    assert_eq!(edge.admin_post("/api/reload").status, 200);
    assert_eq!((status("ann", "tide").await, status("ann", "moon").await), (401, 200));
    assert_eq!(status("bob", "tide").await, 200);
    // A file with a fault changes nothing.
    std::fs::write(&file, "ann:tide\n").unwrap();
    let refused = edge.admin_post("/api/reload").text();
    let what = format!("{}:1: the hash of `ann` is no hash of argon2 or bcrypt", file.display());
    assert!(refused.contains(&what), "{refused}");
    assert_eq!(status("ann", "moon").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_read_again() {
    let origin = Origin::ok().await;
    let (_folder, file) = users(&format!("ann:{TIDE}\n"));
    let edge = start(&file, &origin);
    let status = async |path: &str, password: &str| {
        let given = basic("ann", password);
        Client::ask(edge.addr(), ask(path, &[("authorization", &given)])).await.status
    };
    assert_eq!((status("/", "tide").await, status("/", "moon").await), (200, 401));
    std::fs::write(&file, format!("ann:{MOON}\nbob:{TIDE}\n")).unwrap();
    edge.await_stderr(&format!("file replaced: {} (2 users)", file.display()));
    for path in ["/", "/hidden"] {
        assert_eq!((status(path, "tide").await, status(path, "moon").await), (401, 200), "{path}");
    }
    std::fs::write(&file, "").unwrap();
    edge.await_stderr("file not replaced, the old one stays: ");
    assert_eq!(status("/", "moon").await, 200);
}

#[test]
fn who_interrupts_the_question_for_a_password_has_a_terminal_that_shows_what_is_typed() {
    // A shell that outlives the signal says how it found its terminal.
    let asks = format!("trap : INT; {} hash-password; stty -a", env!("CARGO_BIN_EXE_tidegate"));
    let mut child = Command::new("timeout")
        .args(["20", "script", "--quiet", "--command", &asks, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script (bsdutils)");
    let (mut typed, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = Vec::new();
    while !said.ends_with(b"Password: ") {
        let mut byte = [0];
        shown.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        said.push(byte[0]);
    }
    typed.write_all(b"\x03").unwrap();
    shown.read_to_end(&mut said).unwrap();
    child.wait().unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("interrupted"), "{said}");
    let flags: Vec<&str> = said.split([' ', ';', '\r', '\n']).collect();
    assert!(flags.contains(&"echo") && !flags.contains(&"-echo"), "{said}");
}

/// What `tidegate hash-password` makes of a password.
fn hashed(password: &str, arguments: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("hash-password")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success());
    String::from_utf8(ran.stdout).unwrap().trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_the_command_line_let_in() {
    let origin = Origin::ok().await;
    let [ann, bob] = [hashed("tide & ebb", &[]), hashed("séa", &["--bcrypt"])];
    assert!(ann.starts_with("$argon2id$") && bob.starts_with("$2y$"), "{ann} {bob}");
    let (_folder, file) = users(&format!("ann:{ann}\nbob:{bob}"));
    let edge = start(&file, &origin);
    for (name, password, status) in
        [("ann", "tide & ebb", 200), ("bob", "séa", 200), ("ann", "séa", 401)]
    {
        let given = basic(name, password);
        let answer = Client::ask(edge.addr(), ask("/", &[("authorization", &given)])).await;
        assert_eq!(answer.status, status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signed_in_is_in_the_record_of_a_body_that_is_too_large() {
    let origin = Origin::ok().await;
    let (_folder, file) = users(&format!("ann:{TIDE}\n"));
    let edge = Edge::start_with(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{app}'] } }
routes: [{ upstream: app, access: { basic: { file: '{users}' } }, limits: { body: 1KiB } }]
",
        &[("users", &file.display()), ("app", &origin.addr)],
    );
    let given = basic("ann", "tide");
    let fields = format!("authorization: {given}\r\ncontent-length: 2000\r\n");
    let head = format!("POST / HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n");
    assert_eq!(Client::ask(edge.addr(), head).await.status, 413);
    let record = &edge.stop()[0];
    assert_eq!((&record["refusal"], &record["user"]), (&"body_too_large".into(), &"ann".into()));
}
