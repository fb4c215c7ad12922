//! Lines, names, values, methods, versions and hosts.

use super::{
    CASE, Case, Expected, HOST, Kind, Meaning, SMUGGLED, get, head, once, post, refused, refused_as,
};

/// Heads with one wrong line or byte, and a few good ones beside them.
pub(in super::super) fn heads() -> Vec<Case> {
    [request_lines(), line_ends(), fields(), connections(), sizes()].concat()
}

fn request_lines() -> Vec<Case> {
    let line = |line: &str| head(&[line, HOST, CASE]);
    let mut cases = Vec::new();
    for method in ["GET", "DELETE", "OPTIONS", "PUT", "PATCH", "POST", "PROPFIND", "M-SEARCH"] {
        cases.push(once(line(&format!("{method} /m HTTP/1.1")), [method, "/m", ""]));
    }
    cases.push(once(line("HEAD /m HTTP/1.1"), ["HEAD", "/m", ""]));
    cases.push(Case {
        // nginx has no reading for it at all.
        declined_by: &[Kind::Nginx],
        ..once(line("OPTIONS * HTTP/1.1"), ["OPTIONS", "*", ""])
    });
    cases.push(once(line("GET /1.0 HTTP/1.0"), ["GET", "/1.0", ""]));
    cases.push(once(
        head(&["GET /1.0 HTTP/1.0", HOST, CASE, "connection: keep-alive"]),
        ["GET", "/1.0", ""],
    ));
    cases.push(once(format!("\r\n\r\n{}", line("GET /e HTTP/1.1")), ["GET", "/e", ""]));
    for (line_of, status) in [
        ("get / HTTP/1.1", 400),
        ("Get / HTTP/1.1", 400),
        ("G\u{e9}T / HTTP/1.1", 400),
        ("G@T / HTTP/1.1", 400),
        ("GET: / HTTP/1.1", 400),
        ("\"GET\" / HTTP/1.1", 400),
        ("\u{ef}\u{bb}\u{bf}GET / HTTP/1.1", 400),
        ("TRACE / HTTP/1.1", 405),
        ("TRACK / HTTP/1.1", 405),
        ("CONNECT a.example:443 HTTP/1.1", 405),
        ("CONNECT / HTTP/1.1", 405),
        ("GET /", 400),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/3.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/01.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTPS/1.1", 400),
        ("GET / HTTP/1.1x", 400),
        ("GET / HTTP/+1.1", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET /  HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("GET /\tHTTP/1.1", 400),
        ("GET /\u{b}HTTP/1.1", 400),
        ("GET\u{a0}/ HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("\tGET / HTTP/1.1", 400),
        ("GET /a HTTP/1.1 /b HTTP/1.1", 400),
        ("", 400),
    ] {
        cases.push(refused_as(status, line(line_of)));
    }
    cases.push(refused(format!("\n{}", line("GET / HTTP/1.1"))));
    cases.push(refused(format!("\r\n \r\n{}", line("GET / HTTP/1.1"))));
    cases.push(refused(format!("{}{}", "\r\n".repeat(9), line("GET / HTTP/1.1"))));
    cases.push(refused("GET /\r\n\r\n".to_owned()));
    cases.push(refused(format!("x\r\n{}", get(&[]))));
    cases
}

/// Each CR LF of a head replaced by each of what some take for it.
fn line_ends() -> Vec<Case> {
    let whole = post(&["content-length: 3", "x-a: b"], "abc");
    let mut cases = Vec::new();
    for (at, _) in whole.match_indices("\r\n") {
        let (before, after) = whole.split_at(at);
        let after = after.get(2..).unwrap();
        for end in ["\n", "\r", "\r\r\n", "\n\r", "\r\n ", "\r\n\t", "\0\r\n", "\u{b}\r\n"] {
            // After the empty line, what is put in belongs to the body.
            if after != "abc" || !matches!(end, "\r\n " | "\r\n\t") {
                cases.push(refused(format!("{before}{end}{after}\r\n\r\n{SMUGGLED}")));
            }
        }
    }
    cases
}

fn fields() -> Vec<Case> {
    let mut cases = Vec::new();
    for line in [
        "x : a",
        "x\t: a",
        " x: a",
        "\tx: a",
        "x y: a",
        ": a",
        ":",
        "x",
        "x@: a",
        "x\0: a",
        "(x): a",
        "{x}: a",
        "\"x\": a",
        "x\u{e9}: a",
        "x\u{b}: a",
        "x\u{7f}: a",
        "x/y: a",
        "x_y: a",
        "Content_Length: 5",
        "Transfer_Encoding: chunked",
        "X_Forwarded_For: 1.2.3.4",
        "x: a\0b",
        "x: a\u{1}b",
        "x: a\u{8}b",
        "x: a\u{b}b",
        "x: a\u{c}b",
        "x: a\u{1b}b",
        "x: a\u{7f}b",
        "x: a\rb",
        "x: a\nb",
        "x: a\r b: c",
        "x: a\r\n b",
        "x: a\r\n\tb",
        "x: a\r\n \r\n b",
        "x: a\r\n\r b: c",
        "expect: 200-ok",
        "expect: 100-continue, x",
        "expect: ",
        "expect: 100-continue\u{b}",
    ] {
        let status = if line.starts_with("expect") && !line.contains('\u{b}') { 417 } else { 400 };
        cases.push(refused_as(status, get(&[line])));
        let before = head(&["GET /get HTTP/1.1", line, HOST, CASE]);
        cases.push(refused_as(status, before));
    }
    for line in
        ["x:a", "x:", "x:  a  ", "x:\ta\tb\t", "x: caf\u{e9}", "x: \u{80}\u{ff}", "X-Y: :a:"]
    {
        cases.push(once(get(&[line]), ["GET", "/get", ""]));
    }
    cases.push(once(
        post(&["Expect: 100-continue", "content-length: 3"], "abc"),
        ["POST", "/post", "abc"],
    ));
    cases
}

/// Fields that a proxy removes because the client asks it to.
fn connections() -> Vec<Case> {
    let mut cases = Vec::new();
    for option in [
        "host",
        "content-length",
        "Transfer-Encoding",
        "X-Forwarded-For",
        "x-forwarded-proto",
        "forwarded",
        "authorization",
        "cookie",
        "close, Content-Length",
        "close,,\tcontent-length ,",
        ":authority",
        "a b",
        "\"close\"",
        "close;x",
    ] {
        let lines =
            [format!("connection: {option}"), format!("content-length: {}", SMUGGLED.len())];
        cases.push(refused(post(&[&lines[0], &lines[1], "cookie: a=b"], SMUGGLED)));
    }
    for lines in [
        ["connection: x-mine", "x-mine: 1"],
        ["connection: close", "x: y"],
        ["connection: keep-alive", "keep-alive: timeout=5"],
        ["connection: upgrade", "upgrade: h2c"],
        ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA"],
        ["te: trailers", "connection: te"],
        ["proxy-connection: close", "proxy-authorization: x"],
        ["trailer: content-length", "proxy: http://b.example"],
    ] {
        cases.push(once(get(&lines), ["GET", "/get", ""]));
    }
    cases
}

fn sizes() -> Vec<Case> {
    let long = |length: usize| "l".repeat(length);
    let many = "x: y\r\n".repeat(200);
    let target = format!("/{}", long(8000));
    vec![
        once(head(&[&format!("GET {target} HTTP/1.1"), HOST, CASE]), ["GET", &target, ""]),
        once(get(&[&format!("x: {}", long(8000))]), ["GET", "/get", ""]),
        refused_as(414, head(&[&format!("GET /{} HTTP/1.1", long(9000)), HOST, CASE])),
        refused_as(431, get(&[&format!("x: {}", long(70_000))])),
        refused_as(431, get(&[&format!("{}: x", long(70_000))])),
        refused_as(431, get(&[&many])),
    ]
}

/// Whom a request is for.
pub(in super::super) fn hosts() -> Vec<Case> {
    let of = |lines: &[&str]| head(&[&["GET /h HTTP/1.1", CASE], lines].concat());
    let absolute = |target: &str, lines: &[&str]| {
        head(&[&[&*format!("GET {target} HTTP/1.1"), CASE], lines].concat())
    };
    let mut cases = Vec::new();
    for host in BAD_HOSTS {
        cases.push(refused(of(&[&format!("host: {host}")])));
    }
    for lines in [
        &[][..],
        &["host: a.example", "host: a.example"],
        &["host: a.example", "host: b.example"],
        &["host: a.example", "x: y", "HOST: b.example"],
        &["host : a.example"],
        &[" host: b.example", "host: a.example"],
        &["host: a.example", " host: b.example"],
        &["host: a.example\r\n b.example"],
        &["x-host: a.example"],
    ] {
        cases.push(refused(of(lines)));
    }
    for (target, host) in [
        ("http://a.example/h", "b.example"),
        ("http://a.example/h", "a.example:80"),
        ("http://a.example:80/h", "a.example"),
        ("http://a.example/h", "A.example"),
        ("http://u@a.example/h", "a.example"),
        ("http://u@a.example/h", "u@a.example"),
        ("ftp://a.example/h", "a.example"),
        ("//", "a.example\r\nhost: b.example"),
        ("http:a.example/h", "a.example"),
        ("http:///h", "a.example"),
        ("http://a.example\\h", "a.example"),
        ("http://a.example?h", "a.example"),
        ("http://a.example#h", "a.example"),
        ("a.example/h", "a.example"),
        ("a.example:80", "a.example"),
        ("*", "a.example"),
    ] {
        cases.push(refused(absolute(target, &[&format!("host: {host}")])));
    }
    cases.push(refused(absolute("http://a.example/h", &[])));
    let seen_as = |text: String, target: &str, host: &str| {
        Case::new(text, Expected::Once(Meaning::new("GET", target, host, "")))
    };
    for host in
        ["a.example:8080", "A.Example", "a.example.", "[::1]:80", "[2001:DB8::1]", "127.0.0.1"]
    {
        cases.push(seen_as(of(&[&format!("host: {host}")]), "/h", host));
    }
    cases.push(seen_as(absolute("http://a.example/h?q", &[HOST]), "/h?q", "a.example"));
    cases.push(seen_as(
        absolute("https://a.example:1/h", &["host: a.example:1"]),
        "/h",
        "a.example:1",
    ));
    cases.push(seen_as(absolute("http://a.example", &[HOST]), "/", "a.example"));
    cases.push(seen_as(absolute("http://a.example/x/../%68", &[HOST]), "/h", "a.example"));
    cases.push(seen_as(absolute("//b.example/h", &[HOST]), "/b.example/h", "a.example"));
    cases
}

/// Good heads with a byte put in, taken out or changed; what comes of them is
/// for the proxy and the server to agree on.
pub(in super::super) fn spliced() -> Vec<Case> {
    const HEADS: [(&str, &str); 3] = [
        ("GET ", "/a/b?c=d HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\ncookie: a=b\r\n"),
        ("POST ", "/a HTTP/1.1\r\ncontent-length: 3\r\nhost: a.example:80\r\nx-y: z\r\n"),
        ("POST ", "/a%20b HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n"),
    ];
    const BYTES: &[u8] = b"\r\n\t\0 :,;.-/%?#*@[]\"'\\|^\x0b\x7f\x80\xffaAhH";
    let mut random = fastrand::Rng::with_seed(5);
    let case = |at: usize, random: &mut fastrand::Rng| {
        let (method, rest) = HEADS[at % HEADS.len()];
        let mut bytes = rest.as_bytes().to_vec();
        for _ in 0..random.usize(1..=2) {
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] = BYTES[random.usize(..BYTES.len())],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, BYTES[random.usize(..BYTES.len())]),
            }
        }
        let rest: String = bytes.iter().copied().map(char::from).collect();
        // However the head ends, and whatever frames the body, all of it is there.
        let body = ["\r\n", "abc", "0\r\n\r\n"][at % HEADS.len()];
        let text = format!("{method}{rest}{CASE}\r\n\r\n{body}\r\n\r\n");
        Case::new(text, Expected::RefusedOrOnce)
    };
    (0..300).map(|at| case(at, &mut random)).collect()
}

/// Values of one Host that some take for another.
const BAD_HOSTS: &[&str] = &[
    "",
    " ",
    "u@a.example",
    "u:p@a.example",
    "a.example, b.example",
    "a.example b.example",
    "a.example/b",
    "a.example\\b",
    "a.example?b",
    "a.example#b",
    "http://a.example",
    "a..example",
    ".a.example",
    "a.example:",
    "a.example:0",
    "a.example:080",
    "a.example:+80",
    "a.example:80:80",
    "a.example:65536",
    "a.example:x",
    "[::1",
    "::1",
    "[::1]x",
    "[fe80::1%25eth0]",
    "a%2eexample",
    "caf\u{e9}.example",
    "a.example\0",
    "a.example\u{b}",
    "\ta.example",
    "a.example\t",
    "*.example",
    "a.example;b",
    "localhost\u{1}",
    "{a}",
    "a=b",
];
