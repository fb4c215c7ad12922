//! Links that whoever has the key has made, good for their path until they expire.
//!
//! What is signed is `METHOD TARGET`: the path and query as they stand in the
//! request, without the parameter of the signature; HEAD is signed as GET. The
//! signature is its HMAC-SHA256 in base64url.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Faults, KeyPath};
use crate::route::decoded;
use crate::units::digits;

use super::Denied;

/// The most keys, old ones included; each costs a refused request a hash.
const MOST_KEYS: usize = 8;
/// Bytes of the shortest key: whoever has a link can try keys as fast as their
/// machine hashes.
const SHORTEST_KEY: usize = 16;
/// What is shown instead of a key.
const HIDDEN: &str = "***";

/// With or without the `=` at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The section `access.signed`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The key, or several while one replaces another.
    pub key: Keys,
    /// The query parameter that holds the signature.
    pub parameter: String,
    /// The query parameter that says until when, in seconds since 1970.
    pub expires: String,
}

/// One key, or several of which any will do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a key or a list of keys")]
pub(crate) enum Keys {
    One(String),
    Several(Vec<String>),
}

impl Default for Config {
    fn default() -> Self {
        let key = Keys::One(String::new());
        Config { key, parameter: "sig".to_owned(), expires: "exp".to_owned() }
    }
}

impl Config {
    pub(super) fn hide_secrets(&mut self) {
        self.key = Keys::One(HIDDEN.to_owned());
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("parameter", &self.parameter).finish_non_exhaustive()
    }
}

/// Why a link is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    Signature,
    Expired,
}

impl From<Bad> for Denied {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Signature => Denied::Signature,
            Bad::Expired => Denied::Expired,
        }
    }
}

/// Tells good links from others.
#[derive(Debug)]
pub(super) struct Signed {
    // Invariant: never empty.
    keys: Vec<hmac::Key>,
    parameter: String,
    expires: String,
}

impl Signed {
    pub(super) fn new(config: &Config) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let at = KeyPath::root().child("key");
        let keys = match &config.key {
            Keys::One(key) => vec![(at, key)],
            Keys::Several(keys) => {
                if keys.is_empty() {
                    faults.add(at.clone(), "is empty; write at least one key");
                } else if keys.len() > MOST_KEYS {
                    faults.add(at.clone(), format!("has more than {MOST_KEYS} keys"));
                }
                keys.iter().enumerate().map(|(index, key)| (at.child(index), key)).collect()
            }
        };
        for (at, key) in &keys {
            if key.is_empty() {
                faults.add(at.clone(), "is empty; anybody could sign links with an empty key");
            } else if key.len() < SHORTEST_KEY {
                let what = format!(
                    "has {} bytes, which can be guessed; write at least {SHORTEST_KEY}, \
                     as `openssl rand -hex 32` makes",
                    key.len()
                );
                faults.add(at.clone(), what);
            }
        }
        for (name, parameter) in [("parameter", &config.parameter), ("expires", &config.expires)] {
            if parameter.is_empty() || !parameter.bytes().all(is_plain) {
                let what = format!(
                    "`{}` is no name; a parameter has letters, digits, `-`, `_` or `.`",
                    parameter.escape_debug()
                );
                faults.add(KeyPath::root().child(name), what);
            }
        }
        if config.parameter == config.expires {
            faults.extend(Faults::at("expires", "is the parameter of the signature"));
        }
        let key = |(_, key): (_, &String)| hmac::Key::new(HMAC_SHA256, key.as_bytes());
        let keys = keys.into_iter().map(key).collect();
        let (parameter, expires) = (config.parameter.clone(), config.expires.clone());
        faults.into_result(|| Some(Signed { keys, parameter, expires }))
    }

    /// The query that is left for the server once the link has proved good, at
    /// `now` in seconds since 1970. `path` and `query` are as the client wrote them.
    pub(super) fn check(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        now: u64,
    ) -> Result<Option<String>, Bad> {
        let mut signed = format!("{} {path}", signed_as(method));
        let (mut signature, mut expires, mut left) = (None, None, None);
        let mut apart = '?';
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if names(name, &self.parameter) {
                // Twice, and a server might read the other one.
                match signature.replace(value) {
                    None => continue,
                    Some(_) => return Err(Bad::Signature),
                }
            }
            signed.push(apart);
            signed.push_str(pair);
            apart = '&';
            if !names(name, &self.expires) {
                push(&mut left, pair);
            } else if expires.replace(value).is_some() {
                return Err(Bad::Signature);
            }
        }
        let (Some(signature), Some(expires)) = (signature, expires) else {
            return Err(Bad::Signature);
        };
        let signature = BASE64.decode(signature).map_err(|_| Bad::Signature)?;
        // Compares in constant time.
        let is_by = |key| hmac::verify(key, signed.as_bytes(), &signature).is_ok();
        if !self.keys.iter().any(is_by) {
            return Err(Bad::Signature);
        }
        match digits::<u64>(expires) {
            Some(until) if now <= until => Ok(left),
            Some(_) => Err(Bad::Expired),
            None => Err(Bad::Signature),
        }
    }

    /// What is left of a query that nobody asks to prove anything.
    pub(super) fn left(&self, query: Option<&str>) -> Option<String> {
        let mut left = None;
        for pair in query.unwrap_or_default().split('&') {
            let name = pair.split('=').next().unwrap_or_default();
            if !names(name, &self.parameter) && !names(name, &self.expires) {
                push(&mut left, pair);
            }
        }
        left
    }

    /// The parameter whose value no log shows.
    pub(super) fn parameter(&self) -> &str {
        &self.parameter
    }
}

