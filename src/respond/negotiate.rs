//! Whether a response is made smaller for its client, and in which coding.

use std::io;
use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compress::{Encoder, Level};
use super::turns::Turns;
use crate::encoding::{Accepted, Coding};
use crate::fault::{Faults, KeyPath};
use crate::upstream::headers::is_call;
use crate::values::announced;

/// Bodies known to be smaller than this gain nothing.
const LEAST_LENGTH: u64 = 256;

/// Digests of the body as the server sent it (RFC 9530 and its forerunners).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Which responses of a route are compressed, and how hard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Media types to compress: `text/html`, `text/*`.
    pub types: Vec<String>,
    /// From 1, fast, to 9, small.
    pub level: u8,
}

impl Default for Config {
    fn default() -> Self {
        Config { types: ["text/*", "application/json"].map(str::to_owned).to_vec(), level: 4 }
    }
}

/// What a request tells about the response that suits its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub method: &'a Method,
    pub version: Version,
    /// As the client sent them.
    pub headers: &'a HeaderMap,
}

/// The rules by which a route compresses.
#[derive(Debug, Clone)]
pub(crate) struct Compression {
    types: Vec<MediaRange>,
    level: Level,
}

impl Compression {
    pub(crate) fn new(config: &Config) -> Result<Compression, Faults> {
        let mut faults = Faults::none();
        let mut types = Vec::with_capacity(config.types.len());
        for (item, text) in config.types.iter().enumerate() {
            match MediaRange::parse(text) {
                Some(range) => types.push(range),
                None => faults.add(
                    KeyPath::root().child("types").child(item),
                    format!("`{text}` is no media type; write text/html or text/*"),
                ),
            }
        }
        let level = Level::new(config.level);
        if level.is_none() {
            faults.add(KeyPath::root().child("level"), "is not from 1 to 9");
        }
        faults.into_result(|| Some(Compression { types, level: level? }))
    }

    /// Decides for one response, and makes its header tell what was decided.
    ///
    /// With an encoder, every piece of the body must go through it; HEAD, whose
    /// header is that of GET, gets none. While all `turns` are taken, bodies go
    /// as they are. On an error the header is unchanged.
    pub(crate) fn start(
        &self,
        asked: &Asked<'_>,
        status: StatusCode,
        response: &mut HeaderMap,
        turns: &Arc<Turns>,
    ) -> io::Result<Option<Encoder>> {
        let coding = match self.decide(asked, status, response) {
            Decision::Untouched => return Ok(None),
            Decision::Varies => {
                vary(response);
                return Ok(None);
            }
            Decision::Weakened => {
                weaken_etag(response);
                vary(response);
                return Ok(None);
            }
            Decision::Encode(coding) => coding,
        };
        let encoder = match (asked.method, turns.take()) {
            (&Method::HEAD, _) => None,
            (_, Some(turn)) => Some(Encoder::new(coding, self.level, turn)?),
            (_, None) => {
                vary(response);
                return Ok(None);
            }
        };
        response.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        for name in [CONTENT_LENGTH, ACCEPT_RANGES].iter().chain(&DIGESTS) {
            response.remove(name);
        }
        weaken_etag(response);
        vary(response);
        Ok(encoder)
    }

    fn decide(&self, asked: &Asked<'_>, status: StatusCode, response: &HeaderMap) -> Decision {
        if status == StatusCode::NOT_MODIFIED {
            return self.decide_unmodified(asked, response);
        }
        if !has_body(status) || !self.is_worthwhile(response) {
            return Decision::Untouched;
        }
        self.decide_coding(asked)
    }

