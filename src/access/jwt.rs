//! JSON Web Tokens (RFC 7519, 8725): signed by a key of the operator's choice,
//! for this audience, by this issuer, and not over.

mod algorithm;
mod key_set;
mod keys;
mod token;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::{self, Fields};
use super::outbound::{Outbound, read_url};
use super::remembered::{Remembered, Tagger};
use super::verifiers::Verifiers;
use crate::fault::Faults;
use crate::units::Period;
use crate::watch::{Holdings, Watched, WatchedFiles, read_text};

use self::algorithm::Algorithm;
use self::keys::Signature;
use self::token::{Claims, Demands, Token};

pub(crate) use self::key_set::KeySet;
pub(super) use self::keys::Keys;

/// What of a token is signed and the signature, for who only reads it.
#[cfg(any(test, fuzzing))]
pub(super) fn parts(token: &str) -> Result<(&[u8], Vec<u8>), Fault> {
    // Claims are read once a signature is good; here whatever they are.
    Token::read(token).map(|token| {
        drop(token.claims());
        (token.signed, token.signature)
    })
}

/// Tokens that are remembered of a route, and for how long at most.
const MOST_REMEMBERED: usize = 4096;
const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 60);

/// The key `access.jwt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The public keys (JWKS): a file, which is read again when it changes, or
    /// an http or https URL.
    pub jwks: String,
    /// Who must have issued tokens; anybody with one of the keys if absent.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Whom tokens must be for; anybody if absent.
    #[serde(default)]
    pub audience: Option<String>,
    /// The algorithms that tokens may be signed by.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<String>,
    /// How far clocks may differ.
    #[serde(default = "leeway")]
    pub leeway: Period,
    /// Fields that tell the server what a token claims: `x-user: sub`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn algorithms() -> Vec<String> {
    ["RS256", "ES256", "EdDSA"].map(str::to_owned).into()
}

fn leeway() -> Period {
    Period::from_secs(30)
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no token")]
    Missing,
    #[error("no token in three parts")]
    Malformed,
    #[error("signed by an algorithm that is not allowed")]
    Algorithm,
    #[error("signed by an unknown key")]
    NoKey,
    #[error("a wrong signature")]
    Signature,
    #[error("over")]
    Expired,
    #[error("not yet of use")]
    TooEarly,
    #[error("issued by somebody else")]
    Issuer,
    #[error("for somebody else")]
    Audience,
    #[error("claims that are missing or no times")]
    Claims,
    #[error("no keys to verify tokens with")]
    NotReady,
}

impl Fault {
    /// Why, as a word of the log.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Fault::Missing => "jwt_missing",
            Fault::Malformed => "jwt_malformed",
            Fault::Algorithm => "jwt_algorithm",
            Fault::NoKey => "jwt_key",
            Fault::Signature => "jwt_signature",
            Fault::Expired => "jwt_expired",
            Fault::TooEarly => "jwt_too_early",
            Fault::Issuer => "jwt_issuer",
            Fault::Audience => "jwt_audience",
            Fault::Claims => "jwt_claims",
            Fault::NotReady => "jwt_no_keys",
        }
    }
}

/// Lets in who has a good token.
#[derive(Debug)]
pub(super) struct Jwt {
    source: Source,
    algorithms: Vec<Algorithm>,
    demands: Demands,
    /// Names of fields, and the claims that fill them.
    headers: Vec<(HeaderName, String)>,
    tagger: Tagger,
    known: Remembered<Known>,
}

#[derive(Debug)]
enum Source {
    File(Arc<Watched<Keys>>),
    Url(Arc<KeySet>),
}

/// A token that was good, as long as nothing changes.
#[derive(Debug, Clone)]
struct Known {
    /// Those that it was verified by.
    keys: Arc<Keys>,
    /// Seconds since 1970.
    end: f64,
    verified: Verified,
}

/// What is believed of a token.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    /// Whom it is about.
    pub(super) subject: Option<Arc<str>>,
    /// What the server is told.
    pub(super) fields: Fields,
}

/// The sets of keys at URLs, by these.
pub(super) type KeySets = BTreeMap<String, Arc<KeySet>>;

