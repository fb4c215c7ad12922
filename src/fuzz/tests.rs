//! Drives the readers with good bytes that were spoilt a little, the same ones
//! in every run.

mod spoil;
mod cached;
mod pieces;
mod proofs;
mod words;

use self::spoil::{Given, drive};
use super::*;

/// Inputs a reader gets; all readers together stay within a few seconds.
const ROUNDS: usize = 4_000;
/// Configurations take longer to read.
const CONFIGS: usize = 120;
/// Where inputs are kept that a fuzzer found, by target.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
const TARGETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets");

/// Whether a reader takes an input.
type Reader = fn(&[u8]) -> bool;

/// The reader of each target of the fuzzer.
const READERS: &[(&str, Reader)] = &[
    ("accept_encoding", accept_encoding),
    ("authorization", authorization),
    ("cached", cached),
    ("challenge", challenge),
    ("chunks", chunks),
    ("config", config),
    ("cookie", cookie),
    ("forwarded", forwarded),
    ("h2_frames", h2_frames),
    ("head", head),
    ("host", host),
    ("jwt", jwt),
    ("networks", networks),
    ("proxy_header", proxy_header),
    ("range", range),
    ("signed_link", signed_link),
    ("target", target),
    ("units", units),
];

#[test]
fn kept_inputs_hold_their_promises() {
    for (target, reader) in READERS {
        let files = std::fs::read_dir(format!("{KEPT}/{target}")).expect("inputs of the target");
        let mut given = 0;
        for file in files {
            let path = file.expect("a file").path();
            let bytes = std::fs::read(&path).expect("an input");
            let _given = Given(&bytes);
            reader(&bytes);
            given += 1;
        }
        assert!(given > 0, "no input of {target} is kept");
    }
}

#[test]
fn every_target_is_read_again() {
    let files = std::fs::read_dir(TARGETS).expect("the targets");
    let mut targets: Vec<String> = files
        .map(|file| file.expect("a file").file_name().into_string().expect("a name in UTF-8"))
        .map(|name| name.trim_end_matches(".rs").to_owned())
        // Those of the engine of rules and of the store are read again in their crates.
        .filter(|name| !name.starts_with("waf_") && !name.starts_with("store_"))
        .collect();
    targets.sort();
    assert_eq!(targets, READERS.iter().map(|(target, _)| *target).collect::<Vec<_>>());
}

#[test]
fn heads() {
    drive(
        head,
        ROUNDS,
        &[
            b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n",
            b"GET /a/b?c=d HTTP/1.1\r\nHost: A.example:8080\r\nAccept: */*\r\nX: \r\n\r\n",
            b"POST /f HTTP/1.1\r\nhost: a.example\r\ncontent-length: 12\r\nexpect: 100-continue\r\n\r\n",
            b"POST /f HTTP/1.1\r\nhost: [2001:db8::1]\r\ntransfer-encoding: chunked\r\n\r\n",
            b"GET /ws HTTP/1.1\r\nhost: a.example\r\nconnection: keep-alive, upgrade\r\n\
              upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              sec-websocket-version: 13\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n",
            b"HEAD /%7Euser/../x HTTP/1.0\r\nuser-agent: a\"b\r\n\r\n",
            b"GET http://a.example/x HTTP/1.1\r\nhost: a.example\r\n\r\n",
        ],
        &[
            b"content-length: 5\r\n",
            b"Content-Length: 5, 5\r\n",
            b"content-length: +5\r\n",
            b"transfer-encoding: chunked\r\n",
            b"transfer-encoding: gzip, chunked\r\n",
            b"transfer-encoding: \x0bchunked\r\n",
            b"host: b.example\r\n",
            b"x-a : b\r\n",
            b" folded\r\n",
            b"connection: host\r\n",
            b"upgrade: h2c\r\n",
            b" HTTP/1.0\r\n",
            b" HTTP/2.0\r\n",
        ],
    );
}

#[test]
fn targets() {
    drive(
        target,
        ROUNDS,
        &[
            b"/",
            b"/a/b/c.html?d=e&f=%20",
            b"/%7Eme/./a/../b/",
            b"/%e2%82%ac/caf%C3%A9",
            b"/a//b//c",
            b"/.well-known/acme/x",
            b"/a%3Bb;c=d/e:f@g!h$i&j'k(l)m*n+o,p=q",
        ],
        &[b"/..", b"/%2e%2e/", b"/%2e/", b"/...", b"%2F", b"%u002f", b"..;/", b"%ef%bc%8f"],
    );
}

