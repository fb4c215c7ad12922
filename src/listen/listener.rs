//! One listener: an address, what is spoken there, and its bounds.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::units::{ByteRate, ByteSize, OrOff, Period, Unreadable, Word, digits, word};

use super::proxy_protocol;
use super::tls::{self, Tls};

/// One entry of `listeners`; `S` is how strictly a later room reads heads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, bound(deserialize = "S: Deserialize<'de> + Default"))]
#[schemars(bound = "S: JsonSchema + Serialize + Default")]
pub(crate) struct Config<S> {
    /// The address and port to listen on.
    pub(crate) address: String,
    /// What clients may speak here: h1 and h2c; with tls h1 and h2.
    pub(crate) protocols: Vec<Protocol>,
    /// Whether trusted proxies name their clients by a PROXY header.
    pub(crate) proxy_protocol: proxy_protocol::Mode,
    /// Sends every plain request to https: on (port 443) or a port.
    pub(crate) https_redirect: HttpsRedirect,
    /// Ends TLS here.
    pub(crate) tls: Option<tls::Config>,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) h2: H2,
    pub(crate) strict: S,
}

impl<S: Default> Default for Config<S> {
    fn default() -> Self {
        Config {
            address: String::new(),
            protocols: Vec::new(),
            proxy_protocol: proxy_protocol::Mode::default(),
            https_redirect: HttpsRedirect::Off,
            tls: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            h2: H2::default(),
            strict: S::default(),
        }
    }
}

/// A protocol spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    H1,
    H2,
    H2c,
}

/// How long a client may keep silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// From the first byte of a request head to its last.
    pub(crate) header: Period,
    /// Between two requests on a connection.
    pub(crate) idle: Period,
    /// Between two reads of a request body.
    pub(crate) body: Period,
    /// Between two writes of a response.
    pub(crate) write: Period,
    /// Silence on WebSocket, event streams and gRPC.
    pub(crate) tunnel: Period,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            header: Period::from_secs(10),
            idle: Period::from_secs(60),
            body: Period::from_secs(30),
            write: Period::from_secs(30),
            tunnel: Period::from_secs(3600),
        }
    }
}

/// How much a client may send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// The longest request target.
    pub(crate) uri: ByteSize,
    /// The largest request head, request line included.
    pub(crate) headers: ByteSize,
    /// The most header fields of a request.
    pub(crate) header_count: usize,
    /// The largest request body; a route may set its own.
    pub(crate) body: ByteSize,
    /// Requests until a connection is closed.
    pub(crate) requests_per_connection: u32,
    /// The least average of a request body, and of an answer as it is read.
    pub(crate) min_rate: OrOff<ByteRate>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            uri: ByteSize::kib(8),
            headers: ByteSize::kib(64),
            header_count: 100,
            body: ByteSize::mib(10),
            requests_per_connection: 10_000,
            min_rate: OrOff::Set(ByteRate(200)),
        }
    }
}

/// Bounds of one HTTP/2 connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct H2 {
    /// Requests at the same time.
    pub(crate) streams: u32,
    /// Requests that a client may give up, or have us give up, until it is cut off.
    pub(crate) resets_per_minute: u32,
}

impl Default for H2 {
    fn default() -> Self {
        H2 { streams: 100, resets_per_minute: 200 }
    }
}

/// Whether plain requests are sent to https, and to which port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HttpsRedirect {
    #[default]
    Off,
    Port(u16),
}

impl FromStr for HttpsRedirect {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text {
            "off" | "false" => Ok(HttpsRedirect::Off),
            "on" | "true" => Ok(HttpsRedirect::Port(443)),
            _ => digits(text)
                .filter(|port| *port != 0)
                .map(HttpsRedirect::Port)
                .ok_or_else(|| Unreadable(format!("`{text}` is neither on, off nor a port"))),
        }
    }
}

impl fmt::Display for HttpsRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpsRedirect::Off => f.write_str("off"),
            HttpsRedirect::Port(port) => write!(f, "{port}"),
        }
    }
}

impl Word for HttpsRedirect {
    const FORMAT: &'static str = "https-redirect";
}

word!(HttpsRedirect);

/// A listener that is ready to be opened.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    /// The address as text, for logs and labels.
    pub(crate) name: Arc<str>,
    pub(crate) speaks_h1: bool,
    pub(crate) speaks_h2: bool,
    pub(crate) proxy_protocol: proxy_protocol::Mode,
    pub(crate) https_redirect: HttpsRedirect,
    pub(crate) tls: Option<Tls>,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) h2: H2,
}