/// Whoever may GET a resource may ask for its head alone.
fn signed_as(method: &Method) -> &str {
    if *method == Method::HEAD { "GET" } else { method.as_str() }
}

/// Whether a server could take a name, as it is written, for this parameter.
fn names(written: &str, parameter: &str) -> bool {
    decoded(written).eq(parameter.bytes())
}

fn push(query: &mut Option<String>, pair: &str) {
    match query {
        None => *query = Some(pair.to_owned()),
        Some(query) => {
            query.push('&');
            query.push_str(pair);
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "key-of-16-bytes.";
    const NEW: &str = "new-of-16-bytes.";
    const NOW: u64 = 1_800_000_000;

    fn signed(yaml: &str) -> Signed {
        let config: Config = serde_yaml::from_str(yaml).expect("well-formed");
        Signed::new(&config).expect("good")
    }

    fn signature(key: &str, text: &str) -> String {
        let key = hmac::Key::new(HMAC_SHA256, key.as_bytes());
        BASE64.encode(hmac::sign(&key, text.as_bytes()))
    }

    /// Asks for the target with the signature of `text` in the place of `SIG`.
    #[track_caller]
    fn check(asked: &str, text: &str, expected: Result<Option<&str>, Bad>) {
        let (method, target) = asked.split_once(' ').expect("a method");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let target = target.replace("SIG", signature(KEY, text).trim_end_matches('='));
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target.as_str(), None),
        };
        let found = signed(&format!("{{ key: [{NEW}, {KEY}], expires: expires }}"))
            .check(&method, path, query, NOW);
        assert_eq!(found, expected.map(|left| left.map(str::to_owned)), "{asked}");
    }

    #[test]
    fn a_link_is_good_for_what_was_signed() {
        let text = "GET /a.mp4?expires=1800000000";
        check("GET /a.mp4?expires=1800000000&sig=SIG", text, Ok(None));
        check("GET /a.mp4?sig=SIG&expires=1800000000", text, Ok(None));
        check("GET /a.mp4?expires=1800000000&sig=SIG%3D", text, Err(Bad::Signature));
        check("GET /a.mp4?expires=1800000000&sig=SIG=", text, Ok(None));
        check("HEAD /a.mp4?expires=1800000000&sig=SIG", text, Ok(None));
        for other in [
            "POST /a.mp4?expires=1800000000&sig=SIG",
            "GET /b.mp4?expires=1800000000&sig=SIG",
            "GET //a.mp4?expires=1800000000&sig=SIG",
            "GET /a.mp4?expires=1800000001&sig=SIG",
            "GET /a.mp4?expires=1800000000&sig=SIG&x=1",
            "GET /a.mp4?expires=1800000000&sig=SIG&",
            "GET /a.mp4?expires=1800000000&sig=SIGA",
            "GET /a.mp4?expires=1800000000&sig=",
            "GET /a.mp4?expires=1800000000&sig",
            "GET /a.mp4?expires=1800000000",
            "GET /a.mp4?sig=SIG",
            "GET /a.mp4",
        ] {
            check(other, text, Err(Bad::Signature));
        }
        let more = "PUT /a?x=1&expires=1800000000&y=%26&&z";
        check("PUT /a?x=1&expires=1800000000&y=%26&&sig=SIG&z", more, Ok(Some("x=1&y=%26&&z")));
    }

    #[test]
    fn a_link_ends() {
        check("GET /a?expires=1799999999&sig=SIG", "GET /a?expires=1799999999", Err(Bad::Expired));
        // Who does not know the key does not hear when it ended.
        check("GET /a?expires=1799999999&sig=SIG", "GET /a", Err(Bad::Signature));
        for bad in ["", "-1", "+1800000000", "soon", "18446744073709551616", "1800000000.5"] {
            let text = format!("GET /a?expires={bad}");
            check(&format!("{text}&sig=SIG"), &text, Err(Bad::Signature));
        }
    }

    #[test]
    fn what_a_server_could_read_otherwise_is_no_link() {
        for twice in ["expires=1800000000", "%65xpires=1900000000"] {
            let text = format!("GET /a?expires=1800000000&{twice}");
            check(&format!("{text}&sig=SIG"), &text, Err(Bad::Signature));
        }
        let text = "GET /a?expires=1800000000";
        check("GET /a?expires=1800000000&sig=SIG&s%69g=x", text, Err(Bad::Signature));
        check("GET /a?s%69g=x&expires=1800000000&sig=SIG", text, Err(Bad::Signature));
    }

    #[test]
    fn every_key_of_a_list_will_do() {
        let signed = signed(&format!("{{ key: [{NEW}, {KEY}], parameter: s, expires: e }}"));
        let query = |key| {
            format!(
                "e=1800000000&s={}",
                signature(key, "GET /a?e=1800000000").trim_end_matches('=')
            )
        };
        for (key, expected) in [(NEW, Ok(None)), (KEY, Ok(None)), ("", Err(Bad::Signature))] {
            let query = query(key);
            assert_eq!(signed.check(&Method::GET, "/a", Some(&query), NOW), expected, "{key}");
        }
    }

    #[test]
    fn faults_name_their_key() {
        for (yaml, expected) in [
            ("{}", &["key"][..]),
            ("{ key: [] }", &["key"]),
            ("{ key: [key-of-16-bytes., ''] }", &["key[1]"]),
            ("{ key: key-of-15-bytes }", &["key"]),
            ("{ key: [&k key-of-16-bytes., *k, *k, *k, *k, *k, *k, *k, *k] }", &["key"]),
            ("{ key: key-of-16-bytes., parameter: 'a b', expires: '' }", &["parameter", "expires"]),
            ("{ key: key-of-16-bytes., parameter: a, expires: a }", &["expires"]),
        ] {
            let config: Config = serde_yaml::from_str(yaml).expect("well-formed");
            let faults = Signed::new(&config).expect_err(yaml);
            let at: Vec<String> = faults.iter().map(|fault| fault.at.to_string()).collect();
            assert_eq!(at, expected, "{yaml}");
        }
    }
}