#[test]
fn hosts() {
    drive(
        host,
        ROUNDS,
        &[b"a.example", b"A.Example.:8080", b"[2001:DB8::1]:443", b"192.0.2.1", b"my_host-1:65535"],
        &[b":65536", b"[::ffff:1.2.3.4]", b"%65", b"[fe80::1%25eth0]", b"xn--"],
    );
}

#[test]
fn proxy_headers() {
    drive(
        proxy_header,
        ROUNDS,
        &[
            b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\nGET / HTTP/1.1\r\n",
            b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 443\r\n",
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN whatever that is\r\n\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\x50\x01\xbbGET",
            b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
              \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xc3\x50\x01\xbb",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\x50\x01\xbb\x04\0\0",
        ],
        &[b"PROXY ", b"TCP4", b"TCP6", b"\x21\x12", b"\x03\0\x04abcd", b"\x10\x01", b"65536"],
    );
}

#[test]
fn configurations() {
    drive(
        config,
        CONFIGS,
        &[
            b"listeners: [{ address: 127.0.0.1:8080 }]\nroutes: [{ respond: { status: 200 } }]\n",
            b"upstreams:\n  app:\n    servers:\n      - 127.0.0.1:1\n      - { address: '[::1]:2', weight: 3 }\n\
              routes:\n  - match: { path_prefix: /a }\n    upstream: app\n",
            b"# all\nserver: { threads: 2, drain: 10s, connections: 100 }\nadmin: { listen: off }\n",
            b"defaults:\n  compress: { types: ['text/*'], level: 5 }\n  headers: { response: { set: { x: 'y' } } }\n",
            b"clients: { trusted_proxies: [10.0.0.0/8, '::1'] }\nlog: { level: debug, access: { to: off } }\n",
        ],
        &[
            b"\n- ", b": ", b"{ ", b" }", b"[", b"&a ", b"*a", b"<<: *a", b"!!binary ", b"? ", b"| ",
            b"> ", b"${X:-y}", b"$${", b"'", b"1e400", b"0x10", b"~", b"null", b"on", b"10m",
            b"64KiB", b"\n\n---\n", b"...\n", b"%YAML 1.1\n", b"routes: ", b"  ",
        ],
    );
}

#[test]
fn accepted_encodings() {
    drive(
        accept_encoding,
        ROUNDS,
        &[b"gzip, deflate, br, zstd", b"br;q=0.9, *;q=0.1", b"x-gzip", b"*", b"zstd ; q=1.000"],
        &[b"identity;q=0", b";q=0", b";q=1.001", b"identity", b"\"a,b\"", b";x=\"", b"q=.5"],
    );
}

#[test]
fn authorizations() {
    drive(
        authorization,
        ROUNDS,
        &[
            b"Basic YW5uOnRpZGU=",
            b"basic  w6k6w6k=",
            b"Basic YTpiOmM=",
            b"Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.e30.c2lnbmF0dXJl",
            b"BEARER eyJhbGciOiJub25lIn0.eyJleHAiOjF9.",
        ],
        &[
            b"=",
            b"==",
            b".",
            b"..",
            b"Basic ",
            b"Bearer ",
            b"Og==",
            b"eyJjcml0IjpbXX0",
            b"e30",
            b"AAAA",
            b"_-",
            b"+/",
        ],
    );
}

#[test]
fn ranges() {
    drive(
        range,
        ROUNDS,
        &[
            b"bytes=0-99",
            b"bytes=5-",
            b"bytes=-500",
            b"BYTES = 0-0, 5-6 ,-1",
            b"bytes=0-18446744073709551615",
        ],
        &[b"bytes=", b"-", b", ", b"1-0", b"0-0,0-0", b"items=", b"--1", b",,,,,,,,,,,,,,,,,"],
    );
}

#[test]
fn forwarded_fields() {
    drive(
        forwarded,
        ROUNDS,
        &[
            b"198.51.100.1",
            b"198.51.100.1, 10.0.0.2",
            b"unknown, 2001:db8::1",
            b"for=198.51.100.1;proto=http;by=10.0.0.1",
            b"for=\"[2001:db8::1]:4711\"",
            b"For=unknown, for=_hidden, for=198.51.100.1",
            b"for=198.51.100.1;host=\"a, b;c=d\", for=10.0.0.5",
        ],
        &[
            b"for=",
            b"for=\"",
            b"\\\"",
            b";;",
            b"for=10.0.0.2",
            b"for=\"_x",
            b", ",
            b"::ffff:1.2.3.4",
        ],
    );
}