/// The set of a URL: the one there was, or a new one.
pub(super) fn key_set(
    jwks: &str,
    outbound: &Outbound,
    previous: Option<&KeySets>,
) -> Option<Arc<KeySet>> {
    if !is_url(jwks) {
        return None;
    }
    let known = previous.and_then(|sets| sets.get(jwks)).cloned();
    known.or_else(|| Some(Arc::new(KeySet::new(read_url(jwks).ok()?, outbound.clone()))))
}

fn is_url(jwks: &str) -> bool {
    jwks.contains("://")
}

/// Whether it comes over a network as it is: who sits between may put other keys there.
pub(super) fn is_cleartext(jwks: &str) -> bool {
    let is_http = |url: &Uri| url.scheme_str() == Some("http");
    read_url(jwks).is_ok_and(|url| is_http(&url) && !url.host().is_some_and(is_this_machine))
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The file that `jwks` names, if it is no URL.
pub(super) fn key_file(jwks: &str) -> Option<&Path> {
    (!is_url(jwks)).then(|| Path::new(jwks))
}

/// Reads a file of keys; the error names it.
pub(super) fn read_keys(path: &Path) -> Result<Keys, Vec<String>> {
    let keys = read_text(path, keys::LARGEST).and_then(|text| Keys::read(&text));
    keys.map_err(|what| vec![format!("`{}`: {what}", path.display())])
}

impl Holdings for Keys {
    fn told(&self) -> String {
        format!("{} keys", self.len())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Jwt {
    pub(super) fn new(
        config: &Config,
        files: &WatchedFiles<Keys>,
        verifiers: &Verifiers,
    ) -> Result<Self, Faults> {
        Jwt::of(source(&config.jwks, files, verifiers), config)
    }

    /// One whose keys are the text of a file.
    #[cfg(any(test, fuzzing))]
    pub(super) fn of_keys(keys: &str, config: &Config) -> Result<Self, Faults> {
        let keys = Keys::read(keys).map_err(Faults::one);
        Jwt::of(keys.map(|keys| Source::File(Arc::new(Watched::fixed(keys)))), config)
    }

    fn of(source: Result<Source, Faults>, config: &Config) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let source = faults.collect("jwks", source);
        let algorithms = faults.collect("algorithms", read_algorithms(&config.algorithms));
        let headers = faults.collect("headers", read_headers(&config.headers));
        if config.leeway.0 > Duration::from_secs(3600) {
            faults.extend(Faults::at("leeway", "must be at most 1h"));
        }
        let said = [("issuer", &config.issuer), ("audience", &config.audience)];
        for (key, _) in said.iter().filter(|(_, said)| said.as_deref() == Some("")) {
            faults.extend(Faults::at(*key, "is empty; leave the key out if anybody will do"));
        }
        let demands = Demands {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway: config.leeway.0.as_secs_f64(),
        };
        faults.into_result(|| {
            Some(Jwt {
                source: source?,
                algorithms: algorithms?,
                demands,
                headers: headers?,
                tagger: Tagger::new(),
                known: Remembered::new(MOST_REMEMBERED, REMEMBERED_FOR),
            })
        })
    }

    /// What is believed of the request's token, if it is good.
    pub(super) async fn check(&self, request: &HeaderMap) -> Result<Verified, Fault> {
        let text = bearer(request).ok_or(Fault::Missing)?;
        let keys = match &self.source {
            Source::File(keys) => Arc::clone(&keys.load()),
            Source::Url(set) => set.keys().await.ok_or(Fault::NotReady)?,
        };
        let now = seconds(SystemTime::now());
        let tag = self.tagger.tag(&[text.as_bytes()]);
        if let Some(known) = self.known.find(&tag)
            && Arc::ptr_eq(&known.keys, &keys)
            && known.end > now
        {
            return Ok(known.verified);
        }
        let token = Token::read(text)?;
        let algorithm = Algorithm::find(&token.head.alg).ok_or(Fault::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Fault::Algorithm);
        }
        let keys = self.verify(keys, algorithm, &token).await?;
        let claims = token.claims()?;
        let end = claims.check(&self.demands, now)?;
        let subject = claims.text("sub").map(Arc::from);
        let verified = Verified { subject, fields: self.fields(&claims) };
        self.known.note(tag, Known { keys, end, verified: verified.clone() });
        Ok(verified)
    }

    /// The names of fields that only tokens may fill.
    pub(super) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// The keys that have signed the token.
    async fn verify(
        &self,
        keys: Arc<Keys>,
        algorithm: Algorithm,
        token: &Token<'_>,
    ) -> Result<Arc<Keys>, Fault> {
        let id = token.head.kid.as_deref();
        let verify = |keys: &Keys| keys.verify(id, algorithm, token.signed, &token.signature);
        let mut found = (verify(&keys), keys);
        if let (Signature::NoKey, Source::Url(set)) = (found.0, &self.source) {
            let keys = set.refetched().await.ok_or(Fault::NotReady)?;
            found = (verify(&keys), keys);
        }
        match found {
            (Signature::Good, keys) => Ok(keys),
            (Signature::Bad, _) => Err(Fault::Signature),
            (Signature::NoKey, _) => Err(Fault::NoKey),
        }
    }

    fn fields(&self, claims: &Claims) -> Fields {
        let told = self.headers.iter().filter_map(|(name, claim)| {
            // A text that no field can hold is not told; nor is one with white
            // space around it, which is another one to whoever reads the field.
            let text = claims.text(claim).filter(|text| text.trim_ascii() == text)?;
            let value = HeaderValue::try_from(text).ok()?;
            Some((name.clone(), value))
        });
        told.collect()
    }
}

fn source(jwks: &str, files: &WatchedFiles<Keys>, verifiers: &Verifiers) -> Result<Source, Faults> {
    let Some(file) = key_file(jwks) else {
        verifiers.outbound.read_url(jwks).map_err(Faults::one)?;
        let set = verifiers.key_sets.get(jwks).ok_or_else(|| Faults::one("is not known"))?;
        return Ok(Source::Url(set.clone()));
    };
    files.find(file).map(Source::File).map_err(Faults::each)
}

fn read_algorithms(names: &[String]) -> Result<Vec<Algorithm>, Faults> {
    let mut faults = Faults::none();
    let mut algorithms = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let found = Algorithm::find(name);
        let found = found.ok_or_else(|| Faults::one(Algorithm::why_not(name)));
        algorithms.extend(faults.collect(index, found));
    }
    faults.into_result(|| Some(algorithms))
}

