//! The same over HTTP/2, as far as it can be said there.

use super::{Expected, Meaning, SMUGGLED};

/// One request in HTTP/2, sound or not.
#[derive(Debug, Clone)]
pub(in super::super) struct Stream {
    /// In their order; which case it is comes after them.
    pub(in super::super) fields: Vec<(String, String)>,
    /// What its DATA hold, if there are any.
    pub(in super::super) body: Option<String>,
    /// A header block at the end, if it has fields.
    pub(in super::super) trailers: Vec<(String, String)>,
    pub(in super::super) expected: Expected,
}

type Fields<'a> = &'a [(&'a str, &'a str)];

const METHOD: (&str, &str) = (":method", "POST");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", "a.example");
const PATH: (&str, &str) = (":path", "/h2");
const GOOD: [(&str, &str); 4] = [METHOD, SCHEME, AUTHORITY, PATH];

impl Stream {
    fn new(fields: Fields<'_>, body: Option<&str>, expected: Expected) -> Stream {
        let body = body.map(str::to_owned);
        Stream { fields: owned(fields), body, trailers: Vec::new(), expected }
    }

    fn refused(fields: Fields<'_>) -> Stream {
        Stream::new(fields, Some(SMUGGLED), Expected::Refused(400))
    }

    /// Seen with this target and this body.
    fn once(fields: Fields<'_>, target: &str, body: Option<&str>) -> Stream {
        let find = |name| fields.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
        let host = find(":authority").or_else(|| find("host")).unwrap();
        let method = find(":method").unwrap();
        let meaning = Meaning::new(method, target, host, body.unwrap_or_default());
        Stream::new(fields, body, Expected::Once(meaning))
    }

    fn with_trailers(self, trailers: Fields<'_>) -> Stream {
        Stream { trailers: owned(trailers), ..self }
    }
}

