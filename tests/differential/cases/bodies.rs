//! Where a body ends: lengths, encodings and chunks.

use super::{CASE, Case, Expected, HOST, SMUGGLED, head, once, post, refused};

/// Everything that says how long a body is.
pub(in super::super) fn bodies() -> Vec<Case> {
    [lengths(), encodings(), chunks(), trailers()].concat()
}

fn lengths() -> Vec<Case> {
    let length = SMUGGLED.len();
    let of = |value: &str, body: &str| post(&[&format!("content-length: {value}")], body);
    let mut cases = vec![
        once(post(&[], ""), ["POST", "/post", ""]),
        once(of("0", ""), ["POST", "/post", ""]),
        once(of("3", "abc"), ["POST", "/post", "abc"]),
        once(of("  3  ", "abc"), ["POST", "/post", "abc"]),
        once(of(&length.to_string(), SMUGGLED), ["POST", "/post", SMUGGLED]),
        once(
            head(&["GET /g HTTP/1.1", HOST, CASE, &format!("CONTENT-LENGTH:{length}")]) + SMUGGLED,
            ["GET", "/g", SMUGGLED],
        ),
        once(
            head(&["DELETE /d HTTP/1.0", HOST, CASE, "content-length: 3"]) + "abc",
            ["DELETE", "/d", "abc"],
        ),
    ];
    for value in BAD_LENGTHS {
        cases.push(refused(of(value, SMUGGLED)));
        cases.push(refused(post(
            &[&format!("content-length: {value}"), "content-length: 3"],
            SMUGGLED,
        )));
    }
    for [first, second] in [["3", "3"], ["3", "4"], ["0", "42"], ["42", "0"], ["3", "03"]] {
        let lines = [format!("content-length: {first}"), format!("Content-Length: {second}")];
        cases.push(refused(post(&lines.each_ref().map(String::as_str), SMUGGLED)));
    }
    for name in ["content-length ", "content-length\t", "\u{b}content-length", "content-length\0"] {
        cases.push(refused(post(&[&format!("{name}: 42")], SMUGGLED)));
    }
    cases
}

fn encodings() -> Vec<Case> {
    let hidden = format!("0\r\n\r\n{SMUGGLED}");
    let mut cases = Vec::new();
    for value in BAD_ENCODINGS {
        let line = format!("transfer-encoding: {value}");
        cases.push(refused(post(&[&line], &hidden)));
        cases.push(refused(post(&[&line, "content-length: 3"], &hidden)));
        cases.push(refused(post(&["transfer-encoding: chunked", &line], &hidden)));
        cases.push(refused(post(&[&line, "transfer-encoding: chunked"], &hidden)));
    }
    for lines in [
        ["{length}", "transfer-encoding: chunked"],
        ["transfer-encoding: chunked", "{length}"],
        ["transfer-encoding: chunked", "content-length: 0"],
        ["transfer-encoding: Chunked", "{length}"],
        ["transfer-encoding: chunked", "Transfer-Encoding: chunked"],
        ["transfer-encoding: chunked", "Transfer-Encoding: identity"],
        ["transfer-encoding : chunked", "{length}"],
        ["transfer-encoding\t: chunked", "{length}"],
        ["\u{b}transfer-encoding: chunked", "{length}"],
        ["transfer\u{b}encoding: chunked", "{length}"],
        ["transfer_encoding: chunked", "{length}"],
        ["transfer-encoding\0: chunked", "{length}"],
        ["x: y\ntransfer-encoding: chunked", "{length}"],
        ["x: y\rtransfer-encoding: chunked", "{length}"],
        [" transfer-encoding: chunked", "{length}"],
        ["{length}", " transfer-encoding: chunked"],
    ] {
        let length = format!("content-length: {}", hidden.len());
        let lines = lines.map(|line| if line == "{length}" { &*length } else { line });
        cases.push(refused(post(&lines, &hidden)));
    }
    let old = |lines: &[&str]| head(&[&["POST /post HTTP/1.0", HOST, CASE], lines].concat());
    cases.push(refused(old(&["transfer-encoding: chunked"]) + &hidden));
    cases.push(refused(old(&["transfer-encoding: chunked", "connection: keep-alive"]) + &hidden));
    cases.push(refused(old(&["transfer-encoding: chunked", "content-length: 3"]) + &hidden));
    let upgrade = ["connection: upgrade", "upgrade: websocket", "content-length: 42"];
    let get = head(&[&["GET /ws HTTP/1.1", HOST, CASE], &upgrade[..]].concat());
    cases.push(refused(get + SMUGGLED));
    cases
}