fn read_headers(headers: &BTreeMap<String, String>) -> Result<Vec<(HeaderName, String)>, Faults> {
    let mut faults = Faults::none();
    let mut read: Vec<(HeaderName, String)> = Vec::new();
    for (name, claim) in headers {
        let found = match claim.as_str() {
            "" => Err(Faults::one("names no claim; write one like sub")),
            _ => fields::read_name(name).map_err(Faults::one),
        };
        let Some(field) = faults.collect(name.as_str(), found) else { continue };
        if read.iter().any(|(other, _)| *other == field) {
            faults.extend(Faults::at(name.as_str(), format!("`{field}` is there twice")));
        }
        read.push((field, claim.clone()));
    }
    faults.into_result(|| Some(read))
}

/// The token of a request: that of the scheme Bearer (RFC 6750 §2.1).
pub(super) fn bearer(request: &HeaderMap) -> Option<&str> {
    let given = request.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Seconds since 1970. While the clock is plainly wrong, every token is over.
fn seconds(now: SystemTime) -> f64 {
    now.duration_since(UNIX_EPOCH).map_or(f64::INFINITY, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_clock_before_1970_lets_nobody_in() {
        assert_eq!(seconds(UNIX_EPOCH + Duration::from_millis(1500)), 1.5);
        let before = UNIX_EPOCH - Duration::from_secs(1);
        let [head, claims] =
            [r#"{"alg":"ES256"}"#, r#"{"exp":1e300}"#].map(|part| URL_SAFE_NO_PAD.encode(part));
        let text = format!("{head}.{claims}.{head}");
        let claims = Token::read(&text).and_then(|token| token.claims()).expect("a token");
        let demands = Demands { issuer: None, audience: None, leeway: 3600.0 };
        assert_eq!(claims.check(&demands, seconds(before)), Err(Fault::Expired));
    }
}