fn owned(fields: Fields<'_>) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The good head with another value at one place.
fn changed(at: usize, value: &str) -> Vec<(&str, &str)> {
    let mut fields = GOOD.to_vec();
    fields[at].1 = value;
    fields
}

/// Everything that is asked over HTTP/2.
pub(in super::super) fn streams() -> Vec<Stream> {
    [good(), fields(), pseudo_fields(), paths(), lengths(), trailers()].concat()
}

fn good() -> Vec<Stream> {
    let get = [(":method", "GET"), SCHEME, AUTHORITY, PATH];
    let bare = [METHOD, SCHEME, PATH, ("host", "a.example:81")];
    let length = SMUGGLED.len().to_string();
    let more = |fields: Fields<'static>| [&GOOD[..], fields].concat();
    vec![
        Stream::once(&get, "/h2", None),
        Stream::once(&get, "/h2", Some("abc")),
        Stream::once(&GOOD, "/h2", None),
        Stream::once(&GOOD, "/h2", Some("abc")),
        Stream::once(&GOOD, "/h2", Some(SMUGGLED)),
        Stream::once(&GOOD, "/h2", Some("0\r\n\r\n")),
        Stream::once(&[&GOOD[..], &[("content-length", &length)]].concat(), "/h2", Some(SMUGGLED)),
        Stream::once(&more(&[("content-length", "0")]), "/h2", None),
        Stream::once(&more(&[("host", "a.example")]), "/h2", None),
        Stream::once(
            &more(&[("cookie", "a=b"), ("cookie", "c=d"), ("te", "trailers")]),
            "/h2",
            None,
        ),
        Stream::once(&more(&[("x", "caf\u{e9}"), ("y", "")]), "/h2", None),
        Stream::once(&bare, "/h2", Some("abc")),
        Stream::once(&[PATH, AUTHORITY, SCHEME, METHOD], "/h2", None),
        Stream::once(&changed(1, "https"), "/h2", None),
        Stream::once(&changed(2, "[::1]:80"), "/h2", None),
    ]
}

/// Fields that HTTP/2 has no place for, or that would be something else in
/// HTTP/1.
fn fields() -> Vec<Stream> {
    let wrong = [
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("connection", "close"),
        ("connection", "content-length"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("host", "b.example"),
        ("host", "A.example"),
        ("x", "a\r\nb: c"),
        ("x", "a\nb: c"),
        ("x", "a\rb: c"),
        ("x", "a\0b"),
        ("x", "a\u{b}b"),
        ("x", "a\u{7f}b"),
        ("x", " a"),
        ("x", "a "),
        ("x", "\ta"),
        ("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n"),
        ("X", "a"),
        ("Content-Length", "3"),
        ("x y", "a"),
        ("x:", "a"),
        ("x: y\r\nz", "a"),
        ("x\r\ntransfer-encoding: chunked\r\ny", "a"),
        ("x\0", "a"),
        ("x\u{e9}", "a"),
        ("", "a"),
        (" x", "a"),
        ("transfer-encoding ", "chunked"),
        ("transfer_encoding", "chunked"),
        ("x_y", "a"),
        ("expect", "the worst"),
    ];
    let mut streams: Vec<Stream> =
        wrong.iter().map(|field| Stream::refused(&[&GOOD[..], &[*field]].concat())).collect();
    let two = [("host", "a.example"), ("host", "a.example")];
    streams.push(Stream::refused(&[&GOOD[..], &two].concat()));
    streams.push(Stream::refused(&[&[METHOD, SCHEME, PATH][..], &two].concat()));
    streams
}

fn pseudo_fields() -> Vec<Stream> {
    let mut streams = Vec::new();
    for (at, values) in BAD_PSEUDO_FIELDS {
        streams.extend(values.iter().map(|value| Stream::refused(&changed(*at, value))));
    }
    for at in 0..GOOD.len() {
        // Missing; twice; twice, and another one; after the other fields.
        let (mut missing, mut other) = (GOOD.to_vec(), GOOD.to_vec());
        let (name, _) = missing.remove(at);
        other[at].1 = ["GET", "https", "b.example", "/smuggled"][at];
        let late = [&missing[..], &[("x", "y"), GOOD[at]]].concat();
        let twice = [&GOOD[..], &[GOOD[at]]].concat();
        let different = [&GOOD[..], &[other[at]]].concat();
        let empty = [&GOOD[..], &[(name, "")]].concat();
        streams.extend(
            [missing, late, twice, different, empty].map(|fields| Stream::refused(&fields)),
        );
    }
    for field in
        [(":status", "200"), (":protocol", "websocket"), (":foo", "a"), (":", "a"), (":path ", "/")]
    {
        streams.push(Stream::refused(&[&GOOD[..], &[field]].concat()));
        streams.push(Stream::refused(&[&[field], &GOOD[..]].concat()));
    }
    streams
}

fn paths() -> Vec<Stream> {
    let mut streams = Vec::new();
    for (written, seen) in [
        ("/a/../b", "/b"),
        ("/a/./b//c", "/a/b/c"),
        ("//b.example/x", "/b.example/x"),
        ("/%7e|^[]", "/~%7C%5E%5B%5D"),
        ("/a?b=/../%2f|", "/a?b=/../%2f|"),
        // The library cuts a fragment off.
        ("/a?b#c", "/a?b"),
    ] {
        streams.push(Stream::once(&changed(3, written), seen, None));
    }
    for path in [
        "",
        "*",
        "a",
        "?a",
        "http://b.example/",
        "/a b",
        "/a\tb",
        "/a\r\nx: y",
        "/a\0",
        "/a\\b",
        "/\u{e9}",
        "/a HTTP/1.1\r\nhost: b.example\r\n\r\n",
        "/a%2fb",
        "/a%5cb",
        "/a%00",
        "/..",
        "/a/../../b",
        "/%2e%2e/a",
        "/a//../b",
        "/..;/a",
        "/%252e",
        "/%c0%ae",
        "/a%",
        "/a%zz",
        "/{a}",
        "/a\"b",
        "/<a>",
        "/a?\"",
        "/a?\\",
    ] {
        streams.push(Stream::refused(&changed(3, path)));
    }
    streams
}

/// Content-Length against what comes.
fn lengths() -> Vec<Stream> {
    let with = |lengths: &[&str], body, expected| {
        let lengths: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
        Stream::new(&[&GOOD[..], &lengths].concat(), body, expected)
    };
    let mut streams = Vec::new();
    for lengths in [
        &["+3"][..],
        &["-3"],
        &["03"],
        &["3, 3"],
        &["3,3"],
        &["0x3"],
        &["a"],
        &[""],
        &[" 3"],
        &["3 "],
        &["3", "3"],
        &["3", "4"],
        &["18446744073709551619"],
        &["9223372036854775808"],
        &["99999999999999999999999999"],
    ] {
        streams.push(with(lengths, Some("abc"), Expected::Refused(400)));
    }
    for (length, body) in [
        ("2", Some("abc")),
        ("4", Some("abc")),
        ("0", Some("abc")),
        ("3", None),
        ("1000", Some(SMUGGLED)),
    ] {
        streams.push(with(&[length], body, Expected::CutOff));
    }
    streams
}

fn trailers() -> Vec<Stream> {
    let mut streams = Vec::new();
    let length = [&GOOD[..], &[("content-length", "3")]].concat();
    for fields in [&GOOD[..], &length] {
        let once = || Stream::once(fields, "/h2", Some("abc"));
        streams.push(once().with_trailers(&[("x-sum", "1")]));
        // The library drops pseudo-fields, and nobody gets a trailer.
        streams.push(once().with_trailers(&[(":path", "/smuggled"), (":method", "GET")]));
        for name in [
            "content-length",
            "host",
            "trailer",
            "cookie",
            "authorization",
            "x-forwarded-for",
            "expect",
        ] {
            let refused = Stream::new(fields, Some("abc"), Expected::CutOff);
            streams.push(refused.with_trailers(&[(name, "3")]));
        }
        for field in [
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("x", "a\r\nb: c"),
            ("X", "y"),
        ] {
            let refused = Stream::new(fields, Some("abc"), Expected::CutOff);
            streams.push(refused.with_trailers(&[field]));
        }
    }
    streams
}

/// By their place in [`GOOD`].
const BAD_PSEUDO_FIELDS: &[(usize, &[&str])] = &[
    (0, &["", "get", "GET ", " GET", "G T", "GET\0", "G\u{e9}T", "GET:", "G\r\nET"]),
    (0, &["TRACE", "TRACK", "CONNECT", "GET /smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n"]),
    (1, &["", "ftp", "ws", "http://", "http:", "http\r\nx: y", "ht tp", "1"]),
    (2, &["", "u@a.example", "a.example, b.example", "a.example b.example", "a.example/h"]),
    (2, &["a..example", "a.example\r\nx: y", "a.example\0", "a.example:", "a.example:0"]),
    (2, &["a.example:080", "[::1", "::1", "a.example#b", "a.example?b", "a.example\\b"]),
    (2, &["http://a.example", "caf\u{e9}.example", "*"]),
];