fn chunked(body: &str) -> String {
    post(&["transfer-encoding: chunked"], body)
}

fn chunks() -> Vec<Case> {
    let hidden = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let mut cases = vec![
        once(chunked("0\r\n\r\n"), ["POST", "/post", ""]),
        once(chunked("3\r\nabc\r\n0\r\n\r\n"), ["POST", "/post", "abc"]),
        once(chunked("003\r\nabc\r\n2\r\nde\r\n000\r\n\r\n"), ["POST", "/post", "abcde"]),
        once(chunked("A\r\n0123456789\r\n0\r\n\r\n"), ["POST", "/post", "0123456789"]),
        once(chunked("3;a=b\r\nabc\r\n0;c=\"d e\"\r\n\r\n"), ["POST", "/post", "abc"]),
        once(chunked("3 ; a\r\nabc\r\n0\r\n\r\n"), ["POST", "/post", "abc"]),
        once(chunked(&hidden), ["POST", "/post", SMUGGLED]),
        once(
            post(&["Transfer-ENCODING:  CHUNKED "], "3\r\nabc\r\n0\r\n\r\n"),
            ["POST", "/post", "abc"],
        ),
        once(
            head(&["GET /g HTTP/1.1", HOST, CASE, "transfer-encoding: chunked"]) + &hidden,
            ["GET", "/g", SMUGGLED],
        ),
        once(
            chunked(&format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(2000))),
            ["POST", "/post", "abc"],
        ),
        // Too much of it for one read: a server may have seen how it begins.
        Case::new(
            chunked(&format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(17_000))),
            Expected::CutOff,
        ),
        Case::new(chunked(&("1;xxxxxxx\r\na\r\n".repeat(3000) + "0\r\n\r\n")), Expected::CutOff),
    ];
    for body in BAD_CHUNKS {
        cases.push(refused(chunked(&format!("{body}0\r\n\r\n{SMUGGLED}"))));
        if body.starts_with(['3', '0']) {
            continue;
        }
        // The same after a chunk that is good.
        cases.push(refused(chunked(&format!("3\r\nabc\r\n{body}0\r\n\r\n{SMUGGLED}"))));
    }
    cases
}

fn trailers() -> Vec<Case> {
    let of = |trailer: &str| chunked(&format!("3\r\nabc\r\n0\r\n{trailer}\r\n\r\n"));
    let mut cases = vec![
        once(of("x-sum: 1"), ["POST", "/post", "abc"]),
        once(of("x-sum: 1\r\ny:"), ["POST", "/post", "abc"]),
        once(of("contents-length: 1"), ["POST", "/post", "abc"]),
    ];
    for trailer in [
        "content-length: 3",
        "Content-Length: 42",
        "transfer-encoding: chunked",
        "host: b.example",
        "connection: close",
        "te: trailers",
        "trailer: x",
        "upgrade: h2c",
        "expect: 100-continue",
        "authorization: x",
        "cookie: a=b",
        "forwarded: for=1.2.3.4",
        "x-forwarded-for: 1.2.3.4",
        "x-forwarded-proto: https",
        "x : y",
        "x\ty: z",
        ": y",
        "x",
        "x: \0",
        "x: a\nb: c",
        "x: a\rb: c",
        "x: y\r\n folded",
        " x: y",
        "x: a\u{b}",
        "GET /smuggled HTTP/1.1",
        "x\0: y",
    ] {
        cases.push(refused(of(trailer)));
    }
    cases
}

