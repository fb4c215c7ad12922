//! What this room makes of any bytes, for those who try them.

use std::sync::Arc;

use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, header};

use super::Denied;
use super::challenge::{Ask, Challenge, Challenged, Difficulty, Lasts, Seal, When};
use super::jwt::{self, Fault, Jwt};
use super::signed::{self, Keys, Signed};
use crate::units::Period;

/// A route whose links must be signed.
pub(crate) struct Links(Signed);

impl Links {
    pub(crate) fn by(keys: [&str; 2]) -> Self {
        let key = Keys::Several(keys.map(str::to_owned).into());
        let config = signed::Config { key, ..signed::Config::default() };
        Links(Signed::new(&config).expect("keys"))
    }

    /// What is left of the query of a good link.
    pub(crate) fn check(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        now: u64,
    ) -> Result<Option<String>, Denied> {
        self.0.check(method, path, query, now).map_err(Denied::from)
    }
}

/// A route that always asks for work.
pub(crate) struct Work {
    challenge: Challenge,
    seal: Seal,
}

impl Work {
    /// `seal` is 64 hexadecimal digits.
    pub(crate) fn new(difficulty: u8, lasts: Period, seal: &str) -> Self {
        let difficulty: Difficulty =
            serde_json::from_value(difficulty.into()).expect("a number of bits");
        let lasts: Lasts =
            serde_json::from_value(lasts.to_string().into()).expect("a span of time");
        let challenge = Challenge::new(When::Always, difficulty, lasts).expect("good keys");
        Work { challenge: challenge.expect("it is on"), seal: Seal::of(seal).expect("digits") }
    }

    pub(crate) fn check(&self, ask: &Ask<'_>) -> Result<(), Challenged> {
        self.challenge.check(ask, &self.seal)
    }
}

/// A route that asks for tokens.
pub(crate) struct Tokens(Jwt);

impl Tokens {
    /// `keys` is the text of a set of them (JWKS).
    pub(crate) fn of(keys: &str, issuer: &str, audience: &str) -> Self {
        let algorithms = ["RS256", "PS256", "ES256", "ES384", "EdDSA"];
        let config = jwt::Config {
            jwks: String::new(),
            issuer: Some(issuer.to_owned()),
            audience: Some(audience.to_owned()),
            algorithms: algorithms.map(str::to_owned).into(),
            leeway: Period::default(),
            headers: [("x-user".to_owned(), "sub".to_owned())].into(),
        };
        Tokens(Jwt::of_keys(keys, &config).expect("keys"))
    }

    /// Whom a good token is about, and what the server is told; none if it is
    /// no text that a field could hold.
    pub(crate) fn check(&self, token: &[u8]) -> Option<Result<Shown, Fault>> {
        let value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let checked = self.0.check(&headers).now_or_never().expect("the keys are here");
        Some(checked.map(|verified| (verified.subject, verified.fields.len())))
    }
}

/// Whom a token is about, and how many fields tell the server.
type Shown = (Option<Arc<str>>, usize);