    /// A 304 has the fields that its 200 would have (RFC 9110 §15.4.5); a cache
    /// would not find what it stored by another tag.
    ///
    /// Servers mostly leave the type out: then the tag that the client shows
    /// tells whether we weakened it.
    fn decide_unmodified(&self, asked: &Asked<'_>, response: &HeaderMap) -> Decision {
        let is_known = response.contains_key(CONTENT_TYPE);
        if is_known && !self.is_worthwhile(response) {
            return Decision::Untouched;
        }
        match shown_tag(asked.headers, response) {
            Some(Shown::Weakened) => Decision::Weakened,
            Some(Shown::AsIs) if is_known => Decision::Varies,
            None if is_known => match self.decide_coding(asked) {
                Decision::Encode(_) => Decision::Weakened,
                decision => decision,
            },
            _ => Decision::Untouched,
        }
    }

    fn decide_coding(&self, asked: &Asked<'_>) -> Decision {
        // HTTP/1.0 has no way to send a body whose length is not known before.
        if asked.version <= Version::HTTP_10 || forbids_transform(asked.headers) {
            return Decision::Varies;
        }
        match Accepted::new(asked.headers).choose(&Coding::ALL) {
            Some(coding) => Decision::Encode(coding),
            None => Decision::Varies,
        }
    }

    /// Whether some client would get this response compressed.
    fn is_worthwhile(&self, response: &HeaderMap) -> bool {
        !response.contains_key(CONTENT_ENCODING)
            && !response.contains_key(CONTENT_RANGE)
            && self.is_of_our_types(response)
            && !forbids_transform(response)
            && announced(response).is_none_or(|length| length >= LEAST_LENGTH)
    }

    fn is_of_our_types(&self, response: &HeaderMap) -> bool {
        let Some(value) = response.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let media_type = value.split(';').next().unwrap_or_default().trim();
        // Event streams and gRPC come in messages, which must not wait for each other.
        !media_type.eq_ignore_ascii_case("text/event-stream")
            && !is_call(response)
            && self.types.iter().any(|range| range.contains(media_type))
    }
}

/// What becomes of one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// No client would get it compressed.
    Untouched,
    /// This client gets it as it is, another would not.
    Varies,
    /// It has no body, and stands for one that this client got encoded.
    Weakened,
    Encode(Coding),
}

/// A strong tag of a response, as the request for it shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    AsIs,
    Weakened,
}

/// `text/html`, or `text/*`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MediaRange {
    kind: String,
    /// `None` is every one.
    subtype: Option<String>,
}

impl MediaRange {
    fn parse(text: &str) -> Option<MediaRange> {
        let is_token = |text: &str| text.parse::<HeaderName>().is_ok() && !text.contains('*');
        let (kind, subtype) = text.split_once('/')?;
        let subtype = (subtype != "*").then(|| subtype.to_ascii_lowercase());
        let is_good = is_token(kind) && subtype.as_deref().is_none_or(is_token);
        is_good.then(|| MediaRange { kind: kind.to_ascii_lowercase(), subtype })
    }

    fn contains(&self, media_type: &str) -> bool {
        let Some((kind, subtype)) = media_type.split_once('/') else {
            return false;
        };
        kind.eq_ignore_ascii_case(&self.kind)
            && self.subtype.as_ref().is_none_or(|own| subtype.eq_ignore_ascii_case(own))
    }
}

/// Whether the whole body of a representation comes with this status.
fn has_body(status: StatusCode) -> bool {
    !status.is_informational()
        && !matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT
        )
}

/// How `If-None-Match` has the tag of a response; none if it is not there.
fn shown_tag(request: &HeaderMap, response: &HeaderMap) -> Option<Shown> {
    let tag = response.get(ETAG)?.to_str().ok()?;
    if tag.starts_with("W/") {
        return None;
    }
    let lines = request.get_all(IF_NONE_MATCH).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).find_map(|shown| match shown.trim() {
        shown if shown == tag => Some(Shown::AsIs),
        shown if shown.strip_prefix("W/") == Some(tag) => Some(Shown::Weakened),
        _ => None,
    })
}

fn forbids_transform(message: &HeaderMap) -> bool {
    has_member(message, &CACHE_CONTROL, "no-transform")
}