/// Lengths that some read as 3, and some as something else.
const BAD_LENGTHS: &[&str] = &[
    "",
    "+3",
    "-3",
    "-0",
    "3,3",
    "3, 3",
    "3,",
    ",3",
    "3 3",
    "0x3",
    "3a",
    "a",
    "03",
    "00",
    "000003",
    "3.0",
    "3;",
    "3;x",
    "\t3",
    "3\t",
    "\u{b}3",
    "3\u{b}",
    "3\u{c}",
    "3\0",
    "\"3\"",
    "'3'",
    "1e3",
    "3_0",
    "\u{b2}",
    "\u{a0}3",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551619",
    "99999999999999999999999999999999",
    "4294967299 ,",
    "3\r\n ",
    "\r\n 3",
];

/// Encodings that some take for chunked, and some do not.
const BAD_ENCODINGS: &[&str] = &[
    "",
    "identity",
    "gzip",
    "xchunked",
    "chunkedx",
    "x chunked",
    "chunked,",
    ",chunked",
    "chunked, identity",
    "identity, chunked",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "chunked,chunked",
    "chunked;x",
    "chunked;q=1",
    "chunked chunked",
    "\"chunked\"",
    "'chunked'",
    "\tchunked",
    "chunked\t",
    "\u{b}chunked",
    "chunked\u{b}",
    "\u{c}chunked",
    "\0chunked",
    "chunked\0",
    "\u{a0}chunked",
    "\u{85}chunked",
    "chunk",
    "chunked\u{7f}",
    "ch\u{fc}nked",
    "ch%75nked",
    "\r\n chunked",
    "chunked\r\n x",
    "chunked\r\n ",
    "trailers",
    "deflate",
    "null",
    "\\chunked",
];

/// Chunks that end elsewhere for some.
const BAD_CHUNKS: &[&str] = &[
    "\r\n\r\n",
    "\r\n0\r\n\r\n",
    ";a\r\n",
    " 3\r\nabc\r\n",
    "3 \r\nabc\r\n",
    "3\t\r\nabc\r\n",
    "3 4\r\nabc\r\n",
    "0x3\r\nabc\r\n",
    "x3\r\nabc\r\n",
    "+3\r\nabc\r\n",
    "-3\r\nabc\r\n",
    "-0\r\n\r\n",
    "3.0\r\nabc\r\n",
    "3_\r\nabc\r\n",
    "\"3\"\r\nabc\r\n",
    "g\r\n",
    "3h\r\nabc\r\n",
    "\u{b}3\r\nabc\r\n",
    "3\u{b}\r\nabc\r\n",
    "3\0\r\nabc\r\n",
    "\u{b3}\r\nabc\r\n",
    "1000000000000000\r\nabc\r\n",
    "ffffffffffffffff\r\nabc\r\n",
    "fffffffffffffffd\r\nabc\r\n",
    "10000000000000003\r\nabc\r\n",
    "0000000000000003\r\nabc\r\n",
    "3\nabc\r\n",
    "3\rabc\r\n",
    "3\r\nabc\n",
    "3\r\nabc\r0\r\n\r\n",
    "3\r\nabc0\r\n\r\n",
    "3\r\nabcd\r\n",
    "3\r\nab\r\n0\r\n\r\n",
    "3\r\nabc\r\n\r\n",
    "3\r\r\nabc\r\n",
    "3\n\r\nabc\r\n",
    "3;a\nabc\r\n",
    "3;a\rb\r\nabc\r\n",
    "3;a\n\r\nabc\r\n",
    "3;\0\r\nabc\r\n",
    "3;a=\"\n\"\r\nabc\r\n",
    "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n",
    "3,a\r\nabc\r\n",
    "3\\\r\nabc\r\n",
    "0\n\n",
    "0\r\n\n",
    "0\r\r\n\r\n",
    "0\r\n\r\r\n",
    "0\r\n\rX",
    "0\n\r\n\r\n",
    "0;\n\r\n",
];