impl Listener {
    /// Checks everything of a listener that can be known before it is opened.
    pub(crate) fn new<S>(config: &Config<S>) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let address = faults.collect("address", parse_address(&config.address));
        let protocols = faults.collect("protocols", Spoken::new(config));
        let tls = match (&config.tls, protocols) {
            (Some(tls), Some(spoken)) => faults.collect("tls", Tls::new(tls, spoken.alpn())),
            (Some(tls), None) => faults.collect("tls", Tls::new(tls, &[])),
            (None, _) => None,
        };
        if config.tls.is_some() && config.https_redirect != HttpsRedirect::Off {
            faults.extend(Faults::at("https_redirect", "this listener speaks https already"));
        }
        check_bounds(config, &mut faults);
        faults.into_result(|| {
            let address = address?;
            let spoken = protocols?;
            Some(Listener {
                address,
                name: address.to_string().into(),
                speaks_h1: spoken.h1,
                speaks_h2: spoken.h2,
                proxy_protocol: config.proxy_protocol,
                https_redirect: config.https_redirect,
                tls,
                timeouts: config.timeouts.clone(),
                limits: config.limits.clone(),
                h2: config.h2.clone(),
            })
        })
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy)]
struct Spoken {
    h1: bool,
    h2: bool,
}

impl Spoken {
    fn new<S>(config: &Config<S>) -> Result<Self, Faults> {
        let is_tls = config.tls.is_some();
        if config.protocols.is_empty() {
            return Ok(Spoken { h1: true, h2: is_tls });
        }
        let mut faults = Faults::none();
        let mut spoken = Spoken { h1: false, h2: false };
        for (index, protocol) in config.protocols.iter().enumerate() {
            match (protocol, is_tls) {
                (Protocol::H1, _) => spoken.h1 = true,
                (Protocol::H2, true) | (Protocol::H2c, false) => spoken.h2 = true,
                (Protocol::H2, false) => {
                    faults.extend(Faults::at(index, "h2 needs tls; without it write h2c"));
                }
                (Protocol::H2c, true) => {
                    faults.extend(Faults::at(index, "h2c is h2 without tls; with it write h2"));
                }
            }
        }
        faults.into_result(|| Some(spoken))
    }

    /// The protocols offered in a TLS handshake, the preferred one first.
    fn alpn(self) -> &'static [&'static [u8]] {
        match (self.h1, self.h2) {
            (true, true) => &[b"h2", b"http/1.1"],
            (false, true) => &[b"h2"],
            _ => &[b"http/1.1"],
        }
    }
}

fn parse_address(address: &str) -> Result<SocketAddr, Faults> {
    address.parse().map_err(|_| {
        Faults::one(format!(
            "`{address}` is no address to listen on; write 0.0.0.0:8080 or [::]:8080"
        ))
    })
}

fn check_bounds<S>(config: &Config<S>, faults: &mut Faults) {
    let timeouts = &config.timeouts;
    for (key, period) in [
        ("header", timeouts.header),
        ("idle", timeouts.idle),
        ("body", timeouts.body),
        ("write", timeouts.write),
        ("tunnel", timeouts.tunnel),
    ] {
        if period.0.is_zero() {
            faults.extend(Faults::at(key, "must be longer than 0").under("timeouts"));
        }
    }
    let limits = &config.limits;
    for (key, is_zero) in [
        ("uri", limits.uri.0 == 0),
        ("headers", limits.headers.0 == 0),
        ("header_count", limits.header_count == 0),
        ("requests_per_connection", limits.requests_per_connection == 0),
    ] {
        if is_zero {
            faults.extend(Faults::at(key, "must be more than 0").under("limits"));
        }
    }
    if limits.headers > MOST_HEADERS {
        let what = format!("must be at most {MOST_HEADERS}");
        faults.extend(Faults::at("headers", what).under("limits"));
    }
    if limits.header_count > MOST_HEADER_COUNT {
        let what = format!("must be at most {MOST_HEADER_COUNT}");
        faults.extend(Faults::at("header_count", what).under("limits"));
    }
    if limits.min_rate == OrOff::Set(ByteRate(0)) {
        let what = "must be more than 0; write off for no bound";
        faults.extend(Faults::at("min_rate", what).under("limits"));
    }
    for (key, value) in
        [("streams", config.h2.streams), ("resets_per_minute", config.h2.resets_per_minute)]
    {
        if value == 0 {
            faults.extend(Faults::at(key, "must be more than 0").under("h2"));
        }
    }
}

/// What pingora's parser takes at most (MAX_HEADER_SIZE, MAX_HEADERS).
const MOST_HEADERS: ByteSize = ByteSize::kib(1023);
const MOST_HEADER_COUNT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<HttpsRedirect>) {
        assert_eq!(text.parse().ok(), expected, "{text}");
    }

    #[test]
    fn reads_where_https_is() {
        check("on", Some(HttpsRedirect::Port(443)));
        check("8443", Some(HttpsRedirect::Port(8443)));
        check("off", Some(HttpsRedirect::Off));
        for bad in ["", "0", "65536", "+443", "-1", "443 ", "yes"] {
            check(bad, None);
        }
    }
}