/// Tells caches that other clients may get another body.
fn vary(response: &mut HeaderMap) {
    let is_told = |member| has_member(response, &VARY, member);
    if !is_told("*") && !is_told("accept-encoding") {
        response.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// A strong tag is for the very bytes that the server sent; these are others.
fn weaken_etag(response: &mut HeaderMap) {
    let Some(etag) = response.get(ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/")) else {
        return;
    };
    match HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()) {
        Ok(weak) => response.insert(ETAG, weak),
        Err(_) => response.remove(&ETAG),
    };
}

/// Whether a field that is a list of words has this one.
fn has_member(message: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    let lines = message.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(member))
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_ENCODING, IF_RANGE};

    use super::*;

    type List<'a> = &'a [(HeaderName, &'a str)];

    fn map(fields: List<'_>) -> HeaderMap {
        fields.iter().map(|(n, v)| (n.clone(), v.parse().expect("a value"))).collect()
    }

    /// Decides for a client that takes gzip.
    fn turns() -> Arc<Turns> {
        Arc::default()
    }

    fn decide(status: u16, request: List<'_>, response: List<'_>) -> Decision {
        let compression = Compression::new(&Config::default()).expect("a good configuration");
        let mut headers = map(request);
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        let asked = Asked { method: &Method::GET, version: Version::HTTP_11, headers: &headers };
        let status = StatusCode::from_u16(status).expect("a status");
        compression.decide(&asked, status, &map(response))
    }

    fn check(response: List<'_>, expected: Decision) {
        assert_eq!(decide(200, &[], response), expected, "{response:?}");
    }

    const GZIP: Decision = Decision::Encode(Coding::Gzip);
    const HTML: (HeaderName, &str) = (CONTENT_TYPE, "text/html; charset=utf-8");

    #[test]
    fn only_the_types_of_the_route() {
        check(&[HTML], GZIP);
        check(&[(CONTENT_TYPE, "TEXT/Plain")], GZIP);
        check(&[(CONTENT_TYPE, "application/json")], GZIP);
        check(&[(CONTENT_TYPE, "application/json5")], Decision::Untouched);
        check(&[(CONTENT_TYPE, "image/png")], Decision::Untouched);
        check(&[(CONTENT_TYPE, "text")], Decision::Untouched);
        check(&[], Decision::Untouched);
    }

    #[test]
    fn types_and_level_are_what_the_route_says() {
        let body: String = (0..50_000_u64).map(|n| format!("{} of {n}; ", n * n % 977)).collect();
        let headers = map(&[(ACCEPT_ENCODING, "gzip")]);
        let asked = Asked { method: &Method::GET, version: Version::HTTP_11, headers: &headers };
        let size = |level, media_type| {
            let config = Config { types: vec!["text/css".to_owned()], level };
            let compression = Compression::new(&config).expect("a good configuration");
            let mut response = map(&[(CONTENT_TYPE, media_type)]);
            let encoder = compression.start(&asked, StatusCode::OK, &mut response, &turns());
            let mut encoder = encoder.expect("starts")?;
            let begun = encoder.write(body.as_bytes()).expect("encoded").len();
            Some(begun + encoder.finish().expect("finished").len())
        };
        assert_eq!(size(4, "text/html"), None);
        let [fast, small] = [1, 9].map(|level| size(level, "text/css").expect("compressed"));
        assert!(small < fast, "{small} {fast}");
    }

    #[test]
    fn streams_of_messages_stay_as_they_are() {
        check(&[(CONTENT_TYPE, "text/event-stream")], Decision::Untouched);
        check(&[(CONTENT_TYPE, "Text/Event-Stream; charset=utf-8")], Decision::Untouched);
        let config = Config { types: vec!["application/*".to_owned()], ..Config::default() };
        let all = Compression::new(&config).expect("a good configuration");
        let is_ours = |media_type| all.is_of_our_types(&map(&[(CONTENT_TYPE, media_type)]));
        assert!(is_ours("application/wasm"));
        assert!(!is_ours("application/grpc+proto"));
    }

    #[test]
    fn only_whole_bodies_worth_it() {
        check(&[HTML, (CONTENT_LENGTH, "255")], Decision::Untouched);
        check(&[HTML, (CONTENT_LENGTH, "256")], GZIP);
        check(&[HTML, (CONTENT_ENCODING, "br")], Decision::Untouched);
        check(&[HTML, (CONTENT_RANGE, "bytes 0-1/2")], Decision::Untouched);
        check(&[HTML, (CACHE_CONTROL, "public, No-Transform")], Decision::Untouched);
        for status in [100, 101, 103, 204, 205, 206] {
            assert_eq!(decide(status, &[], &[HTML]), Decision::Untouched, "{status}");
        }
        for status in [200, 201, 404, 500] {
            assert_eq!(decide(status, &[], &[HTML]), GZIP, "{status}");
        }
    }

    const TAG: (HeaderName, &str) = (ETAG, "\"a\"");
    const WEAK: (HeaderName, &str) = (IF_NONE_MATCH, "\"b\", W/\"a\"");
    const STRONG: (HeaderName, &str) = (IF_NONE_MATCH, "\"a\"");

    #[test]
    fn a_304_has_the_fields_of_its_200() {
        let check = |request: List<'_>, response: List<'_>, expected| {
            assert_eq!(decide(304, request, response), expected, "{request:?} {response:?}");
        };
        check(&[], &[HTML, TAG], Decision::Weakened);
        check(&[(IF_NONE_MATCH, "*")], &[HTML, TAG], Decision::Weakened);
        check(&[(ACCEPT_ENCODING, "br;q=0")], &[HTML, TAG], Decision::Varies);
        // What the client has tells what it got.
        check(&[WEAK], &[HTML, TAG], Decision::Weakened);
        check(&[WEAK], &[TAG], Decision::Weakened);
        check(&[STRONG], &[HTML, TAG], Decision::Varies);
        check(&[STRONG], &[TAG], Decision::Untouched);
        check(&[WEAK], &[(ETAG, "W/\"a\"")], Decision::Untouched);
        check(&[], &[TAG], Decision::Untouched);
        check(&[WEAK], &[(CONTENT_TYPE, "image/png"), TAG], Decision::Untouched);
        check(&[WEAK], &[HTML, (CONTENT_LENGTH, "255"), TAG], Decision::Untouched);
    }

    #[test]
    fn a_304_tells_what_its_200_told() {
        let compression = Compression::new(&Config::default()).expect("a good configuration");
        let headers = &map(&[(ACCEPT_ENCODING, "gzip")]);
        let asked = Asked { method: &Method::GET, version: Version::HTTP_11, headers };
        let mut response = map(&[HTML, (ETAG, "\"a\"")]);
        let status = StatusCode::NOT_MODIFIED;
        let encoder = compression.start(&asked, status, &mut response, &turns()).expect("started");
        assert!(encoder.is_none(), "there is no body");
        assert_eq!(response, map(&[HTML, (ETAG, "W/\"a\""), (VARY, "accept-encoding")]));
    }

    #[test]
    fn clients_that_cannot_get_it_as_it_is() {
        for request in [
            [(ACCEPT_ENCODING, "gzip;q=0")],
            [(ACCEPT_ENCODING, "identity, gzip;q=0.9")],
            [(CACHE_CONTROL, "no-transform")],
        ] {
            assert_eq!(decide(200, &request, &[HTML]), Decision::Varies, "{request:?}");
        }
        let all = decide(200, &[(ACCEPT_ENCODING, "gzip, br, zstd"), (IF_RANGE, "x")], &[HTML]);
        assert_eq!(all, Decision::Encode(Coding::Zstd));

        let compression = Compression::new(&Config::default()).expect("a good configuration");
        let headers = &map(&[(ACCEPT_ENCODING, "gzip")]);
        for (method, version, expected) in [
            (Method::HEAD, Version::HTTP_11, GZIP),
            (Method::GET, Version::HTTP_10, Decision::Varies),
            (Method::POST, Version::HTTP_2, GZIP),
        ] {
            let asked = Asked { method: &method, version, headers };
            let decision = compression.decide(&asked, StatusCode::OK, &map(&[HTML]));
            assert_eq!(decision, expected, "{method} {version:?}");
        }
    }

    #[test]
    fn the_header_tells_what_was_done() {
        let compression = Compression::new(&Config::default()).expect("a good configuration");
        let headers = &map(&[(ACCEPT_ENCODING, "gzip")]);
        let asked = Asked { method: &Method::GET, version: Version::HTTP_11, headers };
        let digest = HeaderName::from_static("content-digest");
        let plain = [
            HTML,
            (CONTENT_LENGTH, "1000"),
            (ACCEPT_RANGES, "bytes"),
            (ETAG, "\"a\""),
            (digest, "sha-256=::"),
            (VARY, "origin"),
        ];
        let mut response = map(&plain);
        let encoder =
            compression.start(&asked, StatusCode::OK, &mut response, &turns()).expect("started");
        assert!(encoder.is_some());
        let mut expected =
            map(&[HTML, (CONTENT_ENCODING, "gzip"), (ETAG, "W/\"a\""), (VARY, "origin")]);
        expected.append(VARY, HeaderValue::from_static("accept-encoding"));
        assert_eq!(response, expected);

        let mut response = map(&plain);
        let head = Asked { method: &Method::HEAD, ..asked };
        let encoder =
            compression.start(&head, StatusCode::OK, &mut response, &turns()).expect("started");
        assert!(encoder.is_none(), "nothing follows that could be encoded");
        assert_eq!(response, expected);

        let mut response = map(&plain);
        let asked = Asked { headers: &HeaderMap::new(), ..asked };
        let encoder =
            compression.start(&asked, StatusCode::OK, &mut response, &turns()).expect("started");
        assert!(encoder.is_none());
        let mut expected = map(&plain);
        expected.append(VARY, HeaderValue::from_static("accept-encoding"));
        assert_eq!(response, expected);
    }

    #[test]
    fn vary_is_told_once() {
        for told in ["*", "Origin, Accept-Encoding"] {
            let mut response = map(&[(VARY, told)]);
            vary(&mut response);
            assert_eq!(response, map(&[(VARY, told)]));
        }
    }

    #[test]
    fn weak_tags_stay_weak() {
        let mut response = map(&[(ETAG, "W/\"a\"")]);
        weaken_etag(&mut response);
        assert_eq!(response, map(&[(ETAG, "W/\"a\"")]));
    }

    #[test]
    fn faults_name_their_keys() {
        let types = ["text/*", "*/*", "html", "text/", "text/html; charset=x", "a b/c"];
        let config = Config { types: types.map(str::to_owned).to_vec(), level: 10 };
        let faults = Compression::new(&config).expect_err("a fault");
        let keys: Vec<_> = faults.iter().map(|fault| fault.at.to_string()).collect();
        assert_eq!(keys, ["types[1]", "types[2]", "types[3]", "types[4]", "types[5]", "level"]);
        assert!(Compression::new(&Config { level: 0, ..Config::default() }).is_err());
    }

    #[test]
    fn bodies_go_as_they_are_while_all_turns_are_taken() {
        let compression = Compression::new(&Config::default()).expect("a good configuration");
        let headers = map(&[(ACCEPT_ENCODING, "gzip")]);
        let asked = Asked { method: &Method::GET, version: Version::HTTP_11, headers: &headers };
        let turns = turns();
        let taken: Vec<_> = std::iter::from_fn(|| turns.take()).collect();
        let mut response = map(&[HTML]);
        let encoder = compression.start(&asked, StatusCode::OK, &mut response, &turns);
        assert!(encoder.expect("decided").is_none());
        assert_eq!(response, map(&[HTML, (VARY, "accept-encoding")]));
        drop(taken);
        let encoder = compression.start(&asked, StatusCode::OK, &mut response, &turns);
        assert!(encoder.expect("decided").is_some());
    }
}
